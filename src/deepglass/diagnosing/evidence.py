"""What a diagnosis goes by: the history, the vital signs, the layers, the data, the recipe. Plain values, any of them
missing where there was nothing to learn them from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deepglass.diagnosing.anatomy import Anatomy, Layer

CLASS_FIELDS = {"class_weights", "label_smoothing"}


@dataclass(frozen=True)
class Survey:
    """Figures of the data. Shares are of rows; skill is 0 for the best constant guess and 1 for no mistake.

    rows       in train, valid and test;  shared   of valid and test, the share that also stands in train
    agreed     of those, the share with the same answer
    copied     an input that tells the target alone
    location, spread   the largest |mean| and the largest standard deviation of an input;  uneven  largest over smallest
    skill      of the forest, out of bag: accuracy above the most frequent class's share, or R²
    sure_error   among the half of the rows that the forest is surest of, the share whose label is another one
    error      the forest's share of errors over all rows
    chance     the loss of the best constant guess: entropy, or variance
    """

    rows: tuple[int, int, int]
    shared: float = 0.0
    agreed: float = math.nan
    copied: str = ""
    location: float = math.nan
    spread: float = math.nan
    uneven: float = math.nan
    skill: float = math.nan
    sure_error: float = math.nan
    error: float = math.nan
    chance: float = math.nan
    deviation: float = math.nan


@dataclass(frozen=True)
class Trial:
    """A few steps taken on a copy at several rates: {factor of the rate: training loss after them}, and that before.

    steps   how many;  fresh   begun from new weights, not from those learned
    """

    steps: int
    before: float
    after: dict[float, float]
    fresh: bool


@dataclass(frozen=True)
class Evidence:
    """All that can be known of a run or a module.

    trained    there was a run; a module on its own is looked at in one step
    foreign    a module of the user's own: options of a family do not apply
    options    the family's options by name, with the values in force
    recipe     the recipe's fields, settled
    task       "classes", "numbers" or "";  classes, counts  of the training rows
    loss, emits   the name of the loss, and what it takes the outputs for
    history    a dict an epoch;  inside   a dict a watched step;  metrics   figures of each part;  per_class
    anatomy    the layers on a batch, with the weights as they are now
    failure    what was said where the run diverged, or "";  failed   what could not be gathered, and why
    rows       in train, valid and test
    own_loss   the loss is the user's: class weights and smoothing cannot reach into it
    surveying, trying   give `survey` and `trial`, which cost time and are asked only when a finding needs them
    """

    title: str
    trained: bool = True
    foreign: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    task: str = ""
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    loss: str = ""
    emits: str = ""
    history: tuple[dict[str, Any], ...] = ()
    inside: tuple[dict[str, Any], ...] = ()
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    per_class: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    anatomy: Anatomy | None = None
    failure: str = ""
    rows: tuple[int, int, int] = (0, 0, 0)
    own_loss: bool = False
    failed: list[str] = field(default_factory=list)
    surveying: Callable[[], Survey | None] = lambda: None
    trying: Callable[[], Trial | None] = lambda: None

    @cached_property
    def survey(self) -> Survey | None:
        """What the data say, where they are at hand."""
        return self.surveying()

    @cached_property
    def trial(self) -> Trial | None:
        """A few steps at other rates, where there is anything to take them with."""
        return self.trying()

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The layers in the order they ran."""
        seen = [path for line in self.inside[:1] for path in line["layers"]]
        return tuple(seen) or tuple(layer.path for layer in self.layers if layer.ran)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the anatomy, or none."""
        return self.anatomy.layers if self.anatomy is not None else ()

    def layer(self, path: str) -> Layer | None:
        """A layer of the anatomy, or None."""
        return self.anatomy.layer(path) if self.anatomy is not None else None

    def course(self, path: str, figure: str) -> tuple[float, ...]:
        """A figure of a layer at each watched step; NaN where there was none."""
        return tuple(number(line["layers"].get(path, {}).get(figure)) for line in self.inside)

    def first(self, path: str, figure: str) -> float:
        """A figure of a layer at the first watched step: how it began."""
        return self.course(path, figure)[0] if self.inside else math.nan

    def kind(self, path: str) -> str:
        """The class of a layer, "ReLU"."""
        return str(self.inside[0]["layers"].get(path, {}).get("type", "")) if self.inside else ""

    def followed(self, path: str) -> str:
        """The activation that a layer's output goes into."""
        layer = self.layer(path)
        return layer.followed if layer is not None else ""

    @cached_property
    def losses(self) -> tuple[float, ...]:
        """The training loss of each epoch."""
        return tuple(number(line.get("train_loss")) for line in self.history)

    @cached_property
    def valid_losses(self) -> tuple[float, ...]:
        """The validation loss of each epoch."""
        return tuple(number(line.get("valid_loss")) for line in self.history)

    @property
    def first_loss(self) -> float:
        """The loss of the first step, before anything was learned."""
        if self.inside:
            return number(self.inside[0].get("loss"))
        return self.anatomy.loss if self.anatomy is not None else math.nan

    @cached_property
    def chance(self) -> float:
        """The loss of the best constant guess: the entropy of the classes, or the spread of the numbers."""
        if self.task == "classes" and self.emits != "shares" and sum(self.counts):
            shares = [count / sum(self.counts) for count in self.counts if count]
            even = self.recipe.get("class_weights", "none") != "none"
            return math.log(len(shares)) if even else -sum(share * math.log(share) for share in shares)
        return self.survey.chance if self.survey is not None and self.task == "numbers" else math.nan

    def skill(self, part: str) -> float:
        """How well a part is known: 0 as by the best constant guess, 1 without a mistake; R² of numbers.

        Of classes by accuracy or by balanced accuracy, whichever is more: a rare class may be known well, and add
        little to accuracy.
        """
        figures = self.metrics.get(part, {})
        if self.task == "numbers":
            return number(figures.get("r2"))
        most = max(self.counts, default=0) / max(1, sum(self.counts))
        even = 1 / max(2, len(self.counts))
        plain = (number(figures.get("accuracy")) - most) / max(1e-9, 1 - most)
        balanced = (number(figures.get("balanced_accuracy")) - even) / (1 - even)
        return max(plain, balanced) if math.isfinite(balanced) else plain

    def chance_error(self, rows: int) -> float:
        """The skill that pure chance may show on so many rows: two standard errors of a constant guess's."""
        most = max(self.counts, default=0) / max(1, sum(self.counts)) if self.task == "classes" else 0.5
        return 2 * math.sqrt(most / max(1e-9, 1 - most) / max(1, rows))

    def at_chance(self, part: str, rows: int) -> bool:
        """Whether neither accuracy (or R²) nor balanced accuracy is more than chance allows on so many rows."""
        figures, total = self.metrics.get(part, {}), sum(self.counts)
        if self.task == "numbers" or not total:
            return self.skill(part) < max(0.05, self.chance_error(rows))
        most, kinds = max(self.counts) / total, max(2, len(self.counts))
        plain = (number(figures.get("accuracy")) - most) / max(1e-9, 1 - most)
        spread = math.sqrt((kinds - 1) / kinds**2 * sum(total / (rows * n) for n in self.counts if n and rows)) / kinds
        balanced = number(figures.get("balanced_accuracy")) > 1 / kinds + 2 * spread
        return plain < max(0.05, self.chance_error(rows)) and not balanced

    def told(self, part: str) -> str:
        """The figure that skill is made of, as a person reads it: "accuracy 0.97"."""
        figures = self.metrics.get(part, {})
        name, words = ("r2", "R²") if self.task == "numbers" else ("accuracy", "accuracy")
        return f"{words} {number(figures.get(name)):.2f}"

    @property
    def reference(self) -> str:
        """What a forest reaches on the training rows, each judged by trees that did not learn from it."""
        if self.survey is None or not math.isfinite(self.survey.skill):
            return ""
        known = self.survey.skill if self.task == "numbers" else 1 - self.survey.error
        return f"a forest reaches {known:.2f} on rows it did not learn from"

    @property
    def judged(self) -> str:
        """The part that tells how the network does on rows it did not learn from."""
        return "test" if "test" in self.metrics else "valid"

    @property
    def steps(self) -> int:
        """Steps taken in all."""
        return int(self.history[-1].get("step") or 0) if self.history else len(self.inside)

    def offers(self, **fields: Any) -> dict[str, Any]:
        """Of these fields those that can be changed here: recipe fields of a run, options of its family."""
        if not self.trained:
            return {}
        known = {*self.recipe, *self.options} - (CLASS_FIELDS if self.own_loss else set())
        return {name: value for name, value in fields.items() if name in known}


def number(value: Any) -> float:
    """A figure as it was written; NaN for none.

    >>> number(None)
    nan
    """
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def finite(values: Any) -> list[float]:
    """Those that are finite numbers."""
    return [value for value in values if math.isfinite(value)]


def root_mean_square(mean: float, spread: float) -> float:
    """Of values with this mean and spread."""
    return math.hypot(mean, spread)
