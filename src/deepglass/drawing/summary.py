"""A network as a table: every module with its output, parameters, multiply-adds, bytes and, where asked, its time.

A line with lines beneath it gives their sum; a weight is counted once, where it first stands, however many modules
share it. What a module holds or computes by itself, beside its children, stands on a line "(itself)".
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from deepglass.drawing.census import Row, census, listed, unread
from deepglass.drawing.grid import Column, Entry, Grid, grid_html, grid_lines, grid_scene
from deepglass.drawing.lettering import counted, sides
from deepglass.drawing.scene import Scene
from deepglass.drawing.timing import time_modules
from deepglass.drawing.units import bytes_in_words, seconds_in_words, share_in_words
from deepglass.tracing.cost import costed
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record

MOST_LINES = 250


@dataclass(frozen=True)
class ModelSummary:
    """The rows of a network in the order it ran, and its totals.

    parameters   every parameter once, also those that nothing reads: Σ p.numel() of `module.parameters()`
    unused       how many of them nothing reads
    weight_bytes, buffer_bytes, input_bytes   as they lie in memory
    activation_bytes   all that the forward pass made, views and changes in place not counted again
    """

    title: str
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    unused: int
    multiply_adds: int
    weight_bytes: int
    buffer_bytes: int
    activation_bytes: int
    input_bytes: int
    inputs: tuple[str, ...]
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join((self.title, *grid_lines(summary_grid(self))))

    def _repr_html_(self) -> str:
        return grid_html(summary_grid(self))


def summarize(
    thing: Any, *inputs: Any, timed: bool = False, fold: bool = True, options: dict[str, Any] | None = None
) -> ModelSummary:
    """Sum up a module, a function or what was recorded of one.

    thing     a torch module or function, or a `Graph` of one
    inputs    what it is given; none with a `Graph`
    timed     run it a few times more and take the median time of every module (not of a `Graph`)
    fold      let one line stand for modules in a row that are alike
    options   the keyword arguments it is given

    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> summary = summarize(net, torch.zeros(5, 4))
    >>> summary.parameters, summary.multiply_adds
    (23, 90)
    """
    live = not isinstance(thing, Graph)
    graph = costed(record(thing, *inputs, options=options) if live else thing)
    seconds = time_modules(thing, inputs, options) if timed and live else {}
    tree = census(graph, seconds)
    weights = [value for value in graph.values if value.role == "weight"]
    given = [graph.values[place] for place in graph.inputs]
    return ModelSummary(
        title=graph.title,
        rows=listed(tree, fold),
        parameters=tree.row.parameters,
        trainable=tree.row.trainable,
        unused=sum(prod(value.shape) for value in unread(graph)),
        multiply_adds=tree.row.multiply_adds,
        weight_bytes=sum(value.bytes for value in weights),
        buffer_bytes=sum(value.bytes for value in graph.values if value.role == "buffer"),
        activation_bytes=tree.row.output_bytes,
        input_bytes=sum(value.bytes for value in given),
        inputs=tuple(f"{sides(value.shape)} {value.dtype.removeprefix('torch.')}" for value in given),
        seconds=tree.row.seconds,
        notes=(*graph.notes, *([f"It stopped half-way: {graph.failure}"] if graph.failure else ())),
    )


def summary_grid(summary: ModelSummary) -> Grid:
    """The table to be shown: columns that say nothing are left out, and the deepest lines where there are too many."""
    rows = _fitting(summary.rows)
    columns = [Column("layer"), Column("type"), Column("output"), Column("parameters", "end")]
    columns += [Column("multiply-adds", "end"), Column("memory", "end")]
    timed = summary.seconds is not None
    noted = any(row.note for row in rows)
    columns += [Column("time", "end"), Column("share", "end")] if timed else []
    columns += [Column("note")] if noted else []
    entries = []
    for number, row in enumerate(rows):
        cells = [row.name, row.type, sides(row.output) if row.output is not None else ""]
        cells += [f"{row.parameters:,}" if row.parameters else ""]
        cells += [counted(row.multiply_adds) if row.multiply_adds else ""]
        cells += [bytes_in_words(row.output_bytes) if row.output_bytes else ""]
        cells += [seconds_in_words(row.seconds), share_in_words(row.share)] if timed else []
        cells += [row.note] if noted else []
        work = row.multiply_adds / summary.multiply_adds if summary.multiply_adds else 0.0
        share = row.share if timed else work
        leaf = number + 1 == len(rows) or rows[number + 1].depth <= row.depth
        entry = Entry(f"{number}-{row.path}", tuple(cells), row.depth, row.kind, not number, share if leaf else None)
        entries.append(entry)
    left = len(summary.rows) - len(rows)
    cut = (f"{left:,} lines are left out; the ones above hold their sums, and `.rows` has all.",) if left else ()
    return Grid(summary.title, tuple(columns), tuple(entries), _totals(summary), cut + summary.notes, 7 if timed else 4)


def _fitting(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """As many levels as there is room for; of one level that is too long by itself, its beginning."""
    for depth in range(max(row.depth for row in rows), 0, -1):
        shown = tuple(row for row in rows if row.depth <= depth)
        if len(shown) <= MOST_LINES:
            return shown
    return tuple(row for row in rows if row.depth <= 1)[:MOST_LINES]


def summary_scene(summary: ModelSummary) -> Scene:
    """The table as a placed picture: a mark in the color of each line's kind, a bar for its share of the work."""
    what = f"{summary.parameters:,} parameters, {counted(summary.multiply_adds)} multiply-adds."
    return grid_scene(summary_grid(summary), f"A table of the modules of {summary.title}: {what}")


def _totals(summary: ModelSummary) -> tuple[tuple[str, str], ...]:
    frozen = summary.parameters - summary.trainable
    parts = [f"{frozen:,} frozen" if frozen else "all trainable" if summary.parameters else ""]
    parts += [f"{summary.unused:,} that nothing reads" if summary.unused else ""]
    about = ", ".join(filter(None, parts))
    totals = [
        ("parameters", f"{summary.parameters:,}" + (f"  ({about})" if about else "")),
        ("multiply-adds", f"{summary.multiply_adds:,}"),
        ("weights", bytes_in_words(summary.weight_bytes) if summary.parameters else ""),
        ("buffers", bytes_in_words(summary.buffer_bytes) if summary.buffer_bytes else ""),
        ("activations", f"{bytes_in_words(summary.activation_bytes)} in a forward pass"),
        ("input", f"{', '.join(summary.inputs)}  ({bytes_in_words(summary.input_bytes)})" if summary.inputs else ""),
        ("time", f"{seconds_in_words(summary.seconds)} a forward pass" if summary.seconds is not None else ""),
    ]
    return tuple((name, figure) for name, figure in totals if figure)
