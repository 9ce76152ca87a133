"""Networks whose figures a book would show. Draw one: `deepglass see examples/networks.py:resnet`.

Each name of `inputs` is a module of this file and what it is run on; `make docs` draws the README's gallery from them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Reader(nn.Module):
    """A text classifier: embedding, 1-d convolution, global max pooling, dense (Kim 2014)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 32)
        self.convolution = nn.Conv1d(32, 64, 5, padding=2)
        self.hidden = nn.Linear(64, 32)
        self.out = nn.Linear(32, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        x = functional.relu(self.convolution(self.embedding(tokens).transpose(1, 2)))
        return self.out(functional.relu(self.hidden(x.amax(dim=2))))


class PreActivation(nn.Module):
    """A residual block, normalization and activation first (He et al. 2016, ResNetV2)."""

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, 1, 1, bias=False)
        same = stride == 1 and channels == width
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        ready = functional.relu(self.norm1(x))
        kept = x if self.shortcut is None else self.shortcut(ready)
        return kept + self.conv2(functional.relu(self.norm2(self.conv1(ready))))


class ResNetV2(nn.Module):
    """Stages of pre-activation blocks, each half as large and twice as deep as the one before (He et al. 2016)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64), depth: int = 2, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.stages = nn.ModuleList()
        channels = widths[0]
        for place, width in enumerate(widths):
            stage = [PreActivation(channels, width, 1 if place == 0 else 2)]
            stage += [PreActivation(width, width) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*stage))
            channels = width
        self.norm, self.head = nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return self.head(functional.relu(self.norm(x)).mean(dim=(2, 3)))


class Attention(nn.Module):
    """Several heads, each a softmax over the places (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.queries = heads, nn.Linear(width, width)
        self.keys, self.values, self.out = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = (layer(x).unflatten(2, (self.heads, -1)) for layer in (self.queries, self.keys, self.values))
        mixed = functional.scaled_dot_product_attention(*(part.transpose(1, 2) for part in parts))
        return self.out(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A transformer block, normalization first (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.widen, self.narrow = (
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.Linear(4 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))


class Language(nn.Module):
    """A small GPT: tokens and places embedded, blocks in a row, a head."""

    def __init__(self, words: int = 1000, width: int = 64, heads: int = 8, depth: int = 6, length: int = 32) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class UNet(nn.Module):
    """Down, up, and what was on the way down laid beside (Ronneberger, Fischer & Brox 2015)."""

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64)) -> None:
        super().__init__()
        pairs = list(zip((1, *widths), widths, strict=False))
        self.down = nn.ModuleList(nn.Conv2d(one, other, 3, padding=1) for one, other in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(other, one, 2, 2) for one, other in reversed(pairs[1:]))
        self.join = nn.ModuleList(nn.Conv2d(2 * one, one, 3, padding=1) for one, _ in reversed(pairs[1:]))
        self.out = nn.Conv2d(widths[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for place, layer in enumerate(self.down):
            x = functional.relu(layer(functional.max_pool2d(x, 2) if place else x))
            kept.append(x)
        for up, join, before in zip(self.up, self.join, reversed(kept[:-1]), strict=True):
            x = functional.relu(join(torch.cat([before, up(x)], dim=1)))
        return self.out(x)


class Towers(nn.Module):
    """A picture and a text, each through its own tower, compared at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.see = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 24),
        )  # fmt: skip
        self.embedding, self.read, self.project = (
            nn.Embedding(100, 16),
            nn.GRU(16, 24, batch_first=True),
            nn.Linear(24, 24),
        )
        self.judge = nn.Linear(48, 1)

    def forward(self, picture: Tensor, tokens: Tensor) -> Tensor:
        text = self.project(self.read(self.embedding(tokens))[0][:, -1])
        return self.judge(torch.cat([self.see(picture), text], dim=1))


def dense_classifier() -> nn.Module:
    """Pixels in a row, two hidden layers, ten classes."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def convolutional_autoencoder() -> nn.Module:
    """Down to 64 numbers by convolutions, and up again by transposed ones."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 7), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 7), nn.ReLU(), nn.ConvTranspose2d(32, 16, 3, 2, 1, 1), nn.ReLU(),
        nn.ConvTranspose2d(16, 1, 3, 2, 1, 1), nn.Sigmoid(),
    )  # fmt: skip


classifier, autoencoder = dense_classifier(), convolutional_autoencoder()
reader, resnet, block, language, unet, towers = Reader(), ResNetV2(), Block(64, 8), Language(), UNet(), Towers()

inputs: dict[str, tuple[Tensor, ...]] = {
    "classifier": (torch.zeros(2, 1, 28, 28),),
    "reader": (torch.zeros(2, 40, dtype=torch.int64),),
    "autoencoder": (torch.zeros(2, 1, 28, 28),),
    "resnet": (torch.zeros(2, 3, 32, 32),),
    "block": (torch.zeros(2, 16, 64),),
    "language": (torch.zeros(2, 32, dtype=torch.int64),),
    "unet": (torch.zeros(2, 1, 32, 32),),
    "towers": (torch.zeros(2, 3, 32, 32), torch.zeros(2, 12, dtype=torch.int64)),
}
