"""How much each column of a table mattered: how far the network's figure falls when that column is shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepglass.drawing.vector import ACCENT, INK, LINE, MUTED, EvenNumbers, legible, paint, readable

MOST_ROWS = 20


def importance_chart(columns: Sequence[Mapping[str, Any]], words: str) -> str:
    """A dot a column, the weightiest first, with its 95 % interval; gray where the interval spans nothing at all.

    `columns` is [{"name", "importance", "interval": [low, high]}]; `words` says what is lost, "accuracy".
    """
    shown = [one for one in columns if isinstance(one.get("importance"), int | float)][:MOST_ROWS]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(legible(f"{words[:1].upper()}{words[1:]} lost when a column is shuffled", 60), color=INK)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x")
        axes.axvline(0, color=LINE, linewidth=1.25, zorder=1)
        for place, one in enumerate(shown):
            low, high = one.get("interval") or (None, None)
            sure = low is not None and high is not None and (low > 0 or high < 0)
            if low is not None and high is not None:
                axes.plot((low, high), (place, place), color=ACCENT if sure else MUTED, linewidth=1.25)
            axes.plot(one["importance"], place, "o", color=ACCENT if sure else MUTED, markersize=5, markeredgewidth=0)
        axes.set_yticks(range(len(shown)), [legible(one["name"], 22) for one in shown], color=INK)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(EvenNumbers())

    about = "; ".join(f"{one['name']} {readable(float(one['importance']), 2)}" for one in shown)
    size = (400.0, 62.0 + 17.0 * len(shown))
    return paint(draw, name="chart-importance", title="What mattered, column by column", description=about, size=size)
