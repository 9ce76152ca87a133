"""How the layers fared while they learned: a row a layer, a column a watched step, the darker the larger.

Reads the lines of `inside.jsonl`. Depth runs downward as in the network, so a signal that dies with depth is a column
that fades downward, a gradient that vanishes one that fades upward, a layer that dies a row that fills.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from deepglass.drawing.vector import ACCENT, INK, LINE, MUTED, legible, paint, readable

MOST_ROWS, MOST_COLUMNS = 24, 48
ROW_POINTS = 15
FAINTEST = 0.06  # the smallest value is still to be told from none


@dataclass(frozen=True)
class Quantity:
    """What is drawn: a figure of the lines, its title, what to look for, and whether it is a share of 1."""

    key: str
    title: str
    meaning: str
    share: bool = False


QUANTITIES = (
    Quantity("spread", "Spread of what each layer puts out", "A column that fades downward is a signal dying out."),
    Quantity("gradient", "Gradient that reaches each layer", "A column that fades upward is a gradient vanishing."),
    Quantity("update", "Update of each layer, as a share of its weights",
             "About 0.001 a step is usual; far more shakes what was learned, far less learns nothing."),
    Quantity("dead", "Dead units of each layer", "The share of units silent on the whole batch.", share=True),
)  # fmt: skip


def inside_charts(lines: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """A chart for each of the `QUANTITIES` that was measured: {key: (svg, what to look for)}.

    Long histories are thinned to `MOST_COLUMNS` steps, deep networks to `MOST_ROWS` layers, first and last kept.
    """
    layers = list(dict.fromkeys(path for line in lines for path in line.get("layers", {})))
    columns = thinned(list(lines), MOST_COLUMNS)
    drawn = {}
    for quantity in QUANTITIES:
        values = {path: _row(columns, path, quantity.key) for path in layers}
        told = [path for path, row in values.items() if np.isfinite(row).any()]
        if told and (not quantity.share or max(np.nanmax(values[path]) for path in told) > 0):
            rows = {path: values[path] for path in thinned(told, MOST_ROWS)}
            drawn[quantity.key] = (_chart(quantity, rows, [int(line["step"]) for line in columns]), quantity.meaning)
    return drawn


def thinned(entries: list[Any], most: int) -> list[Any]:
    """At most so many of the entries, evenly chosen, the first and the last among them.

    >>> thinned(list(range(10)), 4)
    [0, 3, 6, 9]
    """
    if len(entries) <= most:
        return entries
    return [entries[round(place * (len(entries) - 1) / (most - 1))] for place in range(most)]


def _row(lines: Sequence[Mapping[str, Any]], path: str, key: str) -> np.ndarray:
    found = [line.get("layers", {}).get(path, {}).get(key) for line in lines]
    return np.array([float(value) if isinstance(value, int | float) else math.nan for value in found])


def _chart(quantity: Quantity, rows: Mapping[str, np.ndarray], steps: list[int]) -> str:
    shades = _shades(np.stack(list(rows.values())), share=quantity.share)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(quantity.title, color=INK)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        for depth, shade in enumerate(shades):
            for column, strength in enumerate(shade):
                color, alpha = (ACCENT, strength) if np.isfinite(strength) else (LINE, 0.35)
                axes.add_patch(Rectangle((column, depth), 1.0, 0.86, facecolor=color, alpha=alpha, linewidth=0))
        axes.set_xlim(0, len(steps))
        axes.set_ylim(len(rows), 0)
        axes.set_yticks([depth + 0.43 for depth in range(len(rows))], [legible(path or "model", 22) for path in rows])
        places = thinned(list(range(len(steps))), 5)
        axes.set_xticks([place + 0.5 for place in places], [f"{steps[place]:,}" for place in places])
        axes.tick_params(axis="both", length=0)
        axes.set_xlabel("step")
        for depth, row in enumerate(rows.values()):
            axes.annotate(_last(row, quantity), (1.0, depth + 0.43), xycoords=("axes fraction", "data"),
                          xytext=(5, 0), textcoords="offset points", va="center", fontsize=9, color=MUTED)  # fmt: skip

    said = "; ".join(f"{path or 'model'} {_last(row, quantity)}" for path, row in rows.items())
    about = f"{len(steps)} watched steps. At the last: {said}."
    size = (360.0, 62.0 + ROW_POINTS * len(rows))
    return paint(draw, name=f"inside-{quantity.key}", title=quantity.title, description=about, size=size)


def _shades(values: np.ndarray, *, share: bool) -> np.ndarray:
    """Opacity of each cell: shares as they are, other figures by their order of magnitude; NaN where none was taken."""
    if share:
        return FAINTEST + (1 - FAINTEST) * values
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = np.log10(np.abs(values))
    finite = sizes[np.isfinite(sizes)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    # Less than a factor of ten in all is no contrast worth full ink.
    room = max(high - low, 1.0)
    shades = FAINTEST + (1 - FAINTEST) * (sizes - (high - room)) / room
    return np.where(values == 0, FAINTEST / 2, shades)


def _last(row: np.ndarray, quantity: Quantity) -> str:
    finite = row[np.isfinite(row)]
    if not finite.size:
        return "–"
    return f"{finite[-1]:.0%}" if quantity.share else readable(float(finite[-1]), 2)
