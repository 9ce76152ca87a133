"""Two questions to every attribution, since a picture persuades whether it is right or not.

Does the net follow it? Entries are put back to the baseline, the weightiest first, and uncovered likewise; the score
must fall and rise faster than in random orders (Petsiuk, Das & Saenko 2018, "RISE": deletion and insertion).

Does it depend on what the net learned? The weights are drawn anew and the map is made again; the two must differ
(Adebayo et al. 2018, "Sanity Checks for Saliency Maps"). An edge detector fails here.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepglass.explaining.attributing import Explainer, Values, every_row, everywhere, scores
from deepglass.explaining.blending import Blend
from deepglass.explaining.scoring import Score

CHECKED = 6
ORDERS, ORDERS_IF_SHARED, CHANCE = 19, 59, 0.05
LEVELS = 6
COPIES, COPIES_OF_FEW = 5, 20
FEW = 10
ALIKE, MARGIN = 0.5, 0.1
GRID, LONGEST = 14, 64


@dataclass(frozen=True)
class Check:
    """One question's answer. `passed` is None where it could not be told.

    figure, against   what was measured, and what it was measured against
    """

    name: str
    passed: bool | None
    figure: float
    against: float
    words: str

    def __str__(self) -> str:
        mark = {True: "passes", False: "FAILS", None: "?"}[self.passed]
        return f"{self.name}: {mark}. {self.words}"


def first_rows(blend: Blend, score: Score, values: Values, most: int = CHECKED) -> tuple[Blend, Score, Values]:
    """The same for the first few examples."""
    if len(blend) <= most:
        return blend, score, values
    few = slice(0, most)
    baselines = tuple(None if base is None else base[few] for base in blend.baselines)
    inputs = tuple(tensor[few] if tensor.dim() else tensor for tensor in blend.inputs)
    index = None if score.index is None else score.index[few]
    return (dataclasses.replace(blend, inputs=inputs, baselines=baselines),
            dataclasses.replace(score, index=index, words=score.words[few]),
            tuple(entry[few] if len(entry) > 1 else entry for entry in values))  # fmt: skip


def check_faithfulness(blend: Blend, score: Score, values: Values, *, unsigned: bool = False) -> Check:
    """Insertion minus deletion, areas under the curves, against random orders of the same parts.

    The score is read as a share of the way from baseline (0) to example (1), examples weighing by how far that is;
    `unsigned`, for what says how far the score moves and not where to: as how near it still is to the example's.
    Passes where no more than one random order in twenty does as well: ours counts as one of them.
    """
    name = "deletion and insertion"
    cells = _cells(blend)
    parts = sum(int(entry.max()) + 1 for entry in cells)
    count = len(blend)
    shared = all(len(entry) == 1 for entry in values)  # one ranking for all examples
    orders = ORDERS_IF_SHARED if shared else ORDERS
    if math.factorial(min(parts, 20)) ** (1 if shared else count) <= ORDERS:
        return Check(name, None, float("nan"), float("nan"), f"{parts} part{'s' * (parts != 1)} cannot be ranked.")
    rows = every_row(blend)
    full = scores(blend, score, rows, everywhere(blend, 1.0), plain=True)
    change = full - scores(blend, score, rows, everywhere(blend, 0.0), plain=True)
    weight = change.abs()
    if float(weight.sum()) <= 1e-6 * max(1.0, float(full.abs().sum())):
        return Check(name, None, 0.0, 0.0, "the examples score as their baselines do: there is nothing to explain.")
    importance = _importance(cells, values, count)
    signed = any(bool((entry < 0).any()) for entry in values)
    importance = importance * (change.sign()[:, None] if signed else 1.0)
    draw = torch.Generator().manual_seed(0)
    tied = torch.rand(1 if shared else count, parts, generator=draw).to(importance).expand(count, -1)
    ours = _ranked(importance, tied)
    rivals = _rivals(ours, orders, draw, shared=shared)
    areas = [_gap(blend, score, cells, order, change, full, unsigned) for order in (ours, *rivals)]
    figures = [float((area * weight).sum() / weight.sum()) for area in areas]
    best = max(figures[1:])
    words = (f"Taken away weightiest first and given back likewise, the areas differ by {figures[0]:.2f}; "
             f"random orders reach {sum(figures[1:]) / orders:.2f}, at most {best:.2f}.")  # fmt: skip
    ahead = sum(figure >= figures[0] for figure in figures[1:])
    return Check(name, (1 + ahead) / (1 + orders) <= CHANCE, figures[0], best, words)


def _rivals(ours: Tensor, orders: int, draw: torch.Generator, *, shared: bool) -> list[Tensor]:
    """Random orders, none of them ours: one for all examples where ours is one, else an example each."""
    rivals: list[Tensor] = []
    while len(rivals) < orders:
        order = torch.rand(1 if shared else len(ours), ours.shape[1], generator=draw).argsort(1)
        order = order.expand(len(ours), -1).to(ours.device)
        if not torch.equal(order, ours):
            rivals.append(order)
    return rivals


def _gap(blend: Blend, score: Score, cells: list[Tensor], order: Tensor, change: Tensor, full: Tensor,
         unsigned: bool) -> Tensor:  # fmt: skip
    """Insertion area minus deletion area [m] of one order of parts [m, parts]: trapezoids over the share of parts."""
    count, parts = order.shape
    place = torch.empty_like(order).scatter_(1, order, torch.arange(parts, device=order.device).expand(count, -1))
    levels = sorted({round(parts * level / LEVELS) for level in range(1, LEVELS)} - {0, parts})
    kept = [mask for level in levels for mask in (place >= level, place < level)]
    masks, rows = torch.cat(kept), every_row(blend).repeat(len(kept))

    def mixes(part: slice) -> list[Tensor]:
        return _spread(blend, cells, masks[part])

    found = scores(blend, score, rows, mixes, plain=True).reshape(len(levels), 2, count)
    safe = torch.where(change == 0, torch.ones_like(change), change)
    share = 1 - ((full - found).abs() / safe.abs() if unsigned else (full - found) / safe)
    ends = torch.ones(1, count, dtype=share.dtype, device=share.device)
    steps = torch.tensor([0, *levels, parts], device=share.device, dtype=share.dtype) / parts
    deletion = torch.trapezoid(torch.cat([ends, share[:, 0], 0 * ends]), steps, dim=0)
    insertion = torch.trapezoid(torch.cat([0 * ends, share[:, 1], ends]), steps, dim=0)
    return insertion - deletion


def _ranked(importance: Tensor, tied: Tensor) -> Tensor:
    """Parts, weightiest first; equal ones in a random order."""
    order = tied.argsort(1)
    return order.gather(1, importance.gather(1, order).argsort(dim=1, descending=True, stable=True))


def _cells(blend: Blend) -> list[Tensor]:
    """The parts that are taken away: squares of a picture, tokens, columns; int64, as one example of each input."""
    found = []
    for place in range(len(blend.explained)):
        shape = blend.of(place).shape[1:]
        if len(shape) == 3:
            high, wide = (min(GRID, side) for side in shape[1:])
            down, across = (torch.arange(side) * cut // side for side, cut in zip(shape[1:], (high, wide), strict=True))
            cell = (down[:, None] * wide + across[None, :]).expand(shape)
        elif len(shape) == 2:
            cell = (torch.arange(shape[0]) * min(LONGEST, shape[0]) // shape[0])[:, None].expand(shape)
        else:
            size = max(1, shape.numel())
            cell = (torch.arange(size) * min(4 * LONGEST, size) // size).reshape(shape)
        found.append(cell.to(blend.of(place).device))
    return found


def _importance(cells: list[Tensor], values: Values, count: int) -> Tensor:
    """What a method gave to each part, the mean over its places and the sum over channels: [m, parts]."""
    found = []
    for cell, entry in zip(cells, values, strict=True):
        parts = int(cell.max()) + 1
        spread = entry.expand(count, *entry.shape[1:])
        flat = cell.reshape(-1) if spread[0].numel() == cell.numel() else cell[:1].reshape(-1)
        sums = torch.zeros(count, parts, dtype=spread.dtype, device=spread.device)
        sums.index_add_(1, flat, spread.reshape(count, -1))
        places = torch.bincount(cell[:1].reshape(-1) if cell.dim() == 3 else cell.reshape(-1), minlength=parts)
        found.append(sums / places.clamp_min(1))
    return torch.cat(found, 1)


def _spread(blend: Blend, cells: list[Tensor], masks: Tensor) -> list[Tensor]:
    """Parts kept or not [n, parts] as mixes of each input."""
    found, start = [], 0
    for cell in cells:
        stop = start + int(cell.max()) + 1
        found.append(masks[:, start:stop][:, cell.reshape(-1)].reshape(len(masks), *cell.shape).to(
            torch.get_default_dtype()))  # fmt: skip
        start = stop
    return found


def check_dependence(blend: Blend, score: Score, values: Values, explain: Explainer) -> Check:
    """The rank correlation of the map with maps of copies whose weights are random: 1 is the same map again.

    Fails at a mean of 0.5 or more, where the map is no further from the random ones than these are from each other: a
    column that hardly varies matters little to any net, so maps may be alike in part and yet tell what was learned.
    Entries that are zero in both maps, an empty border, are not compared.
    """
    name = "random weights"
    if blend.module is None or not any(True for _ in blend.module.parameters()):
        return Check(name, None, float("nan"), ALIKE, "there are no weights to make random.")
    size = sum(entry[0].numel() for entry in values)
    ours, found, among = _rows(values), list[float](), list[float]()
    last: list[Tensor] = []
    for seed in range(COPIES_OF_FEW if size < FEW else COPIES):
        copy = dataclasses.replace(blend, weights=random_weights(blend.module, seed))
        theirs = _rows(tuple(entry.detach() for entry in explain(copy, score)))
        found += [_correlation(one, two) for one, two in zip(ours, theirs, strict=True)]
        among += [_correlation(one, two) for one, two in zip(last, theirs, strict=False)]
        last = theirs
    mean, usual = _mean(found), _mean(among)
    if math.isnan(mean):
        if all(not bool(entry.any()) for entry in values):
            return Check(name, False, mean, ALIKE, "The map is zero everywhere.")
        return Check(name, None, mean, ALIKE, "There are too few entries to compare.")
    words = f"With random weights the map is ranked alike by {mean:.2f} (1 is the same map, 0 another one)"
    words += f"; two random maps, by {usual:.2f}." if mean >= ALIKE else "."
    return Check(name, mean < ALIKE or mean < usual - MARGIN, mean, max(ALIKE, usual - MARGIN), words)


def _mean(figures: list[float]) -> float:
    known = [figure for figure in figures if not math.isnan(figure)]
    return sum(known) / len(known) if known else math.nan


def _rows(values: Values) -> list[Tensor]:
    """Each example's map as one row: channels summed, inputs one after another, each brought to its own size."""
    flat = [(entry.sum(1) if entry.dim() == 4 else entry).flatten(1) for entry in values]
    scaled = [entry / entry.abs().mean().clamp_min(1e-30) for entry in flat]
    return list(torch.cat(scaled, 1).unbind(0))


