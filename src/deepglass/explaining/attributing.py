"""How much each entry of an input mattered to one number of the answer: five methods, one form.

Each takes a blend (the net with its examples) and a score (the number explained), and gives one tensor an explained
input, as large as it: positive where the entry raises the score above the baseline's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.errors import ModelError
from deepglass.explaining.blending import Blend, Mixes, Moved
from deepglass.explaining.scoring import Score
from deepglass.explaining.unharmed import module_at, tapped

Values = tuple[Tensor, ...]
Explainer = Callable[[Blend, Score], Values]
FIRST_STEPS, MANY_STEPS, MOST_STEPS, GAP = 16, 128, 2048, 0.01
REPEATS = 5


def scores(blend: Blend, score: Score, rows: Tensor, mixes: Callable[[slice], Mixes], *, plain: bool = False) -> Tensor:
    """The score [n] of examples `rows` at their mixes, without gradients."""
    asked = score.plain if plain else score.of
    found = [asked(one.outputs, one.rows).detach() for one in blend.passes(rows, mixes)]
    return torch.cat(found)


def everywhere(blend: Blend, share: float) -> Callable[[slice], Mixes]:
    """The same mix for every entry: 1 is the example, 0 the baseline."""
    return lambda _: [share] * len(blend.explained)


def every_row(blend: Blend) -> Tensor:
    """The places of all examples, int64 [m]."""
    return torch.arange(len(blend), device=blend.of(0).device)


def gradient_times_input(blend: Blend, score: Score) -> Values:
    """∂s/∂x · (x − x₀), entry by entry; x₀ is zero in the source: Shrikumar et al. (2016), "Not Just a Black Box"."""
    totals = _nothing(blend)
    for one in blend.passes(every_row(blend), everywhere(blend, 1.0), gradients=True):
        _add(blend, totals, one.rows, one.moved, score.of(one.outputs, one.rows), 1.0)
    return totals


def integrated_gradients(blend: Blend, score: Score, steps: int | None = None) -> Values:
    """(x − x₀) · ∫₀¹ ∂s/∂x (x₀ + a (x − x₀)) da, by Gauss-Legendre quadrature of `steps` points.

    Complete: the entries sum to s(x) − s(x₀). Without `steps`, 16 are taken and doubled, up to 2,048 as long as it
    helps, for the examples whose sum is off by 1 % or more. Source: Sundararajan, Taly & Yan (2017), "Axiomatic
    Attribution for Deep Networks".
    """
    if steps is not None:
        return _integrated(blend, score, every_row(blend), steps)
    rows, count = every_row(blend), FIRST_STEPS
    totals, before = _integrated(blend, score, rows, count), math.inf
    while count < MOST_STEPS:
        gap = completeness_gap(blend, score, totals)
        rows = (gap >= GAP).nonzero().squeeze(1)
        # A net that jumps on the way, as by choosing an expert, is not followed better by smaller steps.
        if not len(rows) or (count >= MANY_STEPS and float(gap.mean()) > 0.7 * before):
            break
        before = float(gap.mean())
        count *= 2
        again = _integrated(blend, score, rows, count)
        for total, better in zip(totals, again, strict=True):
            total[rows] = better[rows]
    return totals


def completeness_gap(blend: Blend, score: Score, values: Values) -> Tensor:
    """|Σ values − (s(x) − s(x₀))| / |s(x) − s(x₀)| of each example [m].

    Where an example hardly differs from its baseline, a twentieth of the usual difference is divided by.
    """
    rows = every_row(blend)
    change = scores(blend, score, rows, everywhere(blend, 1.0)) - scores(blend, score, rows, everywhere(blend, 0.0))
    whole = sum((entry.flatten(1).sum(1) for entry in values), torch.zeros_like(change))
    floor = max(float(change.abs().mean()) / 20, torch.finfo(change.dtype).tiny)
    return (whole - change).abs() / change.abs().clamp_min(floor)


def _integrated(blend: Blend, score: Score, rows: Tensor, steps: int) -> Values:
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(steps))
    kind = next((t.dtype for t in blend.inputs if t.is_floating_point()), torch.float32)
    place = ((nodes + 1) / 2).to(rows.device, kind).repeat(len(rows))
    weight = (weights / 2).to(rows.device, kind).repeat(len(rows))
    totals, done = _nothing(blend), 0
    mixes: Callable[[slice], Mixes] = lambda part: [place[part]] * len(blend.explained)  # noqa: E731
    for one in blend.passes(rows.repeat_interleave(steps), mixes, gradients=True):
        part = slice(done, done + len(one.rows))
        _add(blend, totals, one.rows, one.moved, score.of(one.outputs, one.rows), weight[part])
        done = part.stop
    return totals


def _nothing(blend: Blend) -> Values:
    kind = torch.get_default_dtype()
    return tuple(
        torch.zeros_like(entry, dtype=entry.dtype if entry.is_floating_point() else kind)
        for entry in (blend.of(place) for place in range(len(blend.explained)))
    )


def _add(blend: Blend, totals: Values, rows: Tensor, moved: tuple[Moved, ...], score: Tensor, weight: Any) -> None:
    """Gradient times distance, weighted an example, added to the totals of those examples."""
    if blend.substituted:
        raise ModelError(f"{blend.name}: where its whole numbers enter the net cannot be followed.",
                         next='take method="occlusion", which needs no gradient')  # fmt: skip
    if not score.requires_grad:
        raise ModelError(f"{blend.name}: no gradient comes from its answer back to its inputs.",
                         next='take method="occlusion", which needs none')  # fmt: skip
    gradients = torch.autograd.grad(score.sum(), [entry.tensor for entry in moved], allow_unused=True)
    scale = torch.as_tensor(weight, device=rows.device).expand(len(rows))
    for entry, gradient in zip(moved, gradients, strict=True):
        if gradient is None:
            continue
        found, total = gradient * entry.distance, totals[entry.input]
        if entry.places is not None:
            each = found.reshape(*entry.places.shape, -1).sum(-1).to(total.dtype).reshape(-1)
            found = torch.zeros(len(rows) * total[0].numel(), dtype=total.dtype, device=total.device)
            found = found.index_add_(0, entry.places.reshape(-1), each).reshape(len(rows), *total.shape[1:])
        total.index_add_(0, rows, (found * scale.reshape(-1, *[1] * (found.dim() - 1))).to(total.dtype))


def occlusion(blend: Blend, score: Score, window: tuple[int, ...] | None = None,
              stride: tuple[int, ...] | None = None) -> Values:  # fmt: skip
    """How much the score falls when a window of the input is put back to the baseline, mean over the windows that
    cover an entry.

    `window`, `stride` per axis of an example; by default a seventh of a picture's side, one token, one column. Source:
    Zeiler & Fergus (2014), "Visualizing and Understanding Convolutional Networks".
    """
    rows, totals = every_row(blend), []
    whole = scores(blend, score, rows, everywhere(blend, 1.0))
    for place, empty in enumerate(_nothing(blend)):
        shape = empty.shape[1:]
        size = window or default_window(shape)
        steps = stride or (size if window else tuple(max(1, side // 2) if side < shape[axis] else side
                                                    for axis, side in enumerate(size)))  # fmt: skip
        covers = list(windows(shape, size, steps))
        total, cover = torch.zeros_like(empty), torch.zeros_like(empty[0])
        for part in covers:
            cover[part] += 1
        pairs = rows.repeat_interleave(len(covers))
        mixes = _occluded(blend, place, empty, covers)
        found = whole[pairs] - scores(blend, score, pairs, mixes)
        for number, part in enumerate(covers):
            drop = found[number :: len(covers)]
            total[(slice(None), *part)] += drop.reshape(-1, *[1] * len(shape)).to(total.dtype)
        totals.append(total / cover.clamp_min(1))
    return tuple(totals)


def _occluded(
    blend: Blend, place: int, like: Tensor, covers: list[tuple[slice, ...]]
) -> Callable[[slice], list[Tensor | float]]:
    def mixes(part: slice) -> list[Tensor | float]:
        mix = torch.ones(part.stop - part.start, *like.shape[1:], dtype=like.dtype, device=like.device)
        for row, pair in enumerate(range(part.start, part.stop)):
            mix[(row, *covers[pair % len(covers)])] = 0.0
        return [mix if other == place else 1.0 for other in range(len(blend.explained))]

    return mixes


def default_window(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A seventh of a picture's side and all its channels; a sixteenth of a long sequence; one column.

    >>> default_window((3, 28, 28)), default_window((10,)), default_window((40, 6))
    ((3, 4, 4), (1,), (2, 6))
    """
    if len(shape) == 3:
        return (shape[0], *(max(1, round(side / 7)) for side in shape[1:]))
    if len(shape) == 2:
        return (max(1, shape[0] // 16), shape[1])
    if len(shape) > 3:
        return (shape[0], *(max(1, round(side / 5)) for side in shape[1:]))
    return tuple(max(1, side // 256) for side in shape)


def windows(shape: tuple[int, ...], size: tuple[int, ...], stride: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Windows of a size, a stride apart, until the last entry is covered; cut off at the border.

    >>> list(windows((5,), (2,), (2,)))
    [(slice(0, 2, None),), (slice(2, 4, None),), (slice(4, 5, None),)]
    """
    if len(size) != len(shape) or len(stride) != len(shape) or min((*size, *stride), default=1) < 1:
        raise ModelError(f"occlusion: a window {size} at strides {stride} over examples {tuple(shape)}.",
                         next="give one size and one stride, at least 1, an axis")  # fmt: skip
    axes = [
        [slice(k * step, min(k * step + width, side)) for k in range(max(0, math.ceil((side - width) / step)) + 1)]
        for side, width, step in zip(shape, size, stride, strict=True)
    ]
    return itertools.product(*axes)


def last_maps(blend: Blend) -> tuple[str, tuple[int, ...]] | None:
    """The layer whose maps Grad-CAM weighs, and their sides: the end of the stage that the last convolution stands in.

    That is the last module to give maps [m, channels, height, width] of the same sides as that convolution's, so that
    its normalization, activation and shortcut are in. None without a convolution of more than one place.
    """
    if blend.module is None:
        return None
    order: list[tuple[str, tuple[int, ...], bool]] = []
    places = {path: part for path, part in blend.module.named_modules() if path}
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    with tapped(places) as caught:
        next(blend.passes(every_row(blend)[:1], everywhere(blend, 1.0), gradients=True))
        for path, tensor in caught.items():
            if tensor.dim() == 4 and min(tensor.shape[2:]) > 1 and tensor.requires_grad:
                order.append((path, tuple(tensor.shape[2:]), isinstance(places[path], convolutions)))
    last = max((number for number, (_, _, convolves) in enumerate(order) if convolves), default=None)
    if last is None:
        return None
    sides = order[last][1]
    return [path for path, found, _ in order[last:] if found == sides][-1], sides


def grad_cam(blend: Blend, score: Score, layer: str | None = None) -> Values:
    """ReLU(Σ_k w_k A_k), w_k = mean over places of ∂s/∂A_k, for maps A of a layer; enlarged to the picture.

    [m, 1, height, width], never negative; the same for every picture given. Source: Selvaraju et al. (2017),
    "Grad-CAM".
    """
    maps, out = coarse_cam(blend, score, layer), []
    for place in range(len(blend.explained)):
        shape = blend.of(place).shape
        large = len(shape) == 4
        out.append(functional.interpolate(maps, shape[2:], mode="bilinear", align_corners=False) if large else
                   torch.zeros_like(blend.of(place), dtype=maps.dtype))  # fmt: skip
    return tuple(out)


def coarse_cam(blend: Blend, score: Score, layer: str | None = None) -> Tensor:
    """The same map at the layer's own size: [m, 1, u, v]."""
    last = last_maps(blend)
    if last is None and layer is None:
        raise ModelError(f"{blend.name} has no convolution with maps of more than one place.",
                         next='take method="integrated_gradients" or "occlusion"')  # fmt: skip
    path = layer or (last[0] if last else "")
    module, found = module_at(blend.module, path, blend.name), []
    with tapped({path: module}, cloned=True) as caught:
        for one in blend.passes(every_row(blend), everywhere(blend, 1.0), gradients=True):
            maps = caught.get(path)
            if maps is None or maps.dim() != 4 or not maps.requires_grad:
                shape = "nothing" if maps is None else f"{tuple(maps.shape)}"
                raise ModelError(f"{blend.name}: layer {path!r} gives {shape}, where maps [m, channels, height, width] "
                                 "are wanted.", next=f"try {last[0]!r}" if last else "take another method")  # fmt: skip
            (slope,) = torch.autograd.grad(score.of(one.outputs, one.rows).sum(), maps, allow_unused=True)
            weight = torch.zeros_like(maps) if slope is None else slope.mean((2, 3), keepdim=True)
            found.append((weight * maps).sum(1, keepdim=True).relu().detach())
    return torch.cat(found)


def permutation(blend: Blend, score: Score, repeats: int = REPEATS) -> Values:
    """How far the score moves when a column is shuffled among the examples: mean of |s(x) − s(x, column j shuffled)|.

    Never negative; needs no labels, so it says what the net looks at, not what helps it. Source: Breiman (2001),
    "Random Forests", section 10.
    """
    if len(blend) < 2:
        raise ModelError("permutation: one example has nobody to change columns with.",
                         next='take method="integrated_gradients"')  # fmt: skip
    rows, totals = every_row(blend), list(_nothing(blend))
    whole, draw = scores(blend, score, rows, everywhere(blend, 1.0)), torch.Generator().manual_seed(0)
    for place, total in enumerate(totals):
        given = blend.of(place)
        for column in np.ndindex(*given.shape[1:]):
            for _ in range(repeats):
                order = torch.randperm(len(rows), generator=draw).to(rows.device)
                changed = given.clone()
                changed[(slice(None), *column)] = given[(order, *column)]
                moved = [changed if at == blend.explained[place] else t for at, t in enumerate(blend.inputs)]
                total[(slice(None), *column)] += (_answers(blend, score, moved) - whole).abs().to(total.dtype) / repeats
    return tuple(totals)


def _answers(blend: Blend, score: Score, tensors: list[Tensor]) -> Tensor:
    found, rows = [], every_row(blend)
    with torch.no_grad():
        for part in rows.split(blend.chunk):
            found.append(score.of(blend.run([t[part] if t.dim() else t for t in tensors]), part))
    return torch.cat(found)
