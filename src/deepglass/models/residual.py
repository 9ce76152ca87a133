"""Residual networks: blocks that add to what they are given, so that a hundred layers learn as readily as ten.

    x[l+1] = x[l] + branch(x[l])

The gradient reaches every layer through the sums unchanged. Three forms: the first (He et al. 2016), with normalization
and activation before each convolution (He et al. 2016b), and with thin blocks of one filter a map (Tan & Le 2019).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from deepglass.data.schema import Schema
from deepglass.errors import RecipeError, nearest
from deepglass.models.blocks import ActivationName, InitializationName, NormalizationName, share, sizes
from deepglass.models.convolution import picture_of
from deepglass.models.family import Family
from deepglass.models.shortcuts import Style, inverted, post_activation, pre_activation

FormName = Literal["resnet", "resnet_v2", "efficientnet"]

SMALL_SIDE = 64  # up to here pictures enter as they are; larger ones are first brought to a quarter of their side


@dataclass(frozen=True)
class Depth:
    """A published network: maps and blocks of each stage, whether its blocks are bottlenecks, maps before and after."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    bottleneck: bool = False
    stem: int = 64
    head: int = 0


NARROW, BASIC, WIDE = (16, 32, 64), (64, 128, 256, 512), (256, 512, 1024, 2048)
DEPTHS: dict[int, Depth] = {6 * n + 2: Depth(NARROW, (n, n, n), stem=16) for n in (1, 3, 5, 7, 9, 18)} | {
    18: Depth(BASIC, (2, 2, 2, 2)),
    34: Depth(BASIC, (3, 4, 6, 3)),
    50: Depth(WIDE, (3, 4, 6, 3), bottleneck=True),
    101: Depth(WIDE, (3, 4, 23, 3), bottleneck=True),
    152: Depth(WIDE, (3, 8, 36, 3), bottleneck=True),
}
"""By layers with weights: for ImageNet those of He et al. (2016), table 1; for CIFAR-10 their 6n + 2, section 4.2."""

SMALL_COLOR = Depth((16, 64, 128, 256), (1, 1, 1, 1), stem=16)  # few maps where a side is whole: there they cost most


@dataclass(frozen=True)
class Stage:
    """A stage of EfficientNet-B0: how much its blocks widen inside, the side of their filters, and their stride."""

    expansion: int
    kernel: int
    stride: int


B0_STAGES = (Stage(1, 3, 1), Stage(6, 3, 2), Stage(6, 5, 2), Stage(6, 3, 2), Stage(6, 5, 1), Stage(6, 5, 2),
             Stage(6, 3, 1))  # fmt: skip
B0 = Depth((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1), stem=32, head=1280)
B0_DROPOUT = 0.2
SMALL_SCALE = -4.0  # for small pictures: half the work of B0, a quarter of its weights
DEEPER, WIDER, LARGEST_SCALE = 1.2, 1.1, 8.0  # EfficientNet grows with each unit of scale: in blocks, in maps


