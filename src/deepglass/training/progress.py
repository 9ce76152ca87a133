"""A listener that shows the way: a bar with loss, figure and time left; on anything but a terminal, a line an epoch."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deepglass.training.events import EpochEnded, Event, Started, Stepped, Stopped

REFRESH_SECONDS = 0.2


class Shown:
    """Progress on standard error, so that standard output stays for results.

    The loss is read at most five times a second: reading it makes an accelerator wait.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)
        self.bar: Progress | None = None
        self.started = Started(0, 1, 0, 1, "")
        self.looked, self.figure = 0.0, ""

    def __call__(self, event: Event) -> None:
        """Hear a notice of the loop."""
        if isinstance(event, Started):
            self._start(event)
        elif isinstance(event, Stepped):
            self._step(event)
        elif isinstance(event, EpochEnded):
            self._epoch(event)
        elif isinstance(event, Stopped):
            self.close()
            self.say(f"stopped after epoch {event.epoch}: {event.reason}")

    def say(self, text: str) -> None:
        """A line of words between the figures."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Take the bar away, whatever happened."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def _start(self, event: Started) -> None:
        self.started = event
        if not self.console.is_terminal:
            return
        self.bar = Progress(
            TextColumn("epoch"), MofNCompleteColumn(), BarColumn(bar_width=None), TextColumn("{task.fields[shown]}"),
            TimeRemainingColumn(), console=self.console, transient=True,
        )  # fmt: skip
        begun = event.epoch + event.step / event.steps
        self.bar.add_task("training", total=event.epochs, completed=begun, shown="")  # type: ignore[arg-type]
        self.bar.start()

    def _step(self, event: Stepped) -> None:
        if self.bar is None or time.monotonic() - self.looked < REFRESH_SECONDS:
            return
        self.looked = time.monotonic()
        done = event.epoch + event.step / self.started.steps
        loss = f"loss {float(event.losses[0]):.4f}  {self.figure}"
        self.bar.update(self.bar.task_ids[0], completed=done, shown=loss)  # type: ignore[arg-type]

    def _epoch(self, event: EpochEnded) -> None:
        line = event.line
        figure = line["valid"].get(self.started.metric)
        self.figure = "" if figure is None else f"{self.started.metric} {figure:.4g}"
        if self.bar:
            self.bar.update(self.bar.task_ids[0], completed=line["epoch"])
        else:
            self.say(
                f"epoch {line['epoch']}/{self.started.epochs}  train loss {line['train_loss']:.4f}  "
                f"valid loss {line['valid_loss']:.4f}  {self.figure}{'  best' if event.improved else ''}  "
                f"{line['seconds']:.1f} s"
            )
