"""A record as a tree of parts, opened as far as a picture has room: modules, operations, repeats told once.

A part is shown closed, as one node, or open, as a frame around its own parts. What a deep net repeats is shown once,
"× 12"; what a loop repeats with the same weights, once with an arrow back. Nothing is left out of the count.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from deepglass.drawing.folding import Fold, Piece, fold, operations_of
from deepglass.tracing.graph import Graph

FEW = 48
FEWEST_TURNS = 3
FEWEST_FOLDED = 4
CHUNK = 40
MOST = 80


@dataclass
class Part:
    """A node of the picture, or a frame around `parts` once opened.

    owner        the module call it shows, None for an operation, a loop's turn or a stretch of operations
    operations   those it stands for (of a repeat: of its first turn)
    times, loop  how often it comes in a row, and whether with the same weights each time
    """

    id: str
    title: str
    type: str
    operations: tuple[int, ...]
    pieces: tuple[Piece, ...]
    owner: int | None = None
    times: int = 1
    loop: bool = False
    last: str = ""
    parts: list[Part] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Whether its own parts are shown."""
        return bool(self.parts)


@dataclass
class Unfolding:
    """The tree with its root open, and which operation stands for which.

    moves   operation -> (repeat, turn, the operation of the first turn that stands for it); of the first: itself
    """

    root: Part
    moves: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    folds: list[Fold] = field(default_factory=list)
    firsts: dict[int, list[int]] = field(default_factory=dict)

    def resolve(self, operation: int) -> tuple[int, dict[int, int]]:
        """The operation that stands for this one, and in which turn of which repeats this one ran."""
        turns: dict[int, int] = {}
        while operation in self.moves:
            repeat, turn, operation = self.moves[operation]
            turns[repeat] = turn
        for repeat in self.firsts.get(operation, ()):
            turns.setdefault(repeat, 0)
        return operation, turns


def unfold(graph: Graph, *, at: int = 0, most: int = MOST, rolled: bool = True) -> Unfolding:
    """The parts of an owner, opened level by level while at most `most` nodes show.

    `rolled`: loops are shown as one turn. Stacked blocks are told once only where there is too much to show them all.
    """
    pieces = _pieces(graph)
    owner = graph.owners[at]
    root = Part("", owner.path or graph.title, owner.type, operations_of(graph, pieces[at]), pieces[at], at)
    unfolding = Unfolding(root)
    folds: dict[int, list[Fold]] = {}
    for one in fold(graph):
        folds.setdefault(one.parent, []).append(one)
    opener = _Opener(graph, pieces, folds, unfolding, rolled, len(root.operations) <= FEW)
    shown = opener.open(root, most)
    # Stretches are the last resort of a picture that is full: opening the first few would not tell more.
    full = any(part.id.startswith("part-") for part in root.parts)
    waiting = [] if full else [(1, place, part) for place, part in enumerate(root.parts)]
    count = len(waiting)
    while waiting:
        depth, _, part = heapq.heappop(waiting)
        if len(part.operations) < 2 or not part.pieces:
            continue
        added = opener.open(part, most - shown + 1)
        shown += max(added - 1, 0)
        for inner in part.parts:
            count += 1
            heapq.heappush(waiting, (depth + 1, count, inner))
    return unfolding


def _pieces(graph: Graph) -> list[tuple[Piece, ...]]:
    """For each owner, what ran directly in it, in order; calls in which nothing ran are left out."""
    first: dict[int, int] = {}
    pieces: list[tuple[Piece, ...]] = [()] * len(graph.owners)
    for owner in sorted(graph.owners, key=lambda owner: -owner.depth):
        starts = {Piece("operation", one): one for one in owner.operations}
        starts |= {Piece("owner", child): first[child] for child in owner.children if child in first}
        if starts:
            first[owner.id] = min(starts.values())
            pieces[owner.id] = tuple(sorted(starts, key=lambda piece: starts[piece]))
    return pieces