class Residual(Family):
    """A stem, stages of blocks with shortcuts, each stage at half the side of the one before, and a mean over places.

    Pictures [m, channels, height, width] of any size to logits or standardized numbers [m, outputs]. Up to 64 pixels
    a side they enter through 3 x 3 filters; above, through 7 x 7 ones that step by two, and a pool. Its options:

        form       resnet, resnet_v2 (pre-activation) or efficientnet
        depth      of a ResNet: 18, 34, 50, 101 or 152; 8, 20, 32, 44, 56 or 110 are thin ones for small pictures
        scale      of an EfficientNet: 0 is B0; it grows by 1.2^scale in blocks and 1.1^scale in maps
        widths     maps of each stage; blocks: blocks of each stage; both in place of those of the depth or scale
        dropout    share zeroed before the last layer in training (Srivastava et al. 2014)
        drop_path  share of branches left out in training, example by example (Huang et al. 2016)

    By default small pictures get one block a stage, or EfficientNet at scale −4; larger ones ResNet-18, or B0.
    """

    title = "residual network"
    papers = (
        "He, Zhang, Ren & Sun (2016), Deep residual learning for image recognition",
        "He, Zhang, Ren & Sun (2016b), Identity mappings in deep residual networks",
        "Tan & Le (2019), EfficientNet: rethinking model scaling for convolutional neural networks",
        "Goyal et al. (2017), Accurate, large minibatch SGD: training ImageNet in 1 hour",
    )

    def __init__(self, stem: nn.Sequential, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem = stem
        self.stages = stages
        self.head = head

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        *,
        form: FormName = "resnet",
        depth: int | None = None,
        scale: float | None = None,
        widths: tuple[int, ...] | None = None,
        blocks: tuple[int, ...] | None = None,
        activation: ActivationName | None = None,
        normalization: NormalizationName = "batch",
        dropout: float | None = None,
        drop_path: float = 0.0,
        initialization: InitializationName = "kaiming",
    ) -> Residual:
        """The network for these pictures. Raises ModelError for other data, RecipeError for options that cannot be.

        >>> from deepglass.data.schema import Input, Target
        >>> pixels = Input("picture", "pixels", (1, 8, 8))
        >>> digits = Schema("picture", (pixels,), Target("digit", "multiclass", tuple("0123456789")))
        >>> Residual.from_schema(digits, form="resnet_v2", depth=20)(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
        """
        entry = picture_of(schema, "residual")
        small = min(entry.shape[1:]) <= SMALL_SIDE
        thin = form == "efficientnet"
        chosen = activation or ("silu" if thin else "relu")
        style = Style(chosen, normalization, initialization, share("drop_path", drop_path))
        plan = _changed(_plan(form, depth, scale, small, entry.shape[0]), widths, blocks, form)
        dropped = share("dropout", (B0_DROPOUT if thin else 0.0) if dropout is None else dropout)
        stem = _stem(style, entry.shape[0], plan.stem, small, form)
        head = _head(style, plan, dropped, schema.target.outputs, form)
        return cls(stem, _stages(style, plan, form), head)

    @classmethod
    def recipe(cls, schema: Schema, examples: int) -> dict[str, Any]:
        """Muon, with one cycle of the rate. Only colored pictures are mirrored.

        On 15,000 pictures of CIFAR-10, 4 epochs: accuracy 0.679 for 0.544 with Nesterov momentum at rate 0.2, a tenth
        more work a step.
        """
        colored = picture_of(schema, "residual").shape[0] > 1
        small = examples < 5_000
        return {
            "epochs": 30 if small else 14 if colored else 8,
            "batch_size": 32 if small else 128,
            "optimizer": "muon",
            "learning_rate": 0.01,
            "weight_decay": 0.05,
            "schedule": "onecycle",
            "warmup": 0.25,
            "label_smoothing": 0.1 if schema.target.task != "regression" else None,
            "augment": ("flip", "shift") if colored else ("shift",),
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        """Pictures [m, channels, height, width] to outputs [m, outputs]."""
        # Channels side by side in memory, as in the convolutional network: on a CPU up to twice as fast.
        return self.head(self.stages(self.stem(inputs[0].clone(memory_format=torch.channels_last))))


def _plan(form: str, depth: int | None, scale: float | None, small: bool, channels: int) -> Depth:
    """The published network asked for, or the one for these pictures."""
    if form == "efficientnet":
        if depth is not None:
            raise RecipeError("depth: an efficientnet grows by scale.", next="--set scale=1, or --set form=resnet")
        return _scaled(scale if scale is not None else SMALL_SCALE if small else 0.0)
    if form not in get_args(FormName):
        raise RecipeError(f"form: no choice {form!r}.", next=f"choose one of {nearest(form, get_args(FormName))}")
    if scale is not None:
        raise RecipeError(f"scale: a {form} grows by depth.", next="--set depth=34, or --set form=efficientnet")
    if depth is None:
        return DEPTHS[18] if not small else SMALL_COLOR if channels > 1 else DEPTHS[8]
    if depth not in DEPTHS:
        known = ", ".join(map(str, sorted(DEPTHS)))
        raise RecipeError(f"depth: no residual network of {depth} layers is known.",
                          next=f"one of {known}; or --set widths=64,128 and blocks=2,2")  # fmt: skip
    return DEPTHS[depth]


def _scaled(scale: float) -> Depth:
    """B0 grown: blocks rounded up, maps to a multiple of 8."""
    if not -LARGEST_SCALE <= scale <= LARGEST_SCALE:
        raise RecipeError(f"scale: {scale} is beyond ±{LARGEST_SCALE:g}.", next="--set scale=0, EfficientNet-B0")
    stem, *widths, head = (eights(width * WIDER**scale) for width in (B0.stem, *B0.widths, B0.head))
    blocks = tuple(math.ceil(count * DEEPER**scale) for count in B0.blocks)
    return Depth(tuple(widths), blocks, stem=stem, head=head)


def _changed(plan: Depth, widths: tuple[int, ...] | None, blocks: tuple[int, ...] | None, form: str) -> Depth:
    """The plan with a person's own stages. Their stem is as wide as their first stage."""
    if widths is None and blocks is None:
        return plan
    wide = plan.widths[: len(blocks or ())] if widths is None else sizes("widths", widths)
    kept = plan.blocks if len(wide) == len(plan.blocks) else (1,) * len(wide)
    many = kept if blocks is None else sizes("blocks", blocks)
    if not wide or len(wide) != len(many):
        raise RecipeError(f"widths and blocks: {len(wide)} stages and {len(many)}.",
                          next="--set widths=32,64 --set blocks=1,1, one number a stage in each")  # fmt: skip
    if form == "efficientnet" and len(wide) > len(B0_STAGES):
        raise RecipeError(f"widths: {len(wide)} stages; an efficientnet has at most {len(B0_STAGES)}.",
                          next="--set form=resnet, or fewer widths")  # fmt: skip
    stem = plan.stem if widths is None else wide[0]
    head = 4 * wide[-1] if plan.head else 0
    return replace(plan, widths=wide, blocks=many, stem=stem, head=head)


def eights(width: float) -> int:
    """The multiple of 8 nearest to a width, at least 8 and not below nine tenths of it.

    >>> eights(35.2), eights(10.0), eights(11.0)
    (32, 16, 16)
    """
    nearest_one = max(8, int(width + 4) // 8 * 8)
    return nearest_one if nearest_one >= 0.9 * width else nearest_one + 8


def _stem(style: Style, channels: int, width: int, small: bool, form: str) -> nn.Sequential:
    """What a picture enters by. Before a pre-activation block stands no normalization: the block has its own."""
    kernel, stride = (3, 1) if small else (3, 2) if form == "efficientnet" else (7, 2)
    first: list[nn.Module] = style.layer(channels, width, kernel, stride)
    layers = first[:1] if form == "resnet_v2" else first
    return nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, 1)] if kernel == 7 else []))


