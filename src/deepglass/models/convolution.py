"""The convolutional network: the same small filters slid over a picture, and pooled, until a dense layer decides.

    maps[c] = g(norm(Σ_d filter[c, d] ∗ maps[d] + b[c])),   then the largest of every 2 x 2

Two blocks by default, as in LeNet-5 (LeCun et al. 1998), with what was learned since: ReLU (Krizhevsky et al. 2012),
several 3 x 3 filters in place of one large one (Simonyan & Zisserman 2015), batch normalization (Ioffe & Szegedy 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepglass.data.schema import Input, Schema
from deepglass.errors import ModelError, RecipeError
from deepglass.models.blocks import (
    ActivationName,
    InitializationName,
    NormalizationName,
    hidden_activation_named,
    initialized,
    known,
    normalization_named,
    share,
    sizes,
)
from deepglass.models.family import Family

LARGEST_DENSE_SIDE = 8  # maps enter the dense layer at most 8 x 8, averaged down where they are larger
SMALL_SIDE = 64  # up to here VGG's dense layers are as narrow as its last maps

ConvolutionForm = Literal["plain", "vgg11", "vgg13", "vgg16", "vgg19"]


@dataclass(frozen=True)
class Defaults:
    """What an option is where nobody says; the depths are those of the stages."""

    widths: tuple[int, ...] | None
    depths: tuple[int, ...]
    dense: tuple[int, ...]
    small_dense: tuple[int, ...]
    dropout: float


def _vgg(*depths: int) -> Defaults:
    return Defaults((64, 128, 256, 512, 512), depths, (4096, 4096), (512,), 0.5)


FORMS: dict[str, Defaults] = {
    "plain": Defaults(None, (1,), (128,), (128,), 0.0),
    "vgg11": _vgg(1, 1, 2, 2, 2),
    "vgg13": _vgg(2, 2, 2, 2, 2),
    "vgg16": _vgg(2, 2, 3, 3, 3),
    "vgg19": _vgg(2, 2, 4, 4, 4),
}
"""VGG: table 1 of Simonyan & Zisserman (2015), by layers with weights."""


class Convolution(Family):
    """Stages of convolutions, each ended by a pool that halves the maps, then dense hidden layers.

    Pictures [m, channels, height, width] of any size to logits or standardized numbers [m, outputs]. A stage ends in a
    2 x 2 pool while both sides are at least 2 pixels. Its options:

        form      plain, or vgg11, vgg13, vgg16, vgg19: five stages of 64 to 512 filters, then 4096 units twice (for
                  small pictures 512 once), half of them dropped; batch-normalized unless normalization=none
        widths    filters in each stage; by default 32 and 64, and a stage more for every doubling beyond 48 pixels
        depth     convolutions in each stage: one number for all, or one for each
        kernel    side of a filter, odd
        dense     units of each hidden layer after the last stage, by default one of 128; 0 for none
        dropout   share zeroed before each dense layer in training (Srivastava et al. 2014)
    """

    title = "convolutional network"
    papers = (
        "LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document recognition",
        "Simonyan & Zisserman (2015), Very deep convolutional networks for large-scale image recognition",
    )

    def __init__(self, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stages = stages
        self.head = head

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        *,
        form: ConvolutionForm = "plain",
        widths: tuple[int, ...] | None = None,
        depth: int | tuple[int, ...] | None = None,
        kernel: int = 3,
        dense: int | tuple[int, ...] | None = None,
        activation: ActivationName = "relu",
        normalization: NormalizationName = "batch",
        dropout: float | None = None,
        initialization: InitializationName = "default",
    ) -> Convolution:
        """The network for these pictures. Raises ModelError for other data, RecipeError for options that cannot be.

        >>> from deepglass.data.schema import Target
        >>> pixels = Input("picture", "pixels", (1, 8, 8))
        >>> digits = Schema("picture", (pixels,), Target("digit", "multiclass", tuple("0123456789")))
        >>> Convolution.from_schema(digits)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
        """
        channels, height, width = picture_of(schema).shape
        if kernel % 2 == 0 or kernel < 1:
            raise RecipeError(f"kernel: {kernel} has no middle.", next="--set kernel=3, or another odd number")
        default = known("form", form, FORMS)
        side = min(height, width)
        chosen = (default.widths or default_widths(side)) if widths is None else sizes("widths", widths)
        depths = _depths(default.depths if depth is None else depth, chosen)
        hidden = default.small_dense if side <= SMALL_SIDE else default.dense
        hidden = hidden if dense is None else (dense,) if isinstance(dense, int) else dense
        layers = [] if hidden == (0,) else list(sizes("dense", hidden))
        stages, shape = _stages(
            (channels, height, width), chosen, depths, kernel, activation, normalization, initialization
        )
        dropped = share("dropout", default.dropout if dropout is None else dropout)
        return cls(stages, _head(shape, layers, schema.target.outputs, activation, dropped, initialization))

    @classmethod
    def recipe(cls, schema: Schema, examples: int) -> dict[str, Any]:
        """One cycle of the rate, as measured on digits, MNIST and CIFAR-10. Only colored pictures are mirrored."""
        colored = picture_of(schema).shape[0] > 1
        small = examples < 5_000
        return {
            "epochs": 25 if small else 15 if colored else 8,
            "batch_size": 32 if small else 128,
            "optimizer": "adamw",
            "learning_rate": 4e-3 if small else 6e-3,
            "weight_decay": 0.02,
            "schedule": "onecycle",
            "warmup": 0.2,
            "label_smoothing": 0.05 if schema.target.task != "regression" else None,
            "augment": ("flip", "shift") if colored else ("shift",),
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        """Pictures [m, channels, height, width] to outputs [m, outputs]."""
        # Channels side by side in memory: on a CPU these convolutions are then up to twice as fast. Only a clone marks
        # the layout of a single channel too.
        return self.head(self.stages(inputs[0].clone(memory_format=torch.channels_last)))


def picture_of(schema: Schema, family: str = "convolution") -> Input:
    """The one input of pictures. Raises ModelError for any other data."""
    entry = schema.inputs[0] if len(schema.inputs) == 1 else None
    if entry is None or entry.kind == "codes" or len(entry.shape) != 3:
        raise ModelError(
            f"the {family} family wants pictures (channels, height, width); these data are a {schema.kind}.",
            next="--model mlp, or leave --model out to take the one made for this data",
        )
    return entry


def default_widths(side: int) -> tuple[int, ...]:
    """32 and 64 filters, and one stage more, up to 256 filters, for every doubling of the side beyond 48 pixels.

    >>> default_widths(28), default_widths(64), default_widths(224)
    ((32, 64), (32, 64, 128), (32, 64, 128, 256, 256))
    """
    widths = [32, 64]
    while side > 48:
        widths.append(min(256, 2 * widths[-1]))
        side = side // 2
    return tuple(widths)


def _depths(depth: int | tuple[int, ...], widths: tuple[int, ...]) -> tuple[int, ...]:
    """How many convolutions each stage has."""
    if not widths:
        raise RecipeError("widths: no stage at all.", next="--set widths=32,64")
    depths = sizes("depth", (depth,) if isinstance(depth, int) else depth)
    if len(depths) not in (1, len(widths)):
        raise RecipeError(f"depth: {len(depths)} numbers for {len(widths)} stages.",
                          next="--set depth=2 for all stages, or as many numbers as widths")  # fmt: skip
    return depths * len(widths) if len(depths) == 1 else depths


def _stages(
    shape: tuple[int, int, int],
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    kernel: int,
    activation: str,
    normalization: str,
    initialization: str,
) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """The stages, and the shape (channels, height, width) of the maps that leave them."""
    before, height, width = shape
    stages: list[nn.Module] = []
    for filters, depth in zip(widths, depths, strict=True):
        layers: list[nn.Module] = []
        for _ in range(depth):
            norm = normalization_named(normalization, filters, maps=True)
            # A batch norm takes the mean away again, so a bias before it would be a weight that nothing reaches.
            convolution = nn.Conv2d(before, filters, kernel, padding=kernel // 2, bias=normalization != "batch")
            layers.append(initialized(convolution, initialization, activation))
            layers += [] if norm is None else [norm]
            layers.append(hidden_activation_named(activation))
            before = filters
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        stages.append(nn.Sequential(*layers))
    return nn.Sequential(*stages), (before, height, width)


def _head(
    shape: tuple[int, int, int], hidden: list[int], outputs: int, activation: str, dropout: float, initialization: str
) -> nn.Sequential:
    channels, height, width = shape
    layers: list[nn.Module] = []
    if max(height, width) > LARGEST_DENSE_SIDE:
        height, width = min(height, LARGEST_DENSE_SIDE), min(width, LARGEST_DENSE_SIDE)
        layers.append(nn.AdaptiveAvgPool2d((height, width)))
    layers.append(nn.Flatten())
    last = channels * height * width
    for units in hidden:
        layers += [nn.Dropout(dropout)] if dropout else []
        layers.append(initialized(nn.Linear(last, units), initialization, activation))
        layers.append(hidden_activation_named(activation))
        last = units
    layers += [nn.Dropout(dropout)] if dropout else []
    layers.append(initialized(nn.Linear(last, outputs), initialization))
    return nn.Sequential(*layers)
