"""Faults of the signal: it explodes, vanishes, dies or saturates on its way through the layers."""

from __future__ import annotations

import math

import torch
from torch import nn

from foreign import PlainRecurrence
from grounds import Ground
from planting import Planted, around, healthy, weighted


def exploding(ground: Ground) -> Planted:
    """Ten layers that each triple the signal; of the reader of rows, a recurrence that triples its state."""
    data = ground.data()
    names = ("exploding_gradients", "large_initialization")
    if ground.model is None and len(data.schema.inputs[0].shape) == 2:
        torch.manual_seed(ground.seed)
        network = PlainRecurrence(data.schema.inputs[0].shape[1], data.schema.target.outputs, gain=3.0)
        return Planted(data, network, names, ("into", "again"))
    network = ground.network(data.schema, depth=10)
    paths = weighted(network)[:-1]
    for path in paths:
        weight = network.get_submodule(path).get_parameter("weight")
        nn.init.normal_(weight, std=3 * math.sqrt(2 / weight[0].numel()))
    return Planted(data, network, names, around(network, *paths))


def vanishing(ground: Ground) -> Planted:
    """Eight layers of sigmoids and more, the derivative of each at most a quarter."""
    data = ground.data()
    style = {"depth": 8, "activation": "sigmoid", "normalization": "none"}
    network = ground.network(data.schema, **style)
    model, options = healthy(ground, data, **style)
    paths = weighted(network)
    low = around(network, *paths[: math.ceil(len(paths) / 2)])
    if ground.tabular:
        # The plain network: the family's ensemble has the same layers under other paths.
        return Planted(data, network, ("vanishing_gradients",), low)
    return Planted(data, model, ("vanishing_gradients",), low, options)


def dead(ground: Ground) -> Planted:
    """A layer of ReLUs whose biases keep all of them below zero."""
    data = ground.data()
    network = ground.network(data.schema, depth=2)
    path = [path for path in weighted(network) if "lstm" not in path][1 if ground.half == "tune" else -2]
    bias = network.get_submodule(path).get_parameter("bias")
    nn.init.constant_(bias, -20.0)
    return Planted(data, network, ("dead_relus",), around(network, path))


def saturated(ground: Ground) -> Planted:
    """A layer of tanh (held: of sigmoids) pushed to its ends by its biases."""
    data = ground.data()
    activation = "tanh" if ground.half == "tune" else "sigmoid"
    network = ground.network(data.schema, depth=2, activation=activation)
    path = weighted(network)[1]
    layer = network.get_submodule(path)
    with torch.no_grad():
        sign = torch.randint(0, 2, layer.get_parameter("bias").shape) * 2 - 1
        layer.get_parameter("bias").copy_(25.0 * sign)
    return Planted(data, network, ("saturated_units", "large_initialization"), around(network, path))


def zeros(ground: Ground) -> Planted:
    """Every weight begins at zero (of a user's module: every one at the same number)."""
    data = ground.data()
    network = ground.network(data.schema, depth=2)
    if ground.model is not None:
        model, options = healthy(ground, data)
        return Planted(data, model, ("zero_initialization",), (), options | {"initialization": "zero"})
    for path in weighted(network):
        for name, parameter in network.get_submodule(path).named_parameters():
            nn.init.constant_(parameter, 0.1 if "weight" in name and ground.half == "held" else 0.0)
    paths = weighted(network)
    return Planted(data, network, ("zero_initialization",), around(network, *paths))


def large(ground: Ground) -> Planted:
    """Weights drawn from N(0, 5²): in the tune half of every layer, in the held half of one."""
    data = ground.data()
    network = ground.network(data.schema, depth=2)
    paths = weighted(network) if ground.half == "tune" else weighted(network)[1:2]
    for path in paths:
        for name, parameter in network.get_submodule(path).named_parameters():
            if "weight" in name:
                nn.init.normal_(parameter, std=5.0)
    return Planted(data, network, ("large_initialization", "exploding_gradients"), around(network, *paths))
