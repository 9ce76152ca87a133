"""A listener that watches inside: at some steps the vital signs of every layer, a line each in `inside.jsonl`.

    {"epoch", "step", "rate", "loss", "input": [{"type", "mean", "spread", "largest"}], "outputs": {…},
     "layers": {path: {"type", "mean", "spread", "dead", "saturated", "gradient",
                       "weight", "weight_gradient", "update"}}, "unused": [path]}

`epoch` and `step` count from 1, steps through the whole run. Of a layer's output: mean, spread, the share of units that
are 0 or less for the whole batch, the share that is saturated, the root mean square of its gradient. Of its weights:
root mean square of them and of their gradient (after clipping), and what the step moved, ‖Δw‖ / ‖w‖. A figure is null
where there is none, and where it is no finite number; then "bad" is true.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepglass.diagnosing.vitals import Vitals
from deepglass.training.checkpoint import write_text
from deepglass.training.events import Event, Failed, Started, Stepped, Stepping
from deepglass.training.loop import Learner
from deepglass.training.saving import append_line, read_lines

INSIDE = "inside.jsonl"
FEWEST = 20


def spacing(every: int, steps: int) -> int:
    """One step in how many is watched: `every`, or fewer where that were less than twenty in a run of so many steps.

    >>> spacing(100, 50_000), spacing(100, 900), spacing(100, 8)
    (100, 45, 1)
    """
    return max(1, min(every, steps // FEWEST))


def is_watched(done: int, every: int) -> bool:
    """Whether the step after `done` others is watched: each `every`-th, and powers of two before: beginnings tell most.

    >>> [done for done in range(300) if is_watched(done, 100)]
    [0, 1, 2, 4, 8, 16, 32, 64, 100, 200]
    """
    return done % every == 0 or (done < every and done & (done - 1) == 0)


class Watcher:
    """Watches a run into its folder. It stands before the Saver, so that a checkpoint finds the line written."""

    def __init__(self, folder: Path, learner: Learner) -> None:
        self.path, self.learner = folder / INSIDE, learner
        self.every = learner.recipe.watch
        moves = tuple((_first(player.optimizer), player.weights) for player in learner.team)
        entrances = (learner.model, *(player.turn.player for player in learner.team))
        self.vitals = Vitals(learner.model, moves, entrances)
        self.watching: Stepping | None = None

    def __call__(self, event: Event) -> None:
        """Hear a notice of the loop."""
        if isinstance(event, Stepping):
            if is_watched(event.done, self.every):
                self.watching = event
                self.vitals.begin()
        elif isinstance(event, Stepped):
            if self.watching:
                self._write(self.watching, event)
        elif isinstance(event, Started):
            self.every = spacing(self.learner.recipe.watch, event.epochs * event.steps)
            self._cut(event.epoch * event.steps + event.step)
        elif isinstance(event, Failed):
            if self.watching and isinstance(event.error, Exception):
                # The step that broke the run has the most to tell.
                self._write(self.watching, None)
            self.vitals.drop()

    def _write(self, begun: Stepping, done: Stepped | None) -> None:
        self.watching = None
        losses = {} if done is None else {str(n): loss for n, loss in enumerate(done.losses.unbind())}
        seen = self.vitals.end(**losses)
        told = [seen.pop(name, None) for name in losses]
        line: dict[str, Any] = {"epoch": begun.epoch + 1, "step": begun.done + 1, "rate": begun.rate}
        line["loss"] = told[0] if told else None
        if len(told) > 1:
            names = [player.turn.name for player in self.learner.team]
            line["players"] = dict(zip(names, told, strict=True))
        append_line(self.path, line | seen)

    def _cut(self, done: int) -> None:
        lines = read_lines(self.path)
        kept = "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= done)
        if self.path.exists() and kept != self.path.read_text(encoding="utf-8"):
            write_text(self.path, kept)


def read_inside(folder: Path | str) -> list[dict[str, Any]]:
    """What was seen inside a run, step by step; nothing where nothing was watched.

    >>> read_inside("no such folder")
    []
    """
    return read_lines(Path(folder) / INSIDE)


def _first(optimizer: Any) -> Any:
    """Several optimizers that step as one: when the first of them moves, all gradients are ready."""
    return next(iter(optimizer.parts.values())) if hasattr(optimizer, "parts") else optimizer
