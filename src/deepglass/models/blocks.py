"""Building blocks chosen by name: activations, initialization, normalization; shared by every family.

A block is named by a recipe field, so each table below is what `--set activation=…` may say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from deepglass.errors import RecipeError, nearest

ActivationName = Literal["step", "identity", "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu", "softmax"]
InitializationName = Literal["default", "xavier", "kaiming", "orthogonal", "zero"]
NormalizationName = Literal["none", "batch", "layer", "group", "rms"]

Entry = TypeVar("Entry")


class Step(nn.Module):
    """The threshold of McCulloch and Pitts (1943): 1 where z >= 0, else 0. Its derivative is zero, so nothing below it
    can learn by gradients.

    >>> Step()(torch.tensor([-2.0, 0.0, 0.5])).tolist()
    [0.0, 1.0, 1.0]
    """

    def forward(self, z: Tensor) -> Tensor:
        """Z of any shape to zeros and ones of the same shape."""
        return (z >= 0).to(z.dtype)


class Softmax(nn.Module):
    """exp(z_i) / Σ_j exp(z_j) over the feature axis, which is axis 1 of features [m, f] and of maps [m, f, h, w]."""

    def forward(self, z: Tensor) -> Tensor:
        """Each example's (and pixel's) features made positive and of sum one."""
        return z.softmax(dim=1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "step": Step,
    "identity": nn.Identity,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softmax": Softmax,
}

# The factor that keeps the spread of a signal through one layer and its activation. Kaiming's argument (He et al. 2015)
# gives √2 for ReLU; GELU and SiLU halve the signal much as ReLU does; the rest are PyTorch's recommended gains.
GAINS: dict[str, float] = {
    "step": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0 / (1.0 + 0.01**2)),
    "gelu": math.sqrt(2.0),
    "silu": math.sqrt(2.0),
    "softmax": 1.0,
}


def activation_named(name: str) -> nn.Module:
    """A new activation module. Raises RecipeError for an unknown name.

    >>> activation_named("leaky_relu")(torch.tensor([-1.0, 2.0])).tolist()
    [-0.009999999776482582, 2.0]
    """
    return known("activation", name, ACTIVATIONS)()


def hidden_activation_named(name: str) -> nn.Module:
    """An activation fit to stand between layers: one whose derivative is not zero everywhere."""
    if name == "step":
        raise RecipeError(
            "activation: 'step' is flat, so its derivative is 0 and no layer below it would ever learn.",
            next="--set activation=sigmoid (a smooth step), or a perceptron: --model neuron --set activation=step",
        )
    return activation_named(name)


def _xavier(weight: Tensor, gain: float) -> None:
    nn.init.xavier_normal_(weight, gain=gain)


def _kaiming(weight: Tensor, gain: float) -> None:
    fan_in = weight[0].numel()
    nn.init.normal_(weight, std=gain / math.sqrt(fan_in))


def _orthogonal(weight: Tensor, gain: float) -> None:
    nn.init.orthogonal_(weight, gain=gain)


def _zero(weight: Tensor, gain: float) -> None:
    nn.init.zeros_(weight)


INITIALIZATIONS: dict[str, Callable[[Tensor, float], None] | None] = {
    "default": None,
    "xavier": _xavier,
    "kaiming": _kaiming,
    "orthogonal": _orthogonal,
    "zero": _zero,
}

Layer = TypeVar("Layer", bound=nn.Module)


def initialized(layer: Layer, name: str, activation: str = "identity") -> Layer:
    """The layer, its weight drawn anew by a named rule that suits the activation after it, its bias zero.

        xavier      variance gain² · 2 / (fan_in + fan_out)      Glorot & Bengio (2010)
        kaiming     variance gain² / fan_in                      He et al. (2015)
        orthogonal  gain · Q, QᵀQ = 1                            Saxe et al. (2014)
        zero        all equal: every unit of a layer then gets the same gradient, so a layer is as good as one unit
        default     PyTorch's own: uniform in ±1/√fan_in, bias too

    The weight is [out, in, ...]. Raises RecipeError for an unknown name.

    >>> layer = initialized(nn.Linear(3, 2), "orthogonal")
    >>> torch.allclose(layer.weight @ layer.weight.T, torch.eye(2), atol=1e-5)
    True
    """
    rule = known("initialization", name, INITIALIZATIONS)
    if rule is not None:
        weight = layer.get_parameter("weight")
        rule(weight, known("activation", activation, GAINS))
        bias = getattr(layer, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)
    return layer


class RootMeanSquare(nn.Module):
    """x / √(mean(x²) + ε) · g over all of an example's maps, one gain a channel. Zhang & Sennrich (2019).

    >>> RootMeanSquare(2)(torch.full((1, 2, 3, 3), 4.0)).mean().item()
    1.0
    """

    def __init__(self, channels: int, epsilon: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.epsilon = epsilon

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, channels, h, w] to the same shape, of mean square one before the gain."""
        square = maps.square().mean(dim=(1, 2, 3), keepdim=True)
        return maps * torch.rsqrt(square + self.epsilon) * self.weight[:, None, None]


