"""A network as its figure shows it: layers, what clings to them, the links between them, what repeats. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from deepglass.drawing.likeness import Portrait

Role = Literal["input", "layer", "join", "sliver", "output"]


@dataclass(frozen=True)
class Sliver:
    """A normalization, activation or dropout that clings to a layer."""

    id: str
    portrait: Portrait
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One thing in the row: the input, a layer, a join, a sliver that stands alone; `before` and `after` cling to it.

    shape     of what it gives, without the side of the batch; None where it gave nothing
    weights   how many numbers it and its slivers hold; a tied weight counts where it is first read
    """

    id: str
    role: Role
    portrait: Portrait
    shape: tuple[int, ...] | None
    path: str = ""
    weights: int = 0
    before: tuple[Sliver, ...] = ()
    after: tuple[Sliver, ...] = ()


@dataclass(frozen=True)
class Frame:
    """Layers that stand for `count` groups like them; `layers` are places in the flow.

    chained   each group takes what the one before it gave; else they stand side by side
    """

    id: str
    label: str
    count: int
    layers: tuple[int, ...]
    chained: bool = True


@dataclass(frozen=True)
class Flow:
    """Layers in the order they ran, links from an earlier to a later place, frames outermost first.

    ends   the places that give the network's outputs;  notes   what is left out, in words
    """

    layers: tuple[Layer, ...]
    links: tuple[tuple[int, int], ...]
    frames: tuple[Frame, ...] = ()
    ends: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def shortened(flow: Flow, most: int) -> Flow:
    """The flow with at most `most` places: of a longer one the middle is drawn as one block that counts it."""
    excess = len(flow.layers) - most + 1
    if excess < 2:
        return flow
    head = most // 2
    out = flow.layers[head : head + excess]
    caption = f"{len(out):,} more layers"
    weights = sum(layer.weights for layer in out)
    portrait = Portrait("layer", "opaque", caption, form="block")
    gap = Layer("gap", "layer", portrait, out[-1].shape, weights=weights)

    def moved(place: int) -> int:
        return place if place < head else head if place < head + excess else place - excess + 1

    links = {(moved(one), moved(other)) for one, other in flow.links}
    frames = tuple(replace(one, layers=tuple(sorted({moved(place) for place in one.layers}))) for one in flow.frames)
    return replace(
        flow,
        layers=(*flow.layers[:head], gap, *flow.layers[head + excess :]),
        links=tuple(sorted((one, other) for one, other in links if one < other)),
        frames=tuple(frame for frame in frames if frame.layers != (head,)),
        ends=tuple(dict.fromkeys(moved(place) for place in flow.ends)),
    )
