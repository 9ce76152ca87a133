"""What a step of `dg.train` costs beside the loop one would write by hand: 784-256-128-10, batch 64, paired.

    python bench/step.py [ROUNDS]            # writes bench/results/step.json

Both have the whole set in memory as float tensors. The hand-written loop is the one in PyTorch's tutorials with the
DataLoader taken out: Adam as it comes, zero_grad, forward, backward, step. `dg.train` runs with all its defaults.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import deepglass as dg
from deepglass.training.events import Event, Stepped
from recording import record

EXAMPLES, BATCH, EPOCHS = 32_000, 64, 2


def network() -> nn.Sequential:
    """The net of the reference result."""
    return nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(128, 10),
    )  # fmt: skip


def by_hand(inputs: Tensor, target: Tensor) -> float:
    """Seconds a step of the hand-written loop."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    model.train()
    steps, begun = 0, time.perf_counter()
    for _ in range(EPOCHS):
        for index in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss = criterion(model(inputs[index]), target[index])
            loss.backward()
            optimizer.step()
            steps += 1
    return (time.perf_counter() - begun) / steps


class Clock:
    """A listener that times the steps from the first of an epoch to its last."""

    def __init__(self) -> None:
        self.seconds, self.steps, self.last = 0.0, 0, 0.0

    def __call__(self, event: Event) -> None:
        """Add the time since the last step, within an epoch."""
        now = time.perf_counter()
        if isinstance(event, Stepped):
            if event.step > 1:
                self.seconds += now - self.last
                self.steps += 1
            self.last = now


def by_deepglass(inputs: Tensor, target: Tensor) -> float:
    """Seconds a step of `dg.train`, everything on."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        dg.train((inputs, target), network(), epochs=EPOCHS, baselines=False, report=False, listeners=(clock,),
                 out=Path(folder) / "run")  # fmt: skip
    return clock.seconds / clock.steps


def main() -> None:
    """Run the two in turn and write the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.manual_seed(0)
    inputs, target = torch.randn(EXAMPLES, 784), torch.randint(0, 10, (EXAMPLES,))
    by_hand(inputs, target)
    pairs = [(by_hand(inputs, target), by_deepglass(inputs, target)) for _ in range(rounds)]
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    figures = {
        "by_hand_ms": 1000 * statistics.median(theirs for theirs, _ in pairs),
        "deepglass_ms": 1000 * statistics.median(ours for _, ours in pairs),
        "ratio": ratio,
        "pairs_ms": [[1000 * theirs, 1000 * ours] for theirs, ours in pairs],
    }
    print(f"by hand {figures['by_hand_ms']:.3f} ms, deepglass {figures['deepglass_ms']:.3f} ms, ratio {ratio:.3f}")
    record("step", figures)


if __name__ == "__main__":
    main()
