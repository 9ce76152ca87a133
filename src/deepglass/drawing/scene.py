"""The placed form of every picture: shapes with their places, roles and words, from which text, SVG and PNG are made.

Units are pixels at natural size, x to the right, y down. A shape has a role, not a color: the renderers know what a
role looks like in a light and in a dark place. Shapes are painted in the order they stand in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Style:
    """How a shape is painted.

    role      a kind of operation ("linear", "convolution", …), or "ink", "muted", "line", "accent", "paper",
              "positive", "negative", "warning"
    fill      "none" | "soft" (tinted) | "solid";  outline   width of the stroke, 0 for none
    opacity   0 … 1;  dash   lengths of dash and gap, () for a whole line
    """

    role: str = "ink"
    fill: Literal["none", "soft", "solid"] = "none"
    outline: float = 1.0
    opacity: float = 1.0
    dash: tuple[float, ...] = ()


@dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners; `words` is its tooltip and what a screen reader says."""

    id: str
    x: float
    y: float
    width: float
    height: float
    style: Style
    corner: float = 4.0
    words: str = ""


@dataclass(frozen=True)
class Polygon:
    """A closed shape with straight sides: a face of a volume."""

    id: str
    points: tuple[Point, ...]
    style: Style
    words: str = ""


@dataclass(frozen=True)
class Dot:
    """A circle around a center."""

    id: str
    x: float
    y: float
    radius: float
    style: Style
    words: str = ""


@dataclass(frozen=True)
class Line:
    """A path through points, straight or curved (cubic Bézier: start, then three points a piece), with an arrowhead."""

    id: str
    points: tuple[Point, ...]
    style: Style
    curved: bool = False
    arrow: bool = False
    words: str = ""


@dataclass(frozen=True)
class Label:
    """A line of text; y is its baseline. `turn` in degrees, clockwise."""

    x: float
    y: float
    text: str
    size: float = 12.0
    role: str = "ink"
    anchor: Anchor = "start"
    bold: bool = False
    mono: bool = False
    turn: float = 0.0


@dataclass(frozen=True)
class Group:
    """Shapes that belong together, by an id that stays the same from one drawing to the next.

    `folded` is what stands in their place while the group is closed; where given, a reader may open and close it.
    """

    id: str
    shapes: tuple[Shape, ...]
    words: str = ""
    folded: tuple[Shape, ...] = ()


Shape = Box | Polygon | Dot | Line | Label | Group


@dataclass(frozen=True)
class Scene:
    """A whole picture. `lines` says in words, in reading order, what it shows: the picture as text."""

    width: float
    height: float
    shapes: tuple[Shape, ...]
    title: str
    description: str
    lines: tuple[str, ...] = ()
