"""Where the neurons of a stack stand, and the synapses between them: thickness for size, dash and color for sign."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepglass.drawing.lettering import short_number, text_width
from deepglass.drawing.neurons import Stack
from deepglass.drawing.scene import Box, Label, Line, Shape, Style
from deepglass.drawing.sums import neuron_name

MOST_SYNAPSES = 600
THINNEST = 0.5
ALONG = (0.32, 0.26, 0.38, 0.44, 0.5, 0.56, 0.2, 0.62, 0.68)
"""Where on a line its number may stand, the best place first: near where it comes from, before lines cross."""


@dataclass(frozen=True)
class Manner:
    """How large things are drawn.

    radius, step, gap     of a circle; down to the next; across to the next column
    size                  of the numbers in circles;  full  with every weight, sum and bias
    thickest, faintest    a line's width where |w| is largest, its opacity where it is 0
    """

    radius: float
    step: float
    gap: float
    size: float
    thickest: float
    faintest: float
    full: bool = False


@dataclass(frozen=True)
class Placed:
    """A stack with what is shown of it, and where."""

    stack: Stack
    shown: tuple[tuple[int, ...], ...]
    manner: Manner
    left: float
    middle: float
    names: tuple[tuple[str, ...], tuple[str, ...]]

    def at(self, column: int, place: int) -> tuple[float, float]:
        """The middle of the circle at a place of a column."""
        x = self.left + column * self.manner.gap
        return x, self.middle + (place - (len(self.shown[column]) - 1) / 2) * self.manner.step

    def name(self, column: int, neuron: int) -> str:
        """What a neuron is called: by the caller if it is an input or output, else by its column's letter."""
        given = self.names[0] if column == 0 else self.names[1] if column == len(self.shown) - 1 else ()
        return given[neuron] if neuron < len(given) else neuron_name(self.stack, column, neuron)


def manner_for(counts: list[int]) -> Manner:
    most = max(counts)
    if most <= 6 and sum(counts) <= 20:
        # Between circles there is room for as many weights as there are lines from a circle.
        return Manner(27.0, max(118.0, 20.0 * (most + 1)), 215.0, 13.0, 6.0, 0.4, True)
    if most <= 16:
        return Manner(14.0, 38.0, 190.0, 8.5, 3.6, 0.18)
    return Manner(5.5, 15.0, 230.0, 0.0, 2.2, 0.08)


def synapses(placed: Placed) -> tuple[list[Shape], int]:
    """The lines, strong ones over weak ones, and how many were left out; in a small net with their weights."""
    found: list[tuple[float, int, int, int]] = []
    for number, weights in enumerate(placed.stack.weights):
        rows = weights.tolist() if weights is not None else None
        for below, after in enumerate(placed.shown[number + 1]):
            for above, before in enumerate(placed.shown[number]):
                found.append((rows[after][before] if rows else math.nan, number, above, below))
    strength = {place: abs(one[0]) if math.isfinite(one[0]) else 0.0 for place, one in enumerate(found)}
    largest = max(strength.values(), default=0.0) or 1.0
    order = sorted(strength, key=lambda place: strength[place])
    drawn = order[-MOST_SYNAPSES:]
    shapes: list[Shape] = [_synapse(placed, found[place], strength[place] / largest) for place in drawn]
    if placed.manner.full:
        shapes += _weights(placed, [found[place] for place in reversed(drawn)])
    return shapes, len(order) - len(drawn)


def _synapse(placed: Placed, found: tuple[float, int, int, int], share: float) -> Line:
    """Thickness grows with |w|; the dash and the color tell the sign."""
    weight, number, above, below = found
    start, end = placed.at(number, above), placed.at(number + 1, below)
    known = math.isfinite(weight)
    role = "muted" if not known else "negative" if weight < 0 else "positive"
    thick = THINNEST + (placed.manner.thickest - THINNEST) * share if known else 1.0
    dash = (max(5.0, 2.2 * thick), max(4.0, 1.6 * thick)) if known and weight < 0 else ()
    # Among many lines the weak ones step back, so that the strong can be followed.
    opacity = placed.manner.faintest + (0.9 - placed.manner.faintest) * share ** (1.0 if placed.manner.full else 1.5)
    before, after = placed.shown[number][above], placed.shown[number + 1][below]
    words = f"weight from {placed.name(number, before)} to {placed.name(number + 1, after)}: "
    words += f"{weight:.4g}" if known else "not known"
    style = Style(role, outline=round(thick, 3), opacity=round(opacity, 3), dash=dash)
    return Line(f"synapse-{number}-{before}-{after}", (start, end), style, words=words)


def _weights(placed: Placed, found: list[tuple[float, int, int, int]]) -> list[Shape]:
    """Weights' numbers on their lines, the largest first, each where it covers no other; else it is in the tooltip."""
    taken: list[tuple[float, float, float]] = []
    shapes: list[Shape] = []
    for weight, number, above, below in found:
        (x, y), (end_x, end_y) = placed.at(number, above), placed.at(number + 1, below)
        text = short_number(weight) if not math.isnan(weight) else "?"
        half = text_width(text, 12.0) / 2 + 4
        spots = ((x + (end_x - x) * share, y + (end_y - y) * share) for share in ALONG)
        free = (spot for spot in spots if not any(_meet((*spot, half), other) for other in taken))
        middle = next(free, None)
        if middle is None:
            continue
        taken.append((*middle, half))
        role = "negative" if weight < 0 else "positive"
        shapes.append(Box("", middle[0] - half, middle[1] - 9.5, 2 * half, 19.0, Style("paper", "solid", 0.0), 9.0))
        shapes.append(Label(middle[0], middle[1] + 4.3, text, 12.0, role, "middle", bold=True))
    return shapes


def _meet(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Whether two labels (middle, half a width) would cover each other."""
    return abs(one[0] - other[0]) < one[2] + other[2] and abs(one[1] - other[1]) < 17.0
