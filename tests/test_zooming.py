"""A module cut out of a record is a record of its own: it replays, and says the same of the same operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepglass.drawing.zooming import zoomed
from deepglass.errors import ModelError
from deepglass.tracing.record import record


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(self.norm(x)).relu())


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


@pytest.mark.parametrize("path", ["blocks.1", "blocks.1.up", "head"])
def test_what_is_cut_out_is_a_record_that_replays(path: str) -> None:
    torch.manual_seed(0)
    graph = record(Deep(), torch.randn(2, 4), loss=lambda y: y.sum())
    part = zoomed(graph, path)
    assert part.check().agrees
    whole = {operation.label: operation for operation in graph.operations}
    for operation in part.operations:
        assert operation.function == whole[operation.label].function
        before = [graph.values[value] for value in whole[operation.label].inputs]
        assert [part.values[value].name for value in operation.inputs] == [value.name for value in before]
    assert [value.id for value in part.values] == list(range(len(part.values)))
    assert [owner.id for owner in part.owners] == list(range(len(part.owners)))
    assert all(part.owners[child].parent == owner.id for owner in part.owners for child in owner.children)
    assert len(part.inputs) == 1 and part.values[part.inputs[0]].maker is None


def test_of_a_module_that_failed_the_failure_comes_along() -> None:
    graph = record(nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(5, 2))), torch.ones(1, 3))
    assert zoomed(graph, "1").failure == graph.failure != ""
    assert zoomed(graph, "0").failure == ""


def test_a_path_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(ModelError, match=r"no module '1' ran\..*'0'"):
        zoomed(record(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2)), "1")
    with pytest.raises(ModelError, match="nothing here is inside another module"):
        zoomed(record(torch.relu, torch.ones(2)), "1")
