"""Pictures changed at random, a whole batch at a time, on the device where it lies; labels stay true.

Pictures are [m, channels, height, width], uint8 in 0 … 255 or floats in 0 … 1. Each example has its own draw. All draws
come from the generator handed in, never from a global seed. What moves pixels keeps uint8 (cheap); what computes new
values gives floats.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from deepglass.errors import RecipeError, nearest

LUMA = (0.299, 0.587, 0.114)
"""What red, green and blue add to brightness (ITU-R BT.601)."""


def flip(pictures: Tensor, generator: Generator, *, share: float = 0.5) -> Tensor:
    """Mirror about the vertical axis, each picture with probability `share`.

    >>> flip(torch.tensor([[[[1, 2, 3]]]]), torch.Generator(), share=1.0).tolist()
    [[[[3, 2, 1]]]]
    """
    chosen = _uniform(pictures, generator, len(pictures)) < share
    return torch.where(chosen.view(-1, 1, 1, 1), pictures.flip(3), pictures)


def shift(pictures: Tensor, generator: Generator, *, share: float = 0.125) -> Tensor:
    """Move by whole pixels, up to `share` of the shorter side in each direction; the edge is filled by mirroring.

    This is "pad and crop" (He et al. 2015: 4 pixels of 32), with mirrored edges in place of black ones.
    """
    count, _, height, width = pictures.shape
    most = min(round(share * min(height, width)), min(height, width) - 1)
    if most < 1:
        return pictures
    # Reflection has no integer kernel on every device; the index of the reflected place has.
    rows, columns = _reflected(height, most, pictures.device), _reflected(width, most, pictures.device)
    padded = pictures.index_select(2, rows).index_select(3, columns)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1).permute(0, 2, 3, 1, 4, 5)
    down, right = _whole(pictures, generator, count, 2 * most + 1), _whole(pictures, generator, count, 2 * most + 1)
    return windows[torch.arange(count, device=pictures.device), down, right]


def rotate(pictures: Tensor, generator: Generator, *, degrees: float = 15.0, zoom: float = 0.1) -> Tensor:
    """Turn by up to ±`degrees` and zoom by a factor in 1 ± `zoom`, about the center: one bilinear sampling for both.

    A pixel at p (from the center, in pixels) takes the value at R(angle) p / factor; beyond the edge, the edge's value.
    """
    if degrees == 0 and zoom == 0:
        return pictures
    picture = _floats(pictures)
    count, _, height, width = picture.shape
    angle = torch.deg2rad(_between(pictures, generator, count, -degrees, degrees))
    factor = _between(pictures, generator, count, 1 - zoom, 1 + zoom)
    cosine, sine, none = torch.cos(angle) / factor, torch.sin(angle) / factor, torch.zeros_like(angle)
    # The grid's axes run from -1 to 1 whatever the sides, so a turn in pixels is stretched by their ratio.
    first = torch.stack([cosine, -sine * (height / width), none], 1)
    second = torch.stack([sine * (width / height), cosine, none], 1)
    grid = affine_grid(torch.stack([first, second], 1).to(picture.dtype), list(picture.shape), align_corners=False)
    return grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def color(
    pictures: Tensor,
    generator: Generator,
    *,
    brightness: float = 0.2,
    contrast: float = 0.2,
    saturation: float = 0.2,
) -> Tensor:
    """Change brightness, contrast and saturation, each by a factor drawn from 1 ± its strength.

    x₁ = s x + (1-s) luma(x); x₂ = c x₁ + (1-c) mean(luma); x₃ = b x₂, clipped to 0 … 1. All three are linear, so
    one 3 x 3 matrix a picture does them. Saturation is for three channels only; other pictures' luma is their mean.
    """
    if brightness == contrast == saturation == 0:
        return pictures
    picture = _floats(pictures)
    count, channels, height, width = picture.shape
    weights = picture.new_tensor(LUMA if channels == 3 else [1 / channels] * channels)
    bright = _between(pictures, generator, count, 1 - brightness, 1 + brightness).to(picture.dtype).view(-1, 1, 1)
    strong = _between(pictures, generator, count, 1 - contrast, 1 + contrast).to(picture.dtype).view(-1, 1, 1)
    vivid = _between(pictures, generator, count, 1 - saturation, 1 + saturation).to(picture.dtype).view(-1, 1, 1)
    if channels != 3:
        vivid = torch.ones_like(vivid)
    flat = picture.flatten(2)
    gray = (flat.mean(2) @ weights).view(-1, 1, 1)
    toward_gray = (1 - vivid) * weights.expand(channels, channels)
    matrix = bright * strong * (vivid * torch.eye(channels, device=picture.device, dtype=picture.dtype) + toward_gray)
    offset = (bright * (1 - strong) * gray).expand(-1, channels, 1)
    return torch.baddbmm(offset, matrix, flat).clamp_(0, 1).view(count, channels, height, width)


def cutout(pictures: Tensor, generator: Generator, *, share: float = 0.25) -> Tensor:
    """Cover a square whose side is `share` of the shorter side with the picture's mean color (DeVries & Taylor 2017).

    Its center is any pixel, so that at the border a part of the square may fall outside.
    """
    count, _, height, width = pictures.shape
    side = round(share * min(height, width))
    if side < 1:
        return pictures
    mean = pictures.mean((2, 3), keepdim=True, dtype=None if pictures.is_floating_point() else torch.float32)
    fill = mean if pictures.is_floating_point() else mean.round().to(pictures.dtype)
    top = _whole(pictures, generator, count, height) - side // 2
    left = _whole(pictures, generator, count, width) - side // 2
    return torch.where(_boxes(pictures, top, left, top + side, left + side), fill, pictures)


AUGMENTATIONS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "flip": flip,
    "shift": shift,
    "cutout": cutout,
    "rotate": rotate,
    "color": color,
}
"""In the order they are applied: those that only move bytes come first, while pictures are still small uint8."""


def augment(pictures: Tensor, names: tuple[str, ...], generator: Generator) -> Tensor:
    """Apply the named augmentations, in the order of AUGMENTATIONS whatever the order of the names.

    uint8 stays uint8 unless "rotate" or "color" is named, which give floats in 0 … 1.

    >>> pictures = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    >>> augment(pictures, ("shift", "flip"), torch.Generator().manual_seed(0)).dtype
    torch.uint8
    """
    for name in names:
        if name not in AUGMENTATIONS:
            raise RecipeError(
                f"augment: no augmentation {name!r}.", next=f"choose among {nearest(name, AUGMENTATIONS)}"
            )
    for name, change in AUGMENTATIONS.items():
        if name in names:
            pictures = change(pictures, generator)
    return pictures


def mix_examples(
    pictures: Tensor, onehot: Tensor, *, mixup: float, cutmix: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Each picture mixed with a partner from the batch, and its target [m, classes] mixed in the same shares.

    mix-up (Zhang et al. 2018): x = λ x₁ + (1-λ) x₂, λ ~ Beta(mixup, mixup).
    CutMix (Yun et al. 2019): a box of area 1-λ, λ ~ Beta(cutmix, cutmix), about a random center is pasted from x₂;
    where the border cuts it, λ becomes the share of x₁ that is really left.
    y = λ y₁ + (1-λ) y₂. Where both are above 0, a fair coin chooses. λ, partner and coin are each example's own.
    """
    if min(mixup, cutmix) < 0:
        raise RecipeError(
            f"mixup={mixup}, cutmix={cutmix}: alpha cannot be below 0.", next="--set mixup=0.2 or --set cutmix=1.0"
        )
    count = len(pictures)
    if (mixup == 0 and cutmix == 0) or count < 2:
        return pictures, onehot
    partner = torch.randperm(count, generator=generator, device=generator.device).to(pictures.device)
    pasting = _uniform(pictures, generator, count) < {(True, True): 0.5, (True, False): 0.0}.get(
        (mixup > 0, cutmix > 0), 1.0
    )
    kept = torch.where(
        pasting, _beta(pictures, generator, count, cutmix or 1.0), _beta(pictures, generator, count, mixup or 1.0)
    )
    picture = _floats(pictures)
    box, left_over = _pasted(picture, generator, kept)
    first = torch.where(pasting.view(-1, 1, 1, 1), (~box).to(picture.dtype), kept.to(picture.dtype).view(-1, 1, 1, 1))
    share = torch.where(pasting, left_over, kept).to(onehot.dtype).view(-1, *[1] * (onehot.ndim - 1))
    return torch.lerp(picture[partner], picture, first), torch.lerp(onehot[partner], onehot, share)


