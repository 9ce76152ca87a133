"""Where the parts of an opened record stand, frame by frame, and how values flow between them.

Each open part is laid out by itself, inside out, and then stands as one box in the frame around it. A value that comes
from outside enters a frame through a gate in its upper edge, and fans out inside; one that leaves does so through a
gate in the lower edge. So no line crosses a frame but where it belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from deepglass.drawing.layout import Link, arrange
from deepglass.drawing.scene import Point
from deepglass.drawing.unfolding import Part, Unfolding
from deepglass.tracing.graph import Graph

SIDE, TITLE_ROOM, FOOT = 14.0, 12.0, 2.0
GAP, RISE = 22.0, 28.0


@dataclass(frozen=True)
class Stream:
    """Values that flow from one shown part to another; `back` to the next turn of a loop."""

    source: str
    target: str
    values: tuple[int, ...]
    back: bool = False


@dataclass(frozen=True)
class Curve:
    """A stream, or what of it lies in one frame; it ends in an arrow where it ends at a node."""

    points: tuple[Point, ...]
    arrow: bool
    back: bool
    values: tuple[int, ...]


@dataclass
class Frame:
    """A part in its place: the corner and size of its box; if it is open, what stands and flows in it.

    gates   (source of the value, whether it leaves) -> x of the gate
    """

    part: Part
    x: float
    y: float
    width: float
    height: float
    inner: list[Frame] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    gates: dict[tuple[str, bool], float] = field(default_factory=dict)


Crossing = tuple[str, str, Stream]
"""What of a stream lies in one frame: from a part or "<source" (a gate) to a part or ">source"."""


def terminals(graph: Graph, unfolding: Unfolding, at: int) -> dict[int, Part]:
    """A part for each value that comes into the picture from outside, and (by -1 - value) for each that leaves it."""
    inside = set(unfolding.root.operations)
    ends: dict[int, Part] = {}
    given = graph.owners[at].inputs if at else graph.inputs
    read = {value for one in inside for value in graph.operations[one].inputs}
    for value in dict.fromkeys((*given, *sorted(read))):
        found = graph.values[value]
        foreign = found.maker not in inside if found.maker is not None else found.role == "input"
        if value in read and foreign:
            ends[value] = Part(f"in-{found.name}", found.name, "input", (), ())
    places: dict[int, int] = {}
    results = graph.owners[at].outputs if at else graph.outputs
    loss = (graph.loss,) if graph.loss is not None and not at else ()
    for value in dict.fromkeys((*loss, *results)):
        maker = graph.values[value].maker
        if maker is None or maker not in inside:
            continue
        stands = unfolding.resolve(maker)[0]
        if stands in places:
            ends[places[stands]].times += 1
            continue
        places[stands] = -1 - value
        ends[-1 - value] = Part(
            f"out-{graph.values[value].name}", "loss" if value in loss else "output", "output", (), ()
        )
    return ends


def streams(graph: Graph, unfolding: Unfolding, ends: dict[int, Part]) -> list[Stream]:
    """What flows between the shown parts, each pair once. Weights, buffers and constants are not drawn."""
    shown = {one: leaf.id for leaf in leaves(unfolding.root) for one in leaf.operations}
    found: dict[tuple[str, str, bool], dict[int, None]] = {}

    def add(source: str, target: str, value: int, back: bool = False) -> None:
        if source != target or back:
            found.setdefault((source, target, back), {})[value] = None

    for operation in unfolding.root.operations:
        stands, turns = unfolding.resolve(operation)
        for value in graph.operations[operation].inputs:
            maker = graph.values[value].maker
            source, others = unfolding.resolve(maker) if maker is not None else (-1, {})
            apart = [repeat for repeat in turns.keys() & others.keys() if turns[repeat] != others[repeat]]
            if value in ends:
                add(ends[value].id, shown[stands], value)
            elif source in shown and not apart:
                add(shown[source], shown[stands], value)
            elif source in shown and all(unfolding.folds[repeat].shared for repeat in apart):
                add(shown[source], shown[stands], value, back=True)
    for key, part in ends.items():
        maker = graph.values[-1 - key].maker if key < 0 else None
        if maker is not None:
            add(shown[unfolding.resolve(maker)[0]], part.id, -1 - key)
    return [Stream(source, target, tuple(values), back) for (source, target, back), values in found.items()]


def leaves(part: Part) -> list[Part]:
    """The parts that are drawn as nodes."""
    return [leaf for inner in part.parts for leaf in leaves(inner)] if part.open else [part]


def place(root: Part, flows: list[Stream], size: Callable[[Part], Point]) -> Frame:
    """Every part in its place, from the corner (0, 0); `size` gives a closed one's size, and an open one's title's."""
    parents: dict[str, str] = {}
    waiting = [root]
    while waiting:
        part = waiting.pop()
        parents |= {inner.id: part.id for inner in part.parts}
        waiting += part.parts
    inside: dict[str, list[Crossing]] = {}
    for flow in flows:
        ups, downs = _way(flow.source, parents), _way(flow.target, parents)
        while len(ups) > 2 and len(downs) > 2 and ups[-2] == downs[-2]:
            ups.pop()
            downs.pop()
        # The last of each way is the frame that holds both; in every frame below it, a link to a gate.
        for child, frame in pairwise(ups[:-1]):
            inside.setdefault(frame, []).append((child, ">" + flow.source, flow))
        for child, frame in pairwise(downs[:-1]):
            inside.setdefault(frame, []).append(("<" + flow.source, child, flow))
        inside.setdefault(ups[-1], []).append((ups[-2], downs[-2], flow))
    return _placed(root, inside, size)


