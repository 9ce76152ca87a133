"""The drawings of a report that judge: scores beside baselines, confusion, calibration, predictions and residuals (V9).

Plain values in, SVG text out. One accent color, for the network; everything else is gray, and no meaning hangs on
color alone: dots differ in shape, cells carry their counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deepglass.drawing.vector import ACCENT, INK, MUTED, PAPER, EvenNumbers, legible, paint, readable

SHADES = 9
MOST_COUNTED = 12  # with more classes than this, counts no longer fit in their cells
MOST_NAMED = 24  # with more classes than this, names no longer fit beside their rows


def scores(
    words: str,
    metric: str,
    value: float,
    interval: Sequence[float] | None,
    baselines: Mapping[str, Mapping[str, Any]],
    *,
    digits: int = 4,
) -> str:
    """The network's figure beside its baselines', each a dot with its interval; who is far off stands at the edge.

    `words` says what `metric` is; `baselines` is {name: {"metrics": {metric: figure}, "interval": [low, high]}};
    figures are shown with `digits` decimals.
    """
    rows: list[tuple[str, float, Sequence[float] | None]] = [("this network", value, interval)]
    for word, one in baselines.items():
        figure = one.get("metrics", {}).get(metric)
        if isinstance(figure, int | float) and math.isfinite(figure):
            rows.append((legible(word, 18), float(figure), one.get("interval")))
    low, high = _window(rows)

    def draw(figure: Figure) -> None:
        axes = _axes(figure, legible(words[:1].upper() + words[1:], 40))
        for place, (_, dot, whisker) in enumerate(rows):
            _score(axes, place, (dot, f"{dot:,.{digits}f}"), whisker, (low, high))
        axes.set_yticks(range(len(rows)), [word for word, _, _ in rows], color=INK)
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(low, high)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(EvenNumbers())

    about = "; ".join(f"{word} {readable(dot)}{_between(whisker)}" for word, dot, whisker in rows)
    title = f"{words} of the network and its baselines"
    size = (380, 62 + 36 * len(rows))
    return paint(draw, name="chart-scores", title=title, description=about, size=size)


def _between(whisker: Sequence[float] | None) -> str:
    return f" ({readable(whisker[0])} to {readable(whisker[1])})" if whisker else ""


def _window(rows: Sequence[tuple[str, float, Sequence[float] | None]]) -> tuple[float, float]:
    """The stretch of axis that shows everyone near the network; those further off would squeeze the rest together."""
    spans = [(min(whisker[0], dot), max(whisker[1], dot)) if whisker else (dot, dot) for _, dot, whisker in rows]
    middle = rows[0][1]
    ordered = sorted(spans, key=lambda span: max(abs(span[0] - middle), abs(span[1] - middle)))
    low, high = ordered[0]
    for start, stop in ordered[1:]:
        reach = max(high - low, abs(middle) * 0.02)
        if max(high, stop) - min(low, start) <= 6 * reach:
            low, high = min(low, start), max(high, stop)
    room = (high - low) * 0.12 or abs(middle) * 0.05 or 1.0
    return low - room, high + room


def _score(
    axes: Axes, place: int, shown: tuple[float, str], whisker: Sequence[float] | None, window: tuple[float, float]
) -> None:
    (dot, text), ours = shown, place == 0
    color = ACCENT if ours else MUTED
    if window[0] <= dot <= window[1]:
        if whisker:
            axes.plot(whisker, [place, place], color=color, linewidth=3 if ours else 2, alpha=0.45)
        axes.plot([dot], [place], "o" if ours else "s", color=color, markersize=8 if ours else 6, markeredgewidth=0)
        axes.annotate(text, (dot, place), xytext=(0, 8), textcoords="offset points", ha="center", color=color,
                      fontweight="bold" if ours else "normal", annotation_clip=False)  # fmt: skip
        return
    edge, side, shift = (0.0, "left", 6) if dot < window[0] else (1.0, "right", -6)
    said = f"◀ {text}" if dot < window[0] else f"{text} ▶"
    axes.annotate(said, (edge, place), xycoords=("axes fraction", "data"), va="center", ha=side, color=color,
                  xytext=(shift, 0), textcoords="offset points")  # fmt: skip


def confusion(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts of true class (rows) by predicted class (columns), shaded by the share of their row.

    With more than 12 classes the counts are left out, with more than 24 the names too.
    """
    table = np.asarray(counts, dtype=float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    size = len(classes)
    side = min(84, max(30, 250 / size)) if size <= MOST_COUNTED else 17 if size <= MOST_NAMED else 340 / size
    named = size <= MOST_NAMED
    margin = 6.2 * max(len(legible(word, 14)) for word in classes) + 30 if named else 40
    extent = max(side * size, 120)

    def draw(figure: Figure) -> None:
        axes = _axes(figure, "Confusion")
        axes.set_aspect("equal", anchor="NW")
        _shade(axes, shares)
        if size <= MOST_COUNTED:
            _count(axes, table, shares)
        _name_cells(axes, [legible(word, 14) for word in classes] if named else [], size)

    right = float(np.trace(table) / max(table.sum(), 1.0))
    about = f"{size} classes; {right:.1%} of {table.sum():,.0f} rows on the diagonal. {_confused(classes, table)}"
    title = "True against predicted classes"
    return paint(
        draw, name="chart-confusion", title=title, description=about, size=(extent + margin, extent + margin + 36)
    )


def _shade(axes: Axes, shares: np.ndarray) -> None:
    """One path a shade, one rectangle a run of cells alike in a row: a hundred classes have ten thousand cells."""
    levels = np.ceil(shares * SHADES).astype(int)
    for level in range(1, SHADES + 1):
        steps = np.diff(np.pad(levels == level, ((0, 0), (1, 1))).astype(int), axis=1)
        (rows, starts), (_, stops) = np.nonzero(steps == 1), np.nonzero(steps == -1)
        if len(rows):
            columns = np.stack([starts, stops, stops, starts, starts], axis=1)
            lines = rows[:, None] + np.array([0, 0, 1, 1, 0])
            codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(rows)
            outline = Outline(np.stack([columns, lines], axis=2).reshape(-1, 2) - 0.5, codes)
            axes.add_patch(PathPatch(outline, facecolor=ACCENT, linewidth=0, alpha=(level / SHADES) ** 1.1))


def _count(axes: Axes, table: np.ndarray, shares: np.ndarray) -> None:
    for row, column in np.argwhere(table > 0):
        rows = float(table[row, column])
        text = readable(rows, 3) if rows >= 10_000 else f"{rows:.0f}"
        color = PAPER if shares[row, column] > 0.5 else INK
        axes.text(column, row, text, ha="center", va="center_baseline", color=color, fontsize=9)


def _name_cells(axes: Axes, names: list[str], size: int) -> None:
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.tick_params(length=0)
    turned = (size > 4 and max(map(len, names), default=0) > 3) or max(map(len, names), default=0) > 8
    axes.set_xticks(range(len(names)), names, rotation=90 if turned else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _confused(classes: Sequence[str], table: np.ndarray) -> str:
    """The pair most often confused, in words."""
    wrong = table * (1 - np.eye(len(table)))
    if not wrong.any():
        return "No confusion."
    row, column = divmod(int(wrong.argmax()), len(classes))
    return f"Most often confused: {classes[row]} taken for {classes[column]}, {wrong[row, column]:,.0f} times."


def calibration(bins: Sequence[Mapping[str, float]]) -> str:
    """Confidence against accuracy, a dot a bin as large as the rows in it; honest confidence lies on the diagonal.

    `bins` is [{"confidence", "accuracy", "count"}]. Source: reliability diagrams, Guo et al. (2017).
    """
    filled = [one for one in bins if one["count"]]
    confidence, accuracy = ([one[key] for one in filled] for key in ("confidence", "accuracy"))
    most = max((one["count"] for one in filled), default=1)

    def draw(figure: Figure) -> None:
        axes = _axes(figure, "Calibration")
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        axes.plot(confidence, accuracy, color=ACCENT, linewidth=1.25, alpha=0.6)
        axes.scatter(confidence, accuracy, s=[12 + 90 * one["count"] / most for one in filled], color=ACCENT, zorder=3,
                     linewidths=0, alpha=0.9)  # fmt: skip
        axes.set(xlabel="how sure it says it is", ylabel="how often it is right", ylim=(0, 1.04))
        axes.set_xlim(0 if min(confidence, default=0) < 0.45 else 0.45, 1.02)
        _percent(axes)

    about = "; ".join(f"{one['confidence']:.0%} sure: {one['accuracy']:.0%} right" for one in filled)
    return paint(draw, name="chart-calibration", title="Confidence against accuracy", description=about)


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))


