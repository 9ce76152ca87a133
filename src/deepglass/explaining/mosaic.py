"""Small pictures in rows with captions: filters, feature maps, attributions; one SVG that holds its pixels.

What has a sign is painted blue where positive and orange where negative, the clearer the larger, on whatever page lies
beneath. What has none is gray, from black at the least to white at the largest. A color picture is itself.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepglass.drawing.palette import COLORS, blend

Look = Literal["picture", "signed", "gray"]
POSITIVE, NEGATIVE = (blend(COLORS[role].light, COLORS[role].dark, 0.5) for role in ("positive", "negative"))
LARGEST_SIDE = 256
GAMMA = 0.8  # below one, so that a faint pixel is still seen
LETTER = 6.4
GAP, MARGIN, LINE = 8, 12, 17
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Tile:
    """One small picture.

    pixels   [h, w], or [3, h, w] for colors;  look   see above
    most     of "signed" and "gray", the value painted full;  under    a picture that shows through what is signed
    """

    pixels: Tensor = field(repr=False)
    caption: str = ""
    look: Look = "gray"
    most: float | None = None
    under: Tensor | None = field(default=None, repr=False)

    def png(self, *, least: int = 1) -> bytes:
        """The tile as a PNG of its own size in pixels: a large one made smaller, one below `least` by a whole factor
        larger.
        """
        image = Image.fromarray(_painted(self))
        if self.under is not None:
            below = Image.fromarray(_faded(self.under)).convert("RGBA").resize(image.size, Image.Resampling.NEAREST)
            image = Image.alpha_composite(below, image)
        if (factor := least // max(image.size)) > 1:
            image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.BOX)
        written = io.BytesIO()
        image.save(written, format="PNG", optimize=True)
        return written.getvalue()


@dataclass(frozen=True)
class Row:
    """Tiles side by side under a line of words."""

    words: str
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Mosaic:
    """Rows of tiles. `description` and `lines` say in words what is to be seen.

    >>> picture = Mosaic("Filters", "One filter.", (Row("conv1", (Tile(torch.eye(3), "0", "signed"),)),))
    >>> picture.svg(name="f")[:46], picture.lines
    ('<svg xmlns="http://www.w3.org/2000/svg" id="f"', ('conv1: 0',))
    """

    title: str
    description: str
    rows: tuple[Row, ...]
    side: float = 64.0
    across: int = 8
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """A line a row: its words, and the captions of its tiles."""
        told = [f"{row.words}: {', '.join(tile.caption for tile in row.tiles if tile.caption)}" for row in self.rows]
        return (*(line.removesuffix(": ") for line in told), *self.notes)

    def svg(self, *, standalone: bool = True, name: str = "mosaic") -> str:
        """The picture as SVG. Embedded, it takes the page's colors and holds neither style nor script."""
        drawn, y = [_words(MARGIN, MARGIN + 12, self.title, 14, "ink", bold=True)], MARGIN + 24.0
        for row in self.rows:
            if row.words:
                drawn.append(_words(MARGIN, y + 11, row.words, 12, "muted"))
                y += 20
            part, y = self._row(row, y)
            drawn += part
        for note in self.notes:
            drawn.append(_words(MARGIN, y + 11, note, 12, "muted"))
            y += LINE
        columns = max((min(self.across, len(row.tiles)) for row in self.rows), default=1)
        longest = [len(words) for words in (*(row.words for row in self.rows), *self.notes)]
        wide = (
            max(columns * (self.side + GAP) - GAP, LETTER * max(longest, default=0), 8.2 * len(self.title)) + 2 * MARGIN
        )
        return _file(self, drawn, wide, y + MARGIN - GAP, standalone, name)

    def _row(self, row: Row, y: float) -> tuple[list[str], float]:
        drawn: list[str] = []
        letters = max(3, int(self.side / LETTER))
        for start in range(0, len(row.tiles), self.across):
            tiles = row.tiles[start : start + self.across]
            tall = max(self._height(tile) for tile in tiles)
            for place, tile in enumerate(tiles):
                x = MARGIN + place * (self.side + GAP)
                drawn.append(_image(tile, x, y, self.side, self._height(tile)))
                if tile.caption:
                    short = tile.caption if len(tile.caption) <= letters else tile.caption[: letters - 1] + "…"
                    drawn.append(_words(x + self.side / 2, y + tall + 13, short, 11, "muted", middle=True))
            y += tall + GAP + (LINE - 2 if any(tile.caption for tile in tiles) else 0)
        return drawn, y + 4

    def _height(self, tile: Tile) -> float:
        high, wide = tile.pixels.shape[-2:]
        return min(2.0, max(0.25, high / max(1, wide))) * self.side

    def _repr_html_(self) -> str:
        return f'<div class="deepglass" style="overflow-x:auto">{self.svg(name="mosaic")}</div>'