def _way(part: str, parents: dict[str, str]) -> list[str]:
    way = [part]
    while way[-1] in parents:
        way.append(parents[way[-1]])
    return way


def _placed(part: Part, inside: dict[str, list[Crossing]], size: Callable[[Part], Point]) -> Frame:
    if not part.open:
        return Frame(part, 0.0, 0.0, *size(part))
    inner = [_placed(one, inside, size) for one in part.parts]
    merged: dict[tuple[str, str, bool], list[Stream]] = {}
    for source, target, flow in inside.get(part.id, ()):
        merged.setdefault((source, target, flow.back), []).append(flow)
    gates = list(dict.fromkeys(end for source, target, _ in merged for end in (source, target) if end[:1] in "<>"))
    number = {name: place for place, name in enumerate([*(frame.part.id for frame in inner), *gates])}
    byname = {frame.part.id: frame for frame in inner}
    links = [
        Link(number[source], number[target], _touch(byname, source, flows, True), _touch(byname, target, flows, False))
        for (source, target, _), flows in merged.items()
    ]
    sizes = [(frame.width, frame.height) for frame in inner] + [(2.0, 0.0)] * len(gates)
    first = frozenset(number[gate] for gate in gates if gate[0] == "<")
    last = frozenset(number[gate] for gate in gates if gate[0] == ">")
    layout = arrange(sizes, links, gap=GAP, rise=RISE, first=first, last=last)
    side, top, foot = _margins(part, layout.width, size(part)[0] if part.id else 0.0, bool(first), bool(last))
    frame = Frame(part, 0.0, 0.0, layout.width + 2 * side, layout.height + top + foot, inner)
    for one, (x, y) in zip(inner, layout.places, strict=False):
        one.x, one.y = x - one.width / 2 + side, y - one.height / 2 + top
    for gate in gates:
        frame.gates[(gate[1:], gate[0] == ">")] = layout.places[number[gate]][0] + side
    for ((source, target, back), flows), route in zip(merged.items(), layout.routes, strict=True):
        points = [(x + side, y + top) for x, y in route]
        # Gates lie in the edges themselves.
        points[0] = (points[0][0], 0.0) if source[0] == "<" else points[0]
        points[-1] = (points[-1][0], frame.height) if target[0] == ">" else points[-1]
        values = tuple(dict.fromkeys(value for flow in flows for value in flow.values))
        arrow = target in byname and not byname[target].part.open
        frame.curves.append(Curve(tuple(points), arrow, back, values))
    return frame


def _touch(byname: dict[str, Frame], end: str, flows: list[Stream], leaving: bool) -> float:
    """How far beside the middle of a part a stream touches it: at its gate, if the part is open."""
    frame = byname.get(end)
    return frame.gates.get((flows[0].source, leaving), frame.width / 2) - frame.width / 2 if frame else 0.0


def _margins(part: Part, width: float, title: float, entered: bool, left: bool) -> tuple[float, float, float]:
    """Room at the sides, above and below what a frame holds; where there are gates, part of it is already there."""
    if not part.id:
        return 0.0, 0.0, 0.0
    side = max(SIDE, (title + 2 * SIDE - width) / 2)
    return side, TITLE_ROOM + (0.0 if entered else RISE), FOOT + (0.0 if left else RISE / 2)
