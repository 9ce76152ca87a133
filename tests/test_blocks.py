"""Activations, initializations and normalizations against torch, their formulas and what they are for."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from deepglass.data.schema import Input, Schema
from deepglass.models import blocks
from deepglass.models.blocks import activation_named, initialized, normalization_named
from deepglass.models.mlp import Mlp
from schemas import TEN


def test_activations_are_those_of_pytorch() -> None:
    z = torch.linspace(-4, 4, 33, dtype=torch.float64).reshape(3, 11)
    theirs = {
        "identity": z, "sigmoid": torch.sigmoid(z), "tanh": torch.tanh(z), "relu": functional.relu(z),
        "leaky_relu": functional.leaky_relu(z), "gelu": functional.gelu(z), "silu": functional.silu(z),
        "softmax": functional.softmax(z, dim=1), "step": torch.heaviside(z, torch.ones((), dtype=z.dtype)),
    }  # fmt: skip
    assert set(theirs) == set(blocks.ACTIVATIONS) == set(get_args(blocks.ActivationName)) == set(blocks.GAINS)
    for name, expected in theirs.items():
        assert torch.equal(activation_named(name)(z), expected), name


def test_a_stack_without_activations_is_one_linear_map() -> None:
    schema = Schema("tensor", (Input("features", "numbers", (6,)),), TEN)
    x = torch.randn(40, 6, dtype=torch.float64)
    design = np.column_stack([x.numpy(), np.ones(40)])
    for activation, linear in (("identity", True), ("tanh", False)):
        torch.manual_seed(0)
        model = Mlp.from_schema(schema, widths=(9, 8, 7), activation=activation).double().eval()  # type: ignore[arg-type]
        outputs = model(x).detach().numpy()
        residual = outputs - design @ np.linalg.lstsq(design, outputs, rcond=None)[0]
        assert (np.abs(residual).max() < 1e-12) == linear


def test_initializations_have_the_variance_of_their_formulas() -> None:
    torch.manual_seed(0)
    assert set(get_args(blocks.InitializationName)) == set(blocks.INITIALIZATIONS)
    for name, expected in (
        ("xavier", 2 / (600 + 400)),
        ("kaiming", 1 / 600),
        ("default", 1 / (3 * 600)),
        ("zero", 0.0),
    ):
        layer = initialized(nn.Linear(600, 400), name)
        assert layer.weight.var().item() == pytest.approx(expected, rel=0.02), name
        assert name == "default" or not layer.bias.any()
    kernel = initialized(nn.Conv2d(16, 64, 3), "kaiming", "relu").weight
    assert kernel.var().item() == pytest.approx(2 / (16 * 9), rel=0.05)
    square = initialized(nn.Linear(50, 30), "orthogonal", "tanh").weight
    torch.testing.assert_close(square @ square.T, (5 / 3) ** 2 * torch.eye(30), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "activation", "low", "high"),
    [
        ("kaiming", "relu", 0.3, 3.0),  # He et al. 2015: the second moment keeps its size through any depth
        ("orthogonal", "relu", 0.3, 3.0),
        ("xavier", "identity", 0.5, 2.0),
        ("orthogonal", "identity", 0.999, 1.001),
        ("xavier", "tanh", 0.1, 2.0),
        ("default", "relu", 0.0, 1e-10),  # a third of the variance at each layer: the signal dies
    ],
)
def test_the_signal_keeps_its_size_through_twenty_layers(name: str, activation: str, low: float, high: float) -> None:
    torch.manual_seed(0)
    signal = torch.randn(256, 128)
    layers = [
        nn.Sequential(initialized(nn.Linear(128, 128), name, activation), activation_named(activation))
        for _ in range(20)
    ]
    if name == "default":
        for layer in layers:
            nn.init.zeros_(layer.get_parameter("0.bias"))
    signal.requires_grad_()
    out = nn.Sequential(*layers)(signal)
    ratio = (out.square().mean() / signal.square().mean()).item()
    assert low <= ratio <= high
    pushed = torch.randn_like(out)
    (back,) = torch.autograd.grad(out, signal, pushed)
    if activation != "tanh":
        assert low <= (back.square().mean() / pushed.square().mean()).item() <= high


def test_zero_weights_keep_all_units_of_a_layer_alike() -> None:
    schema = Schema("tensor", (Input("features", "numbers", (4,)),), TEN)
    model = Mlp.from_schema(schema, widths=(6, 5), initialization="zero", activation="tanh")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x, y = torch.randn(30, 4), torch.arange(30) % 10
    for _ in range(5):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for layer in (model.body[0], model.body[2]):
        weight = layer.get_parameter("weight")
        assert torch.equal(weight, weight[:1].expand_as(weight)), "one unit would do as well"


@pytest.mark.parametrize("name", ["batch", "layer", "group", "rms"])
@pytest.mark.parametrize("maps", [False, True])
def test_normalizations_have_the_moments_of_their_formulas(name: str, maps: bool) -> None:
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(12, 16, *((5, 4) if maps else ()), dtype=torch.float64)
    layer = normalization_named(name, 16, maps=maps)
    assert layer is not None
    y = layer.double()(x).detach()
    own = tuple(range(1, x.dim()))
    if name == "rms":
        mean_square = x.square().mean(own, keepdim=True)
        torch.testing.assert_close(y, x / mean_square.sqrt(), rtol=1e-5, atol=1e-6)
        if not maps:
            torch.testing.assert_close(y, functional.rms_norm(x, (16,)), rtol=1e-6, atol=1e-6)
        return
    axes = {"batch": (0, *own[1:]), "layer": own}.get(name)
    if name == "group":
        y, axes = y.reshape(12, 4, -1), (2,)
    assert axes is not None
    torch.testing.assert_close(y.mean(axes), torch.zeros_like(y.mean(axes)), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(axes, correction=0), torch.ones_like(y.mean(axes)), atol=1e-4, rtol=0)


def test_batch_statistics_are_frozen_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = normalization_named("batch", 3)
    assert layer is not None
    x = 5 + torch.randn(64, 3)
    for _ in range(200):
        layer(x)
    layer.eval()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    one = layer(x[:1])
    torch.testing.assert_close(one, (x[:1] - x.mean(0)) / (x.var(0) + 1e-5).sqrt(), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


def test_group_norm_never_groups_one_feature_alone() -> None:
    for width in (4, 5, 8, 12, 32, 64, 100):
        layer = normalization_named("group", width)
        assert isinstance(layer, nn.GroupNorm)
        assert width // layer.num_groups >= min(4, width)
