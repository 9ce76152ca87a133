"""The bodies of layers: volumes, slabs and bars in oblique projection, as large as their shapes, on a log scale."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deepglass.drawing.flow import Flow, Layer, Sliver
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Point, Polygon, Shape, Style

SIDES, CHANNELS, FEATURES = (12.0, 92.0), (5.0, 36.0), (12.0, 96.0)
BENT = 1.5
SLANT = (0.30, 0.21)
SLIVER, SEAM = 4.5, 1.5
JOIN_RADIUS = 8.5
BLOCK = (52.0, 60.0)


@dataclass(frozen=True)
class Scale:
    """The largest of each kind of side in a picture: what a full length stands for."""

    side: int = 2
    channels: int = 2
    features: int = 2

    def length(self, value: int, largest: int, ends: tuple[float, float]) -> float:
        """log(value) between the two ends: 1 is the least, the largest in the picture the most."""
        share = min(math.log(max(value, 1)) / math.log(max(largest, 2)), 1.0)
        # The logarithm alone makes a hall and a chamber look alike; bent a little, halving is seen.
        return round(ends[0] + (ends[1] - ends[0]) * share**BENT, 2)


@dataclass(frozen=True)
class Solid:
    """A body's front, width by height, and how far its back lies to the right and up."""

    width: float
    height: float
    right: float = 0.0
    up: float = 0.0


@dataclass(frozen=True)
class Body:
    """A layer with what clings to it: solids from left to right, the layer's own at place `main`."""

    solids: tuple[Solid, ...]
    main: int

    @property
    def width(self) -> float:
        """Of all fronts and the seams between them."""
        return sum(solid.width for solid in self.solids) + SEAM * (len(self.solids) - 1)

    @property
    def overhang(self) -> float:
        """How far the backs reach beyond the last front."""
        end, reach = 0.0, 0.0
        for solid in self.solids:
            end += solid.width + SEAM
            reach = max(reach, end - SEAM + solid.right)
        return reach - self.width

    @property
    def ascent(self) -> float:
        return max(solid.height / 2 + solid.up for solid in self.solids)

    @property
    def descent(self) -> float:
        return max(solid.height / 2 for solid in self.solids)


def scale_of(flow: Flow) -> Scale:
    """The scale on which all layers of a flow fit."""
    forms = [(layer.portrait.form, layer.shape) for layer in flow.layers if layer.shape]
    maps = [shape for form, shape in forms if form == "volume"]
    rows = [shape for form, shape in forms if form == "slab"]
    sides = [side for shape in maps for side in shape[1:]] + [min(shape) for shape in rows]
    sides += [shape[-1] for form, shape in forms if form == "tokens"]
    wide = [shape[0] for shape in maps] + [max(shape) for shape in rows]
    return Scale(
        max(sides, default=2), max([*wide, 64]), max([512, *(shape[-1] for form, shape in forms if form == "bar")])
    )


def body_of(layer: Layer, scale: Scale) -> Body:
    """The solids of a layer and of what clings to it."""
    own = _solid(layer.portrait.form, layer.portrait.kind, layer.shape, scale, layer.role)
    before = tuple(_beside(sliver, layer, own, scale) for sliver in layer.before)
    after = tuple(_beside(sliver, layer, own, scale) for sliver in layer.after)
    return Body((*before, own, *after), len(before))


def _beside(sliver: Sliver, layer: Layer, own: Solid, scale: Scale) -> Solid:
    """A sliver as tall as what it works on; as its layer, where the same numbers stand in another form."""
    if sliver.portrait.form != layer.portrait.form or sliver in layer.after:
        return Solid(SLIVER, own.height, own.right, own.up)
    return _sliver(sliver.portrait.form, sliver.shape, scale)


def _sliver(form: str, shape: tuple[int, ...], scale: Scale) -> Solid:
    whole = _solid(form, "activation", shape, scale, "layer")
    return Solid(SLIVER, whole.height, whole.right, whole.up)


def _solid(form: str, kind: str, shape: tuple[int, ...] | None, scale: Scale, role: str) -> Solid:
    if role == "output":
        return Solid(52.0, 30.0)
    if role == "join" or form == "sign" or shape is None:
        return Solid(2 * JOIN_RADIUS, 2 * JOIN_RADIUS)
    if form == "block":
        return Solid(*BLOCK)
    if role == "sliver":
        return _sliver(form, shape, scale)
    if form == "volume":
        height = scale.length(shape[-2], scale.side, SIDES)
        depth = scale.length(shape[-1], scale.side, SIDES)
        width = scale.length(math.prod(shape[:-2]), scale.channels, CHANNELS)
        return Solid(width, height, round(SLANT[0] * depth, 2), round(SLANT[1] * depth, 2))
    if form == "slab":
        # A 1-d convolution has channels first, everything else features last.
        time, features = shape[::-1] if kind in ("convolution", "pooling") else shape
        width, height = scale.length(features, scale.channels, CHANNELS), scale.length(time, scale.side, SIDES)
        return Solid(width, height, 6.0, 4.2)
    if form == "tokens":
        return Solid(11.0, scale.length(shape[-1] if shape else 1, scale.side, SIDES), 0.0, 0.0)
    return Solid(11.0, scale.length(shape[-1], scale.features, FEATURES), 4.5, 3.2)


