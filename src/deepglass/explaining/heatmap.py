"""An attribution drawn: over the picture, token by token, or column by column, with its verdict beneath.

Blue speaks for what is explained, orange against it; the clearer, the more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepglass.drawing.scene import Box, Label, Line, Scene, Shape, Style
from deepglass.drawing.svg import as_svg
from deepglass.explaining.attribution import WORDS, Attribution
from deepglass.explaining.mosaic import Mosaic, Row, Tile, as_pixels

SATURATED = 0.995
MOST_EXAMPLES, MOST_COLUMNS, MOST_TOKENS = 8, 16, 120
WIDTH, LETTER, MONO_LETTER = 560.0, 6.6, 7.3


def drawn(found: Attribution, *, example: int | None = None, words: Sequence[str] = (), name: str = "attribution",
          standalone: bool = True) -> str:  # fmt: skip
    """The SVG of an attribution.

    example   one of them; by default up to eight pictures, the first text, the mean over a table's rows
    words     the tokens of the example or the names of the columns, in the order of the inputs
    """
    if found.kind == "picture":
        return overlay(found, example).svg(name=name, standalone=standalone)
    scene = tokens(found, example or 0, words) if found.kind == "sequence" else bars(found, example, words)
    return as_svg(scene, name=name, standalone=standalone)


def overlay(found: Attribution, example: int | None = None) -> Mosaic:
    """Each picture, and its map above it."""
    place = next(k for k, entry in enumerate(found.inputs) if entry.dim() == 4)
    maps = found.values[place].detach().float().cpu().sum(1)
    count = len(found.inputs[place])
    chosen = range(min(count, MOST_EXAMPLES)) if example is None else [example]
    shown, seen = [], []
    for row in chosen:
        pixels = as_pixels(found.inputs[place][row])
        shown.append(Tile(pixels, "", "picture"))
        seen.append(Tile(maps[row], found.target[row], "signed", full_value(maps[row]), pixels))
    notes = (found.why, f"Verdict: {found.verdict}.")
    title = f"What mattered: {WORDS.get(found.method, found.method)}"
    about = f"{len(seen)} picture{'s' * (len(seen) != 1)}, and what in each spoke for the answer. {found.verdict}."
    return Mosaic(title, about, (Row("", tuple(shown)), Row("", tuple(seen))), 72.0, MOST_EXAMPLES, notes)


def full_value(values: Tensor) -> float:
    """The value painted full: nearly the largest, so that one wild entry does not blank the others."""
    return float(values.abs().flatten().float().quantile(SATURATED)) or float(values.abs().max()) or 1.0


def tokens(found: Attribution, example: int = 0, words: Sequence[str] = ()) -> Scene:
    """A sequence, each step on a ground as clear as it mattered."""
    place = next((k for k, one in enumerate(found.inputs) if one.dim() in (2, 3)), 0)
    entry = found.values[place][example].detach().float().cpu()
    values = entry.sum(1) if entry.dim() > 1 else entry
    given = found.inputs[place][example].cpu()
    steps = [str(int(code)) for code in given] if given.dim() == 1 else [str(step) for step in range(len(values))]
    steps = [words[k] if k < len(words) else step for k, step in enumerate(steps)][:MOST_TOKENS]
    most, shapes, x, y = full_value(values), list[Shape](), 16.0, 52.0
    for number, (step, value) in enumerate(zip(steps, values.tolist(), strict=False)):
        wide = MONO_LETTER * max(1, len(step)) + 10
        if x + wide > WIDTH - 16:
            x, y = 16.0, y + 30
        style = Style("positive" if value >= 0 else "negative", "solid", 0.0, 0.55 * min(1.0, abs(value) / most))
        shapes.append(Box(f"step-{number}", x, y, wide, 24, style, words=f"{step}: {value:+.3g}"))
        shapes.append(Label(x + wide / 2, y + 16, step, 12, anchor="middle", mono=True))
        x += wide + 3
    return _told(found, f"for {found.target[example]}", shapes, y + 48, list(zip(steps, values.tolist(), strict=False)))


def bars(found: Attribution, example: int | None = None, words: Sequence[str] = ()) -> Scene:
    """The columns that mattered most, of one example or, as the mean of |value|, of all."""
    rows = [entry.detach().float().cpu().flatten(1) for entry in found.values]
    flat = torch.cat([row.abs().mean(0) if example is None else row[example] for row in rows])
    named = [words[k] if k < len(words) else f"column {k}" for k in range(len(flat))]
    order = flat.abs().argsort(descending=True, stable=True)[:MOST_COLUMNS].tolist()
    most = float(flat.abs().max()) or 1.0
    room = LETTER * min(26, max((len(named[k]) for k in order), default=1)) + 28
    signed = bool((flat < 0).any())
    span = (WIDTH - room - 76) / (2 if signed else 1)
    zero = room + (span if signed else 0)
    shapes: list[Shape] = []
    for number, column in enumerate(order):
        value, y = float(flat[column]), 50.0 + 22 * number
        long = span * abs(value) / most
        style = Style("positive" if value >= 0 else "negative", "solid", 0.0, 0.8)
        said = named[column] if len(named[column]) <= 26 else named[column][:25] + "…"
        shapes.append(Label(room - 10, y + 12, said, 12, anchor="end"))
        shapes.append(Box(f"column-{column}", zero if value >= 0 else zero - long, y, max(long, 0.5), 15, style, 2.0,
                          f"{named[column]}: {value:.3g}"))  # fmt: skip
        shapes.append(Label(WIDTH - 16, y + 12, f"{value:.3g}", 11, "muted", "end"))
    bottom = 50.0 + 22 * len(order)
    shapes.append(Line("zero", ((zero, 46.0), (zero, bottom)), Style("muted", outline=1.0)))
    of = "mean over the examples" if example is None else f"for {found.target[example]}"
    return _told(found, of, shapes, bottom + 24, [(named[k], float(flat[k])) for k in order])


def _told(found: Attribution, of: str, shapes: list[Shape], y: float, pairs: Sequence[tuple[str, float]]) -> Scene:
    """The picture with its title above, and why and the verdict below."""
    title = f"What mattered: {WORDS.get(found.method, found.method)}"
    role = "muted" if found.trusted else "warning"
    below: list[Shape] = []
    for line, color in ((found.why, "muted"), (f"Verdict: {found.verdict}.", role)):
        for part in _wrapped(line):
            below.append(Label(16, y, part, 12, color))
            y += 17
    head = [Label(16, 24, title, 14, bold=True), Label(16, 40, of, 12, "muted")]
    lines = tuple(f"{word}: {value:+.3g}" for word, value in pairs)
    return Scene(WIDTH, y, (*head, *shapes, *below), title, f"{title}, {of}. {found.verdict}.", lines)


def _wrapped(text: str, most: int = 84) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
