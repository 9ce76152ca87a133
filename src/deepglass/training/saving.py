"""A listener that keeps the work: the history line by line, the best weights, and a checkpoint every so often."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from deepglass.plain import finite
from deepglass.training.checkpoint import load_checkpoint, save_checkpoint, storage_errors, write_text, write_weights
from deepglass.training.events import EpochEnded, Event, Started, Stepped, Stopped
from deepglass.training.loop import Learner

HISTORY, WEIGHTS, CHECKPOINT = "history.jsonl", "weights.safetensors", "checkpoint"


class Saver:
    """Saves at the start, every `every` seconds between steps, at epochs' ends a second apart or more, and at the end.

    After a kill at any moment the folder holds a whole checkpoint; `resume` takes it up and cuts the history to it.
    """

    def __init__(self, folder: Path, learner: Learner, every: float) -> None:
        self.folder, self.learner, self.every = folder, learner, every
        self.saved, self.unsaved_best = time.monotonic(), False

    def __call__(self, event: Event) -> None:
        """Hear a notice of the loop."""
        if isinstance(event, Started):
            if not (self.folder / CHECKPOINT).exists():
                self.save()
        elif isinstance(event, Stepped):
            if time.monotonic() - self.saved >= self.every:
                self.save()
        elif isinstance(event, EpochEnded):
            append_line(self.folder / HISTORY, event.line)
            self.unsaved_best |= event.improved
            if time.monotonic() - self.saved >= min(1.0, self.every):
                self.save()
        elif isinstance(event, Stopped):
            self.save()

    def save(self) -> None:
        """Write the best weights if they are new, then the checkpoint."""
        if self.unsaved_best or (self.learner.best and not (self.folder / WEIGHTS).exists()):
            write_weights(self.folder / WEIGHTS, self.learner.best)
            self.unsaved_best = False
        save_checkpoint(self.folder / CHECKPOINT, self.learner.state())
        self.saved = time.monotonic()


def append_line(path: Path, line: dict[str, Any]) -> None:
    """One more JSON line at a file's end."""
    with storage_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(line)) + "\n")


def resume(folder: Path, learner: Learner) -> None:
    """Take up the last checkpoint of a run folder, if there is one, and cut the history back to it."""
    if not (folder / CHECKPOINT / "state.json").exists():
        write_text(folder / HISTORY, "")
        return
    learner.restore(load_checkpoint(folder / CHECKPOINT))
    kept = [line for line in read_history(folder) if line["epoch"] <= learner.epoch]
    write_text(folder / HISTORY, "".join(json.dumps(line) + "\n" for line in kept))


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The lines of `history.jsonl`."""
    return read_lines(folder / HISTORY)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file, none where there is no file; a last one that was cut off by a kill is passed over."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