def drawn(layer: Layer, body: Body, left: float, middle: float, words: str) -> Group:
    """A layer's shapes: fronts centered on the line y = middle, the first one's left side at x = left."""
    parts = [(s.portrait.kind, s.portrait.caption) for s in layer.before]
    parts.append((layer.portrait.kind, words))
    parts += [(s.portrait.kind, s.portrait.caption) for s in layer.after]
    names = [s.id for s in layer.before] + [layer.id] + [s.id for s in layer.after]
    shapes: list[Shape] = []
    x = left
    for place, (solid, (kind, said), name) in enumerate(zip(body.solids, parts, names, strict=True)):
        if place == body.main and (layer.role == "join" or layer.portrait.form == "sign" or layer.shape is None):
            shapes += _sign(layer, x, middle, said)
        elif place == body.main and layer.role == "input":
            shapes += _input(layer, solid, x, middle, said)
        elif place == body.main and layer.portrait.form == "block":
            shapes += _block(layer, solid, x, middle, said)
        else:
            shapes += _faces(name, kind, solid, x, middle, said, thin=place != body.main or layer.role == "sliver")
        x += solid.width + SEAM
    return Group(f"layer {layer.id}", tuple(shapes), words)


def _corners(solid: Solid, x: float, middle: float) -> tuple[list[Point], list[Point], list[Point]]:
    """The front, top and right face, each as four points."""
    top, bottom, end = middle - solid.height / 2, middle + solid.height / 2, x + solid.width
    right, up = solid.right, solid.up
    front = [(x, top), (end, top), (end, bottom), (x, bottom)]
    lid = [(x, top), (x + right, top - up), (end + right, top - up), (end, top)]
    side = [(end, top), (end + right, top - up), (end + right, bottom - up), (end, bottom)]
    return front, lid, side


def _faces(id: str, kind: str, solid: Solid, x: float, middle: float, words: str, *, thin: bool) -> list[Shape]:
    front, lid, side = _corners(solid, x, middle)
    edge = 0.8
    solid_share = (0.66, 0.42, 0.5) if thin else (0.32, 0.13, 0.48)
    shapes: list[Shape] = []
    for name, points, share in (
        ("side", side, solid_share[2]),
        ("lid", lid, solid_share[1]),
        ("front", front, solid_share[0]),
    ):
        if name != "front" and not solid.right:
            continue
        # The paper under each face keeps what lies behind from shining through.
        shapes.append(Polygon(f"{id} {name} ground", tuple(points), Style("paper", "solid", 0.0), words))
        shapes.append(Polygon(f"{id} {name} tint", tuple(points), Style(kind, "solid", 0.0, share), words))
        shapes.append(Polygon(f"{id} {name}", tuple(points), Style(kind, "none", edge), words))
    return shapes


def _input(layer: Layer, solid: Solid, x: float, middle: float, words: str) -> list[Shape]:
    """Inputs are drawn in gray: they are given, not computed."""
    if layer.portrait.form != "tokens":
        return _faces(layer.id, "muted", solid, x, middle, words, thin=False)
    top = middle - solid.height / 2
    cells = min(max(layer.shape[-1] if layer.shape else 1, 1), 8)
    step = solid.height / cells
    shapes: list[Shape] = [Box(layer.id, x, top, solid.width, solid.height, Style("muted", "soft", 0.9), 2.0, words)]
    style = Style("muted", outline=0.9)
    for cell in range(1, cells):
        y = round(top + cell * step, 2)
        shapes.append(Line(f"{layer.id} cell {cell}", ((x, y), (x + solid.width, y)), style, words=words))
    return shapes


def _block(layer: Layer, solid: Solid, x: float, middle: float, words: str) -> list[Shape]:
    """A closed module: a box with others behind it."""
    top = middle - solid.height / 2
    style = Style(layer.portrait.kind, "soft", 1.0)
    shapes: list[Shape] = [Box(layer.id, x, top, solid.width, solid.height, style, 7.0, words)]
    for place in range(3):
        y = round(middle - 12 + 12 * place, 2)
        ends = ((x + 14, y), (x + solid.width - 14, y))
        shapes.append(
            Line(f"{layer.id} mark {place}", ends, Style(layer.portrait.kind, outline=2.0, opacity=0.5), words=words)
        )
    return shapes


def _sign(layer: Layer, x: float, middle: float, words: str) -> list[Shape]:
    failed = layer.portrait.note != "" or layer.portrait.caption == "?"
    role = "warning" if failed else "ink" if layer.role == "join" else layer.portrait.kind
    sign = layer.portrait.sign if layer.role == "join" else "?" if failed else layer.portrait.caption[:1].upper()
    return sign_drawn(layer.id, sign, x + JOIN_RADIUS, middle, JOIN_RADIUS, role, words)


def sign_drawn(id: str, sign: str, x: float, y: float, radius: float, role: str, words: str) -> list[Shape]:
    """A sign in a circle around a center; the usual ones are strokes, which every font draws alike."""
    shapes: list[Shape] = [Dot(id, x, y, radius, Style("paper", "solid", 0.0), words)]
    fill = "soft" if role == "warning" else "none"
    shapes.append(Dot(f"{id} ring", x, y, radius, Style(role, fill, 1.2), words))
    arm, reach, gap = 0.52 * radius, 0.38 * radius, 0.26 * radius
    across, upright = ((x - arm, y), (x + arm, y)), ((x, y - arm), (x, y + arm))
    strokes: Iterable[tuple[Point, Point]] = {
        "+": (across, upright),
        "−": (across,),
        "×": (((x - reach, y - reach), (x + reach, y + reach)), ((x - reach, y + reach), (x + reach, y - reach))),
        "‖": (((x - gap, y - arm), (x - gap, y + arm)), ((x + gap, y - arm), (x + gap, y + arm))),
    }.get(sign, ())
    for place, ends in enumerate(strokes):
        shapes.append(Line(f"{id} stroke {place}", ends, Style(role, outline=1.3), words=words))
    if not strokes:
        size = round(1.3 * radius, 1)
        shapes.append(Label(x, y + 0.36 * size, sign, size, role, "middle", bold=True))
    return shapes
