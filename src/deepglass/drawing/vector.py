"""A matplotlib figure made into SVG that belongs to the page around it: its colors, its font, its ids, a text to hear.

Charts are drawn with stand-in colors, one for each role. Here they become the page's CSS variables, so that the same
drawing serves a light page, a dark page and paper. Nothing is left that a strict Content-Security-Policy would refuse:
no style attributes, no style element, no links.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter

INK, MUTED, LINE, ACCENT, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505"
ROLES = {
    INK: "var(--ink, currentColor)",
    MUTED: "var(--muted, #6b7075)",
    LINE: "var(--line, #d9dbdd)",
    ACCENT: "var(--accent, #0b6e8a)",
    PAPER: "var(--paper, #fff)",
}
POINTS_PER_INCH = 72
PIXELS_PER_POINT = 1.25
NAMESPACE = "http://www.w3.org/2000/svg"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "path.simplify": True,
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 10.0,
    "axes.linewidth": 1.0,
    "grid.color": LINE,
    "grid.linewidth": 0.75,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0.0,
    "xtick.major.size": 3.0,
    "lines.solid_capstyle": "round",
    "lines.linewidth": 1.75,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def paint(
    draw: Callable[[Figure], None], *, name: str, title: str, description: str, size: tuple[float, float] = (360, 240)
) -> str:
    """The SVG text of what `draw` puts on a figure of `size` points: the same bytes each time it is asked.

    `name` begins every id inside, so it must be the only one on its page. `title` and `description` are what a screen
    reader says in place of the picture. Any text is drawn letter by letter: "$" starts no formula, "<" no element.

    >>> paint(lambda figure: None, name="empty", title="Nothing", description="a > b")[:35]
    '<svg xmlns="http://www.w3.org/2000/'
    """
    written = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # Letters that matplotlib's own font lacks are drawn by the reader's browser; only their width is a guess.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure = Figure(figsize=(size[0] / POINTS_PER_INCH, size[1] / POINTS_PER_INCH), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]
        draw(figure)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(written, format="svg", metadata=nothing)
    return _settle(written.getvalue(), name, title, description)


def legible(text: object, most: int = 24) -> str:
    """A name short enough for a chart, without the control characters that no SVG may hold.

    >>> legible("a name that goes on and on and on"), legible("bell" + chr(7))
    ('a name that goes on and…', 'bell�')
    """
    clean = "".join(letter if letter.isprintable() else "�" for letter in str(text))
    return clean if len(clean) <= most else clean[: most - 1].rstrip() + "…"


def readable(value: float, unit: int = 4) -> str:
    """A number as on an axis: few digits, k and M for thousands and millions.

    >>> readable(0.25), readable(-1500), readable(2_500_000), readable(0.00012)
    ('0.25', '−1.5k', '2.5M', '0.00012')
    """
    size, suffix = abs(value), ""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            size, suffix = size / limit, letter
            break
    return f"{'−' if value < 0 else ''}{size:.{unit}g}{suffix}"


class EvenNumbers(Formatter):
    """Numbers along an axis, all with as many decimals as the one that needs most."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return readable(x)

    def format_ticks(self, values: Any) -> list[str]:
        """The texts of all ticks at once."""
        texts = [readable(value) for value in values]
        if any(not letter.isdigit() and letter not in ".−" for text in texts for letter in text):
            return texts
        digits = max((len(text.partition(".")[2]) for text in texts), default=0)
        return [f"{value + 0.0:.{digits}f}".replace("-", "−") for value in values]


def _settle(text: str, name: str, title: str, description: str) -> str:
    """Matplotlib's file as an element of a page."""
    root = ElementTree.fromstring(text)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{NAMESPACE}}}")
        for child in [child for child in element if child.tag.endswith(("metadata", "}style"))]:
            element.remove(child)
        _plain(element)
    _rename(root, name)
    box = root.attrib["viewBox"]
    root.attrib.clear()
    width = f"{float(box.split()[2]) * PIXELS_PER_POINT:.0f}"
    root.attrib.update({"xmlns": NAMESPACE, "viewBox": box, "width": width, "class": "chart", "role": "img"})
    root.attrib.update({"stroke-linejoin": "round", "aria-labelledby": f"{name}-title {name}-about"})
    for place, (tag, words) in enumerate({"title": title, "desc": description}.items()):
        about = ElementTree.Element(tag, {"id": f"{name}-{'title' if tag == 'title' else 'about'}"})
        about.text = words
        root.insert(place, about)
    drawn = ElementTree.tostring(root, encoding="unicode")
    for color, role in ROLES.items():
        drawn = drawn.replace(f'"{color}"', f'"{role}"')
    return re.sub(r">\s+<", "><", drawn)


def _plain(element: ElementTree.Element) -> None:
    """Style attributes as plain ones, links without their namespace, numbers without needless digits."""
    style = element.attrib.pop("style", "")
    for entry in filter(str.strip, style.split(";")):
        key, value = (part.strip() for part in entry.split(":", 1))
        element.attrib.update(_font(value) if key == "font" else {key: value})
    element.attrib.pop("font-family", None)
    for key in [key for key in element.attrib if key.startswith("{")]:
        element.attrib[key.rpartition("}")[2]] = element.attrib.pop(key)
    for key in ("d", "x", "y", "transform", "points"):
        if key in element.attrib:
            element.attrib[key] = re.sub(r"-?\d+\.\d+", _short, element.attrib[key]).replace("\n", "").strip()
    if element.attrib.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]


def _font(value: str) -> dict[str, str]:
    """Size and weight out of "bold 11px 'DejaVu Sans'"; the family is the page's."""
    size = re.search(r"[\d.]+px", value)
    bold = {"font-weight": "600"} if re.search(r"\b(bold|[6-9]00)\b", value.split("px")[0]) else {}
    return {"font-size": size.group() if size else "10px"} | bold


def _short(number: re.Match[str]) -> str:
    return f"{round(float(number.group()), 2) + 0.0:g}"


def _rename(root: ElementTree.Element, name: str) -> None:
    """Ids that something refers to get the chart's name before them; the others go."""
    known = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    used: set[str] = set()

    def renamed(reference: re.Match[str]) -> str:
        if reference.group(1) not in known:
            return reference.group()
        used.add(reference.group(1))
        return f"#{name}-{reference.group(1)}"

    for element in root.iter():
        for key in element.attrib.keys() & {"href", "clip-path"}:
            element.attrib[key] = re.sub(r"#([\w-]+)", renamed, element.attrib[key])
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.attrib["id"] = f"{name}-{own}"