def as_pixels(tensor: Tensor) -> Tensor:
    """An example [c, h, w] as what a tile takes: [h, w], or [3, h, w] for three channels and more.

    Zero-centered pictures are brought to 0 … 1 from their least to their largest.

    >>> as_pixels(torch.tensor([[[-1.0, 1.0]]])).tolist()
    [[0.0, 1.0]]
    """
    plain = tensor.detach().float().cpu().nan_to_num()
    low, high = plain.min(), plain.max()
    if float(low) < 0 or float(high) > 1:
        plain = (plain - low) / (high - low).clamp_min(1e-12)
    return plain[:3] if len(plain) >= 3 else plain[0]


def _painted(tile: Tile) -> np.ndarray:
    plain = tile.pixels.detach().float().cpu().nan_to_num()
    if tile.look == "signed":
        most = tile.most or float(plain.abs().max()) or 1.0
        share = (plain / most).clamp(-1, 1).numpy()[..., None]
        over, under = (np.array(_parts(color), dtype=np.float32) for color in (POSITIVE, NEGATIVE))
        color = np.where(share >= 0, over, under)
        return np.concatenate([color, np.abs(share) ** GAMMA * 255], axis=-1).round().astype(np.uint8)
    if tile.look == "gray":
        low = float(plain.min()) if tile.most is None else 0.0
        high = float(plain.max()) if tile.most is None else tile.most
        plain = (plain - low) / max(high - low, 1e-12)
    values = (plain.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(values.transpose(1, 2, 0)) if values.ndim == 3 else values


def _faded(pixels: Tensor) -> np.ndarray:
    """A picture in grays that leave room for a color above it."""
    plain = (pixels.mean(0) if pixels.dim() == 3 else pixels).detach().float().cpu().nan_to_num()
    return (52 + 106 * plain.clamp(0, 1)).round().to(torch.uint8).numpy()


def _parts(color: str) -> tuple[int, ...]:
    return tuple(int(color[place : place + 2], 16) for place in (1, 3, 5))


def _image(tile: Tile, x: float, y: float, width: float, height: float) -> str:
    data = base64.b64encode(tile.png()).decode("ascii")
    frame = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    # Few pixels are shown as squares, many are made smooth.
    sharp = ' image-rendering="pixelated"' if max(tile.pixels.shape[-2:]) <= width else ""
    said = f"<title>{_clean(tile.caption)}</title>" if tile.caption else ""
    return (f'<g>{said}<rect {frame} fill="none" stroke="var(--line, #b9c1c5)"/>'
            f'<image {frame} preserveAspectRatio="none"{sharp} href="data:image/png;base64,{data}"/></g>')  # fmt: skip


def _words(x: float, y: float, text: str, size: int, role: str, *, middle: bool = False, bold: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    weight = ' font-weight="600"' if bold else ""
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}"{anchor}{weight} '
            f'fill="var(--{role}, {COLORS[role].light})">{_clean(text)}</text>')  # fmt: skip


def _clean(text: str) -> str:
    """Escaped, and without the control characters that no SVG may hold."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def _file(picture: Mosaic, drawn: Sequence[str], width: float, height: float, standalone: bool, name: str) -> str:
    style = paper = ""
    if standalone:
        dark = "".join(f"--{role}:{COLORS[role].dark};" for role in ("ink", "muted", "line", "paper"))
        style = f"<style>@media (prefers-color-scheme: dark){{#{name}{{{dark}}}}}</style>"
        paper = f'<rect width="{width:g}" height="{height:g}" rx="6" fill="var(--paper, {COLORS["paper"].light})"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" class="chart" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" aria-labelledby="{name}-title {name}-about" '
        f'font-family="{FONT}"><title id="{name}-title">{_clean(picture.title)}</title>'
        f'<desc id="{name}-about">{_clean(picture.description)}</desc>{style}{paper}{"".join(drawn)}</svg>'
    )