def _correlation(one: Tensor, two: Tensor) -> float:
    """Spearman's rank correlation, equal entries sharing their mean rank; NaN for fewer than three entries."""
    used = (one != 0) | (two != 0)
    if int(used.sum()) < 3:
        return float("nan")
    first, second = (_ranks(entry[used]) for entry in (one, two))
    spread = float(first.norm() * second.norm())
    return float((first * second).sum()) / spread if spread > 0 else 0.0


def _ranks(values: Tensor) -> Tensor:
    _, place, count = values.cpu().unique(return_inverse=True, return_counts=True)
    middle = count.cumsum(0).double() - (count - 1) / 2
    ranks = middle[place]
    return ranks - ranks.mean()


def random_weights(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """Weights drawn anew: matrices and filters from a Gaussian of the same root mean square, vectors shuffled."""
    draw, found = torch.Generator().manual_seed(seed), {}
    for name, weight in module.named_parameters():
        if not weight.is_floating_point():
            continue
        plain = weight.detach()
        if plain.dim() > 1:
            drawn = torch.randn(plain.shape, generator=draw).to(plain)
            found[name] = drawn * plain.square().mean().sqrt()
        else:
            found[name] = plain.reshape(-1)[torch.randperm(plain.numel(), generator=draw).to(plain.device)].reshape(
                plain.shape)  # fmt: skip
    return found


def verdict_of(checks: Sequence[Check]) -> str:
    """Both answers in a sentence; a map that fails is called so."""
    by_name = {check.name: check.passed for check in checks}
    if by_name.get("random weights") is False:
        return "fails: this map does not depend on what the network learned"
    if by_name.get("deletion and insertion") is False:
        return "fails: the network does not follow this map more than a random one"
    if not by_name:
        return "not checked"
    untold = [name for name, passed in by_name.items() if passed is None]
    return f"passes, as far as can be told (not {' nor '.join(untold)})" if untold else "passes both checks"
