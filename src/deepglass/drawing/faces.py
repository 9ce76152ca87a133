"""What a node of the graph view says: its name, what it does, the shape and the values of what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepglass.drawing.lettering import clipped, counted, plain, short_number, sides, text_width
from deepglass.drawing.scene import Point
from deepglass.drawing.unfolding import Part
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kept, Value

MOST_NUMBERS = 6
TITLE, LINE = 12.0, 10.5
LEAD = 15.0
LEAST_WIDTH, MOST_WIDTH = 72.0, 230.0
QUIET = frozenset({"shape", "indexing", "dropout"})
TELLING = ("attention", "recurrent", "convolution", "linear", "embedding", "normalization", "loss", "pooling",
           "activation", "opaque", "arithmetic", "reduction")  # fmt: skip


@dataclass(frozen=True)
class Face:
    """A node's words: `lines` under its title as (text, role); `role` colors it, `words` are its tooltip.

    A quiet one is said in one line.
    """

    title: str
    lines: tuple[tuple[str, str], ...]
    role: str
    form: Literal["operation", "module", "end"]
    words: str
    alarm: bool = False
    quiet: bool = False


def face_of(graph: Graph, part: Part, prefix: str = "", *, values: bool = False) -> Face:
    """The face of a closed part; `prefix` is the path of the module that is drawn around it.

    `values`: the numbers of what it gives, and the gradient of the loss by them; of many numbers mean ± spread.
    """
    if part.type in ("input", "output") and not part.pieces and part.id[:3] in ("in-", "out"):
        return _end(graph, part, values)
    operation = graph.operations[part.operations[-1]]
    alarm = graph.failed is not None and graph.failed in part.operations
    given = _given(graph, part)
    shape = sides(given.shape) if given else ("raised" if alarm else "no tensor")
    name = _short(part.title, prefix)
    # With values, steps are read aloud by labels: these are then what stands on the nodes.
    called = operation.label if values else operation.name
    if len(part.operations) > 1:
        count = f"{len(part.operations):,} operations"
        lines = [(f"{part.type}" if part.type else "", "muted"), (f"{count} → {shape}", "muted")]
        face = Face(name, tuple(line for line in lines if line[0]), _role(graph, part), "module", "")
    elif part.owner is None:
        face = Face(called, ((shape, "muted"),), operation.kind, "operation", "")
    elif name.rpartition(".")[2].isdigit():
        face = Face(f"{name} {called}", ((shape, "muted"),), operation.kind, "operation", "")
    else:
        face = Face(name, ((f"{called} → {shape}", "muted"),), operation.kind, "operation", "")
    title = face.title + (f" × {part.times}" if part.times > 1 else "")
    shown = face.lines + (_numbers(given) if values and given else ())
    quiet = face.form == "operation" and operation.kind in QUIET and not values and not alarm
    role = "warning" if alarm else face.role
    return Face(
        title, ((shape, "muted"),) if quiet else shown, role, face.form, _words(graph, part, given), alarm, quiet
    )


def face_size(face: Face) -> Point:
    """Room for a face's words."""
    if face.quiet:
        width = text_width(face.title, LINE) + text_width(face.lines[0][0], LINE) + 24.0
        return round(min(max(width, LEAST_WIDTH), MOST_WIDTH), 1), 22.0
    widest = max([text_width(face.title, TITLE, bold=True), *(text_width(text, LINE) for text, _ in face.lines)])
    width = min(max(widest + 22.0, LEAST_WIDTH), MOST_WIDTH)
    return round(width, 1), 10.0 + TITLE + LEAD * len(face.lines)


def fitted(text: str, size: float, width: float, *, bold: bool = False) -> str:
    """A text cut to the inside of a node of this width."""
    return clipped(plain(text), width - 16.0, size, bold=bold)


def shown_value(kept: Kept | None, most: int = MOST_NUMBERS) -> str:
    """The numbers of a small tensor, row by row; of a large one mean ± spread; "?" where nothing was kept.

    >>> import torch
    >>> from deepglass.tracing.record import record
    >>> shown_value(record(torch.abs, torch.tensor([[0.5, -0.25]])).value("abs_1").kept)
    '0.50  0.25'
    """
    if kept is None:
        return "?"
    tensor = kept.tensor
    if kept.form == "whole" and tensor is not None and 0 < tensor.numel() <= most and not tensor.is_complex():
        rows = tensor.reshape(-1, tensor.shape[-1]) if tensor.dim() > 1 else tensor.reshape(1, -1)
        whole = not tensor.is_floating_point()
        digits = [[str(int(x)) if whole else short_number(float(x)) for x in row] for row in rows.tolist()]
        return "; ".join("  ".join(row) for row in digits)
    figures = kept.summary
    bad = f", {figures.bad:,} not finite" if figures.bad else ""
    return f"{short_number(figures.mean)} ± {short_number(figures.spread)}{bad}"


def _end(graph: Graph, part: Part, values: bool) -> Face:
    """The face of what comes in or goes out."""
    name = part.id.partition("-")[2]
    value = next(value for value in graph.values if value.name == name)
    more = f" and {part.times - 1} more" if part.times > 1 else ""
    lines: tuple[tuple[str, str], ...] = ((sides(value.shape), "muted"),)
    # What goes out says its values where it is made.
    lines += _numbers(value) if values and part.type == "input" else ()
    words = f"{part.type}: {value.name}, {sides(value.shape)}, {value.dtype}"
    return Face(part.title + more, lines, "accent" if part.title != "loss" else "loss", "end", words)


def _numbers(value: Value) -> tuple[tuple[str, str], ...]:
    lines = [(f"= {shown_value(value.kept)}", "ink")]
    if value.gradient is not None:
        lines.append((f"∂ {shown_value(value.gradient)}", "accent"))
    return tuple(lines)


def _given(graph: Graph, part: Part) -> Value | None:
    """The first output of a part: its module's, else its last operation's."""
    outputs = graph.owners[part.owner].outputs if part.owner is not None else ()
    outputs = outputs or graph.operations[part.operations[-1]].outputs
    return graph.values[outputs[0]] if outputs else None


def _role(graph: Graph, part: Part) -> str:
    """The kind of what a closed module is there for."""
    kinds = {graph.operations[one].kind for one in part.operations}
    return next((kind for kind in TELLING if kind in kinds), "other")


def _short(path: str, prefix: str) -> str:
    return path[len(prefix) + 1 :] if prefix and path.startswith(prefix + ".") else path


def _words(graph: Graph, part: Part, given: Value | None) -> str:
    """Everything worth knowing of a part, for its tooltip and for a screen reader."""
    operations = [graph.operations[one] for one in part.operations]
    said = [f"{part.title}: {part.type}" if part.type else part.title]
    if len(operations) == 1:
        takes = ", ".join(f"{graph.values[v].name} {sides(graph.values[v].shape)}" for v in operations[0].inputs)
        said += (
            [f"{operations[0].label}, {operations[0].function}", f"takes {takes}"] if takes else [operations[0].label]
        )
    if given:
        said.append(f"gives {sides(given.shape)} {given.dtype}")
    if part.times > 1:
        said.append(f"{part.times} turns of one loop" if part.loop else f"{part.times} alike, up to {part.last}")
    work = sum(operation.cost.multiply_adds for operation in operations) * part.times
    if work:
        said.append(f"{counted(work)} multiply-adds")
    said += [f"failed: {operation.failure}" for operation in operations if operation.failure]
    return "; ".join(said)
