"""A table of lines and columns, and its three faces: text, HTML and a placed picture. It knows nothing of networks."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from deepglass.drawing.lettering import plain, text_width
from deepglass.drawing.scene import Anchor, Box, Label, Line, Scene, Shape, Style

SIZE = 12.0
ROW = 20.0
GAP = 22.0
MARGIN = 16.0
LETTER = 0.602
"""The width of a letter of a monospaced face, in its size."""


@dataclass(frozen=True)
class Column:
    """A heading, and the side on which the cells below it stand."""

    title: str
    anchor: Anchor = "start"


@dataclass(frozen=True)
class Entry:
    """One line: its cells, how deep the first is indented, the color of its mark ("" for none), its share for a bar."""

    id: str
    cells: tuple[str, ...]
    depth: int = 0
    role: str = ""
    strong: bool = False
    share: float | None = None


@dataclass(frozen=True)
class Grid:
    """A titled table. `totals` stand below it, each a name and a figure; `notes` are sentences at the end.

    bar   the column behind whose cells the shares stand as faint bars, the largest as wide as the column
    """

    title: str
    columns: tuple[Column, ...]
    entries: tuple[Entry, ...]
    totals: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    bar: int | None = None


def grid_lines(grid: Grid) -> tuple[str, ...]:
    """The table as lines of text without its title, every column as wide as its widest cell."""
    table = [tuple(column.title for column in grid.columns), *map(_cells, grid.entries)]
    widths = _widths(grid)
    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    body = [_spaced(cells, grid.columns, widths) for cells in table]
    longest = max((_letters(name) for name, _ in grid.totals), default=0)
    totals = [f"{name}{' ' * (longest - _letters(name))}  {figure}" for name, figure in grid.totals]
    return (rule, body[0], rule, *body[1:], rule, *totals, *grid.notes)


def grid_html(grid: Grid) -> str:
    """The table as a piece of HTML for a notebook: no script, no style but alignment."""
    head = "".join(f'<th align="{_side(column)}">{_escaped(column.title)}</th>' for column in grid.columns)
    body = "".join(_html_row(entry, grid.columns) for entry in grid.entries)
    foot = "<br>".join(f"{_escaped(name)}: <b>{_escaped(figure)}</b>" for name, figure in grid.totals)
    notes = "".join(f"<p>{_escaped(note)}</p>" for note in grid.notes)
    caption = f'<caption align="top"><b>{_escaped(grid.title)}</b></caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{foot}</p>{notes}"


def grid_scene(grid: Grid, description: str = "") -> Scene:
    """The table as a picture: a mark in the color of each line's kind, a faint bar for its share."""
    widths = [width * LETTER * SIZE for width in _widths(grid)]
    edges = [MARGIN + 14.0]
    for width in widths:
        edges.append(edges[-1] + width + GAP)
    page = edges[-1] - GAP + MARGIN
    top = MARGIN + 22.0
    shapes: list[Shape] = [Label(MARGIN, MARGIN + 6, grid.title, size=14.0, bold=True)]
    for place, column in enumerate(grid.columns):
        shapes.append(_cell(column.title, column, edges[place], widths[place], top + 14, role="muted"))
    shapes.append(Line("rule-head", ((MARGIN, top + 21), (page - MARGIN, top + 21)), Style("line")))
    for number, entry in enumerate(grid.entries):
        shapes.extend(_row(grid, entry, top + 24 + number * ROW, edges, widths))
    low = top + 30 + len(grid.entries) * ROW
    shapes.append(Line("rule-foot", ((MARGIN, low), (page - MARGIN, low)), Style("line")))
    foot = _footer(grid, low + 20, edges[0])
    width = max(page, *map(_reach, (shapes[0], *foot)))
    height = low + 20 + 18 * (len(grid.totals) + len(grid.notes)) + MARGIN / 2
    return Scene(width, height, (*shapes, *foot), grid.title, description or grid.title, grid_lines(grid))


def _cells(entry: Entry) -> tuple[str, ...]:
    return ("  " * entry.depth + entry.cells[0], *entry.cells[1:])


def _letters(text: str) -> int:
    """How many places of a terminal a text takes."""
    return round(text_width(text, 1.0, mono=True) / text_width("m", 1.0, mono=True))


def _widths(grid: Grid) -> list[int]:
    table = [tuple(column.title for column in grid.columns), *map(_cells, grid.entries)]
    return [max(_letters(cells[place]) for cells in table) for place in range(len(grid.columns))]


def _spaced(cells: tuple[str, ...], columns: tuple[Column, ...], widths: list[int]) -> str:
    padded = []
    for text, column, width in zip(cells, columns, widths, strict=True):
        blank = " " * (width - _letters(text))
        padded.append(blank + text if column.anchor == "end" else text + blank)
    return "  ".join(padded).rstrip()


def _escaped(text: str) -> str:
    return escape(plain(text))


def _side(column: Column) -> str:
    return {"start": "left", "middle": "center", "end": "right"}[column.anchor]


def _html_row(entry: Entry, columns: tuple[Column, ...]) -> str:
    texts = ["&emsp;" * entry.depth + _escaped(entry.cells[0]), *map(_escaped, entry.cells[1:])]
    cells = (f'<td align="{_side(column)}">{text}</td>' for text, column in zip(texts, columns, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _row(grid: Grid, entry: Entry, top: float, edges: list[float], widths: list[float]) -> list[Shape]:
    shapes: list[Shape] = []
    words = ", ".join(cell for cell in entry.cells if cell)
    indent = entry.depth * 2 * LETTER * SIZE
    if entry.share and grid.bar is not None:
        right = edges[grid.bar] + widths[grid.bar] + 4
        long = (widths[grid.bar] + 8) * entry.share / max(other.share or 0.0 for other in grid.entries)
        paint = Style("accent", "soft", outline=0.0)
        shapes.append(Box(f"bar-{entry.id}", right - long, top + 1, long, ROW - 2, paint, 2.0, words))
    if entry.role:
        mark = Style(entry.role, "solid", outline=0.0)
        shapes.append(Box(f"mark-{entry.id}", edges[0] - 14 + indent, top + 6, 8, 8, mark, 2.0, words))
    for place, (text, column) in enumerate(zip(entry.cells, grid.columns, strict=True)):
        shift = indent if place == 0 else 0.0
        role = "ink" if place < 2 or entry.strong or column.anchor == "end" else "muted"
        if text:
            base = top + 14
            shapes.append(_cell(text, column, edges[place] + shift, widths[place] - shift, base, role, entry.strong))
    return shapes


def _cell(text: str, column: Column, left: float, width: float, base: float, role: str, bold: bool = False) -> Label:
    x = left + width if column.anchor == "end" else left
    return Label(x, base, text, SIZE, role, column.anchor, bold=bold, mono=True)


def _footer(grid: Grid, top: float, left: float) -> list[Shape]:
    inset = max((_letters(name) for name, _ in grid.totals), default=0) * LETTER * SIZE + GAP
    shapes: list[Shape] = []
    for number, (name, figure) in enumerate(grid.totals):
        shapes.append(Label(left, top + 18 * number, name, SIZE, "muted", mono=True))
        shapes.append(Label(left + inset, top + 18 * number, figure, SIZE, "ink", mono=True))
    for number, note in enumerate(grid.notes, start=len(grid.totals)):
        shapes.append(Label(left, top + 18 * number, note, SIZE, "muted", mono=True))
    return shapes


def _reach(shape: Shape) -> float:
    """Where a label ends, with its margin."""
    if not isinstance(shape, Label):
        return 0.0
    return shape.x + _letters(shape.text) * LETTER * shape.size + MARGIN
