"""How long it takes to place and to write pictures of graphs: five thousand operations, folded, chunked and in modules.

python bench/drawing.py         prints the medians and writes them to bench/results/drawing.json
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from deepglass.drawing.layers import layers_scene
from deepglass.drawing.layout import arrange
from deepglass.drawing.operations import graph_scene
from deepglass.drawing.ranking import Link
from deepglass.drawing.svg import as_svg
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from recording import record as write

ROUNDS = 5


class Block(nn.Module):
    """A residual block that is unlike its neighbors: its operations come in an order of its own."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(8, 8), nn.Linear(8, 8)
        self.order = torch.randint(3, (21,), generator=torch.Generator().manual_seed(seed)).tolist()

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        for kind in self.order:
            y = (torch.sin, torch.tanh, torch.neg)[kind](y)
        return x + self.outer(y)


def looped(x: Tensor) -> Tensor:
    for turn in range(1250):
        x = torch.sin(x * turn) + torch.cos(x)
    return x


def unordered(x: Tensor) -> Tensor:
    before = x
    for kind in torch.randint(4, (5000,), generator=torch.Generator().manual_seed(0)).tolist():
        x, before = (torch.sin, torch.cos, torch.neg, lambda x, old=before: x + old)[kind](x), x
    return x


def graphs() -> dict[str, Graph]:
    """Five thousand operations: a loop, no order and no modules, two hundred modules that differ."""
    torch.manual_seed(0)
    deep = nn.Sequential(*(Block(seed) for seed in range(208)))
    return {
        "a loop": record(looped, torch.randn(4)),
        "no order, no modules": record(unordered, torch.randn(4)),
        "208 modules that differ": record(deep, torch.randn(2, 8)),
    }


def seconds(act: Callable[[], object]) -> float:
    """The median of a few."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure() -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    for name, graph in graphs().items():
        scene = graph_scene(graph)
        figures[name] = {
            "operations": len(graph.operations),
            "graph view, seconds": round(seconds(lambda graph=graph: graph_scene(graph)), 4),
            "to SVG, seconds": round(seconds(lambda scene=scene: as_svg(scene)), 4),
            "layers view, seconds": round(seconds(lambda graph=graph: layers_scene(graph)), 4),
        }
    links = [Link(node, node + 1) for node in range(4999)] + [Link(node, node + 5) for node in range(0, 4990, 3)]
    whole = seconds(lambda: arrange([(60.0, 20.0)] * 5000, links))
    figures["5,000 nodes all shown"] = {"layout, seconds": round(whole, 4)}
    return figures


if __name__ == "__main__":
    medians = measure()
    for name, each in medians.items():
        print(f"{name:26}", "   ".join(f"{what} {value:g}" for what, value in each.items()))
    write("drawing", medians)
