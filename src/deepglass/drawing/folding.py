"""Repetition found in a record: equal parts that follow one another, to be shown once and counted.

Two parts are alike when they run the same operations on tensors of the same shapes, with weights of the same shapes,
in modules of the same classes, nested alike. What may differ is said in `SETTINGS_THAT_TELL`: other settings (a
dropout's rate, an index) do not keep parts apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Operation, Owner

SETTINGS_THAT_TELL = frozenset({"convolution", "pooling"})
LONGEST_BODY = 64


class Piece(NamedTuple):
    """A child module's call, or an operation, by its place in the graph."""

    what: Literal["owner", "operation"]
    id: int


@dataclass(frozen=True)
class Fold:
    """Parts of one module that repeat; each of `repeats` is alike, the first is the one to show.

    parent    the owner in which they stand
    chained   each takes what the one before it gave; else they stand side by side (experts, towers)
    shared    they are one and the same module, called again: an unrolled loop, tied layers
    """

    parent: int
    repeats: tuple[tuple[Piece, ...], ...]
    chained: bool
    shared: bool

    @property
    def count(self) -> int:
        return len(self.repeats)


def fold(graph: Graph, *, shapes: bool = True, least: int = 2) -> tuple[Fold, ...]:
    """Every run of at least `least` like parts, outer ones before those inside their first part.

    shapes   False: parts whose weights and tensors differ in size alone count as alike (stages that widen)

    Only neighbors fold: A A B A makes one fold of the two first. Where several readings are possible the one that
    covers most counts, then the one with the shortest body. Time: linear in the operations, for bodies of bounded
    length (`LONGEST_BODY`).

    Raises nothing; a graph without owners has no folds.

    >>> from torch import nn, zeros
    >>> from deepglass.tracing.record import record
    >>> [one.count for one in fold(record(nn.Sequential(*(nn.Linear(4, 4) for _ in range(3))), zeros(1, 4)))]
    [3]
    """
    if not graph.owners:
        return ()
    pieces = [_pieces(graph, owner) for owner in graph.owners]
    marks = _marks(graph, pieces, shapes)
    found: list[Fold] = []
    waiting = [0]
    while waiting:
        owner = waiting.pop()
        hidden: set[Piece] = set()
        for start, period, count in _runs([marks[piece] for piece in pieces[owner]], least):
            run = pieces[owner][start : start + period * count]
            repeats = tuple(tuple(run[place : place + period]) for place in range(0, len(run), period))
            found.append(_fold_of(graph, owner, repeats, pieces))
            hidden |= set(run[period:])
        inner = [piece.id for piece in pieces[owner] if piece.what == "owner" and piece not in hidden]
        waiting.extend(reversed(inner))
    return tuple(found)


def stand_ins(graph: Graph, folds: tuple[Fold, ...]) -> dict[int, int]:
    """For each operation that the folds leave out, its counterpart in the part that is shown."""
    pieces = [_pieces(graph, owner) for owner in graph.owners]
    found: dict[int, int] = {}
    # Inner folds last: what an outer one points at may itself be left out by an inner one.
    for one in folds:
        shown = list(_operations(pieces, one.repeats[0]))
        for repeat in one.repeats[1:]:
            found.update(zip(_operations(pieces, repeat), shown, strict=True))
    for operation in sorted(found):
        while found[operation] in found:
            found[operation] = found[found[operation]]
    return found


def operations_of(graph: Graph, repeat: tuple[Piece, ...]) -> tuple[int, ...]:
    """All operations that ran in some pieces, however deep, in their order."""
    pieces: dict[int, list[Piece]] = {}

    def inside(piece: Piece) -> Iterator[int]:
        if piece.what == "operation":
            yield piece.id
            return
        for inner in pieces.setdefault(piece.id, _pieces(graph, graph.owners[piece.id])):
            yield from inside(inner)

    return tuple(operation for piece in repeat for operation in inside(piece))


