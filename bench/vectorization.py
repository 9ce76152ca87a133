"""A batch at once beside a loop over its examples: the same gradient of one logistic neuron, timed in turn.

python bench/vectorization.py            # writes bench/results/vectorization.json
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from recording import record

EXAMPLES, FEATURES, ROUNDS = 1_000, 30, 9


def batched(inputs: Tensor, target: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """dW = (A - Y) X / m over all examples in one product."""
    return (functional.linear(inputs, weights[None], bias[None])[:, 0].sigmoid() - target) @ inputs / len(inputs)


def looped(inputs: Tensor, target: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """The same, one example after another."""
    total = torch.zeros_like(weights)
    for row, expected in zip(inputs, target, strict=True):
        total += ((weights @ row + bias).sigmoid() - expected) * row
    return total / len(inputs)


def seconds(gradient: Callable[..., Tensor], *arguments: Tensor) -> float:
    """How long one gradient takes."""
    begun = time.perf_counter()
    gradient(*arguments)
    return time.perf_counter() - begun


def main() -> None:
    """Time the two in turn, after checking that they agree."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(EXAMPLES, FEATURES, dtype=torch.float64, generator=generator)
    target, weights = (inputs[:, 0] > 0).double(), torch.randn(FEATURES, dtype=torch.float64, generator=generator)
    given = (inputs, target, weights, torch.tensor(0.1, dtype=torch.float64))
    worst = float((batched(*given) - looped(*given)).abs().max())
    pairs = [(seconds(looped, *given), seconds(batched, *given)) for _ in range(ROUNDS)]
    ratio = statistics.median(slow / fast for slow, fast in pairs)
    print(f"the loop takes {ratio:.0f} times as long as the batch; they differ by {worst:.1e}")
    record("vectorization", {"loop_over_batch": ratio, "largest_difference": worst, "examples": EXAMPLES})


if __name__ == "__main__":
    main()
