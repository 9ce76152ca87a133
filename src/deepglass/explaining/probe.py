"""What flows through a network at the places one asks for: activations, gradients, attention, and their figures."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from deepglass.drawing.grid import Column, Entry, Grid, grid_html, grid_lines
from deepglass.drawing.lettering import short_number, sides
from deepglass.drawing.units import share_in_words
from deepglass.errors import ModelError, ShapeError, nearest
from deepglass.explaining.attending import attention_weights, attentions
from deepglass.explaining.choosing import Place, places
from deepglass.explaining.histograms import Figures, figures_of, sparkline
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kept
from deepglass.tracing.record import record

OF_SHAPES = re.compile(r"\b(wants|shapes?|sizes?|dimensions?|channels?|broadcastable)\b")


@dataclass(frozen=True)
class Layer:
    """One place in the network: its output, the gradient of the loss with respect to it, and the figures of both.

    channel   the axis of its units
    """

    name: str
    type: str
    kind: str
    shape: tuple[int, ...]
    activation: Kept | None
    gradient: Kept | None
    channel: int = -1

    @cached_property
    def figures(self) -> Figures | None:
        """Of the activation; None where nothing was kept."""
        return figures_of(self.activation, self.channel)

    @cached_property
    def gradient_figures(self) -> Figures | None:
        """Of the gradient; None where none reached it."""
        return figures_of(self.gradient, self.channel)


@dataclass(frozen=True)
class Probe:
    """The layers asked for, in the order they ran; each by its name.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> found = probe(net, torch.randn(8, 3), at="ReLU", loss=lambda output: output.mean())
    >>> found["1"].shape, tuple(found.gradients["1"].shape)
    ((8, 4), (8, 4))
    """

    graph: Graph
    layers: tuple[Layer, ...]
    attends: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Layer:
        names = {layer.name: layer for layer in self.layers}
        if name not in names:
            raise ModelError(f"{self.graph.title}: {name!r} was not probed.", next=f"ask for {nearest(name, names)}")
        return names[name]

    @cached_property
    def activations(self) -> dict[str, Tensor]:
        """The outputs that were kept whole, by name."""
        return {layer.name: tensor for layer in self.layers if (tensor := _whole(layer.activation)) is not None}

    @cached_property
    def gradients(self) -> dict[str, Tensor]:
        """The gradients that were kept whole, by name."""
        return {layer.name: tensor for layer in self.layers if (tensor := _whole(layer.gradient)) is not None}

    @cached_property
    def attention(self) -> dict[str, Tensor]:
        """The weights of every attention asked for, by name: [batch, head, query, key], each row summing to 1."""
        known = attentions(self.graph)
        found = {name: attention_weights(self.graph, known[name]) for name in self.attends}
        return {name: weights for name, weights in found.items() if weights is not None}

    def __str__(self) -> str:
        return "\n".join((self.graph.title, *grid_lines(probe_grid(self))))

    def _repr_html_(self) -> str:
        return grid_html(probe_grid(self))


def probe(
    thing: Any,
    inputs: Any = (),
    at: str | Iterable[str] | None = None,
    *,
    loss: Callable[[Any], Tensor] | None = None,
    budget: int = 1 << 30,
) -> Probe:
    """Run a network once and look at the places named.

    thing    a torch module or function, anything with a `.model` (a run), or a `Graph` already recorded
    inputs   a tensor, a tuple of what the module takes, or a dictionary of its keyword arguments
    at       paths of modules ("encoder.2"), patterns ("encoder.*"), classes ("Conv2d"), kinds of operations
             ("attention"), or operations and values by their labels ("relu_2"); None for every layer
    loss     makes a scalar of the output; with it, gradients are probed too
    budget   bytes of memory that may be kept; beyond it, tensors are sampled

    Raises ModelError for a name that is nowhere, and offers the nearest; ShapeError where the network cannot take
    inputs of these shapes.
    """
    graph = thing if isinstance(thing, Graph) else _recorded(thing, inputs, loss, budget)
    if graph.failed is not None and OF_SHAPES.search(graph.failure):
        raise ShapeError(f"{graph.title}: {graph.failure}", next="give inputs of the shape that the first layer wants")
    chosen = places(graph, (at,) if isinstance(at, str) else at)
    known = attentions(graph)
    asked = {place.name for place in chosen}
    attends = [
        name for name, made in known.items() if at is None or made.label in asked or _within(graph, made.owner, asked)
    ]
    notes = (*graph.notes, *([f"It stopped half-way: {graph.failure}"] if graph.failure else ()))
    return Probe(graph, tuple(_layer(graph, place) for place in chosen), tuple(attends), notes)


def probe_grid(found: Probe) -> Grid:
    """A line a layer: its figures, and where its values lie."""
    heads = ("layer", "type", "output", "mean", "spread", "least", "largest", "zeros", "dead", "where values lie")
    columns = [Column(head, "end" if 3 <= place <= 8 else "start") for place, head in enumerate(heads)]
    graded = any(layer.gradient for layer in found.layers)
    columns += [Column("gradient norm", "end")] if graded else []
    entries = []
    for number, layer in enumerate(found.layers):
        gradient = (short_number(layer.gradient.summary.norm, 4) if layer.gradient else "",) if graded else ()
        cells = (layer.name, layer.type, sides(layer.shape), *_told(layer.figures), *gradient)
        entries.append(Entry(f"{number}-{layer.name}", cells, role=layer.kind))
    notes = [f"attention recorded in {', '.join(found.attends)}"] if found.attends else []
    return Grid(found.graph.title, tuple(columns), tuple(entries), notes=(*notes, *found.notes))


def _told(figures: Figures | None) -> tuple[str, ...]:
    if figures is None:
        return ("?",) * 4 + ("",) * 3
    summary = figures.summary
    # As many decimals as the spread makes meaningful; a mean far within it is none.
    fine = math.isfinite(summary.spread) and summary.spread > 0
    digits = min(5, max(2, 1 - math.floor(math.log10(summary.spread)))) if fine else 2
    mean = 0.0 if fine and abs(summary.mean) < summary.spread / 1000 else summary.mean
    numbers = (short_number(value, digits) for value in (mean, summary.spread, summary.least, summary.largest))
    bad = f" + {summary.bad:,} not finite" if summary.bad else ""
    shares = (share_in_words(summary.zeros), share_in_words(figures.dead))
    return (*numbers, *shares, sparkline(figures.counts) + bad)


def _recorded(thing: Any, inputs: Any, loss: Callable[[Any], Tensor] | None, budget: int) -> Graph:
    # A module may well have a part of its own that is called `model`; only what is no module is asked for one.
    module = thing if isinstance(thing, nn.Module) else getattr(thing, "model", thing)
    options = dict(inputs) if isinstance(inputs, Mapping) else None
    given = () if options is not None else tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)
    return record(module, *given, loss=loss, budget=budget, options=options)


def _layer(graph: Graph, place: Place) -> Layer:
    value = graph.values[place.value]
    return Layer(place.name, place.type, place.kind, value.shape, value.kept, value.gradient, place.channel)


def _within(graph: Graph, owner: int | None, asked: set[str]) -> bool:
    """Whether a call lies in one of the modules asked for."""
    while owner is not None:
        if graph.owners[owner].path in asked:
            return True
        owner = graph.owners[owner].parent
    return False


def _whole(kept: Kept | None) -> Tensor | None:
    return kept.tensor if kept is not None and kept.form == "whole" else None
