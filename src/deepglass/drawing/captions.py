"""What stands below each layer of a figure, and what is said of it in words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from deepglass.drawing.flow import Flow, Layer
from deepglass.drawing.lettering import clipped, plain, text_width

CAPTION, DETAIL, LEADING = 11.5, 10.5, 14.0
WIDEST = 88.0


@dataclass(frozen=True)
class Caption:
    """Lines under a layer: its name first, then in gray its shape and what clings to it."""

    names: tuple[str, ...]
    details: tuple[str, ...]

    @property
    def width(self) -> float:
        names = [text_width(line, CAPTION) for line in self.names]
        return max([*names, *(text_width(line, DETAIL) for line in self.details)], default=0.0)

    @property
    def height(self) -> float:
        return LEADING * (len(self.names) + len(self.details))


def shape_in_words(shape: tuple[int, ...] | None) -> str:
    """A shape as it stands in a figure.

    >>> shape_in_words((64, 8, 8)), shape_in_words((10,)), shape_in_words(())
    ('64×8×8', '10', '1 number')
    """
    if shape is None:
        return "nothing"
    return "×".join(str(side) for side in shape) or "1 number"


def captions_of(flow: Flow) -> tuple[Caption, ...]:
    """A caption for each layer. What clings to it is named where it is not what clings to most."""
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for layer in flow.layers:
        for one in (*layer.before, *layer.after):
            names[one.portrait.kind][one.portrait.caption] += 1
    usual = {max(sorted(count), key=count.__getitem__) for count in names.values()}
    return tuple(_caption(layer, usual) for layer in flow.layers)


def _caption(layer: Layer, usual: set[str]) -> Caption:
    if layer.role in ("join", "output"):
        return Caption((), ())
    if layer.role == "sliver":
        both = [layer.portrait.caption, *(one.portrait.caption for one in layer.after)]
        return Caption((), tuple(clipped(plain(one), WIDEST, DETAIL) for one in both))
    rare = [one.portrait.caption for one in (*layer.before, *layer.after) if one.portrait.caption not in usual]
    size = shape_in_words(layer.shape)
    told = layer.shape is None or (len(layer.shape) == 1 and layer.portrait.caption.endswith(f" {layer.shape[0]:,}"))
    shape = () if told else (size,)
    if layer.portrait.note:
        return Caption((clipped(layer.portrait.caption, WIDEST, CAPTION),), ("failed",))
    return Caption(_wrapped(layer.portrait.caption), (*shape, *_wrapped(", ".join(rare), DETAIL)))


def _wrapped(text: str, size: float = CAPTION) -> tuple[str, ...]:
    """At most two lines, parted between words so that the longer one is shortest; each no wider than may be."""
    text = plain(text)
    if text_width(text, size) <= WIDEST:
        return (text,) if text else ()
    words = re.findall(r".+?(?:[ _./]|(?<=[a-z])(?=[A-Z])|$)", text)
    cuts = [("".join(words[:place]).strip(), "".join(words[place:])) for place in range(1, len(words))]
    best = min(cuts or [(text,)], key=lambda lines: max(text_width(line, size) for line in lines))
    return tuple(clipped(line, WIDEST, size) for line in best)


def sentence(flow: Flow, place: int) -> str:
    """One line on a layer: what it is given, what it is, what it gives, how much it holds.

    "3×32×32 → conv 3×3, 32 → 32×32×32   896 weights", then what clings to it.
    """
    layer = flow.layers[place]
    sources = [flow.layers[one] for one, other in flow.links if other == place]
    given = " and ".join(dict.fromkeys(shape_in_words(source.shape) for source in sources[:4])) if sources else ""
    gives = shape_in_words(layer.shape)
    if layer.role == "input":
        return f"input {layer.portrait.caption}: {gives}"
    if layer.role == "output":
        return f"output: {gives}"
    before = "".join(f"{one.portrait.caption} → " for one in layer.before)
    after = "".join(f" → {one.portrait.caption}" for one in layer.after)
    name = layer.portrait.caption + (f" of {len(sources)}" if layer.role == "join" else "")
    weights = f"   {layer.weights:,} weights" if layer.weights else ""
    note = f"   {layer.portrait.note}" if layer.portrait.note else ""
    return plain(f"{given}{' → ' * bool(given)}{before}{name}{after} → {gives}{weights}{note}")
