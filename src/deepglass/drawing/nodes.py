"""The node-link view (V2): neurons as circles, synapses as lines.

A line is as thick as its weight is large, solid and blue where positive, dashed and orange where negative. A circle
holds its activation and is tinted by it. Of a net of a few neurons every number can be read: weights on the lines, z
and bias under the circles, and each neuron's sum written out below. Of a large one a part is drawn, and it says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from deepglass.drawing.lettering import clipped, plain, short_number, text_width
from deepglass.drawing.neurons import shown_neurons, stack_of
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Scene, Shape, Style
from deepglass.drawing.sums import sums
from deepglass.drawing.synapses import MOST_SYNAPSES, Placed, manner_for, synapses
from deepglass.tracing.graph import Graph

MARGIN = 28.0
HEAD = 122.0
SIDE = 88.0
FEW_HUNDRED, MOST_IN_COLUMN, SAMPLED = 300, 64, 16
MOST_SUMS = 8


def nodes_scene(
    graph: Graph,
    *,
    at: str | None = None,
    example: int = 0,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> Scene:
    """The neurons and synapses of the layers that follow one another in a record.

    at        a module's path: only what is in it;  example   the row of the batch whose activations are shown
    inputs, outputs   names of the first and the last column's neurons

    Nets of up to 300 neurons are drawn whole, larger ones by 16 neurons a column: those with the strongest synapses.
    Raises ModelError where there are no layers of neurons, or no such module.

    >>> import torch
    >>> from deepglass.tracing.record import record
    >>> scene = nodes_scene(record(torch.nn.Linear(2, 1), torch.ones(1, 2)))
    >>> scene.lines[0]
    'input: x₁ 1.00, x₂ 1.00'
    """
    stack = stack_of(graph, at=at, example=example)
    totals = [column.total for column in stack.columns]
    whole = sum(totals) <= FEW_HUNDRED and max(totals) <= MOST_IN_COLUMN
    shown = shown_neurons(stack, MOST_IN_COLUMN if whole else SAMPLED)
    manner = manner_for([len(column) for column in shown])
    height = max(len(column) for column in shown) * manner.step
    placed = Placed(stack, shown, manner, SIDE, HEAD + height / 2, (tuple(inputs), tuple(outputs)))
    written = sums(stack, placed.name) if manner.full else []
    written = written if len(written) <= MOST_SUMS else []
    least = max((text_width(line, 12.0, mono=True) + 2 * MARGIN for line in written), default=440.0)
    across = 2 * SIDE + (len(shown) - 1) * manner.gap
    width = max(across, least, 440.0)
    placed = replace(placed, left=SIDE + (width - across) / 2)
    lines, left_out = synapses(placed)
    shapes: list[Shape] = [Group("synapses", tuple(lines)), *(_column(placed, number) for number in range(len(shown)))]
    omitted = f"the strongest {MOST_SYNAPSES:,} synapses are drawn, {left_out:,} are not"
    notes = [*stack.notes, *([omitted] if left_out else [])]
    return _framed(f"{graph.title} · {at}" if at else graph.title, placed, shapes, width, written, notes)


def _column(placed: Placed, number: int) -> Group:
    """A column's heading and circles."""
    column, shown = placed.stack.columns[number], placed.shown[number]
    x, _ = placed.at(number, 0)
    kind = "channel" if column.channels else "number" if number == 0 else "neuron"
    count = f"{len(shown)} of {column.total:,} shown" if len(shown) < column.total else f"{column.total:,} {kind}"
    count += "s" if count.endswith(kind) and column.total > 1 else ""
    told = " · ".join([count, *column.functions])
    room = placed.manner.gap - 16
    shapes: list[Shape] = [
        Label(x, HEAD - 30, clipped(plain(column.title), room, 12, bold=True), 12, "ink", "middle", bold=True),
        Label(x, HEAD - 14, clipped(told, room, 10.5), 10.5, "muted", "middle"),
    ]
    values = column.a.tolist() if column.a is not None else [math.nan] * column.total
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0) or 1.0
    for place, neuron in enumerate(shown):
        shapes += _neuron(placed, number, place, values[neuron] if column.a is not None else None, largest)
    return Group(f"column-{number}", tuple(shapes), f"{column.title}: {told}")


def _neuron(placed: Placed, number: int, place: int, value: float | None, largest: float) -> list[Shape]:
    """A circle, tinted by its activation; with its numbers, as far as there is room for them."""
    manner, column, neuron = placed.manner, placed.stack.columns[number], placed.shown[number][place]
    x, y = placed.at(number, place)
    known = value is not None and math.isfinite(value)
    role = "muted" if not value else "warning" if not known else "negative" if value < 0 else "positive"
    share = abs(value) / largest if known and value is not None else 0.0
    words = f"{placed.name(number, neuron)} of {column.title}: " + ", ".join(
        f"{name} = {float(of[neuron]):.4g}"
        for name, of in (("a", column.a), ("z", column.z), ("bias", column.bias))
        if of is not None
    )
    dash = (3.0, 3.0) if known and value is not None and value < 0 else ()
    ring = Style(role, "none", 1.8 if manner.full else 1.2, dash=dash)
    shapes: list[Shape] = [
        Dot("", x, y, manner.radius, Style("paper", "solid", 0.0)),
        Dot("", x, y, manner.radius, Style(role, "solid", 0.0, opacity=round(0.06 + 0.34 * share, 3))),
        Dot(f"neuron-{number}-{neuron}", x, y, manner.radius, ring, words),
    ]
    text = "?" if value is None else short_number(value)
    size = min(manner.size, manner.size * (2 * manner.radius - 4) / max(text_width(text, manner.size), 1.0))
    if size:
        shapes.append(Label(x, y + size * 0.36, text, round(size, 1), "ink", "middle", bold=manner.full))
    return shapes + (_particulars(placed, number, place) if manner.full else _outside(placed, number, place, text))


