"""Classes told apart on a chart: each by its color, its mark and its name at the middle of its points.

The colors are those of the ten kinds in `palette`, which differ for every eye; beyond ten they come round again with
another mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from deepglass.drawing.palette import COLORS, KINDS, variable
from deepglass.drawing.vector import INK, PAPER, legible
from deepglass.errors import ModelError

ROLES = tuple(KINDS[place] for place in (0, 7, 4, 2, 5, 6, 1, 3, 9, 8))
MARKS = ("o", "^", "s", "D", "v", "P")
MOST_NAMED = 30


@dataclass(frozen=True)
class Groups:
    """Which class each example is of: `codes` int [m], 0 … len(names) − 1."""

    codes: np.ndarray = field(repr=False)
    names: tuple[str, ...]

    def color(self, group: int) -> str:
        """A class's color on a light page; `themed` makes it the page's own."""
        return COLORS[ROLES[group % len(ROLES)]].light

    def scatter(self, axes: Axes, points: np.ndarray, *, named: bool = True, size: float = 8.0) -> None:
        """The points [m, 2], class by class, and the names."""
        for group in range(len(self.names)):
            own = points[self.codes == group]
            if not len(own):
                continue
            mark = MARKS[(group // len(ROLES) if len(self.names) > 4 else group) % len(MARKS)]
            axes.scatter(*own.T, s=size, color=self.color(group), marker=mark, linewidths=0, alpha=0.75)
        for group in range(min(len(self.names), MOST_NAMED) if named else 0):
            own = points[self.codes == group]
            if len(own):
                behind = {"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.7}
                axes.annotate(legible(self.names[group], 14), tuple(np.median(own, axis=0).tolist()), color=INK,
                              fontsize=9, ha="center", va="center", fontweight="bold", bbox=behind)  # fmt: skip

    def themed(self, svg: str) -> str:
        """The classes' colors as the page's variables, so that they turn over on a dark page."""
        for role in ROLES:
            light = COLORS[role].light
            svg = svg.replace(f'"{light}"', f'"var({variable(role)}, {light})"')
        return svg


def groups_of(labels: Any, names: Sequence[str] = (), count: int | None = None) -> Groups:
    """Labels of any kind as classes; the first `count` of them. Numbers of more than thirty values are cut in five.

    >>> groups_of(["b", "a", "b"]).codes.tolist(), groups_of(["b", "a", "b"]).names
    ([1, 0, 1], ('a', 'b'))
    """
    values = np.asarray(labels.detach().cpu() if hasattr(labels, "detach") else labels).reshape(-1)[:count]
    if count is not None and len(values) != count:
        raise ModelError(f"labels: {len(values)} for {count} examples.", next="give one an example")
    known, codes = np.unique(values, return_inverse=True)
    if values.dtype.kind == "f" and len(known) > MOST_NAMED:
        edges = np.unique(np.quantile(values, (0.2, 0.4, 0.6, 0.8)))
        codes = np.searchsorted(edges, values)
        return Groups(codes, tuple(f"fifth {place + 1}" for place in range(len(edges) + 1)))
    if names and values.dtype.kind in "iub":
        return Groups(values.astype(int), tuple(names))
    whole = [f"{value:g}" if values.dtype.kind == "f" else str(value) for value in known.tolist()]
    return Groups(codes.reshape(-1), tuple(whole))