def _pasted(pictures: Tensor, generator: Generator, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes [m, 1, h, w] of about the area 1 - kept, and the share of each picture outside its box."""
    count, _, height, width = pictures.shape
    half_high = torch.round(height * torch.sqrt(1 - kept) / 2).long()
    half_wide = torch.round(width * torch.sqrt(1 - kept) / 2).long()
    middle, center = _whole(pictures, generator, count, height), _whole(pictures, generator, count, width)
    top, bottom = (middle - half_high).clamp(min=0), (middle + half_high).clamp(max=height)
    left, right = (center - half_wide).clamp(min=0), (center + half_wide).clamp(max=width)
    area = (bottom - top) * (right - left)
    return _boxes(pictures, top, left, bottom, right), 1 - area / (height * width)


def _boxes(pictures: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Booleans [m, 1, h, w]: true in rows top … bottom-1 and columns left … right-1 of each picture."""
    row = torch.arange(pictures.shape[2], device=pictures.device)
    column = torch.arange(pictures.shape[3], device=pictures.device)
    in_rows = (row >= top[:, None]) & (row < bottom[:, None])
    in_columns = (column >= left[:, None]) & (column < right[:, None])
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


def _reflected(length: int, most: int, device: torch.device) -> Tensor:
    places = torch.arange(-most, length + most, device=device).abs()
    return (length - 1) - ((length - 1) - places).abs()


def _floats(pictures: Tensor) -> Tensor:
    return pictures if pictures.is_floating_point() else pictures.float().mul_(1 / 255)


def _uniform(pictures: Tensor, generator: Generator, count: int) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device).to(pictures.device)


def _between(pictures: Tensor, generator: Generator, count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * _uniform(pictures, generator, count)


def _whole(pictures: Tensor, generator: Generator, count: int, below: int) -> Tensor:
    return torch.randint(below, (count,), generator=generator, device=generator.device).to(pictures.device)


def _beta(pictures: Tensor, generator: Generator, count: int, alpha: float) -> Tensor:
    """λ ~ Beta(alpha, alpha). Torch draws it only from its global seed, so NumPy draws, seeded from the generator."""
    if alpha == 1.0:
        return _uniform(pictures, generator, count)
    seed = int(torch.randint(2**62, (1,), generator=generator, device=generator.device))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, count).astype(np.float32)
    return torch.from_numpy(drawn).to(pictures.device)
