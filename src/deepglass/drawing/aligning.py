"""The x of every node of a layered drawing, so that what follows one another stands in a straight line.

Nodes are aligned with the medians of their neighbors in the layer before, in blocks that keep one x; the blocks are
pushed together as close as gaps allow. Done from both ends and from both sides, the four results agree in the middle
(Brandes & Köpf 2002; with ports, Rüegg et al. 2016). Here a node goes before a bend: the trunk of a net is straight,
and what skips a part of it leads around. Time is linear in nodes and edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from deepglass.drawing.ranking import Ranking

BEND_ROOM = 10.0
Near = list[list[tuple[int, float]]]
"""For each node, its neighbors on one side, and by how much a straight edge sets it beside them."""


def middles(ranking: Ranking, widths: Sequence[float], gap: float) -> list[float]:
    """The x of every node and bend, in the order of the layers and `gap` apart; the leftmost edge lies at 0.

    >>> from deepglass.drawing.ranking import Link, rank
    >>> middles(rank([20, 20, 20], [Link(0, 1), Link(0, 2)]), [20, 20, 20], gap=10)
    [25.0, 10.0, 40.0]
    """
    total = max((node for layer in ranking.layers for node in layer), default=-1) + 1
    room = [*widths, *[BEND_ROOM] * (total - ranking.count)]
    above: Near = [[] for _ in range(total)]
    below: Near = [[] for _ in range(total)]
    for piece in ranking.pieces:
        beside = piece.leave * room[piece.upper] - piece.arrive * room[piece.lower]
        above[piece.lower].append((piece.upper, beside))
        below[piece.upper].append((piece.lower, -beside))
    found: list[list[float]] = []
    for down in (True, False):
        for sign in (1.0, -1.0):
            layers = [list(layer)[:: int(sign)] for layer in ranking.layers][:: 1 if down else -1]
            near, far = (above, below) if down else (below, above)
            blocks = _Blocks(layers, near, far, ranking.count, room, gap, sign)
            found.append([sign * x for x in blocks.placed()])
    return _balanced(found, room)


@dataclass
class _Blocks:
    """One of the four runs: from the first layer, from the left; `sign` is -1 where left and right are turned."""

    layers: list[list[int]]
    near: Near
    far: Near
    count: int
    room: list[float]
    gap: float
    sign: float
    root: list[int] = field(default_factory=list)
    shift: list[float] = field(default_factory=list)

    def placed(self) -> list[float]:
        """Align, then push together."""
        self.root, self.shift = list(range(len(self.room))), [0.0] * len(self.room)
        for before, layer in pairwise(self.layers):
            self._align(before, layer)
        return self._compact()

    def _align(self, before: list[int], layer: list[int]) -> None:
        """Append each node to the block of a median neighbor, where no line drawn so far would be crossed."""
        places = {node: place for place, node in enumerate(before)}
        # The inside of a long line, from bend to bend, is straight before all else: nobody may cross it.
        ahead = [math.inf] * (len(layer) + 1)
        for at in range(len(layer) - 1, -1, -1):
            ahead[at] = min([ahead[at + 1], *self._bends_above(layer[at], places)])
        taken, behind = -1, -1
        for at, node in enumerate(layer):
            for other, beside in self._medians(node, places):
                if not max(taken + 1, behind) <= places[other] <= ahead[at + 1]:
                    continue
                self.root[node] = self.root[other]
                self.shift[node] = self.shift[other] + self.sign * beside
                taken = places[other]
                break
            behind = max([behind, *self._bends_above(node, places)])

    def _bends_above(self, node: int, places: dict[int, int]) -> list[int]:
        if node < self.count:
            return []
        return [places[other] for other, _ in self.near[node] if other >= self.count]

    def _medians(self, node: int, places: dict[int, int]) -> list[tuple[int, float]]:
        """The one or two middle neighbors, a node before a bend."""
        ordered = sorted(self.near[node], key=lambda pair: (places[pair[0]], pair[1]))
        real = [pair for pair in ordered if pair[0] < self.count]
        if node >= self.count:
            # Leaving a node for a bend is straight only where nothing else leaves there.
            return [pair for pair in ordered if pair[0] >= self.count or len(self.far[pair[0]]) == 1]
        if len(real) == 1:
            return real
        ordered = real or [pair for pair in ordered if len(self.near[node]) == 1]
        middle = (len(ordered) - 1) / 2
        return [ordered[place] for place in sorted({int(middle), int(middle + 0.5)})] if ordered else []

    def _compact(self) -> list[float]:
        """Every block as far left as it can go; then as far right as its right neighbors let it, to close gaps."""
        after: dict[int, list[tuple[int, float]]] = {}
        ahead: dict[int, list[tuple[int, float]]] = {}
        for layer in self.layers:
            for one, other in pairwise(layer):
                bends = (one >= self.count) + (other >= self.count)
                least = (self.room[one] + self.room[other]) / 2 + self.gap * (1.0, 0.7, 0.5)[bends]
                least += self.shift[one] - self.shift[other]
                after.setdefault(self.root[one], []).append((self.root[other], least))
                ahead.setdefault(self.root[other], []).append((self.root[one], least))
        order = self._order(after, ahead)
        xs = dict.fromkeys(order, 0.0)
        for block in order:
            xs[block] = max((xs[other] + least for other, least in ahead.get(block, ())), default=0.0)
        for block in reversed(order):
            if block in after:
                xs[block] = max(xs[block], min(xs[other] - least for other, least in after[block]))
        return [xs[root] + shift for root, shift in zip(self.root, self.shift, strict=True)]

    def _order(self, after: dict[int, list[tuple[int, float]]], ahead: dict[int, list[tuple[int, float]]]) -> list[int]:
        """Blocks from the left to the right: each after all that stand left of it."""
        waiting = {block: len(ahead.get(block, ())) for block in dict.fromkeys(self.root)}
        order = [block for block, count in waiting.items() if not count]
        for block in order:
            for other, _ in after.get(block, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    order.append(other)
        return order


def _balanced(found: list[list[float]], room: list[float]) -> list[float]:
    """The four results, set on each other by the edges of the narrowest: for each node the mean of the middle two."""
    if not room:
        return []
    spans = [
        (min(x - r / 2 for x, r in zip(xs, room, strict=True)), max(x + r / 2 for x, r in zip(xs, room, strict=True)))
        for xs in found
    ]
    left, right = min(spans, key=lambda span: span[1] - span[0])
    moves = [left - span[0] if turn % 2 == 0 else right - span[1] for turn, span in enumerate(spans)]
    fours = [sorted(xs[node] + move for xs, move in zip(found, moves, strict=True)) for node in range(len(room))]
    balanced = [(four[1] + four[2]) / 2 for four in fours]
    start = min(x - r / 2 for x, r in zip(balanced, room, strict=True))
    return [round(x - start, 2) for x in balanced]