@dataclass
class _Opener:
    graph: Graph
    pieces: list[tuple[Piece, ...]]
    folds: dict[int, list[Fold]]
    unfolding: Unfolding
    rolled: bool
    small: bool

    def open(self, part: Part, room: int) -> int:
        """Give a part its own parts, if there is room for them; how many there are then."""
        pieces, owner = part.pieces, part.owner
        # Through modules that hold nothing but one other module, down to where there is something to tell apart.
        while len(pieces) == 1 and pieces[0].what == "owner":
            owner = pieces[0].id
            pieces = self.pieces[owner]
        folds = [one for one in self.folds.get(owner, ()) if self._wanted(one)] if owner is not None else []
        hidden = {piece for one in folds for repeat in one.repeats for piece in repeat}
        heads = {one.repeats[0][0]: one for one in folds}
        shown = sum(piece not in hidden for piece in pieces) + len(folds)
        if shown > room:
            part.parts = self._chunks(pieces) if part is self.unfolding.root else []
            return len(part.parts)
        for piece in pieces:
            if piece in heads:
                part.parts.append(self._repeat(heads[piece]))
            elif piece not in hidden:
                part.parts.append(self._part((piece,)))
        return len(part.parts)

    def _wanted(self, one: Fold) -> bool:
        """Loops, unless they are to be unrolled; stacks where there is too much to show each."""
        if one.shared:
            return self.rolled and (one.count >= FEWEST_TURNS or not self.small)
        size = len(operations_of(self.graph, one.repeats[0]))
        return not self.small and (size >= FEWEST_FOLDED or size * one.count >= FEW)

    def _repeat(self, one: Fold) -> Part:
        """The first turn as a part; its operations stand for those of all turns."""
        number = len(self.unfolding.folds)
        self.unfolding.folds.append(one)
        turns = [operations_of(self.graph, repeat) for repeat in one.repeats]
        for operation in turns[0]:
            self.unfolding.firsts.setdefault(operation, []).append(number)
        for turn, operations in enumerate(turns[1:], start=1):
            moved = zip(operations, turns[0], strict=True)
            self.unfolding.moves.update({moving: (number, turn, place) for moving, place in moved})
        part = self._part(one.repeats[0])
        part.times, part.loop = one.count, one.shared
        final = [self.graph.owners[piece.id].path for piece in one.repeats[-1] if piece.what == "owner"]
        part.last = final[-1] if final and not one.shared else ""
        return part

    def _part(self, pieces: tuple[Piece, ...]) -> Part:
        operations = operations_of(self.graph, pieces)
        if len(pieces) == 1 and pieces[0].what == "operation":
            operation = self.graph.operations[operations[0]]
            return Part(f"operation-{operation.label}", operation.label, operation.name, operations, ())
        if len(pieces) == 1:
            owner = self.graph.owners[pieces[0].id]
            name = f"module-{owner.path}" + (f":{owner.call}" if owner.call > 1 else "")
            return Part(name, owner.path, owner.type, operations, pieces, owner.id)
        first = self.graph.operations[operations[0]].label
        owners = [self.graph.owners[piece.id].path for piece in pieces if piece.what == "owner"]
        return Part(f"repeat-{first}", owners[0] if owners else first, "", operations, pieces)

    def _chunks(self, pieces: tuple[Piece, ...]) -> list[Part]:
        """Too many for one picture: stretches of equal length, in the order they ran."""
        length = -(-len(pieces) // CHUNK)
        parts = []
        for start in range(0, len(pieces), length):
            stretch = pieces[start : start + length]
            operations = operations_of(self.graph, stretch)
            first, last = (self._name(stretch[end]) for end in (0, -1))
            title = f"{first} … {last}" if first != last else first
            parts.append(Part(f"part-{self.graph.operations[operations[0]].label}", title, "", operations, stretch))
        return parts

    def _name(self, piece: Piece) -> str:
        return self.graph.owners[piece.id].path if piece.what == "owner" else self.graph.operations[piece.id].label
