"""How a run learned, epoch by epoch: loss, metric, learning rate and gradient norm (V4), a chart each.

Validation has the accent color and a whole line, training is gray and dashed: no meaning hangs on color alone. A figure
that is no number leaves a gap in its line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deepglass.drawing.vector import ACCENT, INK, MUTED, PAPER, EvenNumbers, legible, paint, readable

MOST_DOTS = 30  # with more epochs than this, dots on a line would touch
LOG_RATIO = 25.0  # a loss that falls by more than this factor is drawn on a logarithmic axis


def learning_curves(
    history: Sequence[Mapping[str, Any]], metric: str, best_epoch: int | None = None, *, words: str | None = None
) -> dict[str, str]:
    """Loss, metric, learning rate and gradient norm over the epochs, a chart each; what was not recorded is left out.

    `history` is the lines of history.jsonl; `words` says what the metric is.
    Returns {"loss": svg, "metric": svg, "rate": svg, "gradient": svg}.
    """
    epochs = [int(line["epoch"]) for line in history]
    lines = {
        "loss": {"training": _column(history, "train_loss"), "validation": _column(history, "valid_loss")},
        "metric": {"validation": _column(history, "valid", metric)},
        "rate": {"rate": _column(history, "rate")},
        "gradient": {
            "mean": _column(history, "gradient_norm", "mean"),
            "largest": _column(history, "gradient_norm", "max"),
        },
    }
    titles = {
        "loss": "Loss",
        "metric": f"Validation {words or metric.replace('_', ' ')}",
        "rate": "Learning rate",
        "gradient": "Gradient norm",
    }
    drawn = {}
    for kind, named in lines.items():
        recorded = {word: values for word, values in named.items() if np.isfinite(values).any()}
        if recorded:
            mark = best_epoch if kind in ("loss", "metric") else None
            drawn[kind] = _curves(f"curve-{kind}", titles[kind], epochs, recorded, mark)
    return drawn


def compared_curves(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], metric: str, *, words: str | None = None
) -> dict[str, str]:
    """Validation loss and metric of several runs over the epochs, a line a run; the last is the one in color.

    `histories` is the lines of each run's history.jsonl by the name that stands in the legend.
    Returns {"loss": svg, "metric": svg}; what no run recorded is left out.
    """
    epochs = sorted({int(line["epoch"]) for history in histories.values() for line in history})
    charts = {
        "loss": ("Validation loss", ("valid_loss",)),
        "metric": (f"Validation {words or metric}", ("valid", metric)),
    }
    drawn = {}
    for kind, (title, keys) in charts.items():
        lines = {}
        for name, history in histories.items():
            found = dict(zip((int(line["epoch"]) for line in history), _column(history, *keys), strict=True))
            values = np.array([found.get(epoch, math.nan) for epoch in epochs])
            if np.isfinite(values).any():
                lines[legible(name, 18)] = values
        if lines:
            drawn[kind] = _curves(f"compared-{kind}", title, epochs, lines, None)
    return drawn


def _column(history: Sequence[Mapping[str, Any]], *keys: str) -> np.ndarray:
    """One figure of every epoch as floats; what is missing, null or infinite is NaN."""
    values = []
    for line in history:
        value: Any = line
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        values.append(float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan)
    return np.array(values)


def _curves(name: str, title: str, epochs: list[int], lines: Mapping[str, np.ndarray], best: int | None) -> str:
    def draw(figure: Figure) -> None:
        axes = _axes(figure, title)
        looks = _looks(list(lines))
        for word, values in lines.items():
            dots = "o" if len(epochs) <= MOST_DOTS or np.isfinite(values).sum() == 1 else ""
            # Gradient norms are measured now and then; between two of them the line goes on.
            seen = np.isfinite(values) if "Gradient" in title else slice(None)
            axes.plot(np.array(epochs)[seen], values[seen], label=word, marker=dots, markersize=3.5, markeredgewidth=0,
                      **looks[word])  # fmt: skip
        _scale(axes, np.concatenate(list(lines.values())), falling="Loss" in title or "Gradient" in title)
        _epochs(axes, epochs)
        if best in epochs:
            _mark_best(axes, epochs, list(lines.values())[-1], best)
        if len(lines) > 1:
            axes.legend(
                loc="lower right", bbox_to_anchor=(1.0, 0.985), ncols=2, frameon=False, labelcolor=MUTED,
                handlelength=1.4, columnspacing=1.2, borderaxespad=0.0, fontsize=10,
            )  # fmt: skip

    said = "; ".join(f"{word} from {_end(values, 0)} to {_end(values, -1)}" for word, values in lines.items())
    kept = f"; the best weights are of epoch {best}" if best in epochs else ""
    about = f"{len(epochs)} epoch{'s' if len(epochs) != 1 else ''}: {said}{kept}."
    return paint(draw, name=name, title=f"{title} over the epochs", description=about)


def _looks(words: list[str]) -> dict[str, dict[str, Any]]:
    """The last line of a chart in the accent color and whole, the ones before it gray and dashed."""
    first = {"color": MUTED, "linewidth": 1.25, "linestyle": (0, (4, 2))}
    return dict.fromkeys(words[:-1], first) | {words[-1]: {"color": ACCENT}}


def _end(values: np.ndarray, place: int) -> str:
    return readable(float(values[np.isfinite(values)][place]))


def _scale(axes: Axes, values: np.ndarray, *, falling: bool) -> None:
    """A logarithmic axis where a positive figure spans orders of magnitude, else one with room around a flat line."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if falling and low > 0 and high / low > LOG_RATIO:
        axes.set_yscale("log")
        axes.minorticks_off()
    elif high - low < 1e-9 * max(abs(high), 1e-30):
        room = abs(high) * 0.1 or 1.0
        axes.set_ylim(low - room, high + room)
        axes.set_yticks([low])
    else:
        axes.margins(y=0.08)
    axes.yaxis.set_major_formatter(EvenNumbers())


def _epochs(axes: Axes, epochs: list[int]) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
        axes.set_xticks(epochs)


def _mark_best(axes: Axes, epochs: list[int], values: np.ndarray, best: int) -> None:
    """A hairline through the epoch whose weights were kept, and a dot where the last line crosses it."""
    axes.axvline(best, color=ACCENT, linewidth=0.75, alpha=0.5, zorder=1)
    axes.plot([best], [values[epochs.index(best)]], "o", color=PAPER, markeredgecolor=ACCENT, markeredgewidth=1.75)
    left = epochs.index(best) > len(epochs) / 2
    bottom, top = axes.get_ylim()
    low = abs(values[epochs.index(best)] - bottom) > abs(top - bottom) / 2
    place, shift = (best, 0.0 if low else 1.0), (-5 if left else 5, 5 if low else -13)
    axes.annotate(f"best: {best:,}", place, xycoords=("data", "axes fraction"), xytext=shift, color=ACCENT, fontsize=9,
                  textcoords="offset points", ha="right" if left else "left")  # fmt: skip


def _axes(figure: Figure, title: str) -> Axes:
    axes = figure.add_subplot()
    axes.set_title(title, color=INK)
    return axes
