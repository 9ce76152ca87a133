"""Device, precision, batch and length: chosen by measurement, printed before the run, kept in `run.json`.

The plan runs a few steps on a copy of the model, so that the time of an epoch is known before the first one, and a wish
for minutes can be turned into a number of epochs that a schedule can be laid over.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from deepglass.data.batches import Batches
from deepglass.errors import ModelError, RecipeError
from deepglass.models.family import Criterion
from deepglass.training.recipe import Recipe
from deepglass.training.stepping import players, take_step

# What measuring may cost at most, once the first steps have warmed the machine.
MEASURED_SECONDS, WARM_STEPS = 1.0, 2


@dataclass(frozen=True)
class Plan:
    """How the run will be executed. `why` gives the reason of each choice by its name."""

    device: str
    device_name: str
    precision: str
    threads: int
    batch_size: int
    accumulate: int
    epochs: int
    steps_per_epoch: int
    seconds_per_step: float | None
    seconds_per_epoch: float | None
    memory_bytes: int
    why: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for run.json."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        pace = "" if self.seconds_per_epoch is None else f", about {shown_seconds(self.seconds_per_epoch)} an epoch"
        lines = [
            f"{self.device} ({self.device_name}), {self.precision}, batches of {self.batch_size}, "
            f"{self.epochs} epochs of {self.steps_per_epoch} steps{pace}, {self.memory_bytes / 2**20:.0f} MiB of data",
            *(f"  {name}: {reason}" for name, reason in self.why.items()),
        ]
        return "\n".join(lines)


def shown_seconds(seconds: float) -> str:
    """A duration as a person reads it.

    >>> [shown_seconds(s) for s in (0.0042, 3.21, 75, 7300)]
    ['4 ms', '3.2 s', '1 min 15 s', '2 h 1 min']
    """
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def choose_device(wish: str) -> tuple[torch.device, str]:
    """The device to train on and why. Raises RecipeError for one that is not there."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wish == "auto":
        found = "cuda" if cuda else "mps" if mps else "cpu"
        return torch.device(found), "the fastest that PyTorch finds here"
    if (wish == "cuda" and not cuda) or (wish == "mps" and not mps):
        there = ", ".join(["cpu", *(["cuda"] if cuda else []), *(["mps"] if mps else [])])
        raise RecipeError(f"device: PyTorch finds no {wish} here; it has: {there}.", next="--device auto")
    return torch.device(wish), "asked for"


def plan_run(recipe: Recipe, model: nn.Module, batches: Batches, criterion: Criterion, why: dict[str, str]) -> Plan:
    """Measure a few steps and settle device, batch and number of epochs. The model and the generators stay as they are.

    Raises ModelError when the model cannot take the data (the first step is the proof).
    """
    pace = _seconds_per_step(recipe, model, batches, criterion)
    reasons = dict(why)
    epochs = recipe.epochs or 1
    if recipe.minutes is not None and pace is not None:
        # A tenth is kept for judging after each epoch; the stopper holds the clock in case the machine slows down.
        epochs = max(1, min(1000, math.floor(0.9 * 60 * recipe.minutes / (pace * batches.steps))))
        reasons["epochs"] = f"{recipe.minutes:g} minutes at {shown_seconds(pace * batches.steps)} an epoch"
    if batches.batch_size < (recipe.batch_size or 0):
        reasons["batch_size"] = "all training examples: fewer than the batch asked for"
    return Plan(
        device=batches.device.type,
        device_name=_device_name(batches.device),
        precision=recipe.precision,
        threads=torch.get_num_threads(),
        batch_size=batches.batch_size,
        accumulate=recipe.accumulate,
        epochs=epochs,
        steps_per_epoch=batches.steps,
        seconds_per_step=pace,
        seconds_per_epoch=None if pace is None else pace * batches.steps,
        memory_bytes=sum(t.numel() * t.element_size() for t in (*batches.inputs, batches.target)),
        why=reasons,
    )


def _seconds_per_step(recipe: Recipe, model: nn.Module, batches: Batches, criterion: Criterion) -> float | None:
    try:
        trial = copy.deepcopy(model)
    except (TypeError, RuntimeError, NotImplementedError):
        # A user's module may hold what cannot be copied (a lock, a non-leaf tensor): then nothing is measured.
        return None
    devices = [batches.device] if batches.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        team = players(trial, criterion, recipe)
        times: list[float] = []
        spent = 0.0
        several = itertools.chain.from_iterable(batches.epoch(epoch) for epoch in range(WARM_STEPS + 1))
        for number, batch in enumerate(several):
            begun = time.perf_counter()
            try:
                take_step(team, batch, recipe, rate=0.0)
            except RuntimeError as error:
                raise _unfit(error, model, batch.inputs) from error
            if batches.device.type == "cuda":
                torch.cuda.synchronize()
            taken = time.perf_counter() - begun
            spent += taken
            times += [taken] if number >= WARM_STEPS else []
            if number >= WARM_STEPS and (spent > MEASURED_SECONDS or number >= 20):
                break
    return statistics.median(times) if times else None


def _unfit(error: RuntimeError, model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> ModelError:
    shapes = ", ".join(str(tuple(entry.shape)) for entry in inputs)
    facts = str(error).strip().splitlines()[0]
    return ModelError(f"{type(model).__name__}: cannot take a batch of shape {shapes}: {facts}.",
                      next="shape the data as the module wants it, or mend the module")  # fmt: skip


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return "Apple GPU" if device.type == "mps" else f"{torch.get_num_threads()} threads"
