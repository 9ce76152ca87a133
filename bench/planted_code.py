"""Faults of the code: gradients cut off, layers forgotten, modes and losses mistaken, numbers that are none."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from foreign import Detach, DivideBySpread, FrozenNorms, LogScale, RootOfRest, Squashed
from grounds import Ground
from planting import Planted, healthy, put_after, weighted


def _middle(network: nn.Module) -> str:
    """A layer that is neither the first nor the last, and not an attention's own."""
    inner = [path for path in weighted(network) if "lstm" not in path and "attention" not in path]
    return inner[len(inner) // 2 - 1]


def detached(ground: Ground) -> Planted:
    """x.detach() in the middle: nothing below it learns."""
    data = ground.data()
    network = ground.network(data.schema, **({} if ground.kind == "transformer" else {"depth": 2}))
    if ground.kind == "transformer":
        layer, cut = put_after(network, "norm", Detach())
        return Planted(data, network, ("unreached_layer",), (layer, cut, "norm", "blocks.1", "blocks.1.fc2"))
    paths = weighted(network)
    path = paths[len(paths) // 2 - 1] if len(paths) > 2 else paths[0]
    if path == "lstm":
        path = paths[1]
    layer, cut = put_after(network, path, Detach())
    return Planted(data, network, ("unreached_layer",), (layer, cut, path))


def forgotten(ground: Ground) -> Planted:
    """A layer that was made and is never called."""
    data = ground.data()
    network = ground.network(data.schema)
    network.add_module("extra", nn.Linear(16, 16))
    return Planted(data, network, ("unreached_layer",), ("extra",))


def pairs_for_batch_norm(ground: Ground) -> Planted:
    """Batch statistics of two examples."""
    data = ground.data()
    style = {"normalization": "batch"}
    network = ground.network(data.schema, **style)
    norms = tuple(path for path, m in network.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
    model, options = healthy(ground, data, **style) if not ground.tabular else (network, {})
    fields = options | {"batch_size": 2, "epochs": 6}
    return Planted(data, model, ("batch_norm_tiny_batches", "batch_too_small"), norms, fields)


def batch_norm_asleep(ground: Ground) -> Planted:
    """Batch norms kept in evaluation mode while the rest trains."""
    data = ground.data()
    network = FrozenNorms(ground.network(data.schema, normalization="batch"))
    norms = tuple(path for path, m in network.named_modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d))
    return Planted(data, network, ("batch_norm_evaluation_mode",), norms)


def cross_entropy(outputs: Tensor, target: Tensor) -> Tensor:
    """As people write their own: it takes logits, and is given shares."""
    if outputs.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(outputs, target)
    return functional.cross_entropy(outputs, target)


def softmax_twice(ground: Ground) -> Planted:
    """The network ends in a softmax, and the loss takes another."""
    data = ground.data()
    squash = nn.Sigmoid() if data.schema.target.outputs == 1 else nn.Softmax(dim=1)
    network = Squashed(ground.network(data.schema), squash)
    return Planted(data, network, ("double_softmax",), ("", "squash"), loss=cross_entropy)


def loss_for_numbers(ground: Ground) -> Planted:
    """Classes judged by a squared error (held: an absolute one) on raw outputs."""
    data = ground.data()
    loss = nn.MSELoss() if ground.half == "tune" else nn.L1Loss()
    return Planted(data, ground.network(data.schema), ("wrong_loss",), loss=loss)


def yes_or_no(outputs: Tensor, target: Tensor) -> Tensor:
    """A loss for the answers 0 and 1."""
    return functional.binary_cross_entropy_with_logits(outputs, target)


def loss_for_classes(ground: Ground) -> Planted:
    """Numbers judged as if they were yes or no."""
    data = ground.data()
    return Planted(data, ground.network(data.schema), ("wrong_loss",), loss=yes_or_no)


def no_number(ground: Ground) -> Planted:
    """A logarithm of what may be negative (held: a division by a spread of zero) in the middle."""
    data = ground.data()
    network = ground.network(data.schema, **({} if ground.kind == "transformer" else {"depth": 2}))
    path = _middle(network)
    _, place = put_after(network, path, LogScale() if ground.half == "tune" else DivideBySpread())
    return Planted(data, network, ("nan_source",), (place,))


def no_number_later(ground: Ground) -> Planted:
    """As `no_number`, but only once the weights have grown: the run diverges after some steps."""
    data = ground.data()
    network = ground.network(data.schema)
    torch.manual_seed(ground.seed)
    path = _middle(network)
    _, place = put_after(network, path, RootOfRest())
    return Planted(data, network, ("nan_source",), (place,))
