"""Every look at every foreign architecture: it succeeds, counts right, and leaves what it looked at unchanged."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deepglass.drawing.draw import draw
from deepglass.drawing.summary import summarize
from deepglass.errors import ModelError
from deepglass.explaining.probe import probe
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from zoo import ZOO, scalar

UNKNOWN_TO_PYTORCH = ("Mixtral", "Qwen2Moe", "LSTM")
"""Its counter knows neither the grouped product of experts nor the fused LSTM."""

WITHOUT_NEURONS = ("MultiheadAttention", "LSTM", "GRU", "RNN")
"""One operation each, with weights of its own shape: the nodes view says what it cannot draw, and offers another."""


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def same_gradients(graph: Graph, module: nn.Module) -> int:
    """How many weights have the recorded gradient in their `.grad`, to the bit; none may have one on one side alone."""
    found = 0
    for name, weight in module.named_parameters():
        kept = graph.value(name).gradient
        assert (kept is None) == (weight.grad is None), name
        if kept is not None and weight.grad is not None:
            assert kept.tensor is not None and torch.equal(kept.tensor, weight.grad), name
            found += 1
    return found


def drawn(graph: Graph, view: str) -> None:
    picture = draw(graph, view=view)
    assert ElementTree.fromstring(picture.svg).tag.endswith("svg")
    assert len(picture.text.splitlines()) > 2


@pytest.mark.parametrize("name", [name for name in ZOO if name not in UNKNOWN_TO_PYTORCH])
def test_its_work_is_what_pytorch_counts(name):
    animal = ZOO[name]
    module, inputs = animal.made(), animal.inputs()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        module(**inputs)
    assert 2 * summarize(module, options=inputs).multiply_adds == counter.get_total_flops() > 0


@pytest.mark.parametrize("name", ZOO)
def test_an_architecture_nobody_here_wrote_is_recorded_drawn_counted_and_probed(name):
    animal = ZOO[name]
    module, inputs = animal.made(), animal.inputs()
    buffers = {path: buffer.clone() for path, buffer in module.named_buffers()}
    graph = record(module, options=inputs, loss=scalar)
    assert graph.failure == "" and graph.loss is not None
    check = graph.check()
    assert check.agrees, check
    summary = summarize(graph)
    assert summary.parameters == parameters(module)
    assert str(summary) and summary._repr_html_()
    found = probe(graph)
    assert found.layers and str(found)
    for weights in found.attention.values():
        sums = weights.sum(-1)
        torch.testing.assert_close(sums[sums != 0], torch.ones_like(sums[sums != 0]))
    for view in ("layers", "graph", "summary"):
        drawn(graph, view)
    if name in WITHOUT_NEURONS:
        with pytest.raises(ModelError, match="--view layers"):
            drawn(graph, "nodes")
    else:
        drawn(graph, "nodes")
    assert all(torch.equal(buffer, buffers[path]) for path, buffer in module.named_buffers())
    assert all(weight.grad is None for weight in module.parameters())
    scalar(module(**inputs)).backward()
    assert same_gradients(graph, module) > 0
