"""Places for the nodes of a directed graph, and smooth routes for its edges, from top to bottom.

The order of the layers comes from `ranking`, the places in them from `aligning`; here they get their heights, and the
links their curves: straight beside boxes, bending only between layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from deepglass.drawing.aligning import middles
from deepglass.drawing.ranking import Link, Ranking, rank
from deepglass.drawing.scene import Point

LOWERED = 24.0


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
    across = middles(ranking, widths, gap)
    tops, heights = _rows(ranking, sizes, rise)
    number = {node: row for row, layer in enumerate(ranking.layers) for node in layer}
    fed = {link.target for link in links}
    downs = [_down(heights[number[node]], sizes[node][1], node in fed) for node in range(len(sizes))]
    places = tuple((across[node], tops[number[node]] + down) for node, down in enumerate(downs))
    routes = []
    for link, chain, turned in zip(links, ranking.chains, ranking.turned, strict=True):
        if not chain:
            routes.append(_own_loop(places[link.source], sizes[link.source]))
            continue
        touch = (link.arrive, link.leave) if turned else (link.leave, link.arrive)
        stops = _stops(chain, touch, across, places, sizes, [(tops[number[n]], heights[number[n]]) for n in chain])
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


def _down(height: float, own: float, fed: bool) -> float:
    """How far down its layer a node has its middle: beside much taller ones near where it is fed from, or feeds."""
    from_edge = own / 2 + min((height - own) / 2, LOWERED)
    return from_edge if fed else height - from_edge


def _stops(
    chain: tuple[int, ...],
    touch: tuple[float, float],
    across: list[float],
    places: tuple[Point, ...],
    sizes: Sequence[Point],
    rows: list[tuple[float, float]],
) -> list[Point]:
    """The points a link passes, in pairs: it may bend only between layers, never beside a box."""
    (top, height), (end, _) = rows[0], rows[-1]
    x, y = places[chain[0]]
    stops = [(x + touch[0], y + sizes[chain[0]][1] / 2), (x + touch[0], top + height)]
    for bend, (above, tall) in zip(chain[1:-1], rows[1:-1], strict=True):
        stops += [(across[bend], above), (across[bend], above + tall)]
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
