"""The gallery of the README: networks drawn by the product itself. `make docs`; or one by one, with `deepglass see`.

Each is written as SVG, which follows the reader's light or dark page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import deepglass as dg

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "examples"))

import networks  # noqa: E402  # the examples are no package

FOLDED = 5_000  # operations of the large graph


def classic() -> nn.Module:
    """The 2-2-1 network of every first lesson, with weights that can be read."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1), nn.Sigmoid())
    weights = ([[0.40, -0.60], [0.70, 0.20]], [0.10, -0.30], [[0.90, -0.80]], [0.05])
    with torch.no_grad():
        for parameter, values in zip(net.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(values))
    return net


class Deep(nn.Module):
    """As many blocks in a row as make about five thousand operations."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU()) for _ in range(FOLDED // 4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Each block adds to what came before."""
        for block in self.blocks:
            x = x + block(x)
        return x


def main() -> None:
    """Draw every picture of the gallery."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name in ("classifier", "reader", "autoencoder", "resnet"):
        save(f"layers-{name}", getattr(networks, name), *networks.inputs[name])
    block, x = networks.block, networks.inputs["block"]
    save("layers-transformer-block", block, *x)
    save("graph-transformer-block", block, *x, view="graph")
    save("nodes-classic", classic(), torch.tensor([[0.50, -0.20]]), view="nodes")
    save("graph-folded", Deep(), torch.randn(2, 8), view="graph")


def save(name: str, module: nn.Module, *inputs: Tensor, view: str = "layers") -> None:
    """One picture into docs/pictures."""
    dg.draw(module, *inputs, view=view, out=PICTURES / f"{name}.svg")
    print(f"written: docs/pictures/{name}.svg")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
