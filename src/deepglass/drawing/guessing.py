"""Inputs for a module that came without: guessed from its first layer, tried, and said to be guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.drawing.lettering import sides
from deepglass.errors import ModelError
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record

EXAMPLES, STEPS = 2, 8
PICTURES = (32, 28, 64, 224)
SPANS: dict[type, tuple[tuple[int, ...], ...]] = {
    nn.Conv1d: ((64,), (256,)),
    nn.Conv2d: tuple((side, side) for side in PICTURES),
    nn.Conv3d: ((16, 16, 16),),
}


def record_guessed(module: nn.Module, loss: Callable[[Any], Tensor] | None = None) -> Graph:
    """Record a module on inputs guessed from its first layer with weights; the record's notes say what they were.

    Raises ModelError where the first layer tells nothing, or the module runs with none of the guesses.

    >>> record_guessed(nn.Sequential(nn.Linear(3, 1))).notes
    ('no inputs were given; drawn for a guess from the first layer: 2 × 3 random numbers',)
    """
    title = type(module).__name__
    said = ""
    for inputs, options, words in _guesses(module):
        graph = record(module, *inputs, options=options, loss=loss)
        if not graph.failure:
            note = f"no inputs were given; drawn for a guess from the first layer: {words}"
            return replace(graph, notes=(*graph.notes, note))
        said = said or f" A guess, {words}, failed: {graph.failure.splitlines()[0]}"
    found = f"{title}: no inputs were given, and what it takes cannot be guessed.{said}"
    raise ModelError(found, next="give an example of what it takes: draw(module, x)")


def _guesses(module: nn.Module) -> Iterator[tuple[tuple[Any, ...], dict[str, Any] | None, str]]:
    """Inputs, keyword arguments, and what they are in words; the likeliest first."""
    # Hugging Face's models bring an example with them.
    dummy = getattr(module, "dummy_inputs", None)
    place = next((weight.device for weight in module.parameters()), torch.device("cpu"))
    if isinstance(dummy, dict) and dummy and all(isinstance(value, Tensor) for value in dummy.values()):
        moved = {name: value.to(place) for name, value in dummy.items()}
        yield (), moved, "the example that the model brings with it"
    for first in (found for found in module.modules() if not list(found.children())):
        guesses = list(_for_layer(first, place))
        yield from guesses
        if guesses or list(first.parameters(recurse=False)):
            return


def _for_layer(layer: nn.Module, place: torch.device) -> Iterator[tuple[tuple[Any, ...], None, str]]:
    """What a layer of a known class takes."""
    kind = next((weight.dtype for weight in layer.parameters() if weight.is_floating_point()), torch.float32)
    for shape in _shapes(layer):
        numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(place, kind)
        yield (numbers,), None, f"{sides(shape)} random numbers"
    if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
        shape = (EXAMPLES, STEPS)
        codes = torch.randint(layer.num_embeddings, shape, generator=torch.Generator().manual_seed(0)).to(place)
        yield (codes,), None, f"{sides(shape)} random codes below {layer.num_embeddings:,}"


def _shapes(layer: nn.Module) -> Iterator[tuple[int, ...]]:
    if isinstance(layer, nn.Linear):
        yield (EXAMPLES, layer.in_features)
        yield (EXAMPLES, STEPS, layer.in_features)
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        yield from ((EXAMPLES, layer.in_channels, *span) for span in SPANS.get(type(layer), ()))
    if isinstance(layer, nn.RNNBase):
        yield (EXAMPLES, STEPS, layer.input_size) if layer.batch_first else (STEPS, EXAMPLES, layer.input_size)
    if isinstance(layer, nn.RNNCellBase):
        yield (EXAMPLES, layer.input_size)
    if isinstance(layer, nn.LayerNorm):
        yield (EXAMPLES, *layer.normalized_shape)
    if isinstance(layer, nn.BatchNorm1d):
        yield (EXAMPLES, layer.num_features)
    if isinstance(layer, nn.BatchNorm2d):
        yield (EXAMPLES, layer.num_features, 32, 32)
