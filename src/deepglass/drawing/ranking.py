"""A directed graph put in layers, and each layer in an order that crosses few edges.

The first half of layered drawing (Sugiyama, Tagawa & Toda 1981): cycles are broken, nodes ranked by the longest path
that leads to them, long edges cut into pieces of one layer each, and layers ordered by medians and neighborly swaps
(Gansner, Koutsofios, North & Vo 1993). Time grows with edges times the logarithm of a layer's width, for each sweep.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

SWEEPS = 12
MOST_SWAPPED = 4000


@dataclass(frozen=True)
class Link:
    """An edge between two nodes; it leaves and arrives so far beside their middles, in pixels."""

    source: int
    target: int
    leave: float = 0.0
    arrive: float = 0.0


@dataclass(frozen=True)
class Piece:
    """What of a link runs from one layer to the next, and where it touches: -1/2 … 1/2 of a node's width."""

    upper: int
    lower: int
    leave: float = 0.0
    arrive: float = 0.0


@dataclass(frozen=True)
class Ranking:
    """The layers, from the first, each in order. Nodes from `count` on are bends of long links.

    chains    for each link, the nodes that it passes, from the upper to the lower end
    turned    for each link, whether it runs against the layers: it closes a cycle
    """

    count: int
    layers: tuple[tuple[int, ...], ...]
    pieces: tuple[Piece, ...]
    chains: tuple[tuple[int, ...], ...]
    turned: tuple[bool, ...]


def rank(
    widths: Sequence[float],
    links: Sequence[Link],
    first: frozenset[int] = frozenset(),
    last: frozenset[int] = frozenset(),
) -> Ranking:
    """Layers for nodes of these widths. `first` and `last` are held in a layer of their own at either end.

    A link from a node to itself takes no part: its chain is empty.

    >>> rank([9, 9, 9], [Link(0, 1), Link(1, 2), Link(0, 2)]).layers
    ((0,), (1, 3), (2,))
    """
    count = len(widths)
    turned = _turned(count, links)
    ends = [(b, a) if back else (a, b) for (a, b), back in zip(_ends(links), turned, strict=True)]
    ranks = _ranks(count, [(a, b) for a, b in ends if a != b], first, last)
    layers: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for node in range(count):
        layers[ranks[node]].append(node)
    pieces: list[Piece] = []
    chains: list[tuple[int, ...]] = []
    bends = count
    for link, (upper, lower), back in zip(links, ends, turned, strict=True):
        if upper == lower:
            chains.append(())
            continue
        chain = [upper, *range(bends, bends + ranks[lower] - ranks[upper] - 1), lower]
        bends += len(chain) - 2
        for place, bend in enumerate(chain[1:-1], ranks[upper] + 1):
            layers[place].append(bend)
        leave, arrive = (link.arrive, link.leave) if back else (link.leave, link.arrive)
        touch = {upper: leave / max(widths[upper], 1.0), lower: arrive / max(widths[lower], 1.0)}
        pieces += [Piece(a, b, touch.get(a, 0.0), touch.get(b, 0.0)) for a, b in itertools.pairwise(chain)]
        chains.append(tuple(chain))
    ordered = _ordered(layers, pieces, bends)
    return Ranking(count, tuple(map(tuple, ordered)), tuple(pieces), tuple(chains), tuple(turned))


def _ends(links: Sequence[Link]) -> list[tuple[int, int]]:
    return [(link.source, link.target) for link in links]


def _turned(count: int, links: Sequence[Link]) -> list[bool]:
    """Which links lead back to a node that is still being walked from: turned around, no cycle is left."""
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for place, link in enumerate(links):
        outgoing[link.source].append(place)
    state, turned = [0] * count, [False] * len(links)
    for root in range(count):
        if state[root]:
            continue
        stack = [(root, iter(outgoing[root]))]
        state[root] = 1
        while stack:
            node, rest = stack[-1]
            place = next(rest, None)
            if place is None:
                state[node] = 2
                stack.pop()
                continue
            target = links[place].target
            turned[place] = state[target] == 1 and target != node
            if not state[target]:
                state[target] = 1
                stack.append((target, iter(outgoing[target])))
    return turned


def _ranks(count: int, ends: list[tuple[int, int]], first: frozenset[int], last: frozenset[int]) -> list[int]:
    """The longest path to each node; then nodes with more going out than in are drawn down to what they feed."""
    incoming: list[list[int]] = [[] for _ in range(count)]
    outgoing: list[list[int]] = [[] for _ in range(count)]
    for upper, lower in ends:
        incoming[lower].append(upper)
        outgoing[upper].append(lower)
    waiting = [len(sources) for sources in incoming]
    order = [node for node in range(count) if not waiting[node]]
    for node in order:
        for target in outgoing[node]:
            waiting[target] -= 1
            if not waiting[target]:
                order.append(target)
    least = 1 if first else 0
    ranks = [0 if node in first else least for node in range(count)]
    for node in order:
        ranks[node] = max([ranks[node], *(ranks[source] + 1 for source in incoming[node])])
    for node in reversed(order):
        if node not in first and outgoing[node] and len(outgoing[node]) > len(incoming[node]):
            ranks[node] = min(ranks[target] for target in outgoing[node]) - 1
    bottom = max([ranks[node] for node in range(count) if node not in last], default=-1) + 1
    return [bottom if node in last else ranks[node] for node in range(count)]


