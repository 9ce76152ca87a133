"""What looking inside costs: a step that is watched beside one that is not, turn about in the same run.

    python bench/watching.py [STEPS]            # writes bench/results/watching.json

With watch=2 every other step is watched, so that each has its neighbors to be compared with, and whatever else the
machine does hits both alike. The cost of an epoch at one step in 100 is the median difference over 100 plain steps, and
what is left of the listener at steps it does not watch, which is timed by itself. A run of nothing but one epoch of
MNIST (938 steps) is watched at more steps than that, and costs more: it is told too.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import deepglass as dg
from deepglass.diagnosing.watch import is_watched, spacing
from deepglass.training.events import Event, Stepped, Stepping
from recording import record

WARM, SHORT = 20, 938


class Perceptron(nn.Sequential):
    """784-256-128-10 with dropout: the net of the reference result."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(128, 10),
        )  # fmt: skip


class Convolutions(nn.Sequential):
    """Two stages of 16 and 32 maps on 28 x 28, batch norm, one dense layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 49, 10),
        )  # fmt: skip


class Transformer(nn.Module):
    """A GPT of four layers of width 128 on 64 tokens, which says one of ten classes at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(256, 128), nn.Parameter(0.02 * torch.randn(64, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 512, 0.1, nn.functional.gelu, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(128, 10)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(64))

    def forward(self, codes: Tensor) -> Tensor:
        """Codes [m, 64] to logits [m, 10]."""
        return self.head(self.layers(self.tokens(codes) + self.places, mask=self.mask, is_causal=True)[:, -1])


@dataclass(frozen=True)
class Case:
    """A net, its inputs, and how many of them make a batch."""

    make: Callable[[], nn.Module]
    draw: Callable[[int], Tensor]
    batch: int


CASES: dict[str, Case] = {
    "MLP, 28 x 28": Case(Perceptron, lambda count: torch.randn(count, 784), 64),
    "CNN, 28 x 28": Case(Convolutions, lambda count: torch.randn(count, 1, 28, 28), 64),
    "GPT, 64 tokens": Case(Transformer, lambda count: torch.randint(0, 256, (count, 64)), 16),
}


class Clock:
    """A listener that times every step, from before any listener makes ready to after all have heard."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def __call__(self, event: Event) -> None:
        """Note the time when a step is all over. The listeners come in order, and this is the last."""
        if isinstance(event, Stepped):
            self.moments.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Of each step but the first."""
        return [after - before for before, after in zip(self.moments, self.moments[1:], strict=False)]


def steps_of(case: Case, steps: int, watch: int) -> list[float]:
    """Seconds of each step of a run."""
    torch.manual_seed(0)
    count, clock = case.batch * steps, Clock()
    data = (case.draw(count), torch.randint(0, 10, (count,)))
    with tempfile.TemporaryDirectory() as folder:
        dg.train(data, case.make(), epochs=1, batch_size=case.batch, watch=watch, valid=0.01, test=0.01,
                 checkpoint_every=1e9, baselines=False, report=False, listeners=(clock,),
                 out=Path(folder) / "run")  # fmt: skip
    return clock.seconds[WARM:]


def idle_seconds() -> float:
    """What is left of the listener at a step that is not watched: a notice made and passed over."""

    def hear(event: Event) -> bool:
        return isinstance(event, Stepping) and event.done % 100 == 1

    begun = time.perf_counter()
    for step in range(100_000):
        hear(Stepping(0, step, 100, 0.1))
        hear(Stepping(0, step, 100, 0.1))
    return (time.perf_counter() - begun) / 100_000


def measure(case: Case, steps: int) -> dict[str, float]:
    """Milliseconds of a plain step and of a watched one, and the share of an epoch that watching 1 in 100 takes."""
    seconds = steps_of(case, steps, watch=2)
    # The first time kept belongs to the step after WARM + 1 others: with WARM even, one that is not watched.
    plain, watched = seconds[0::2], seconds[1::2]
    pairs = list(zip(plain, watched, plain[1:], strict=False))
    extra = statistics.median(middle - (before + after) / 2 for before, middle, after in pairs)
    usual = statistics.median(plain)
    every = spacing(100, SHORT)
    often = sum(is_watched(done, every) for done in range(SHORT))
    return {
        "plain_ms": 1000 * usual, "watched_ms": 1000 * statistics.median(watched), "extra_ms": 1000 * extra,
        "extra_steps": extra / usual, "share_at_1_in_100": (extra / 100 + idle_seconds()) / usual,
        "share_of_one_short_epoch": (extra * often / SHORT + idle_seconds()) / usual,
    }  # fmt: skip


def main() -> None:
    """Measure each net, print and write."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    figures = {}
    for name, case in CASES.items():
        found = figures[name] = measure(case, steps)
        print(f"{name:<16} plain {found['plain_ms']:7.2f} ms, watched {found['watched_ms']:7.2f} ms, "
              f"1 in 100: {found['share_at_1_in_100']:.2%} of an epoch")  # fmt: skip
    record("watching", figures)


if __name__ == "__main__":
    main()
