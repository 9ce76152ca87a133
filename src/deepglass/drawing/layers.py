"""The layers view: a network as a row of volumes, slabs and bars, as papers draw it."""

from __future__ import annotations

from dataclasses import replace

from deepglass.drawing.captions import CAPTION, DETAIL, LEADING, sentence, shape_in_words
from deepglass.drawing.flow import Flow, Layer
from deepglass.drawing.lettering import clipped, plain, text_width
from deepglass.drawing.likeness import Portrait
from deepglass.drawing.placing import Placed, Room, Spot, placed
from deepglass.drawing.routing import links_drawn
from deepglass.drawing.scene import Box, Label, Scene, Shape, Style
from deepglass.drawing.solids import drawn, sign_drawn
from deepglass.drawing.spacing import MARGIN
from deepglass.drawing.walking import MOST_LAYERS, flow_of
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kind

WIDTH = 1000.0
NARROWEST = 260.0
MOST_OUTPUTS = 4
LEGEND_GAP, LEGEND_LINE = 18.0, 20.0


def layers_scene(graph: Graph, *, width: float = WIDTH, most: int = MOST_LAYERS) -> Scene:
    """The layers of a recorded network, placed on a page.

    Maps [channels, height, width] are volumes, sequences [time, features] slabs, vectors bars; lengths grow with the
    logarithm of the side they show, alike in the whole picture. Normalization, activation and dropout cling to their
    layer. Branches stand in lanes, skip connections are arcs; parts that repeat are drawn once, in a frame that counts
    them. The side of the batch is left out.

    width   of the page in pixels: what does not fit goes on in further rows
    most    layers at most; above it, modules are closed into blocks, the innermost first

    After the figures of LeCun et al. 1998, Krizhevsky et al. 2012, Ronneberger et al. 2015 and He et al. 2016.
    Raises nothing; a part that cannot be shown is drawn as "?".

    >>> from torch import nn, zeros
    >>> from deepglass.tracing.record import record
    >>> layers_scene(record(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), zeros(1, 4))).lines[1]
    '4 → dense 8 → ReLU → 8   40 weights'
    """
    flow = _with_outputs(flow_of(graph, most=most))
    places = placed(flow, max(width, NARROWEST))
    shapes: list[Shape] = [shape for room in places.rooms for shape in _frame(places, room)]
    shapes += links_drawn(places)
    for place, (layer, spot) in enumerate(zip(flow.layers, places.spots, strict=True)):
        words = sentence(flow, place)
        if layer.role == "output":
            shapes += _output(layer, spot)
        else:
            shapes.append(drawn(layer, spot.body, spot.left, spot.middle, words))
        shapes += _caption(spot)
    right = places.right + (24.0 if len(places.rows) > 1 else 0.0)
    bottom = places.rows[-1][1] if places.rows else MARGIN
    legend, end, wide = _legend(flow, bottom + 26, max(right, min(width, 420.0)))
    title = f"{plain(graph.title)}: its layers"
    return Scene(
        round(max(right, wide) + MARGIN, 2), round(end + MARGIN, 2), (*shapes, *legend), title,
        _description(graph, flow), lines_of(graph, flow),
    )  # fmt: skip


def _with_outputs(flow: Flow) -> Flow:
    """The flow with its outputs as places of their own, where nothing else reads what they give."""
    read = {one for one, _ in flow.links}
    ends = [place for place in flow.ends if place not in read and flow.layers[place].shape is not None]
    layers, links = list(flow.layers), list(flow.links)
    for place in ends[:MOST_OUTPUTS]:
        portrait = Portrait("layer", "other", "output")
        links.append((place, len(layers)))
        layers.append(Layer(f"output {flow.layers[place].id}", "output", portrait, flow.layers[place].shape))
    return replace(flow, layers=tuple(layers), links=tuple(links))


def _frame(places: Placed, room: Room) -> list[Shape]:
    frame = room.frame
    words = f"{frame.label or 'these layers'}, {frame.count} times {'in a row' if frame.chained else 'side by side'}"
    wide, tall = room.right - room.left, room.bottom - room.top
    shapes: list[Shape] = [
        Box(f"{frame.id} room", room.left, room.top, wide, tall, Style("line", "soft", 0.0, 0.6), 8.0, words),
        Box(f"{frame.id} edge", room.left, room.top, wide, tall, Style("line", "none", 1.0, dash=(3, 3)), 8.0, words),
    ]
    if not room.first:
        return shapes
    count = f"× {frame.count:,}"
    start = text_width(count, 12.0, bold=True) + 7
    name = clipped(plain(frame.label), wide - start - 18, DETAIL) if frame.label else ""
    length = start + text_width(name, DETAIL)
    # The name stands on the left, but where a line comes down there.
    crossed = any(room.left < x < room.left + 12 + length for x in _falls(places, room))
    x = room.right - 9 - length if crossed else room.left + 9
    shapes.append(Label(x, room.top + 15, count, 12.0, "ink", bold=True))
    return [*shapes, Label(x + start, room.top + 15, name, DETAIL, "muted")] if name else shapes


