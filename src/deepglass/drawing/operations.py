"""The graph view (V3): operations as boxes, values as the lines between them, modules as frames around them.

Inputs enter at the top and the loss comes out at the bottom. Weights are not drawn: they stand in the tooltips. A
module is opened as far as there is room; what repeats is shown once. `values` prints what flowed forward and, under it,
the gradient of the loss that flowed back; `step` points at one operation of the chain rule and reads it aloud.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

from deepglass.drawing.faces import LEAD, LINE, QUIET, TITLE, Face, face_of, face_size, fitted
from deepglass.drawing.lettering import clipped, counted, plain, text_width
from deepglass.drawing.scene import Box, Group, Label, Line, Point, Scene, Shape, Style
from deepglass.drawing.streams import Frame, Stream, place, streams, terminals
from deepglass.drawing.unfolding import MOST, Part, unfold
from deepglass.errors import ModelError, nearest
from deepglass.tracing.graph import Graph

MARGIN = 20.0
LEAST_WIDTH = 420.0
HEAD = 48.0


@dataclass(frozen=True)
class Drawn:
    """What the painters of parts need to know: the words of each, and what is pointed at."""

    faces: dict[str, Face]
    titles: dict[str, str]
    spoken: frozenset[str]
    values: bool


def graph_scene(
    graph: Graph,
    *,
    values: bool = False,
    step: int | None = None,
    at: str | None = None,
    rolled: bool = True,
    most: int = MOST,
) -> Scene:
    r"""A record as a picture of its operations.

    values   print values and gradients;  step   the n-th of `graph.steps()`, from 1, marked and said below
    at       a module's path: the picture of that module alone;  rolled   loops as one turn;  most   nodes shown

    Raises ModelError for a module or a step that is not there, with the nearest that are.

    >>> import torch
    >>> from deepglass.tracing.record import record
    >>> scene = graph_scene(record(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()), torch.ones(2, 3)))
    >>> print("\n".join(scene.lines))
    input    2 × 3
    0 linear    2 × 4    from input
    1 relu    2 × 4    from 0 linear
    output    2 × 4    from 1 relu
    """
    owner = _owner(graph, at)
    said, pointed = ("", None) if step is None else _said(graph, step)
    if not graph.owners[owner].operations and not graph.owners[owner].children:
        return _nothing(graph)
    unfolding = unfold(graph, at=owner, most=most, rolled=rolled)
    ends = terminals(graph, unfolding, owner)
    flows = streams(graph, unfolding, ends)
    root = unfolding.root
    spoken = {unfolding.resolve(pointed)[0]} if pointed is not None else set()
    root.parts = [*(ends[key] for key in ends if key >= 0), *root.parts, *(ends[key] for key in ends if key < 0)]
    faces, titles = _faces(graph, root, graph.owners[owner].path, values)
    marked = frozenset(name for name, part in _closed(root).items() if spoken & set(part.operations))
    frame = place(root, flows, lambda part: _room(part, faces, titles))
    return _scene(graph, frame, Drawn(faces, titles, marked, values), flows, said, at)


def _owner(graph: Graph, at: str | None) -> int:
    if not at:
        return 0
    found = next(
        (owner.id for owner in graph.owners if owner.path == at and (owner.operations or owner.children)), None
    )
    if found is None:
        paths = {owner.path for owner in graph.owners if owner.path}
        raise ModelError(f"{graph.title}: no module {at!r} ran.", next=f"try {nearest(at, sorted(paths))}")
    return found


def _said(graph: Graph, step: int) -> tuple[str, int | None]:
    """The sentence of a step of the chain rule, and the operation it is about."""
    count = 0
    for count, one in enumerate(graph.steps(), start=1):
        if count == step:
            return f"Step {step}. {one.say()}", one.operation.id
    raise ModelError(f"{graph.title} has no step {step}: there are {count}.", next=f"give one from 1 to {count}")


def _nothing(graph: Graph) -> Scene:
    words = graph.failure or "No operation on a tensor ran."
    lines = textwrap.wrap(plain(words), 70) or [""]
    labels = [Label(MARGIN, MARGIN + 34 + 16 * row, line, LINE, "warning") for row, line in enumerate(lines)]
    title = Label(MARGIN, MARGIN + 12, plain(graph.title), 15, bold=True)
    return Scene(LEAST_WIDTH, 70 + 16.0 * len(lines), (title, *labels), graph.title, words, (words,))


def _closed(part: Part) -> dict[str, Part]:
    return (
        {name: leaf for inner in part.parts for name, leaf in _closed(inner).items()} if part.open else {part.id: part}
    )


def _faces(graph: Graph, part: Part, prefix: str, values: bool) -> tuple[dict[str, Face], dict[str, str]]:
    """A face for each closed part, a title for each open one."""
    faces: dict[str, Face] = {}
    titles: dict[str, str] = {}
    for inner in part.parts:
        if not inner.open:
            faces[inner.id] = face_of(graph, inner, prefix, values=values)
            continue
        name = inner.title[len(prefix) + 1 :] if prefix and inner.title.startswith(prefix + ".") else inner.title
        last = f" … {inner.last.rpartition('.')[2]}" if inner.last else ""
        times = f" × {inner.times}" + (" in a loop" if inner.loop else "") if inner.times > 1 else ""
        titles[inner.id] = f"{name}{last}{f'  {inner.type}' if inner.type else ''}{times}"
        path = inner.title if inner.owner is not None else prefix
        below = _faces(graph, inner, path, values)
        faces |= below[0]
        titles |= below[1]
        # Closed by the reader's click, a frame says what it would have said if there had been no room to open it.
        whole = replace(inner, parts=[])
        faces[inner.id] = face_of(graph, whole, prefix, values=values)
    return faces, titles


def _room(part: Part, faces: dict[str, Face], titles: dict[str, str]) -> Point:
    return (text_width(titles[part.id], LINE, bold=True), 0.0) if part.open else face_size(faces[part.id])


def _scene(graph: Graph, frame: Frame, drawn: Drawn, flows: list[Stream], said: str, at: str | None) -> Scene:
    width = max(frame.width + 2 * MARGIN, LEAST_WIDTH)
    shapes = _frame_shapes(frame, (width - frame.width) / 2, MARGIN + HEAD, drawn, 0)
    title = f"{graph.title} · {at}" if at else graph.title
    count, nodes = len(frame.part.operations), len(_closed(frame.part))
    told = f"{count:,} operations" + (f", {counted(graph.parameters)} weights" if not at else "")
    told += ". = value forward, ∂ gradient of the loss" if drawn.values else ""
    description = f"{told}; {nodes:,} nodes shown. Inputs enter at the top."
    notes = [*([said] if said else []), *([graph.failure] if graph.failure else []), *graph.notes]
    roles = ["accent"] * bool(said) + ["warning"] * bool(graph.failure) + ["muted"] * len(graph.notes)
    below = frame.height + HEAD + 2 * MARGIN + 8
    letters = max(int((width - 2 * MARGIN) / 6.6), 20)
    texts = [
        (line, role) for note, role in zip(notes, roles, strict=True) for line in textwrap.wrap(plain(note), letters)
    ]
    foot = [Label(MARGIN, below + 16 * row, text, 12, role) for row, (text, role) in enumerate(texts)]
    head = [Label(MARGIN, MARGIN + 12, plain(title), 15, bold=True), Label(MARGIN, MARGIN + 30, told, LINE, "muted")]
    lines = [*_lines(frame.part, drawn, flows), *notes]
    height = below + 16 * len(texts) if texts else below - 8
    return Scene(
        width, height, (*head, *shapes, *foot), f"{title}: the graph of its operations", description, tuple(lines)
    )


def _frame_shapes(frame: Frame, x: float, y: float, drawn: Drawn, depth: int) -> list[Shape]:
    """What stands in a frame: lines first, then the nodes on top of them."""
    shapes: list[Shape] = []
    for number, curve in enumerate(frame.curves):
        points = tuple((round(px + x, 2), round(py + y, 2)) for px, py in curve.points)
        style = (
            Style("accent", outline=1.4, dash=(5.0, 4.0)) if curve.back else Style("muted", outline=1.1, opacity=0.75)
        )
        name = f"flow-{frame.part.id}-{number}"
        shapes.append(
            Line(name, points, style, curved=True, arrow=curve.arrow, words="to the next turn" if curve.back else "")
        )
    for inner in frame.inner:
        left, top = x + inner.x, y + inner.y
        if inner.part.open:
            shapes.append(_opened(inner, left, top, drawn, depth + 1))
        else:
            shapes.append(_node(inner, left, top, drawn))
    return shapes


def _opened(frame: Frame, x: float, y: float, drawn: Drawn, depth: int) -> Group:
    """A frame that a reader may close."""
    part, face = frame.part, drawn.faces[frame.part.id]
    fill = "soft" if depth % 2 else "solid"
    box = Box(
        f"frame-{part.id}", x, y, frame.width, frame.height, Style("line" if depth % 2 else "paper", fill, 0.0), 8.0
    )
    edge = Box("", x, y, frame.width, frame.height, Style("warning" if face.alarm else "line", "none", 1.0), 8.0)
    title = plain(drawn.titles[part.id])
    behind = Box(
        "", x + 5, y + 4, text_width(title, LINE, bold=True) + 8, 17, Style("line" if depth % 2 else "paper", fill, 0.0)
    )
    label = Label(x + 9, y + 16, title, LINE, "muted", bold=True)
    inner = _frame_shapes(frame, x, y, drawn, depth)
    closed = _box_and_words(frame, x, y, replace(face, form="module"), False)
    behinds = _stacked(frame, x, y) if part.times > 1 else []
    return Group(part.id, (*behinds, box, edge, *inner, behind, label), face.words, (*behinds, *closed))


def _node(frame: Frame, x: float, y: float, drawn: Drawn) -> Group:
    face = drawn.faces[frame.part.id]
    shapes = _box_and_words(frame, x, y, face, frame.part.id in drawn.spoken)
    behinds = _stacked(frame, x, y) if frame.part.times > 1 and face.form != "end" else []
    return Group(frame.part.id, (*behinds, *shapes))


def _box_and_words(frame: Frame, x: float, y: float, face: Face, spoken: bool) -> list[Shape]:
    fill = "none" if face.form == "end" else "soft"
    outline = 2.6 if spoken or face.alarm else 0.8 if face.role in QUIET else 1.3
    corner = 14.0 if face.form == "end" else 6.0
    style = Style(face.role, fill, outline)
    shapes: list[Shape] = [Box(f"{frame.part.id}-box", x, y, frame.width, frame.height, style, corner, face.words)]
    if face.form == "module":
        shapes.append(Box("", x + 3, y + 3, frame.width - 6, frame.height - 6, Style(face.role, "none", 0.7), 4.0))
    if spoken:
        shapes.append(Box("", x - 5, y - 5, frame.width + 10, frame.height + 10, Style("accent", "none", 2.0), 10.0))
    return shapes + _words(face, frame.width, frame.height, x, y)


def _words(face: Face, width: float, height: float, x: float, y: float) -> list[Shape]:
    """A node's text: in the middle, line under line; of a quiet one all in one line."""
    if face.quiet:
        shape = plain(face.lines[0][0])
        name = clipped(plain(face.title), width - 22 - text_width(shape, LINE), LINE)
        both = text_width(name, LINE) + text_width(shape, LINE) + 8
        left = x + (width - both) / 2
        right = Label(left + both, y + height / 2 + 3.8, shape, LINE, "muted", "end")
        return [Label(left, y + height / 2 + 3.8, name, LINE, "ink"), right]
    middle = x + width / 2
    top = y + (height - (TITLE + LEAD * len(face.lines))) / 2 + TITLE - 2
    shapes: list[Shape] = [
        Label(middle, top, fitted(face.title, TITLE, width, bold=True), TITLE, "ink", "middle", bold=True)
    ]
    for row, (text, role) in enumerate(face.lines, start=1):
        shapes.append(Label(middle, top + LEAD * row, fitted(text, LINE, width), LINE, role, "middle"))
    return shapes


def _stacked(frame: Frame, x: float, y: float) -> list[Shape]:
    """The edges of further boxes behind a box: it comes several times."""
    right, foot = x + frame.width, y + frame.height
    lines: list[Shape] = []
    for away in (8.0, 4.0):
        points = (
            (x + away, foot),
            (x + away, foot + away),
            (right + away, foot + away),
            (right + away, y + away),
            (right, y + away),
        )
        lines.append(Line("", points, Style("muted", outline=0.9, opacity=0.7)))
    return lines


def _lines(part: Part, drawn: Drawn, flows: list[Stream], depth: int = 0) -> list[str]:
    """The picture in words: every node under the frame it stands in, and what it takes from where."""
    lines = []
    for inner in part.parts:
        if inner.open:
            lines += ["  " * depth + drawn.titles[inner.id], *_lines(inner, drawn, flows, depth + 1)]
            continue
        face = drawn.faces[inner.id]
        sources = [drawn.faces[flow.source].title for flow in flows if flow.target == inner.id and not flow.back]
        came = [f"from {', '.join(sources)}"] if sources else []
        lines.append("  " * depth + "    ".join([face.title, *(text for text, _ in face.lines), *came]))
    return lines
