"""Targets, and outputs drawn for them, that the tests of losses share."""

from __future__ import annotations

import torch
from torch import Tensor

from deepglass.data.schema import Target

PAIR = Target("sick", "binary", ("no", "yes"), (70, 30))
MANY = Target("kind", "multiclass", ("a", "b", "c", "d"), (40, 30, 20, 10))
PRICE = Target("price", "regression", mean=(5.0, -1.0), std=(2.0, 3.0))


def draw(*shape: int, scale: float = 2.0, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * scale


def codes(classes: int, examples: int, seed: int = 1) -> Tensor:
    return torch.randint(classes, (examples,), generator=torch.Generator().manual_seed(seed))


def shares(classes: int, examples: int) -> Tensor:
    return torch.softmax(draw(examples, classes, seed=2), 1)
