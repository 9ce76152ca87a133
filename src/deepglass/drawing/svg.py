"""A placed picture as SVG: small, the same bytes each time, told in words to those who do not see it.

A file that stands alone has its colors written out, so that every program paints it, and a style that turns them over
on a dark page; groups that may be folded open and close there by a click or a key. A picture embedded in a page has
nothing that a strict Content-Security-Policy refuses: no style, no script; its colors are the page's variables.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape

from deepglass.drawing.lettering import plain
from deepglass.drawing.palette import Tone, color_of, variable
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Point, Polygon, Scene, Shape, Style

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
MONO = "ui-monospace, 'SF Mono', 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
ARROW_LENGTH, ARROW_WIDTH = 7.0, 6.0
LIGHT_NOTEBOOK = '[data-jp-theme-light="true"] '
DARK_NOTEBOOK = ':is([data-jp-theme-light="false"],.vscode-dark) '
SCRIPT = """
for (const fold of document.querySelectorAll("#NAME [aria-expanded]")) {
  const turn = (event) => {
    if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault(); event.stopPropagation();
    const open = fold.getAttribute("aria-expanded") !== "true";
    fold.setAttribute("aria-expanded", String(open));
    for (const part of fold.children) {
      if (part.dataset.fold) part.setAttribute("display", (part.dataset.fold === "open") === open ? "inline" : "none");
    }
  };
  fold.addEventListener("click", turn);
  fold.addEventListener("keydown", turn);
}
"""


def as_svg(scene: Scene, *, standalone: bool = True, name: str = "") -> str:
    """The SVG of a scene.

    standalone   a file of its own, with style and, where groups fold, a script; else an element for a page that has
                 the variables of `palette.css_variables`, or takes the light colors in their place
    name         begins every id: must differ among the pictures of a page. By default made from the title

    >>> from deepglass.drawing.scene import Label, Scene
    >>> as_svg(Scene(10, 10, (Label(0, 9, "1 < 2"),), "t", "d"), standalone=False, name="p")[-48:]
    'fill="var(--ink, #1b2023)">1 &lt; 2</text></svg>'
    """
    pen = Pen(_slug(name) if name else f"scene-{zlib.crc32(scene.title.encode(errors='replace')):08x}", standalone)
    drawn = "".join(pen.draw(shape) for shape in scene.shapes)
    width, height = _number(scene.width), _number(scene.height)
    paper = f"<rect {_attributes({'width': width, 'height': height, 'rx': 6})}{pen.paint('fill', 'paper')}/>"
    role = "graphics-document" if pen.folds else "img"
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{pen.name}" class="chart" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="{role}" aria-labelledby="{pen.name}-title {pen.name}-about"'
        f' font-family="{FONT}" stroke-linejoin="round" stroke-linecap="round">'
        f'<title id="{pen.name}-title">{_text(scene.title)}</title>'
        f'<desc id="{pen.name}-about">{_text(scene.description)}</desc>'
    )
    return f"{start}{pen.style() + paper if standalone else ''}{drawn}{pen.script()}</svg>"


def as_html(scene: Scene, *, name: str = "") -> str:
    """The picture for a notebook: as wide as there is room for, and to be scrolled where that is too narrow.

    >>> as_html(Scene(10, 10, (), "t", "d"), name="p")[:23]
    '<div class="deepglass" '
    """
    return f'<div class="deepglass" style="overflow-x:auto">{as_svg(scene, name=name)}</div>'


def as_page(scene: Scene) -> str:
    """A page of its own: the picture, and below it what it shows in words.

    >>> as_page(Scene(10, 10, (), "t", "d"))[:15]
    '<!doctype html>'
    """
    words = escape("\n".join(plain(line) for line in scene.lines))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(scene.title)}</title><style>:root{{color-scheme:light dark}}"
        "body{margin:2rem;font:1rem/1.5 system-ui,sans-serif}pre{overflow-x:auto;font-size:.875rem}"
        "@media (prefers-color-scheme:dark){body{background:#13181b;color:#e6eaec}}</style></head>\n"
        f"<body><main>{as_html(scene, name='picture')}\n"
        f"{f'<details><summary>In words</summary><pre>{words}</pre></details>' if words else ''}</main></body></html>\n"
    )


@dataclass
class Pen:
    """Draws shapes one after another, and keeps in mind what the style and the script must know in the end."""

    name: str
    standalone: bool
    folds: bool = False
    taken: set[str] = field(default_factory=set)
    colors: set[tuple[str, str, str]] = field(default_factory=set)

    def draw(self, shape: Shape) -> str:
        """One shape as an element, its words as its tooltip."""
        if isinstance(shape, Label):
            return self._label(shape)
        if isinstance(shape, Group):
            return self._group(shape)
        body, painted = self._body(shape)
        head = self._head(shape) if isinstance(shape, Line) and shape.arrow else ""
        if head:
            return f"<g{self._id(shape.id)}>{self._words(shape.words)}<{body}{painted}/>{head}</g>"
        words = self._words(shape.words)
        tag = body.split(" ", 1)[0]
        return f"<{body}{self._id(shape.id)}{painted}" + (f">{words}</{tag}>" if words else "/>")

    def _body(self, shape: Box | Polygon | Dot | Line) -> tuple[str, str]:
        if isinstance(shape, Box):
            places = {"x": shape.x, "y": shape.y, "width": shape.width, "height": shape.height, "rx": shape.corner}
            return f"rect {_attributes(places)}", self._style(shape.style)
        if isinstance(shape, Dot):
            return f"circle {_attributes({'cx': shape.x, 'cy': shape.y, 'r': shape.radius})}", self._style(shape.style)
        if isinstance(shape, Polygon):
            return f'polygon points="{_points(shape.points)}"', self._style(shape.style)
        points = shortened(shape.points, shape.style.outline) if shape.arrow else shape.points
        start, rest = _points(points[:1]), _points(points[1:])
        return f'path d="M{start}{"C" if shape.curved else "L"}{rest}"', self._style(shape.style, line=True)

    def _head(self, line: Line) -> str:
        points = _points(arrowhead(line.points, line.style.outline))
        faint = _attributes({"opacity": line.style.opacity}, usual={"opacity": 1})
        return f'<polygon points="{points}"{" " * bool(faint)}{faint}{self.paint("fill", line.style.role)}/>'

    def _label(self, label: Label) -> str:
        usual = {"text-anchor": "start", "font-weight": 400}
        places = {"x": label.x, "y": label.y, "font-size": label.size}
        manner = {"text-anchor": label.anchor, "font-weight": 600 if label.bold else 400}
        said = _attributes(places | manner, usual=usual) + (f' font-family="{MONO}"' if label.mono else "")
        if label.turn:
            said += f' transform="rotate({_number(label.turn)} {_number(label.x)} {_number(label.y)})"'
        if "  " in label.text or label.text != label.text.strip():
            said += ' xml:space="preserve"'
        return f"<text {said}{self.paint('fill', label.role)}>{_text(label.text)}</text>"

    def _group(self, group: Group) -> str:
        shown = "".join(self.draw(shape) for shape in group.shapes)
        if not (group.folded and self.standalone):
            return f"<g{self._id(group.id)}>{self._words(group.words)}{shown}</g>"
        self.folds = True
        folded = "".join(self.draw(shape) for shape in group.folded)
        label = _text(group.words or group.id)
        return (
            f'<g{self._id(group.id)} tabindex="0" role="button" aria-expanded="true" aria-label="{label}"'
            f' cursor="pointer">{self._words(group.words)}<g data-fold="open">{shown}</g>'
            f'<g data-fold="closed" display="none">{folded}</g></g>'
        )

    def _id(self, own: str) -> str:
        if not own:
            return ""
        wanted = found = f"{self.name}-{_slug(own)}"
        count = 1
        while found in self.taken:
            count += 1
            found = f"{wanted}-{count}"
        self.taken.add(found)
        return f' id="{found}"'

    def _words(self, words: str) -> str:
        return f"<title>{_text(words)}</title>" if words else ""

    def _style(self, style: Style, line: bool = False) -> str:
        filled = style.fill != "none" and not line
        said = self.paint("fill", style.role, "soft" if style.fill == "soft" else "full") if filled else ' fill="none"'
        usual: dict[str, object] = {"stroke-width": 1, "opacity": 1, "stroke-dasharray": ""}
        wide = {"stroke-width": style.outline} if style.outline else {}
        dash = " ".join(_number(length) for length in style.dash)
        more = _attributes(wide | {"opacity": style.opacity, "stroke-dasharray": dash}, usual=usual)
        return said + (self.paint("stroke", style.role) if style.outline else "") + (f" {more}" if more else "")

    def paint(self, part: str, role: str, tone: Tone = "full") -> str:
        """The attribute that colors the fill or the stroke."""
        light = color_of(role).on(dark=False, tone=tone)
        if not self.standalone:
            return f' {part}="var({variable(role, tone)}, {light})"'
        self.colors.add((part, light, color_of(role).on(dark=True, tone=tone)))
        return f' {part}="{light}"'

    def style(self) -> str:
        """Every color turned over where the reader, or the notebook around the picture, is dark."""
        rules = {part: [rule for rule in sorted(self.colors) if rule[0] == part] for part in ("fill", "stroke")}

        def turned(place: str, dark: bool) -> str:
            return "".join(
                f'{place}#{self.name} [{part}="{light}"]{{{part}:{night if dark else light}}}'
                for part, found in rules.items()
                for _, light, night in found
            )

        return (
            f"<style>@media screen and (prefers-color-scheme:dark){{{turned('', True)}}}"
            f"{turned(LIGHT_NOTEBOOK, False)}{turned(DARK_NOTEBOOK, True)}"
            f"#{self.name} [aria-expanded]:focus-visible{{outline:2px solid {color_of('accent').light}}}</style>"
        )

    def script(self) -> str:
        """What opens and closes folded groups; nothing where there are none."""
        return f"<script><![CDATA[{SCRIPT.replace('NAME', self.name)}]]></script>" if self.folds else ""


def _attributes(said: Mapping[str, object], usual: Mapping[str, object] | None = None) -> str:
    kept = {key: value for key, value in said.items() if (usual or {}).get(key, None) != value}
    return " ".join(f'{key}="{_number(value)}"' for key, value in kept.items())


def arrowhead(points: tuple[Point, ...], outline: float = 1.0) -> tuple[Point, Point, Point]:
    """The triangle at the end of a line, larger for thicker lines.

    >>> arrowhead(((0.0, 0.0), (10.0, 0.0)), outline=1.0)
    ((10.0, 0.0), (3.0, 3.0), (3.0, -3.0))
    """
    (x, y), (along, across), size = points[-1], _heading(points), _head_size(outline)
    back = (x - along * ARROW_LENGTH * size, y - across * ARROW_LENGTH * size)
    side = (-across * ARROW_WIDTH / 2 * size, along * ARROW_WIDTH / 2 * size)
    return (x, y), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])


def shortened(points: tuple[Point, ...], outline: float = 1.0) -> tuple[Point, ...]:
    """A line that ends within its arrowhead, so that a thick one does not stick out at the tip."""
    (x, y), (along, across) = points[-1], _heading(points)
    less = min(ARROW_LENGTH * _head_size(outline) * 0.8, math.dist(points[-1], points[-2]) * 0.9)
    return (*points[:-1], (x - along * less, y - across * less))


def _head_size(outline: float) -> float:
    return max(0.8, min(2.5, 0.7 + 0.3 * outline))


def _heading(points: tuple[Point, ...]) -> Point:
    """The direction a line ends in."""
    end = points[-1]
    start = next((point for point in reversed(points[:-1]) if math.dist(point, end) > 1e-6), (end[0] - 1, end[1]))
    length = math.dist(start, end)
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: object) -> str:
    """Two decimals at most; a number that is none would make the file unreadable, and stands as 0."""
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    return f"{round(number, 2) + 0.0:.2f}".rstrip("0").rstrip(".") if math.isfinite(number) else "0"


def _text(text: str) -> str:
    return escape(plain(text))


def _slug(text: str) -> str:
    """An id of letters, digits, dots and dashes."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text) or "part"
