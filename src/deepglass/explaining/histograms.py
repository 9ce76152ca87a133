"""A kept tensor in figures: where its values lie, how many are 0, which units are dead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepglass.tracing.operation import Kept, Summary

BINS = 20
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Figures:
    """A tensor in figures.

    summary    mean, spread, least, largest, norm, share of zeros, count of what is not finite
    dead       the share of units (channels of maps, features else) that are exactly 0 everywhere; None where unknown
    counts     how many entries lie in each of 20 equal bins from the least to the largest;  edges  their 21 bounds
    """

    summary: Summary
    dead: float | None = None
    counts: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()


def figures_of(kept: Kept | None, channel: int = -1) -> Figures | None:
    """The figures of what was kept; `channel` is the axis of the units. Of a sample, the counts are the sample's.

    >>> whole = torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    >>> found = figures_of(Kept("whole", Summary(1.0, 1.2, 0.0, 3.0, 3.2, 0.5, 0), whole))
    >>> found.dead, sum(found.counts), found.edges[-1]
    (0.5, 4, 3.0)
    """
    if kept is None:
        return None
    if kept.tensor is None:
        return Figures(kept.summary)
    dead = dead_share(kept.tensor, channel) if kept.form == "whole" else None
    return Figures(kept.summary, dead, *histogram(kept.tensor))


def dead_share(tensor: Tensor, channel: int) -> float | None:
    """The share of units that are exactly 0 for every example and place; None for what has no units.

    Dead units are those of Maas, Hannun & Ng (2013), "Rectifier Nonlinearities Improve Neural Network Acoustic Models".
    """
    if tensor.ndim < 2 or not tensor.numel():
        return None
    rows = tensor.movedim(channel, 0).flatten(1)
    return float((rows == 0).all(1).cpu().double().mean())


def histogram(tensor: Tensor, bins: int = BINS) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Counts and bounds of equal bins over the finite entries; nothing of nothing.

    A tensor that holds one value alone has it in the first bin, of no width.
    """
    values = (tensor.abs() if tensor.is_complex() else tensor).detach().flatten().cpu().double()
    values = values[torch.isfinite(values)]
    if not len(values):
        return (), ()
    low, high = float(values.min()), float(values.max())
    if low == high:
        return (len(values),) + (0,) * (bins - 1), (low,) * (bins + 1)
    edges = torch.linspace(low, high, bins + 1, dtype=torch.float64)
    counts = torch.bincount(torch.bucketize(values, edges[1:-1], right=True), minlength=bins)
    return tuple(counts.tolist()), tuple(edges.tolist())


def sparkline(counts: tuple[int, ...]) -> str:
    """A histogram in letters, the highest bin full; empty bins are blank.

    >>> sparkline((0, 1, 4, 8))
    ' ▁▄█'
    """
    most = max(counts, default=0)
    return "".join(BARS[max(0, -(-count * len(BARS) // most) - 1)] if count else " " for count in counts)