def _falls(places: Placed, room: Room) -> list[float]:
    """Where lines from higher lanes come down into a frame."""
    found = []
    for one, other in places.flow.links:
        if other in room.frame.layers and one not in room.frame.layers:
            start, end = places.spots[one], places.spots[other]
            if start.lane > end.lane:
                found.append(end.center if places.flow.layers[other].role == "join" else end.left)
    return found


def _output(layer: Layer, spot: Spot) -> list[Shape]:
    return [
        Label(spot.left, spot.middle - 2, "output", CAPTION, "ink"),
        Label(spot.left, spot.middle + 12, shape_in_words(layer.shape), DETAIL, "muted"),
    ]


def _caption(spot: Spot) -> list[Shape]:
    shapes: list[Shape] = []
    y = spot.caption_top
    for line in spot.caption.names:
        shapes.append(Label(round(spot.center, 2), round(y, 2), line, CAPTION, "ink", "middle"))
        y += LEADING
    for line in spot.caption.details:
        shapes.append(Label(round(spot.center, 2), round(y, 2), line, DETAIL, "muted", "middle"))
        y += LEADING
    return shapes


def _legend(flow: Flow, top: float, width: float) -> tuple[list[Shape], float, float]:
    """What the colors mean, in the order of their first appearance; its bottom and its right end."""
    shapes: list[Shape] = []
    x, y, right = MARGIN, top, 0.0
    signs = {layer.portrait.sign: layer.portrait.caption for layer in flow.layers if layer.role == "join"}
    entries: list[tuple[str, str, bool]] = [*_entries(flow), *((sign, signs[sign], False) for sign in sorted(signs))]
    for kind, text, thin in entries:
        wide = 17 + text_width(text, DETAIL)
        if x > MARGIN and x + wide > width:
            x, y = MARGIN, y + LEGEND_LINE
        swatch = (4.5 if thin else 11.0, 11.0)
        left = x + (11.0 - swatch[0]) / 2
        share = 0.66 if thin else 0.34
        if kind in signs:
            shapes += sign_drawn(f"legend {kind}", kind, x + 5.5, y - 4, 5.5, "muted", text)
        else:
            tint = Style(kind, "solid", 0.0, share)
            shapes.append(Box(f"legend {kind} {thin} tint", left, y - 9.5, *swatch, tint, 1.5, text))
            shapes.append(Box(f"legend {kind} {thin}", left, y - 9.5, *swatch, Style(kind, "none", 0.8), 1.5, text))
        shapes.append(Label(x + 17, y, text, DETAIL, "muted"))
        right = max(right, x + wide)
        x += wide + LEGEND_GAP
    return shapes, y if shapes else top - 26, right


def _entries(flow: Flow) -> list[tuple[Kind, str, bool]]:
    """Kind, words and whether it clings, for each color in the picture."""
    solid: dict[Kind, None] = {}
    thin: dict[Kind, dict[str, None]] = {}
    for layer in flow.layers:
        parts = [*layer.before, *layer.after]
        if layer.role == "layer":
            solid.setdefault(layer.portrait.kind)
        slivers = [part.portrait for part in parts] + ([layer.portrait] if layer.role == "sliver" else [])
        for portrait in slivers:
            thin.setdefault(portrait.kind, {}).setdefault(portrait.caption)
    entries: list[tuple[Kind, str, bool]] = [(kind, WORDS.get(kind, kind), False) for kind in solid]
    return entries + [(kind, plain(", ".join(names)), True) for kind, names in thin.items()]


WORDS: dict[str, str] = {"linear": "dense", "opaque": "module", "recurrent": "recurrent", "other": "other"}


def _description(graph: Graph, flow: Flow) -> str:
    count = sum(layer.role == "layer" for layer in flow.layers)
    frames = [f"{frame.label or 'a part'} stands for {frame.count:,}" for frame in flow.frames]
    folded = f" {'; '.join(frames)}." if frames else ""
    failed = f" It failed: {graph.failure}." if graph.failure else ""
    layers = f"{count} layer{'' if count == 1 else 's'}, {graph.parameters:,} parameters"
    return plain(f"{layers}, from left to right in the order they run.{folded}{failed}")


def lines_of(graph: Graph, flow: Flow) -> tuple[str, ...]:
    """The picture in words: a line for each layer, repeated parts set in."""
    lines: list[str] = []
    for place in range(len(flow.layers)):
        around = [frame for frame in flow.frames if place in frame.layers]
        for depth, frame in enumerate(around):
            if place == frame.layers[0]:
                manner = "in a row" if frame.chained else "side by side"
                lines.append(f"{'  ' * depth}{plain(frame.label) or 'these'}, {frame.count} times {manner}:")
        lines.append("  " * len(around) + sentence(flow, place))
    return (*lines, *(plain(note) for note in (*flow.notes, *graph.notes)))
