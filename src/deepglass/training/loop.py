"""The training loop on a page: batches, turns, notices; everything else listens.

Sample a mini-batch, forward, loss, backward, optimizer step; judge after each epoch; stop when there is a reason to.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.data.batches import Batches
from deepglass.data.schema import Batch
from deepglass.errors import DivergedError, RunError
from deepglass.training.averaging import Averager
from deepglass.training.checkpoint import random_state, restore_random_state, snapshot
from deepglass.training.divergence import first_failure
from deepglass.training.events import EpochEnded, Event, Failed, Started, Stepped, Stepping, Stopped
from deepglass.training.optimize import Plateau, rate_at
from deepglass.training.recipe import Recipe
from deepglass.training.stepping import Player, take_step
from deepglass.training.stopping import Stopper

# Gradient norms are taken, and on an accelerator the losses are read back, once in so many steps: each costs time.
NORM_EVERY, CHECK_EVERY = 20, 32
WITHIN_A_STEP = "within a step"


@dataclass
class Learner:
    """All that moves during a run. What is here, and the random state, is what a checkpoint must hold.

    `judge` gives the validation loss, the figure that decides, and all figures; `post` tells the listeners.
    """

    model: nn.Module
    team: tuple[Player, ...]
    batches: Batches
    averager: Averager
    stopper: Stopper
    recipe: Recipe
    judge: Callable[[], tuple[float, float, dict[str, float]]]
    post: Callable[[Event], None]
    plateau: Plateau | None = None
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    norms: list[float] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    stopped: str = ""

    @property
    def epochs(self) -> int:
        """How many epochs the schedule is laid over."""
        return self.recipe.epochs or 1

    def restate(self, model: nn.Module) -> None:
        """Run the training examples through, for batch statistics that belong to averaged weights."""
        for batch in self.batches.epoch(self.epoch):
            model(*batch.inputs)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on from here, to the same bits."""
        return {
            "epoch": self.epoch, "step": self.step, "seconds": self.seconds, "stopped": self.stopped,
            "losses": self.losses, "norms": self.norms, "model": dict(self.model.state_dict()), "best": self.best,
            "optimizers": [player.optimizer.state_dict() for player in self.team],
            "average": self.averager.tensors(), "stopper": self.stopper.state(),
            "plateau": self.plateau.state_dict() if self.plateau else {},
            "random": random_state(self.batches.device), "data": self.batches.fingerprint,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a saved state. Raises RunError when it was learned from other data."""
        if state["data"] != self.batches.fingerprint:
            raise RunError("--resume: the data are not those the run was begun with.",
                           next="resume with the same data, or train anew in another --out")  # fmt: skip
        self.epoch, self.step, self.seconds = state["epoch"], state["step"], state["seconds"]
        self.stopped, self.norms, self.best = state["stopped"], state["norms"], state["best"]
        self.losses = state["losses"].to(self.batches.device)
        self.model.load_state_dict(state["model"])
        for player, saved in zip(self.team, state["optimizers"], strict=True):
            player.optimizer.load_state_dict(saved)
        self.averager.load(state["average"])
        self.stopper.load(state["stopper"])
        if self.plateau:
            self.plateau.load_state_dict(state["plateau"])
        restore_random_state(state["random"], self.batches.device)


def learn(learner: Learner) -> str:
    """Train to the end; return the reason for ending.

    KeyboardInterrupt comes between two steps; only a second Ctrl-C comes at once, and says WITHIN_A_STEP.
    """
    learner.post(Started(learner.epoch, learner.epochs, learner.step, learner.batches.steps,
                         learner.recipe.metric or ""))  # fmt: skip
    try:
        with _interrupts_between_steps() as check:
            while not learner.stopped:
                if learner.step < learner.batches.steps:
                    _train_epoch(learner, check)
                _end_epoch(learner)
            learner.post(Stopped(learner.stopped, learner.epoch))
            check()
    except BaseException as error:
        learner.post(Failed(error))
        raise
    return learner.stopped


def _train_epoch(learner: Learner, check: Callable[[], None]) -> None:
    begun = time.perf_counter() - learner.seconds
    learner.model.train()
    total = learner.batches.steps * learner.epochs
    if len(learner.losses) != learner.batches.steps:
        learner.losses = torch.zeros(learner.batches.steps, len(learner.team), device=learner.batches.device)
    for batch in learner.batches.epoch(learner.epoch, learner.step):
        done = learner.epoch * learner.batches.steps + learner.step
        rate = learner.plateau.rate if learner.plateau else rate_at(learner.recipe, done, total)
        learner.post(Stepping(learner.epoch, learner.step, done, rate))
        result = take_step(learner.team, batch, learner.recipe, rate, norms=done % NORM_EVERY == 0)
        learner.losses[learner.step] = result.losses
        _watch_finite(learner, batch)
        if result.norms is not None and done % NORM_EVERY == 0:
            learner.norms.append(float(result.norms.max()))
        learner.averager.update(done)
        learner.step += 1
        learner.seconds = time.perf_counter() - begun
        learner.post(Stepped(learner.epoch, learner.step, result.losses))
        check()
        if learner.recipe.minutes is not None and learner.seconds >= 60 * learner.recipe.minutes:
            break


def _end_epoch(learner: Learner) -> None:
    begun = time.perf_counter()
    with learner.averager.applied(learner.restate):
        loss, figure, figures = learner.judge()
        improved = learner.stopper.saw(learner.epoch + 1, figure, loss)
        if improved:
            learner.best = snapshot(learner.model)
    if learner.plateau:
        learner.plateau.saw(loss)
    line = _line(learner, loss, figures)
    learner.epoch, learner.step, learner.norms = learner.epoch + 1, 0, []
    learner.seconds += time.perf_counter() - begun
    line["seconds"] = learner.seconds
    reason = learner.stopper.reason(learner.epoch, learner.seconds)
    learner.stopped = reason or (f"all {learner.epochs} epochs done" if learner.epoch >= learner.epochs else "")
    learner.post(EpochEnded(line, improved))


def _line(learner: Learner, loss: float, figures: dict[str, float]) -> dict[str, Any]:
    total, done = learner.batches.steps * learner.epochs, learner.epoch * learner.batches.steps + learner.step
    rate = learner.plateau.rate if learner.plateau else rate_at(learner.recipe, done - 1, total)
    means = learner.losses[: learner.step].mean(0).tolist()
    names = [player.turn.name for player in learner.team]
    norms = learner.norms or [math.nan]
    return {
        "epoch": learner.epoch + 1, "step": done, "train_loss": means[0], "valid_loss": loss, "valid": figures,
        "rate": rate, "gradient_norm": {"mean": sum(norms) / len(norms), "max": max(norms)},
        **({"players": dict(zip(names, means, strict=True))} if len(names) > 1 else {}),
    }  # fmt: skip


def _watch_finite(learner: Learner, batch: Batch) -> None:
    """Stop at the first loss that is no number. On an accelerator the check waits: reading a loss stops the device."""
    near = learner.batches.device.type == "cpu"
    last = learner.step + 1 == learner.batches.steps
    if not near and not last and (learner.step + 1) % CHECK_EVERY:
        return
    recent = learner.losses[learner.step] if near else learner.losses[: learner.step + 1]
    if math.isfinite(float(recent.sum())):
        return
    bad = ~torch.isfinite(learner.losses[: learner.step + 1]).all(1)
    step = int(bad.nonzero()[0])
    if step != learner.step:
        batch = next(iter(learner.batches.epoch(learner.epoch, step)))
    player = next(p for n, p in enumerate(learner.team) if not math.isfinite(float(learner.losses[step, n])))
    place = first_failure(player.turn.player, batch, player.turn.loss)
    rows = ", ".join(str(int(row)) for row in batch.rows[:8]) + (" …" if len(batch) > 8 else "")
    raise DivergedError(
        f"epoch {learner.epoch + 1}, step {step + 1} of {learner.batches.steps}: the loss or its gradient is no "
        f"number; it begins in {place}. The batch holds rows {rows} of the data."
    )


@contextmanager
def _interrupts_between_steps() -> Any:
    """Ctrl-C is noted and raised at the next step's end; a second one is raised at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    asked: list[int] = []
    former = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt(WITHIN_A_STEP)
        asked.append(number)

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, former)
