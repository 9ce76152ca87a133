"""The plane as a net cuts it (V8): what it answers over two features, with the examples on it.

Any net is shown so that takes two numbers; of one that takes more, two columns are moved, and the others held at their
medians.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from deepglass.drawing.palette import COLORS, blend
from deepglass.drawing.vector import INK, legible, paint
from deepglass.errors import ModelError
from deepglass.explaining.given import BUDGET, blend_of
from deepglass.explaining.groups import Groups, groups_of
from deepglass.explaining.scoring import columns
from deepglass.explaining.unharmed import opened, unharmed

FINENESS = 121
ROOM = 0.08
MOST_SHOWN = 600
LEAST_TINT, MOST_TINT = 0.06, 0.42


@dataclass(frozen=True)
class Boundary:
    """A net's answers over a grid of two features.

    x, y      the values of the two columns [n];  outputs   what the net answers, [n (y), n (x), outputs]
    chances   the probability of each class [n, n, classes]; None where numbers are predicted
    points    the examples' two columns [m, 2];  held   what the others were held at, by column
    """

    x: Tensor = field(repr=False)
    y: Tensor = field(repr=False)
    outputs: Tensor = field(repr=False)
    chances: Tensor | None = field(repr=False)
    points: Tensor = field(repr=False)
    groups: Groups | None = field(default=None, repr=False)
    columns: tuple[str, str] = ("x", "y")
    held: dict[int, float] = field(default_factory=dict, repr=False)

    @property
    def regions(self) -> Tensor | None:
        """The class that is most likely at each place of the grid [n, n]."""
        return None if self.chances is None else self.chances.argmax(2)

    def svg(self, *, name: str = "boundary") -> str:
        """Regions tinted the deeper the surer, the lines where two classes tie, and the examples."""

        def draw(figure: Figure) -> None:
            axes = figure.subplots()
            (self._regions if self.chances is not None else self._levels)(axes)
            if self.groups is not None:
                self.groups.scatter(axes, self.points[:MOST_SHOWN].numpy(), named=len(self.groups.names) > 1, size=10)
            else:
                axes.scatter(*self.points[:MOST_SHOWN].T.numpy(), s=8, color=INK, linewidths=0, alpha=0.5)
            axes.set(xlabel=legible(self.columns[0]), ylabel=legible(self.columns[1]))
            axes.set(xlim=(float(self.x[0]), float(self.x[-1])), ylim=(float(self.y[0]), float(self.y[-1])))
            axes.grid(visible=False)

        others = f", {len(self.held)} other columns held at their medians" if self.held else ""
        what = "what it answers" if self.chances is None else f"which of {self.chances.shape[2]} classes it gives"
        about = f"For each {self.columns[0]} and {self.columns[1]}, {what}{others}."
        drawn = paint(draw, name=name, title="The plane as the network cuts it", description=about, size=(330, 280))
        return drawn if self.groups is None else self.groups.themed(drawn)

    def _repr_html_(self) -> str:
        return f'<div class="deepglass">{self.svg()}</div>'

    def _extent(self) -> tuple[float, float, float, float]:
        return float(self.x[0]), float(self.x[-1]), float(self.y[0]), float(self.y[-1])

    def _regions(self, axes: Axes) -> None:
        assert self.chances is not None  # svg asks for regions of classes alone
        chances = self.chances.numpy()
        classes = chances.shape[2]
        marks = self.groups or Groups(np.zeros(0), tuple(map(str, range(classes))))
        colors = np.array([_middle(marks.color(group)) for group in range(classes)])
        best = chances.argmax(2)
        sure = ((chances.max(2) - 1 / classes) / (1 - 1 / classes)).clip(0, 1)
        tint = LEAST_TINT + (MOST_TINT - LEAST_TINT) * sure
        painted = np.concatenate([colors[best], tint[..., None]], axis=2)
        axes.imshow(painted, extent=self._extent(), origin="lower", aspect="auto", interpolation="bilinear")
        for group in np.unique(best)[: classes - 1] if classes == 2 else np.unique(best):
            others = np.delete(chances, group, axis=2).max(2)
            lead = chances[..., group] - others
            if lead.min() < 0 < lead.max():
                axes.contour(self.x.numpy(), self.y.numpy(), lead, levels=[0.0], colors=INK, linewidths=1.2)

    def _levels(self, axes: Axes) -> None:
        """The first answer in even steps, orange below the middle and blue above, each step a line with its figure."""
        height = self.outputs[..., 0].double().numpy()
        low, high = float(height.min()), float(height.max())
        share = (2 * (height - low) / max(high - low, 1e-12) - 1)[..., None]
        positive, negative = (np.array(_middle(COLORS[role].light)) for role in ("positive", "negative"))
        painted = np.concatenate([np.where(share >= 0, positive, negative), MOST_TINT * np.abs(share)], axis=2)
        axes.imshow(painted, extent=self._extent(), origin="lower", aspect="auto", interpolation="bilinear")
        if high - low > 1e-9 * max(abs(high), 1.0):
            lines = axes.contour(self.x.numpy(), self.y.numpy(), height, levels=7, colors=INK, linewidths=0.9)
            axes.clabel(lines, fontsize=8, colors=INK)


def boundary(thing: Any, points: Tensor, labels: Any = None, *, features: tuple[int, int] = (0, 1),
             names: Sequence[str] = (), classes: Sequence[str] = (), fineness: int = FINENESS,
             budget: int = BUDGET) -> Boundary:  # fmt: skip
    """What a net answers over two columns of `points` [m, columns], a tenth beyond the examples on each side.

    One output, or one with labels of two classes, is read as a logit where labels are given: p = σ(z); several as
    logits, by softmax (as probabilities, where each row sums to one already); without labels one output is a number.
    Raises ModelError for columns that are not there, or points that are no table of numbers.

    >>> found = boundary(torch.nn.Linear(2, 3), torch.randn(9, 2), fineness=5)
    >>> tuple(found.outputs.shape), tuple(found.regions.shape)
    ((5, 5, 3), (5, 5))
    """
    if points.dim() != 2 or not points.is_floating_point() or points.shape[1] < 2 or not len(points):
        raise ModelError(f"points {str(points.dtype)[6:]} {tuple(points.shape)} are no table of two numbers and more.",
                         next="give real numbers [m, columns]")  # fmt: skip
    first, second = features
    if not {first, second} <= set(range(points.shape[1])) or first == second:
        raise ModelError(f"features {features} of {points.shape[1]} columns.",
                         next=f"name two different ones from 0 to {points.shape[1] - 1}")  # fmt: skip
    given = points.detach().cpu().float().nan_to_num()
    _, module, _ = opened(thing)
    x, y = (_span(given[:, column], fineness) for column in features)
    grid = given.median(0).values.repeat(fineness * fineness, 1)
    grid[:, first], grid[:, second] = x.repeat(fineness), y.repeat_interleave(fineness)
    with unharmed(module):
        blend, _, _ = blend_of(thing, grid, kind="table", baseline="zero", budget=budget)
        with torch.no_grad():
            answers = torch.cat([columns(blend.run([part])).cpu() for part in blend.of(0).split(blend.chunk)])
    outputs = answers.float().reshape(fineness, fineness, -1)
    groups = None if labels is None else groups_of(labels, classes, len(points))
    words = [names[column] if column < len(names) else f"feature {column}" for column in features]
    held = {k: float(grid[0, k]) for k in range(points.shape[1]) if k not in features}
    return Boundary(x, y, outputs, _chances(outputs, groups), given[:, list(features)], groups, (words[0], words[1]),
                    held)  # fmt: skip


def _span(values: Tensor, fineness: int) -> Tensor:
    low, high = float(values.min()), float(values.max())
    room = ROOM * (high - low) or 1.0
    return torch.linspace(low - room, high + room, fineness)


def _chances(outputs: Tensor, groups: Groups | None) -> Tensor | None:
    if outputs.shape[2] > 1:
        sums = bool((outputs >= 0).all() and (outputs.sum(2) - 1).abs().max() < 1e-3)
        return outputs if sums else outputs.softmax(2)
    if groups is None or len(groups.names) != 2:
        return None
    # An answer that never leaves 0 … 1 has been through its sigmoid already.
    inside = float(outputs.min()) >= 0 and float(outputs.max()) <= 1
    chance = outputs if inside else outputs.sigmoid()
    return torch.cat([1 - chance, chance], 2)


def _middle(color: str) -> tuple[float, ...]:
    """A color between its light and its dark page's, for pixels that cannot follow the page."""
    pair = next(entry for entry in COLORS.values() if entry.light == color)
    mixed = blend(pair.light, pair.dark, 0.5)
    return tuple(int(mixed[place : place + 2], 16) / 255 for place in (1, 3, 5))