Neighbors = list[list[tuple[int, float, float]]]


def _ordered(layers: list[list[int]], pieces: list[Piece], count: int) -> list[list[int]]:
    """The best order found from two beginnings, walking down and walking up."""
    above: Neighbors = [[] for _ in range(count)]
    below: Neighbors = [[] for _ in range(count)]
    for piece in pieces:
        above[piece.lower].append((piece.upper, piece.arrive, piece.leave))
        below[piece.upper].append((piece.lower, piece.leave, piece.arrive))
    best, fewest = layers, crossings(layers, below)
    for begin in ((above, below), (below, above)) if fewest else ():
        order = _walked(layers, *begin)
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            _sweep(order, above if down else below, down)
            if count <= MOST_SWAPPED:
                _swap_neighbors(order, above, below)
            found = crossings(order, below)
            if found < fewest:
                best, fewest = [list(layer) for layer in order], found
            if not fewest:
                return best
    return best


def _walked(layers: list[list[int]], near: Neighbors, far: Neighbors) -> list[list[int]]:
    """Layers in the order a walk from the ends without neighbors on the near side meets the nodes."""
    met: dict[int, int] = {}
    nodes = [node for layer in layers for node in layer]
    for root in (node for node in nodes if not near[node]):
        stack = [root]
        while stack:
            node = stack.pop()
            if node in met:
                continue
            met[node] = len(met)
            stack += [other for other, _, _ in reversed(far[node])] + [other for other, _, _ in reversed(near[node])]
    return [sorted(layer, key=lambda node: met.get(node, len(met))) for layer in layers]


def _sweep(layers: list[list[int]], near: Neighbors, down: bool) -> None:
    """Order each layer by the medians of its neighbors in the layer before; nodes without keep their places."""
    places = {node: place for layer in layers for place, node in enumerate(layer)}
    for layer in layers if down else reversed(layers):
        medians = {node: _median(sorted(places[other] + at for other, _, at in near[node])) for node in layer}
        free = iter(sorted((node for node in layer if near[node]), key=lambda node: medians[node]))
        layer[:] = [next(free) if near[node] else node for node in layer]
        places.update((node, place) for place, node in enumerate(layer))


def _median(values: list[float]) -> float:
    """Gansner's weighted median: between two middles, nearer to the side where neighbors are closer together."""
    middle = len(values) // 2
    if not values:
        return 0.0
    if len(values) % 2:
        return values[middle]
    if len(values) == 2:
        return sum(values) / 2
    left, right = values[middle - 1] - values[0], values[-1] - values[middle]
    if not left + right:
        return (values[middle - 1] + values[middle]) / 2
    return (values[middle - 1] * right + values[middle] * left) / (left + right)


def _swap_neighbors(layers: list[list[int]], above: Neighbors, below: Neighbors) -> None:
    """Swap two that stand side by side wherever fewer edges cross after it."""
    for layer, fixed in ((layer, number) for number, layer in enumerate(layers) if len(layer) > 1):
        around = [*(layers[fixed - 1] if fixed else ()), *(layers[fixed + 1] if fixed + 1 < len(layers) else ())]
        places = {node: place for other in layers[max(fixed - 1, 0) : fixed + 2] for place, node in enumerate(other)}
        ends = {
            node: [sorted(places[o] + at for o, _, at in side[node]) for side in (above, below)]
            for node in layer
            if around
        }
        for place in range(len(layer) - 1):
            left, right = layer[place], layer[place + 1]
            now = sum(_inversions(a, b) for a, b in zip(ends[left], ends[right], strict=True))
            then = sum(_inversions(b, a) for a, b in zip(ends[left], ends[right], strict=True))
            if then < now:
                layer[place], layer[place + 1] = right, left


def _inversions(left: list[float], right: list[float]) -> int:
    """How many pairs cross when the node with the ends `left` stands left of the one with the ends `right`."""
    crossed, place = 0, 0
    for end in left:
        while place < len(right) and right[place] < end:
            place += 1
        crossed += place
    return crossed


def crossings(layers: Sequence[Sequence[int]], below: Neighbors) -> int:
    """How many pairs of pieces cross, in all layers together (Barth, Jünger & Mutzel 2002, by sorted insertion)."""
    places = {node: place for layer in layers for place, node in enumerate(layer)}
    crossed = 0
    for layer in layers:
        ends = sorted((places[node] + own, places[other] + at) for node in layer for other, own, at in below[node])
        seen: list[float] = []
        for _, end in ends:
            crossed += len(seen) - bisect_right(seen, end)
            insort(seen, end)
    return crossed
