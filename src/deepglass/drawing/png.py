"""A placed picture as PNG: the same places as its SVG, painted by matplotlib."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Patch, PathPatch
from matplotlib.patches import Polygon as Faces
from matplotlib.path import Path

from deepglass.drawing.lettering import plain
from deepglass.drawing.palette import color_of
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Polygon, Scene, Shape, Style
from deepglass.drawing.svg import arrowhead, shortened
from deepglass.errors import StorageError

MOST_PIXELS = 16_000
DOTS_PER_INCH = 72
BROAD = 0.94
"""DejaVu Sans runs wider than the fonts that browsers choose."""
SANS = ["DejaVu Sans"]
MONO = ["DejaVu Sans Mono"]


def as_png(scene: Scene, path: str | FilePath, *, scale: float = 2.0, dark: bool = False) -> FilePath:
    """Write a scene as a picture of `scale` times its natural size, at most 16,000 pixels a side; returns the path.

    Groups stand as they are given. Letters that matplotlib's font lacks come out as boxes: SVG has them all.
    Raises StorageError where the file cannot be written.
    """
    width, height = max(scene.width, 1.0), max(scene.height, 1.0)
    scale = min(scale, MOST_PIXELS / max(width, height))
    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH * scale)
    FigureCanvasAgg(figure)
    figure.patch.set_facecolor(color_of("paper").on(dark))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for order, shape in enumerate(_flat(scene.shapes)):
        PAINTERS[type(shape)](axes, shape, dark, order)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        try:
            figure.savefig(path, format="png", metadata={"Software": None, "Title": plain(scene.title)})
        except OSError as error:
            raise StorageError(f"{path}: the picture cannot be written ({error.strerror or error}).") from None
    return FilePath(path)


def _flat(shapes: tuple[Shape, ...]) -> list[Shape]:
    return [part for shape in shapes for part in (_flat(shape.shapes) if isinstance(shape, Group) else [shape])]


def _manner(style: Style, dark: bool, order: int, line: bool = False) -> dict[str, Any]:
    full = color_of(style.role).on(dark)
    fills = {"none": "none", "soft": color_of(style.role).on(dark, "soft"), "solid": full}
    manner: dict[str, Any] = {
        "facecolor": "none" if line else fills[style.fill],
        "edgecolor": full if style.outline else "none",
        "linewidth": style.outline,
        "alpha": style.opacity,
        "zorder": order + 1,
        "capstyle": "round",
        "joinstyle": "round",
    }
    if style.dash and style.outline:
        # Matplotlib measures dashes in line widths, SVG in pixels.
        manner["linestyle"] = (0, tuple(length / style.outline for length in style.dash))
    return manner


def _paint_box(axes: Axes, box: Box, dark: bool, order: int) -> None:
    corner = min(box.corner, box.width / 2, box.height / 2)
    form = f"round,pad=0,rounding_size={corner}" if corner > 0 else "square,pad=0"
    axes.add_patch(FancyBboxPatch((box.x, box.y), box.width, box.height, form, **_manner(box.style, dark, order)))


def _paint_polygon(axes: Axes, polygon: Polygon, dark: bool, order: int) -> None:
    axes.add_patch(Faces(list(polygon.points), closed=True, **_manner(polygon.style, dark, order)))


def _paint_dot(axes: Axes, dot: Dot, dark: bool, order: int) -> None:
    axes.add_patch(Circle((dot.x, dot.y), dot.radius, **_manner(dot.style, dark, order)))


def _paint_line(axes: Axes, line: Line, dark: bool, order: int) -> None:
    points = shortened(line.points, line.style.outline) if line.arrow else line.points
    step = Path.CURVE4 if line.curved else Path.LINETO
    path = Path(list(points), [Path.MOVETO] + [step] * (len(points) - 1))
    axes.add_patch(PathPatch(path, **_manner(line.style, dark, order, line=True)))
    if line.arrow:
        head: Patch = Faces(
            list(arrowhead(line.points, line.style.outline)),
            facecolor=color_of(line.style.role).on(dark),
            edgecolor="none",
            alpha=line.style.opacity,
            zorder=order + 1,
        )
        axes.add_patch(head)


def _paint_label(axes: Axes, label: Label, dark: bool, order: int) -> None:
    axes.text(
        label.x,
        label.y,
        plain(label.text),
        fontsize=label.size * BROAD,
        family=MONO if label.mono else SANS,
        weight="bold" if label.bold else "normal",
        color=color_of(label.role).on(dark),
        ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
        va="baseline",
        rotation=-label.turn,
        rotation_mode="anchor",
        parse_math=False,
        zorder=order + 1,
    )


PAINTERS: dict[type, Callable[[Axes, Any, bool, int], None]] = {
    Box: _paint_box,
    Polygon: _paint_polygon,
    Dot: _paint_dot,
    Line: _paint_line,
    Label: _paint_label,
}
