"""Blocks that add what they compute to what they were given, so that a deep stack begins as a shallow one.

    post-activation   y = g(shortcut(x) + branch(x))                                   He et al. (2016)
    pre-activation    y = x + branch(u),  u = g(norm(x))                               He et al. (2016b)
    inverted          y = x + project(gate ∘ depthwise(expand(x)))                     Sandler et al. (2018)

The last weight of every branch begins at zero, so that each block is at first its shortcut (Goyal et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepglass.models.blocks import hidden_activation_named, initialized, normalization_named

WIDENING = 4  # a bottleneck's maps out, as a multiple of the maps its 3 x 3 filters see
SQUEEZED = 4  # what squeeze and excitation divides the maps of a block by


@dataclass(frozen=True)
class Style:
    """What stands around the convolutions of a network, and how they begin."""

    activation: str
    normalization: str
    initialization: str
    drop_path: float = 0.0

    def convolution(self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
        """A convolution whose maps are ceil(side / stride) on each side."""
        # A batch norm takes the mean away again, so a bias before it would be a weight that nothing reaches.
        made = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=self.normalization != "batch")
        return initialized(made, self.initialization, self.activation)

    def normalized(self, channels: int, *, active: bool = True) -> list[nn.Module]:
        """The normalization, where there is one, and the activation, where it is wanted."""
        norm = normalization_named(self.normalization, channels, maps=True)
        return [*([] if norm is None else [norm]), *([hidden_activation_named(self.activation)] if active else [])]

    def layer(
        self, before: int, after: int, kernel: int, stride: int = 1, groups: int = 1, *, active: bool = True
    ) -> list[nn.Module]:
        """Convolution, normalization, activation."""
        return [self.convolution(before, after, kernel, stride, groups), *self.normalized(after, active=active)]


class Path(nn.Module):
    """One branch, left out for whole examples at random in training: stochastic depth (Huang et al. 2016).

    >>> path = Path(nn.Sequential(nn.Identity()), drop=0.5).eval()
    >>> path(torch.ones(1, 2, 1, 1)).flatten().tolist()
    [1.0, 1.0]
    """

    def __init__(self, layers: nn.Sequential, drop: float) -> None:
        super().__init__()
        self.layers = layers
        self.kept = nn.Dropout(drop)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, channels, h, w] through the branch; an example's are all zero, or all kept and scaled up."""
        made = self.layers(maps)
        return made * self.kept(made.new_ones(len(made), 1, 1, 1))


class PostActivation(nn.Module):
    """y = g(shortcut(x) + branch(x)): the shortcut is the identity, or a 1 x 1 convolution where shapes differ."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, before, h, w] to [m, after, h / stride, w / stride]."""
        return self.activation(self.branch(maps) + self.shortcut(maps))


class PreActivation(nn.Module):
    """y = x + branch(g(norm(x))); where shapes differ y = shortcut(u) + branch(u), u = g(norm(x))."""

    def __init__(self, opening: nn.Sequential, branch: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.opening = opening
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, before, h, w] to [m, after, h / stride, w / stride]."""
        opened = self.opening(maps)
        return self.branch(opened) + (maps if self.shortcut is None else self.shortcut(opened))


class Inverted(nn.Module):
    """y = x + branch(x), the branch wider than what it joins; y = branch(x) where shapes differ."""

    def __init__(self, branch: nn.Module, *, joined: bool) -> None:
        super().__init__()
        self.branch = branch
        self.joined = joined

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, before, h, w] to [m, after, h / stride, w / stride]."""
        return maps + self.branch(maps) if self.joined else self.branch(maps)


class SqueezeExcite(nn.Module):
    """maps ∘ σ(W₂ g(W₁ mean(maps) + b₁) + b₂): each map is weighed by what all maps say. Hu, Shen & Sun (2018)."""

    def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [m, channels, h, w] to the same shape."""
        mean = maps.mean(dim=(2, 3), keepdim=True)
        return maps * torch.sigmoid(self.excite(self.activation(self.squeeze(mean))))


def post_activation(style: Style, before: int, after: int, stride: int, *, bottleneck: bool) -> PostActivation:
    """Two 3 x 3 convolutions; or 1 x 1, 3 x 3 and 1 x 1 between wider ends, the stride in the 3 x 3 one."""
    layers, inner = _begun(style, before, after, stride, bottleneck)
    layers += style.layer(inner, after, 1 if bottleneck else 3, active=False)
    same = stride == 1 and before == after
    shortcut = nn.Identity() if same else nn.Sequential(*style.layer(before, after, 1, stride, active=False))
    return PostActivation(_closed(style, layers), shortcut, hidden_activation_named(style.activation))


def pre_activation(style: Style, before: int, after: int, stride: int, *, bottleneck: bool) -> PreActivation:
    """The same convolutions, each after its normalization and activation."""
    layers, inner = _begun(style, before, after, stride, bottleneck)
    layers.append(style.convolution(inner, after, 1 if bottleneck else 3))
    same = stride == 1 and before == after
    shortcut = None if same else style.convolution(before, after, 1, stride)
    return PreActivation(nn.Sequential(*style.normalized(before)), _closed(style, layers), shortcut)


def inverted(style: Style, before: int, after: int, stride: int, *, kernel: int, expansion: int) -> Inverted:
    """Widened `expansion` times, one filter a map, weighed by squeeze and excitation, brought back."""
    wide = expansion * before
    layers: list[nn.Module] = style.layer(before, wide, 1) if expansion != 1 else []
    layers += style.layer(wide, wide, kernel, stride, wide)
    layers.append(SqueezeExcite(wide, max(1, before // SQUEEZED), hidden_activation_named(style.activation)))
    layers += style.layer(wide, after, 1, active=False)
    joined = stride == 1 and before == after
    return Inverted(_closed(style, layers) if joined else nn.Sequential(*layers), joined=joined)


def _begun(style: Style, before: int, after: int, stride: int, bottleneck: bool) -> tuple[list[nn.Module], int]:
    """A branch but for its last convolution, and how many maps it has come to."""
    if not bottleneck:
        return style.layer(before, after, 3, stride), after
    inner = max(1, after // WIDENING)
    return [*style.layer(before, inner, 1), *style.layer(inner, inner, 3, stride)], inner


def _closed(style: Style, layers: list[nn.Module]) -> nn.Module:
    """The branch, its last weight zero: a gain where it ends in a normalization, else its convolution's."""
    nn.init.zeros_(layers[-1].get_parameter("weight"))
    branch = nn.Sequential(*layers)
    return Path(branch, style.drop_path) if style.drop_path else branch
