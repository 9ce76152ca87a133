"""Small nets that the tests of training share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Bowl(nn.Module):
    """A quadratic 1/2 (w - c)' A (w - c) over one matrix of weights."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.curve, self.center = draw @ draw.T / 6 + torch.eye(6, dtype=torch.float64), draw[0]
        self.weight = nn.Parameter(torch.linspace(-1, 2, 6, dtype=torch.float64)[:, None])

    def gradient(self, weight: Tensor) -> Tensor:
        return self.curve @ (weight - self.center[:, None])

    def loss(self) -> Tensor:
        away = self.weight - self.center[:, None]
        return 0.5 * (away.T @ self.curve @ away).squeeze()


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(1, 4, 3)
        self.middle = nn.Conv2d(4, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.hidden = nn.Linear(24, 5)
        self.codes = nn.Embedding(3, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        x = self.norm(self.middle(x))
        return self.last(
            torch.tanh(self.hidden(x.flatten(1))) + self.codes(torch.ones(len(x), dtype=torch.int64, device=x.device))
        )