def _stages(style: Style, plan: Depth, form: str) -> nn.Sequential:
    """The stages; the first block of each takes the step to half the side, but in the first stage."""
    make = pre_activation if form == "resnet_v2" else post_activation
    before, stages = plan.stem, []
    for place, (width, count) in enumerate(zip(plan.widths, plan.blocks, strict=True)):
        blocks: list[nn.Module] = []
        for block in range(count):
            if form == "efficientnet":
                kind = B0_STAGES[place]
                stride = kind.stride if block == 0 else 1
                blocks.append(inverted(style, before, width, stride, kernel=kind.kernel, expansion=kind.expansion))
            else:
                stride = 2 if block == 0 and place else 1
                blocks.append(make(style, before, width, stride, bottleneck=plan.bottleneck))
            before = width
        stages.append(nn.Sequential(*blocks))
    return nn.Sequential(*stages)


def _head(style: Style, plan: Depth, dropout: float, outputs: int, form: str) -> nn.Sequential:
    """What leaves the last stage, its mean over places, and the last layer."""
    last = plan.widths[-1]
    layers: list[nn.Module] = style.normalized(last) if form == "resnet_v2" else []
    if plan.head:
        layers, last = style.layer(last, plan.head, 1), plan.head
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *([nn.Dropout(dropout)] if dropout else [])]
    return nn.Sequential(*layers, nn.Linear(last, outputs))
