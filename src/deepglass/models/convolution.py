"""The convolutional network: the same small filters slid over a picture, and pooled, until a dense layer decides.

    maps[c] = g(norm(Σ_d filter[c, d] ∗ maps[d] + b[c])),   then the largest of every 2 x 2

Two blocks by default, as in LeNet-5 (LeCun et al. 1998), with what was learned since: ReLU (Krizhevsky et al. 2012),
several 3 x 3 filters in place of one large one (Simonyan & Zisserman 2015), batch normalization (Ioffe & Szegedy 2015).
"""

from __future__ import annotations

from typing import Any

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
    normalization_named,
    share,
    sizes,
)
from deepglass.models.family import Family

LARGEST_DENSE_SIDE = 8  # maps enter the dense layer at most 8 x 8, averaged down where they are larger


class Convolution(Family):
    """Stages of convolutions, each ended by a pool that halves the maps, then one dense hidden layer.

    Pictures [m, channels, height, width] of any size to logits or standardized numbers [m, outputs]. A stage ends in a
    2 x 2 pool while both sides are at least 2 pixels. Its options:

        widths    filters in each stage; by default 32 and 64, and a stage more for every doubling beyond 48 pixels
        depth     convolutions in each stage
        kernel    side of a filter, odd
        dense     units of the hidden layer after the last stage; 0 for none
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
        widths: tuple[int, ...] | None = None,
        depth: int = 1,
        kernel: int = 3,
        dense: int = 128,
        activation: ActivationName = "relu",
        normalization: NormalizationName = "batch",
        dropout: float = 0.0,
        initialization: InitializationName = "default",
    ) -> Convolution:
        """The network for these pictures. Raises ModelError for other data, RecipeError for options that cannot be.

        >>> from deepglass.data.schema import Target
        >>> pixels = Input("picture", "pixels", (1, 8, 8))
        >>> digits = Schema("picture", (pixels,), Target("digit", "multiclass", tuple("0123456789")))
        >>> Convolution.from_schema(digits)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
        """
        entry = picture_of(schema)
        channels, height, width = entry.shape
        if kernel % 2 == 0 or kernel < 1:
            raise RecipeError(f"kernel: {kernel} has no middle.", next="--set kernel=3, or another odd number")
        chosen = default_widths(min(height, width)) if widths is None else sizes("widths", widths)
        if not chosen:
            raise RecipeError("widths: no stage at all.", next="--set widths=32,64")
        (depth,), (dense,) = sizes("depth", (depth,)), sizes("dense", (dense,), least=0)
        stages, shape = _stages(
            (channels, height, width), chosen, depth, kernel, activation, normalization, initialization
        )
        head = _head(shape, dense, schema.target.outputs, activation, share("dropout", dropout), initialization)
        return cls(stages, head)

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


def picture_of(schema: Schema) -> Input:
    """The one input of pictures. Raises ModelError for any other data."""
    entry = schema.inputs[0] if len(schema.inputs) == 1 else None
    if entry is None or entry.kind == "codes" or len(entry.shape) != 3:
        raise ModelError(
            f"the convolution family wants pictures (channels, height, width); these data are a {schema.kind}.",
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


def _stages(
    shape: tuple[int, int, int],
    widths: tuple[int, ...],
    depth: int,
    kernel: int,
    activation: str,
    normalization: str,
    initialization: str,
) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """The stages, and the shape (channels, height, width) of the maps that leave them."""
    before, height, width = shape
    stages: list[nn.Module] = []
    for filters in widths:
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
    shape: tuple[int, int, int], dense: int, outputs: int, activation: str, dropout: float, initialization: str
) -> nn.Sequential:
    channels, height, width = shape
    layers: list[nn.Module] = []
    if max(height, width) > LARGEST_DENSE_SIDE:
        height, width = min(height, LARGEST_DENSE_SIDE), min(width, LARGEST_DENSE_SIDE)
        layers.append(nn.AdaptiveAvgPool2d((height, width)))
    layers.append(nn.Flatten())
    last = channels * height * width
    if dense:
        layers += [nn.Dropout(dropout)] if dropout else []
        layers += [initialized(nn.Linear(last, dense), initialization, activation), hidden_activation_named(activation)]
        last = dense
    layers += [nn.Dropout(dropout)] if dropout else []
    layers.append(initialized(nn.Linear(last, outputs), initialization))
    return nn.Sequential(*layers)