def _particulars(placed: Placed, number: int, place: int) -> list[Shape]:
    """A neuron's name over its circle, its sum and its bias under it."""
    column, neuron = placed.stack.columns[number], placed.shown[number][place]
    x, y = placed.at(number, place)
    over = y - placed.manner.radius - 8
    shapes: list[Shape] = [
        Label(x, over, clipped(plain(placed.name(number, neuron)), 130, 12.5), 12.5, "ink", "middle")
    ]
    lines = [
        (name, of) for name, of in (("z", column.z if column.functions else None), ("b", column.bias)) if of is not None
    ]
    for row, (name, of) in enumerate(lines):
        text = f"{name} = {short_number(float(of[neuron]))}"
        below, width = y + placed.manner.radius + 16 + 14 * row, text_width(text, 11.0) + 4
        shapes.append(Box("", x - width / 2, below - 10, width, 13.0, Style("paper", "solid", 0.0), 3.0))
        shapes.append(Label(x, below, text, 11.0, "muted", "middle"))
    return shapes


def _outside(placed: Placed, number: int, place: int, value: str) -> list[Shape]:
    """Beside inputs and outputs, what they are called and, where circles are too small for it, their number."""
    last = len(placed.shown) - 1
    if number not in (0, last) or (placed.manner.step < 13):
        return []
    x, y = placed.at(number, place)
    neuron, side = placed.shown[number][place], -1 if number == 0 else 1
    name = placed.name(number, neuron)
    parts = [name, *([value] if placed.manner.size == 0 else [])]
    text = clipped(plain("  ".join(parts if side < 0 else parts[::-1])), 70, 9.5)
    anchor = "end" if side < 0 else "start"
    return [Label(x + side * (placed.manner.radius + 6), y + 3.4, text, 9.5, "muted", anchor)]


def _framed(
    title: str, placed: Placed, shapes: list[Shape], width: float, written: list[str], notes: list[str]
) -> Scene:
    """The picture with its title, its key, the sums of a small net, and what it does not show."""
    told = (
        " – ".join(f"{column.total:,}" for column in placed.stack.columns)
        + " neurons, as one example runs through them"
    )
    y = HEAD + max(map(len, placed.shown)) * placed.manner.step + (40.0 if placed.manner.full else 16.0)
    head = [Label(MARGIN, 34, plain(title), 15, bold=True)]
    head.append(Label(MARGIN, 52, clipped(told, width - 2 * MARGIN, 10.5), 10.5, "muted"))
    left = max(MARGIN, (width - max((text_width(line, 12.0, mono=True) for line in written), default=0.0)) / 2)
    foot: list[Shape] = [Label(left, y + 20 * row, line, 12.0, mono=True) for row, line in enumerate(written)]
    y += 20 * len(written) + (12 if written else 0)
    foot += _key(MARGIN, y, placed.manner.full)
    for row, note in enumerate(notes, start=1):
        foot.append(Label(MARGIN, y + 18 * row, clipped(plain(note), width - 2 * MARGIN, 11), 11, "muted"))
    lines = (*_lines(placed), *written, *notes)
    description = f"{told}. A line is a weight: thick where large, dashed where negative."
    whole = (*head, *shapes, *foot)
    return Scene(width, y + 18 * len(notes) + 20, whole, f"{title}: neurons and synapses", description, lines)


def _key(x: float, y: float, full: bool) -> list[Shape]:
    """What the lines mean."""
    shapes: list[Shape] = []
    for role, text, dash in (("positive", "positive weight", ()), ("negative", "negative weight", (6.0, 4.5))):
        shapes.append(Line(f"key-{role}", ((x, y - 4), (x + 30, y - 4)), Style(role, outline=2.6, dash=dash)))
        shapes.append(Label(x + 38, y, text, 11, "muted"))
        x += 50 + text_width(text, 11)
    more = "thicker: larger" + (";  in a circle its output, z its sum, b its bias" if full else "")
    return [*shapes, Label(x, y, more, 11, "muted")]


def _lines(placed: Placed) -> list[str]:
    """Each column in words, with the numbers of the neurons shown."""
    lines = []
    for number, column in enumerate(placed.stack.columns):
        values: Tensor | None = column.a
        numbers = (short_number(float(values[n])) if values is not None else "?" for n in placed.shown[number])
        named = ", ".join(
            f"{placed.name(number, n)} {text}" for n, text in zip(placed.shown[number], numbers, strict=True)
        )
        part = (
            f" ({len(placed.shown[number])} of {column.total:,} shown)"
            if len(placed.shown[number]) < column.total
            else ""
        )
        lines.append(f"{column.title}{''.join(f', {name}' for name in column.functions)}{part}: {named}")
    return lines
