"""The notices the loop posts; who wants to listen is given them in order.

Saving, showing, logging and watching are listeners: the loop knows none of them, and none of them changes a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Started:
    """A run begins, or goes on at `epoch` (0-based) and `step` within it; `metric` decides which weights are best."""

    epoch: int
    epochs: int
    step: int
    steps: int
    metric: str


@dataclass(frozen=True)
class Stepping:
    """A step begins: the `done`-th of the whole run, from 0, at this rate. Who wants to see inside makes ready."""

    epoch: int
    step: int
    done: int
    rate: float


@dataclass(frozen=True)
class Stepped:
    """One step is done. `losses`, one a player, stays on the device: reading it waits for the device."""

    epoch: int
    step: int
    losses: Tensor


@dataclass(frozen=True)
class EpochEnded:
    """One epoch is done and judged: the line of `history.jsonl`."""

    line: dict[str, Any]
    improved: bool


@dataclass(frozen=True)
class Stopped:
    """Training is over, and why, in words."""

    reason: str
    epoch: int


@dataclass(frozen=True)
class Failed:
    """Training is left by an error or an interrupt, perhaps within a step: who holds on to something lets go."""

    error: BaseException


Event = Started | Stepping | Stepped | EpochEnded | Stopped | Failed
Listener = Callable[[Event], None]