def _operations(pieces: list[list[Piece]], repeat: tuple[Piece, ...]) -> Iterator[int]:
    waiting = list(reversed(repeat))
    while waiting:
        piece = waiting.pop()
        if piece.what == "operation":
            yield piece.id
        else:
            waiting.extend(reversed(pieces[piece.id]))


def _pieces(graph: Graph, owner: Owner) -> list[Piece]:
    """What ran directly in a module, operations and calls, in their order."""
    found = [(_start(graph, child), 0, Piece("owner", child)) for child in owner.children]
    found += [(operation, 1, Piece("operation", operation)) for operation in owner.operations]
    return [piece for _, _, piece in sorted(found)]


def _start(graph: Graph, owner: int) -> float:
    """The first operation inside a call; a call that ran none stands where its next sibling starts, or last."""
    waiting = [owner]
    first = float("inf")
    while waiting:
        one = graph.owners[waiting.pop()]
        first = min(first, min(one.operations, default=float("inf")))
        waiting.extend(one.children)
    return first


def _marks(graph: Graph, pieces: list[list[Piece]], shapes: bool) -> dict[Piece, int]:
    """A number for each piece, equal for like ones: signatures interned from the inside out."""
    numbers: dict[Any, int] = {}
    marks: dict[Piece, int] = {}
    for operation in graph.operations:
        signature = _signature(graph, operation, shapes)
        marks[Piece("operation", operation.id)] = numbers.setdefault(signature, len(numbers))
    # A child is listed after its parent, so the way back meets it first.
    for owner in reversed(graph.owners):
        weights = tuple(graph.values[weight].shape for weight in owner.weights) if shapes else len(owner.weights)
        inside = tuple(marks[piece] for piece in pieces[owner.id])
        marks[Piece("owner", owner.id)] = numbers.setdefault((owner.type, weights, inside), len(numbers))
    return marks


def _signature(graph: Graph, operation: Operation, shapes: bool) -> tuple[Any, ...]:
    telling = repr(operation.settings) if operation.kind in SETTINGS_THAT_TELL else ""
    if not shapes:
        return operation.function, operation.name, len(operation.inputs), bool(operation.failure)
    sizes = tuple(graph.values[value].shape for value in (*operation.inputs, *operation.outputs))
    return operation.function, operation.name, telling, sizes, bool(operation.failure)


def _runs(marks: list[int], least: int) -> Iterator[tuple[int, int, int]]:
    """Start, period and count of the repetitions in a sequence, those that cover most first come."""
    size = len(marks)
    longest = min(LONGEST_BODY, size // max(least, 2))
    equal = [[0] * (size + 1) for _ in range(longest + 1)]
    for period in range(1, longest + 1):
        row = equal[period]
        for place in range(size - period - 1, -1, -1):
            row[place] = row[place + 1] + 1 if marks[place] == marks[place + period] else 0
    place = 0
    while place < size:
        readings = ((equal[period][place] // period + 1, period) for period in range(1, longest + 1))
        covers = [(count * period, -period, count) for count, period in readings if count >= max(least, 2)]
        if not covers:
            place += 1
            continue
        covered, period, count = max(covers)
        yield place, -period, count
        place += covered


def _fold_of(graph: Graph, parent: int, repeats: tuple[tuple[Piece, ...], ...], pieces: list[list[Piece]]) -> Fold:
    made: set[int] = set()
    chained = True
    for place, repeat in enumerate(repeats):
        inside = [graph.operations[operation] for operation in _operations(pieces, repeat)]
        if place and not any(value in made for operation in inside for value in operation.inputs):
            chained = False
        made = {value for operation in inside for value in operation.outputs}
    paths = [tuple(graph.owners[piece.id].path for piece in repeat if piece.what == "owner") for repeat in repeats]
    return Fold(parent, repeats, chained, shared=bool(paths[0]) and len(set(paths)) == 1)