def predicted_vs_true(points: Sequence[Sequence[float]], target: str, *, name: str = "chart-predicted") -> str:
    """A dot a row, [true, predicted] in the target's unit; a perfect prediction lies on the diagonal."""
    true, predicted = np.asarray(points, dtype=float).reshape(-1, 2).T
    low, high = (float(end) for end in (min(true.min(), predicted.min()), max(true.max(), predicted.max())))
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0

    def draw(figure: Figure) -> None:
        axes = _axes(figure, "Predicted against true")
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 2)))
        faint = float(np.clip(60 / max(len(true), 1), 0.25, 0.9))
        axes.plot(true, predicted, "o", color=ACCENT, markersize=3.2, markeredgewidth=0, alpha=faint)
        axes.set(xlabel=f"true {legible(target, 30)}", ylabel="predicted")
        axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
        _plain_ticks(axes)

    about = f"{len(true)} rows, true values from {readable(true.min())} to {readable(true.max())}."
    return paint(draw, name=name, title=f"Predicted against true {target}", description=about)


def residuals(edges: Sequence[float], counts: Sequence[int], target: str, *, name: str = "chart-residuals") -> str:
    """How many rows were missed by how much, predicted minus true, in the target's unit: a bar from edge to edge."""
    ends, heights = np.asarray(edges, dtype=float), np.asarray(counts, dtype=float)

    def draw(figure: Figure) -> None:
        axes = _axes(figure, "Residuals")
        axes.stairs(heights, ends, fill=True, color=ACCENT, alpha=0.75, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set(xlabel=f"predicted minus true {legible(target, 24)}", ylabel="rows", ylim=(0, None))
        _plain_ticks(axes)

    total = max(float(heights.sum()), 1.0)
    over = float(heights[ends[:-1] >= 0].sum()) / total
    about = f"Errors from {readable(ends[0])} to {readable(ends[-1])}; about {over:.0%} of the rows predicted too high."
    return paint(draw, name=name, title=f"Residuals of {target}", description=about)


def _plain_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(EvenNumbers())


def _axes(figure: Figure, title: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_title(title, color=INK)
    return axes
