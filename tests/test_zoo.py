"""Every look at every foreign architecture: it succeeds, and what it counts is right."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepglass.seeing.probe import probe
from deepglass.seeing.summary import summarize
from deepglass.tracing.record import record
from zoo import ZOO, scalar


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", ZOO)
def test_an_architecture_nobody_here_wrote_is_recorded_counted_and_probed(name):
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
    assert all(torch.equal(buffer, buffers[path]) for path, buffer in module.named_buffers())
    assert all(weight.grad is None for weight in module.parameters())
