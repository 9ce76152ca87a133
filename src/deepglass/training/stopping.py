"""When to stop, and the reason in words.

Early stopping (Prechelt 1998): training ends when the validation figure has not become better for `patience` epochs;
the weights of the best epoch are those that are kept. The clock is the other reason.
"""

from __future__ import annotations

import math
from typing import Any

from deepglass.training.recipe import Recipe


class Stopper:
    """Watches one validation figure, epoch by epoch.

    An epoch is better when its figure is; where figures are equal, when its loss is lower. A figure that is no number
    is never better. Epochs are counted from 1.

    >>> stopper = Stopper(Recipe(patience=2, metric="accuracy"), higher_is_better=True)
    >>> [stopper.saw(epoch, figure, 0.1) for epoch, figure in enumerate((0.5, 0.9, 0.8, 0.7), 1)]
    [True, True, False, False]
    >>> stopper.reason(4, 10.0)
    'patience: no better accuracy than 0.9 of epoch 2 for 2 epochs'
    """

    def __init__(self, recipe: Recipe, higher_is_better: bool) -> None:
        self.patience = recipe.patience or 0
        self.minutes = recipe.minutes
        self.figure_name = (recipe.metric or "figure").replace("_", " ")
        self.higher_is_better = higher_is_better
        self.best_epoch: int | None = None
        self.best_figure = math.nan
        self.best_loss = math.nan
        self.waited = 0

    def saw(self, epoch: int, figure: float, loss: float) -> bool:
        """Take note of an epoch. True when it is the best so far: its weights are the ones to keep."""
        better = self._better(figure, loss)
        if better:
            self.best_epoch, self.best_figure, self.best_loss, self.waited = epoch, figure, loss, 0
        else:
            self.waited += 1
        return better

    def reason(self, epoch: int, seconds: float) -> str | None:
        """Why to stop after this epoch and so many seconds of training, or None to go on."""
        if self.minutes is not None and seconds >= 60 * self.minutes:
            return f"the time of {_amount(self.minutes, 'minute')} is up"
        if self.patience and self.waited >= self.patience:
            epochs = _amount(self.waited, "epoch")
            if self.best_epoch is None:
                return f"patience: no {self.figure_name} that is a number for {epochs}"
            best = f"{self.best_figure:.4g} of epoch {self.best_epoch}"
            return f"patience: no better {self.figure_name} than {best} for {epochs}"
        return None

    def state(self) -> dict[str, Any]:
        """What to keep for going on later, as plain JSON values."""
        known = self.best_epoch is not None
        return {
            "best_epoch": self.best_epoch,
            "best_figure": self.best_figure if known else None,
            "best_loss": self.best_loss if known and math.isfinite(self.best_loss) else None,
            "waited": self.waited,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.best_epoch, self.waited = state["best_epoch"], state["waited"]
        self.best_figure = math.nan if state["best_figure"] is None else state["best_figure"]
        self.best_loss = math.nan if state["best_loss"] is None else state["best_loss"]

    def _better(self, figure: float, loss: float) -> bool:
        if not math.isfinite(figure):
            return False
        if self.best_epoch is None or (math.isfinite(loss) and not math.isfinite(self.best_loss)):
            # Weights whose loss is no number are kept only until there are others.
            return True
        if not math.isfinite(loss) and math.isfinite(self.best_loss):
            return False
        if figure == self.best_figure:
            # The best loss may have been no number; any number is then an advance.
            return math.isfinite(loss) and not loss >= self.best_loss
        return (figure > self.best_figure) == self.higher_is_better


def _amount(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
