"""The lines between layers: straight on, over what lies between, up to another lane, around to the next row."""

from __future__ import annotations

import itertools

from deepglass.drawing.flow import Flow
from deepglass.drawing.placing import BRANCH, ROW_GAP, Placed, Spot
from deepglass.drawing.scene import Dot, Label, Line, Point, Shape, Style
from deepglass.drawing.solids import JOIN_RADIUS
from deepglass.drawing.spacing import CAPTION_GAP, MARGIN

NEAR, LEAVE, ENTER, BEND = 3.0, 7.0, 11.0, 7.0
LINK = Style("muted", outline=1.15)
DOT = Style("muted", "solid", 0.0)


def links_drawn(placed: Placed) -> tuple[Shape, ...]:
    """A line for each link, and a dot where it parts from another. Long ways between rows are numbered instead."""
    shapes: list[Shape] = []
    tags: dict[int, int] = {}
    for one, other in placed.flow.links:
        start, end = placed.spots[one], placed.spots[other]
        name = f"link {placed.flow.layers[one].id} {placed.flow.layers[other].id}"
        words = f"{_named(placed.flow, one)} → {_named(placed.flow, other)}"
        height = placed.arcs.get((one, other))
        carried = (one, other) in placed.carriers
        if start.row != end.row and not carried and (one, other) not in placed.straight:
            known = one in tags
            number = tags.setdefault(one, len(tags) + 1)
            shapes += _tagged(placed, one, other, number, name, words)[4 if known else 0 :]
            continue
        points, leaves = _way(placed, one, other, height)
        shapes.append(Line(name, _rounded(points), LINK, curved=True, arrow=True, words=words))
        if leaves is not None:
            shapes.append(Dot(f"{name} start", *leaves, 2.1, DOT, words))
    return tuple(shapes)


def _named(flow: Flow, place: int) -> str:
    return flow.layers[place].path or flow.layers[place].portrait.caption


def _is_join(placed: Placed, place: int) -> bool:
    return placed.flow.layers[place].role == "join"


def _way(placed: Placed, one: int, other: int, height: float | None) -> tuple[list[Point], Point | None]:
    """The corners of a link, and where it parts from the line that goes straight on."""
    start, end = placed.spots[one], placed.spots[other]
    out, leave, entry = start.exit + NEAR, start.exit + LEAVE, end.left - NEAR
    at, to = start.middle, end.middle
    carrier = placed.carriers.get((one, other))
    if carrier is not None:
        leave, at = placed.spots[carrier].left - BRANCH, placed.spots[carrier].middle
    elif start.row != end.row:
        channel = placed.rows[start.row][1] + ROW_GAP / 2
        return [
            (out, at),
            (placed.right + 10, at),
            (placed.right + 10, channel),
            (MARGIN, channel),
            (MARGIN, to),
            (entry, to),
        ], None
    if start.lane == end.lane and height is None:
        return [(out, at), (entry, to)], None
    if start.lane == end.lane or height is not None:
        level = height if height is not None else at
        return [(leave, at), (leave, level), *_arrival(placed, other, level, from_above=start.lane >= end.lane)], (
            leave,
            at,
        )
    if start.lane < end.lane:
        if carrier is None:
            leave = max(leave, _clear(placed, start, end.lane, +1))
        else:
            leave = max(MARGIN + 3, min(leave, _clear(placed, placed.spots[carrier], end.lane, -1)))
        return [(leave, at), (leave, to), (entry, to)], (leave, at)
    return [(out, at), *_arrival(placed, other, at, from_above=True, lane=start.lane)], None


def _clear(placed: Placed, spot: Spot, lane: int, side: int) -> float:
    """The x right (+1) or left (-1) of all that stands in a spot's column, in the lanes a line passes to another."""
    low, high = min(spot.lane, lane), max(spot.lane, lane)
    ends = [
        one.center + side * max(one.exit - one.center, one.caption.width / 2)
        for one in placed.spots
        if (one.row, one.column) == (spot.row, spot.column) and low <= one.lane <= high and one is not spot
    ]
    return max([side * end for end in ends], default=float("-inf")) * side + side * CAPTION_GAP / 2


def _arrival(placed: Placed, other: int, level: float, *, from_above: bool, lane: int = 0) -> list[Point]:
    """The last corners: into a join from its nearer end, into a layer by the line that leads to it."""
    end = placed.spots[other]
    if _is_join(placed, other):
        gap = JOIN_RADIUS + NEAR
        return [(end.center, level), (end.center, end.middle - gap if from_above else end.middle + gap)]
    x = min(end.left - ENTER, _clear(placed, end, lane - 1, -1)) if lane > end.lane + 1 else end.left - ENTER
    return [(x, level), (x, end.middle), (end.left - NEAR, end.middle)]


def _tagged(placed: Placed, one: int, other: int, number: int, name: str, words: str) -> list[Shape]:
    """Two numbered ends of a link too long to draw."""
    start, end = placed.spots[one], placed.spots[other]
    leave = start.exit + LEAVE
    shapes: list[Shape] = []
    for which, x, spot, down in (("start", leave, start, False), ("end", _into(placed, other), end, True)):
        top = spot.middle - spot.body.ascent - (17 if down and _is_join(placed, other) else 12)
        ways: list[Point] = [(x, top + 7), (x, spot.middle)]
        if down:
            ways = [(x, top + 7), *_arrival(placed, other, top + 7, from_above=True)[1:]]
        shapes.append(Line(f"{name} {which} line", _rounded(ways), LINK, curved=True, arrow=down, words=words))
        shapes.append(Dot(f"{name} {which}", x, top, 7.5, Style("paper", "solid", 0.0), words))
        shapes.append(Dot(f"{name} {which} ring", x, top, 7.5, Style("muted", "none", 1.1), words))
        shapes.append(Label(x, top + 3.6, str(number), 10.0, "muted", "middle", bold=True))
    return shapes


def _into(placed: Placed, other: int) -> float:
    spot = placed.spots[other]
    return spot.center if _is_join(placed, other) else spot.left - ENTER


def _rounded(points: list[Point]) -> tuple[Point, ...]:
    """The corners as one curve: straight pieces and quarter bends, each as a cubic."""
    kept = [points[0]] + [b for a, b in itertools.pairwise(points) if abs(a[0] - b[0]) + abs(a[1] - b[1]) > 0.01]
    if len(kept) == 1:
        kept = [*kept, kept[0]]
    path: list[Point] = [kept[0]]
    for before, corner, after in zip(kept, kept[1:], kept[2:], strict=False):
        bend = min(BEND, _length(before, corner) / 2, _length(corner, after) / 2)
        enter, leave = _toward(corner, before, bend), _toward(corner, after, bend)
        path += [
            path[-1],
            enter,
            enter,
            _toward(corner, enter, bend * 0.45),
            _toward(corner, leave, bend * 0.45),
            leave,
        ]
    return tuple((round(x, 2), round(y, 2)) for x, y in (*path, path[-1], kept[-1], kept[-1]))


def _length(one: Point, other: Point) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _toward(point: Point, other: Point, way: float) -> Point:
    length = max(((other[0] - point[0]) ** 2 + (other[1] - point[1]) ** 2) ** 0.5, 1e-9)
    return point[0] + (other[0] - point[0]) * way / length, point[1] + (other[1] - point[1]) * way / length
