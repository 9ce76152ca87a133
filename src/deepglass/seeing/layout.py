"""Places for the nodes of a directed graph, and smooth routes for its edges, from top to bottom.

The second half of layered drawing: x by sweeps, in each of which a layer comes as close to the middle of its neighbors
as its order and gaps allow; the closest such places are an isotonic regression, found exactly by pooling (Ayer et al.
1955). Bends of long edges weigh most, which keeps these straight (the priorities of Gansner et al. 1993).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from deepglass.seeing.ranking import Link, Piece, Ranking, rank
from deepglass.seeing.scene import Point

SWEEPS = 10
BEND = 8.0
BEND_ROOM = 10.0


@dataclass(frozen=True)
class Layout:
    """Middles of the nodes, and for each link a curve in pieces of cubic Béziers, from its source to its target."""

    places: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def arrange(
    sizes: Sequence[Point],
    links: Sequence[Link],
    *,
    gap: float = 26.0,
    rise: float = 38.0,
    first: frozenset[int] = frozenset(),
    last: frozenset[int] = frozenset(),
) -> Layout:
    """Place boxes of these widths and heights so that links lead down, but those that close a cycle, which lead up.

    gap, rise     the least room between neighbors in a layer, and between layers
    first, last   nodes held in a layer of their own, at the top and at the bottom

    >>> arrange([(40, 20), (40, 20)], [Link(0, 1)]).places
    ((20.0, 10.0), (20.0, 68.0))
    """
    widths = [width for width, _ in sizes]
    ranking = rank(widths, links, first, last)
    middles = _middles(ranking, widths, gap)
    tops, heights = _rows(ranking, sizes, rise)
    number = {node: row for row, layer in enumerate(ranking.layers) for node in layer}
    places = tuple((middles[node], tops[number[node]] + heights[number[node]] / 2) for node in range(len(sizes)))
    routes = []
    for link, chain, turned in zip(links, ranking.chains, ranking.turned, strict=True):
        if not chain:
            routes.append(_own_loop(places[link.source], sizes[link.source]))
            continue
        touch = (link.arrive, link.leave) if turned else (link.leave, link.arrive)
        stops = _stops(chain, touch, middles, places, sizes, [(tops[number[n]], heights[number[n]]) for n in chain])
        routes.append(_curve(stops[::-1] if turned else stops))
    width = max([place[0] + size[0] / 2 for place, size in zip(places, sizes, strict=True)], default=0.0)
    width = max([width, *(x for route in routes for x, _ in route)])
    height = tops[-1] + heights[-1] if tops else 0.0
    return Layout(places, tuple(routes), round(width, 2), round(height, 2))


def _rows(ranking: Ranking, sizes: Sequence[Point], rise: float) -> tuple[list[float], list[float]]:
    """Where each layer begins, and how high it is."""
    heights = [max([sizes[n][1] for n in layer if n < ranking.count], default=0.0) for layer in ranking.layers]
    tops, top = [], 0.0
    for height in heights:
        tops.append(top)
        top += height + rise
    return tops, heights


def _middles(ranking: Ranking, widths: Sequence[float], gap: float) -> list[float]:
    """The x of every node and bend; the leftmost edge lies at 0."""
    total = max((node for layer in ranking.layers for node in layer), default=-1) + 1
    room = [*widths, *[BEND_ROOM] * (total - ranking.count)]
    above: list[list[tuple[Piece, int, float]]] = [[] for _ in range(total)]
    below: list[list[tuple[Piece, int, float]]] = [[] for _ in range(total)]
    for piece in ranking.pieces:
        bends = (piece.upper >= ranking.count) + (piece.lower >= ranking.count)
        weight = (1.0, 2.0, BEND)[bends]
        above[piece.lower].append((piece, piece.upper, weight))
        below[piece.upper].append((piece, piece.lower, weight))
    middles = _first_middles(ranking, room, gap)
    for sweep in range(2 * SWEEPS + 1):
        last = sweep == 2 * SWEEPS
        down = sweep % 2 == 0
        for layer in ranking.layers if down else reversed(ranking.layers):
            near = [[*above[n], *below[n]] if last else (above[n] if down else below[n]) for n in layer]
            wanted = [_wanted(node, pieces, middles, room) for node, pieces in zip(layer, near, strict=True)]
            steps = [(room[a] + room[b]) / 2 + _between(a, b, ranking.count, gap) for a, b in itertools.pairwise(layer)]
            for node, x in zip(layer, spaced(wanted, steps), strict=True):
                middles[node] = x
    left = min((middles[node] - room[node] / 2 for node in range(total)), default=0.0)
    return [round(x - left, 2) for x in middles]


def _between(one: int, other: int, count: int, gap: float) -> float:
    """Bends may stand closer to each other than boxes."""
    return gap if one < count and other < count else gap * 0.6


def _first_middles(ranking: Ranking, room: list[float], gap: float) -> list[float]:
    middles = [0.0] * len(room)
    for layer in ranking.layers:
        x = -(sum(room[node] for node in layer) + gap * (len(layer) - 1)) / 2
        for node in layer:
            middles[node] = x + room[node] / 2
            x += room[node] + gap
    return middles


def _wanted(
    node: int, pieces: list[tuple[Piece, int, float]], middles: list[float], room: list[float]
) -> tuple[float, float]:
    """Where a node alone would stand: the weighted median of where its links are straight; and how firmly."""
    if not pieces:
        return middles[node], 0.05
    straight = []
    for piece, other, weight in pieces:
        own, far = (piece.leave, piece.arrive) if piece.upper == node else (piece.arrive, piece.leave)
        straight.append((middles[other] + far * room[other] - own * room[node], weight))
    straight.sort()
    half, reached = sum(weight for _, weight in straight) / 2, 0.0
    for place, (x, weight) in enumerate(straight):
        reached += weight
        if reached > half:
            return x, 2 * half
        if reached == half:
            return (x + straight[place + 1][0]) / 2, 2 * half
    return straight[-1][0], 2 * half


def spaced(wanted: Sequence[tuple[float, float]], steps: Sequence[float]) -> list[float]:
    """The x closest to the wanted, in weighted squares, of which each lies at least its step after the one before.

        minimize Σ weight (x - wanted)²   so that   x[i+1] - x[i] >= step[i]

    >>> spaced([(0.0, 1.0), (0.0, 1.0)], [10.0])
    [-5.0, 5.0]
    """
    offsets = [0.0]
    for step in steps:
        offsets.append(offsets[-1] + step)
    pools: list[tuple[float, float, int]] = []
    for (x, weight), offset in zip(wanted, offsets, strict=False):
        mean, total, size = x - offset, weight, 1
        while pools and pools[-1][0] > mean:
            before, much, many = pools.pop()
            mean = (mean * total + before * much) / (total + much)
            total, size = total + much, size + many
        pools.append((mean, total, size))
    means = [mean for mean, _, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _stops(
    chain: tuple[int, ...],
    touch: tuple[float, float],
    middles: list[float],
    places: tuple[Point, ...],
    sizes: Sequence[Point],
    rows: list[tuple[float, float]],
) -> list[Point]:
    """The points a link passes, in pairs: it may bend only between layers, never beside a box."""
    (top, height), (end, _) = rows[0], rows[-1]
    x, y = places[chain[0]]
    stops = [(x + touch[0], y + sizes[chain[0]][1] / 2), (x + touch[0], top + height)]
    for bend, (above, tall) in zip(chain[1:-1], rows[1:-1], strict=True):
        stops += [(middles[bend], above), (middles[bend], above + tall)]
    x, y = places[chain[-1]]
    return [*stops, (x + touch[1], end), (x + touch[1], y - sizes[chain[-1]][1] / 2)]


def _curve(stops: list[Point]) -> tuple[Point, ...]:
    """Straight within a layer, an S between layers, upright at both of its ends."""
    points = [stops[0]]
    for (x, y), (to_x, to_y) in itertools.pairwise(stops):
        if abs(to_y - y) + abs(to_x - x) < 0.01:
            continue
        bow = (to_y - y) * 0.5
        points += [(x, round(y + bow, 2)), (to_x, round(to_y - bow, 2)), (to_x, to_y)]
    return tuple(points)


def _own_loop(place: Point, size: Point) -> tuple[Point, ...]:
    """From a node to itself: out at the lower right, in at the upper right."""
    x, low, high = place[0] + size[0] / 2, place[1] + size[1] / 4, place[1] - size[1] / 4
    return (x, low), (x + 22.0, low), (x + 22.0, high), (x, high)