def _groups(channels: int) -> int:
    """The most groups, up to 8, that leave at least four channels each: a group of one feature would be constant."""
    return next(
        groups for groups in (8, 4, 2, 1) if channels % groups == 0 and (channels // groups >= 4 or groups == 1)
    )


def _group(channels: int) -> nn.Module:
    return nn.GroupNorm(_groups(channels), channels)


def _one_group(channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels)


FEATURE_NORMALIZATIONS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
    "group": _group,
    "rms": nn.RMSNorm,
}

MAP_NORMALIZATIONS: dict[str, Callable[[int], nn.Module] | None] = {
    "none": None,
    "batch": nn.BatchNorm2d,
    "layer": _one_group,
    "group": _group,
    "rms": RootMeanSquare,
}


def normalization_named(name: str, width: int, *, maps: bool = False) -> nn.Module | None:
    """A new normalization for features [m, width] or maps [m, width, h, w]; None where none is asked for.

        batch   (x − mean) / √(var + ε) over the batch; in evaluation its running mean and variance, frozen
                (Ioffe & Szegedy 2015)
        layer   the same over each example's own features or maps (Ba et al. 2016)
        group   the same over groups of at least four features or maps (Wu & He 2018)
        rms     x / √(mean(x²) + ε): layer without the centering (Zhang & Sennrich 2019)

    All are followed by a learned gain (and, but for rms, a bias). Raises RecipeError for an unknown name, and for
    features normalized within a group of one, which would all become zero.

    >>> type(normalization_named("batch", 8)).__name__, normalization_named("none", 8)
    ('BatchNorm1d', None)
    """
    make = known("normalization", name, MAP_NORMALIZATIONS if maps else FEATURE_NORMALIZATIONS)
    if make is None:
        return None
    if width == 1 and not maps and name != "batch":
        raise RecipeError(
            f"normalization: {name!r} over a layer of one unit leaves it constant.",
            next="--set normalization=batch, or widths above 1",
        )
    return make(width)


def known(field: str, name: str, table: dict[str, Entry]) -> Entry:
    """The entry of a table of names. Raises RecipeError with the nearest names for any other.

    >>> known("normalization", "bach", FEATURE_NORMALIZATIONS)
    Traceback (most recent call last):
    deepglass.errors.RecipeError: normalization: no choice 'bach'. Next: choose one of 'batch'
    """
    if name not in table:
        raise RecipeError(f"{field}: no choice {name!r}.", next=f"choose one of {nearest(str(name), table)}")
    return table[name]


def share(field: str, value: float) -> float:
    """A number checked to be in 0 … 1, one left out: the share of units that dropout zeroes."""
    if not 0.0 <= value < 1.0:
        raise RecipeError(f"{field}: {value} is not a share from 0 up to, not including, 1.", next=f"--set {field}=0.2")
    return float(value)


def sizes(field: str, values: Iterable[int], *, least: int = 1) -> tuple[int, ...]:
    """Whole numbers checked to be at least `least`: widths, counts of layers."""
    checked = tuple(values)
    for value in checked:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise RecipeError(f"{field}: {value!r} is not a whole number of at least {least}.")
    return checked
