"""The bootstrap: how far a figure would move if the examples had been drawn again.

From m examples m are drawn with replacement, many times over, and the figure is taken each time; the middle 95 % of
what comes out is the interval (Efron 1979). A draw is written as how often each example was drawn, so that any figure
that can weigh examples can be resampled; examples that a figure cannot tell apart are drawn as one cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

CHUNK = 2**18
WORK = 3 * 10**7
FEWEST = 200


def affordable(rounds: int, examples: int, cost: int = 1) -> int:
    """How many rounds to take of those asked: fewer for many examples, never below 200.

    >>> affordable(1000, 10_000), affordable(1000, 60_000), affordable(1000, 10**6)
    (1000, 500, 200)
    """
    return min(rounds, max(FEWEST, WORK // max(1, examples * cost)))


def draws(cells: Tensor, count: int, rounds: int, seed: int) -> Iterator[Tensor]:
    """How often each of `count` cells is drawn: float64 [count, rounds of a chunk], chunk by chunk.

    `cells` int64 [m] is the cell of each example. The sum over cells is m in every round.
    """
    source = np.random.default_rng(seed)
    examples = len(cells)
    sizes = torch.bincount(cells, minlength=count).numpy()
    together = max(1, CHUNK // max(examples, count))
    few = count * 8 < examples
    for done in range(0, rounds, rounds if few else together):
        if few:
            # One draw of cell counts in place of m draws of examples: the same distribution.
            yield torch.from_numpy(source.multinomial(examples, sizes / examples, size=rounds).T.astype(np.float64))
            continue
        width = min(together, rounds - done)
        drawn = cells.numpy()[source.integers(0, examples, (width, examples), dtype=np.int32)]
        flat = drawn * width + np.arange(width)[:, None]
        counts = np.bincount(flat.ravel(), minlength=count * width).reshape(count, width)
        yield torch.from_numpy(counts.astype(np.float64))


def middle(
    figure: Callable[[Tensor], Tensor], cells: Tensor, count: int, rounds: int, seed: int
) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of a figure over draws. Draws in which it is not defined are left out.

    `figure` takes weights [count, r] and gives [r].
    """
    found = torch.cat([figure(weights) for weights in draws(cells, count, rounds, seed)])
    found = found[torch.isfinite(found)]
    if not len(found):
        return float("nan"), float("nan")
    low, high = torch.quantile(found, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
