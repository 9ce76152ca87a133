"""Nets that are hard to see into: weights tied, modules shared, tensors changed in place, passes written by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.tracing.operation import Kept


class Tied(nn.Module):
    """One matrix reads words and writes them; one layer is run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.out.weight = self.words.weight
        self.shared = nn.Linear(4, 4)

    def forward(self, codes: Tensor) -> Tensor:
        return self.out(torch.tanh(self.shared(torch.tanh(self.shared(self.words(codes))))))


class InPlace(nn.Module):
    """Activations in place, an entry set, a view of what is changed later, and a change through a view."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.norm = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.relu(self.first(x)))
        hidden[:, 0] = hidden[:, 1] * 2
        flat = hidden.view(-1)
        hidden += 1
        other = hidden + 0
        other[0].mul_(3)
        other.transpose_(0, 1)
        other[other > 2] = 0.5
        return functional.dropout(other.t().contiguous() + flat.view(-1, 4), 0.3)


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * 2 * ctx.saved_tensors[0]


squared = Squared.apply


class ByHand(nn.Module):
    """A backward pass written by hand: called in the usual way, or through a name taken beforehand."""

    def __init__(self, *, early: bool) -> None:
        super().__init__()
        self.first, self.early = nn.Linear(4, 4), early

    def forward(self, x: Tensor) -> Tensor:
        return squared(self.first(x)) + 1 if self.early else Squared.apply(self.first(x)) + 1


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.LSTM(4, 5, 2, dropout=0.1, bidirectional=True), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[0])


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.MultiheadAttention(4, 2, dropout=0.1)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        mixed, weights = self.body(x, x, x)
        return functional.scaled_dot_product_attention(mixed, x * self.scale, x) + weights.mean()


class Turned(nn.Module):
    """Operators: powers, products, signs, comparisons."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 2, 12).reshape(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        y = -(x**2 @ self.weight.T) / 3 - 1
        y = y + 2 * y.abs().sqrt()
        y += 1
        parts = torch.cat([y[:, 1:], y[:, :1]], dim=1).split(2, dim=1)
        return torch.where(parts[0] > 0, parts[0], 0.1 * parts[0]).T @ torch.exp(-y)


MATRIX = torch.linspace(-1, 1, 12).reshape(4, 3).requires_grad_()


def plain_function(x: Tensor) -> Tensor:
    return torch.tanh(x @ MATRIX).softmax(1)


def through_a_view(x: Tensor) -> Tensor:
    """A row is changed through a view, and the whole is read after it."""
    y = x @ MATRIX
    y[0].mul_(3)
    return y * 1


@dataclass(frozen=True)
class Case:
    """A net or function and what it is given."""

    make: Callable[[], Any]
    inputs: Callable[[], tuple[Tensor, ...]]


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


def codes() -> Tensor:
    return torch.tensor([[1, 2, 3], [3, 0, 6]])


CASES: dict[str, Case] = {
    "tied and shared": Case(Tied, lambda: (codes(),)),
    "in place": Case(InPlace, lambda: (noise(5, 4),)),
    "backward by hand": Case(lambda: ByHand(early=False), lambda: (noise(3, 4),)),
    "backward by hand, bound early": Case(lambda: ByHand(early=True), lambda: (noise(3, 4),)),
    "recurrent": Case(Recurrent, lambda: (noise(3, 2, 4),)),
    "attention": Case(Attending, lambda: (noise(3, 2, 4),)),
    "encoder": Case(lambda: nn.TransformerEncoderLayer(8, 2, 16), lambda: (noise(3, 2, 8),)),
    "operators": Case(Turned, lambda: (noise(3, 4),)),
    "function": Case(lambda: plain_function, lambda: (noise(2, 4),)),
    "through a view": Case(lambda: through_a_view, lambda: (noise(2, 4),)),
    "convolution": Case(
        lambda: nn.Sequential(
            nn.Conv2d(2, 3, 3),
            nn.BatchNorm2d(3),
            nn.SiLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 2),
        ),
        lambda: (noise(2, 2, 6, 6),),
    ),
}


def scalar(outputs: Any) -> Tensor:
    """Something to differentiate: of any float output, a mean that no symmetry makes vanish."""
    tensor = outputs if isinstance(outputs, Tensor) else outputs[0]
    return (tensor * torch.linspace(0.5, 1.5, tensor.numel(), dtype=tensor.dtype).view(tensor.shape)).square().mean()


def whole(kept: Kept | None) -> Tensor:
    """The tensor that was kept, all of it."""
    assert kept is not None and kept.form == "whole" and kept.tensor is not None
    return kept.tensor
