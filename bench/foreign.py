"""Modules as a user of PyTorch writes them, on which faults are planted: none of deepglass is in them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


def stacked(before: int, width: int, depth: int, outputs: int, activation: str, normalization: str) -> nn.Sequential:
    """Layers [m, before] -> [m, outputs] with `depth` hidden ones."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Linear(before, width))
        layers += [nn.BatchNorm1d(width)] if normalization == "batch" else []
        layers.append(ACTIVATIONS[activation]())
        before = width
    return nn.Sequential(*layers, nn.Linear(before, outputs))


class PictureNet(nn.Module):
    """Two convolutions and dense layers, for gray pictures [m, 1, side, side]."""

    def __init__(self, side: int, outputs: int, *, depth: int = 1, activation: str = "relu",
                 normalization: str = "none", width: int = 64) -> None:  # fmt: skip
        super().__init__()
        filters = max(1, min(16, width // 4))
        self.conv1 = nn.Conv2d(1, filters, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(filters) if normalization == "batch" else nn.Identity()
        self.act1 = ACTIVATIONS[activation]()
        self.conv2 = nn.Conv2d(filters, 2 * filters, 3, padding=1)
        self.act2 = ACTIVATIONS[activation]()
        self.pool = nn.MaxPool2d(2)
        self.fc = stacked(2 * filters * (side // 4) ** 2, width, depth, outputs, activation, normalization)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.act1(self.norm1(self.conv1(x))))
        x = self.pool(self.act2(self.conv2(x)))
        return self.fc(x.flatten(1))


class RowReader(nn.Module):
    """An LSTM that reads a picture row by row [m, rows, columns], and dense layers on its last state."""

    def __init__(self, columns: int, outputs: int, *, depth: int = 1, activation: str = "relu",
                 normalization: str = "none", width: int = 64) -> None:  # fmt: skip
        super().__init__()
        self.lstm = nn.LSTM(columns, width, batch_first=True)
        self.head = stacked(width, width, depth, outputs, activation, normalization)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(x)
        return self.head(states[:, -1])


class PlainRecurrence(nn.Module):
    """h := g(W x + U h), the oldest recurrent net, written as a loop over the rows of [m, rows, columns]."""

    def __init__(self, columns: int, outputs: int, *, width: int = 48, gain: float = 1.0) -> None:
        super().__init__()
        self.into, self.again = nn.Linear(columns, width), nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, outputs)
        nn.init.orthogonal_(self.again.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(len(x), self.again.in_features, dtype=x.dtype, device=x.device)
        for row in x.unbind(1):
            state = torch.relu(self.into(row) + self.again(state))
        return self.out(state)


class Block(nn.Module):
    """One block of a transformer, normalized before each part (Xiong et al. 2020)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.fc1, self.act, self.fc2 = nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, need_weights=False)[0]
        return x + self.fc2(self.act(self.fc1(self.norm2(x))))


class WordReader(nn.Module):
    """A small transformer that sorts short texts: word codes [m, length], where 0 is no word, to classes."""

    def __init__(self, words: int, length: int, outputs: int, *, width: int = 32, depth: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.words(codes) + self.places
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x).mean(1))


class Detach(nn.Module):
    """Passes on what it is given, and no gradient back."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


class LogScale(nn.Module):
    """Logarithms of what is not always positive: no number."""

    def forward(self, x: Tensor) -> Tensor:
        return x.log()


class DivideBySpread(nn.Module):
    """Each example less its mean, over its spread: 0 / 0 where an example is even."""

    def forward(self, x: Tensor) -> Tensor:
        away = (x - x.mean(1, keepdim=True)).relu() * 0.0
        return x + away / away.std(1, keepdim=True)


class FrozenNorms(nn.Module):
    """A network whose author calls .eval() on the batch norms in train(), and so never lets them see a batch."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> FrozenNorms:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)


class Squashed(nn.Module):
    """A network whose author lets it end in shares, or in a probability."""

    def __init__(self, network: nn.Module, squash: nn.Module) -> None:
        super().__init__()
        self.network, self.squash = network, squash

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.squash(self.network(*inputs))


class RootOfRest(nn.Module):
    """√(limit − x): no number where x has passed the limit that it began with."""

    def __init__(self) -> None:
        super().__init__()
        self.limit: float | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.limit is None:
            self.limit = 1.15 * float(x.detach().abs().max())
        return (self.limit - x).sqrt()
