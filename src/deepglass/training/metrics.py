"""What a person reads: figures of a whole split, in the target's unit, with the error they carry.

Every metric is a function of weighted examples: weights of 1 give the figure, and the weights of a bootstrap draw give
the figure of that draw. What a metric cannot say (a ranking with one class present) is left out, never NaN.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from deepglass.data.schema import Target, Task
from deepglass.errors import RecipeError, nearest
from deepglass.training.recipe import Recipe
from deepglass.training.resampling import affordable, middle

CLASSES: tuple[Task, ...] = ("binary", "multiclass")
NUMBERS: tuple[Task, ...] = ("regression",)

BINS = 15
RARE = 0.25


@dataclass(frozen=True)
class Sight:
    """A split as metrics see it, float64 on the CPU.

    target     codes [m], or numbers [m, width] in their unit
    read       probabilities [m, classes], or numbers [m, width]
    predicted  codes [m]: the most probable class; `classes` (no class at all) where a probability is no number
    """

    target: Tensor
    read: Tensor
    predicted: Tensor
    classes: int
    least: float

    @property
    def hit(self) -> Tensor:
        """1 where the prediction is right, else 0."""
        return (self.target == self.predicted).double()

    @cached_property
    def levels(self) -> list[tuple[int, Tensor]]:
        """For each class, the distinct probabilities in order: how many, and each example's place among them."""
        sorted_out = [torch.unique(column, return_inverse=True) for column in self.read.T]
        return [(len(values), places) for values, places in sorted_out]

    def pick(self, rows: Tensor) -> Sight:
        """Some of the examples."""
        return dataclasses.replace(self, target=self.target[rows], read=self.read[rows], predicted=self.predicted[rows])


@dataclass(frozen=True)
class Metric:
    """One figure. `figure` takes a sight of m examples and weights [m, r], and gives [r].

    `labels`: it depends on the classes expected and predicted alone, not on probabilities.
    """

    words: str
    higher_is_better: bool
    tasks: tuple[Task, ...]
    figure: Callable[[Sight, Tensor], Tensor]
    labels: bool = False


def measure(
    target: Tensor, read: Tensor, schema_target: Target, *, names: tuple[str, ...] | None = None
) -> dict[str, float]:
    """The figures of a split: all that suit the task, or those named.

    target: as in `Part`; read: as `Objective.read` gives. Precision, recall and F1 are of the second class for two
    classes (classes[1]), and the plain mean over the classes for more; ROC AUC for more is one class against the rest.

    >>> sick = Target("sick", "binary", ("no", "yes"), (2, 2))
    >>> read = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    >>> measure(torch.tensor([0, 0, 1, 1]), read, sick, names=("accuracy", "roc_auc"))
    {'accuracy': 0.5, 'roc_auc': 0.75}
    """
    if not len(target):
        return {}
    sight = _sight(target, read, schema_target)
    cells, rows = _cells([sight])
    sizes, few = torch.bincount(cells, minlength=len(rows)).double()[:, None], sight.pick(rows)
    every = torch.ones(len(target), 1, dtype=torch.float64)
    figures = {}
    for name, metric in METRICS.items():
        if schema_target.task in metric.tasks and (names is None or name in names):
            value = float(metric.figure(few, sizes) if metric.labels else metric.figure(sight, every))
            if math.isfinite(value):
                figures[name] = value
    return figures


def per_class(target: Tensor, read: Tensor, schema_target: Target) -> list[dict[str, str | float | int]]:
    """Precision, recall, F1 and the number of examples (support) of each class, in code order."""
    sight = _sight(target, read, schema_target)
    precision, recall, f1, expected, _ = _rates(sight, torch.ones(len(target), 1, dtype=torch.float64))
    columns = zip(schema_target.classes, precision, recall, f1, expected, strict=True)
    return [
        {"class": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for name, p, r, f, n in columns
    ]


def bootstrap_interval(target: Tensor, read: Tensor, schema_target: Target, name: str, *, seed: int,
                       rounds: int = 1000) -> tuple[float, float]:  # fmt: skip
    """The 95 % interval of a metric, by resampling examples; NaN where it is never defined. See `resampling`."""
    metric = METRICS[name]
    sight = _sight(target, read, schema_target)
    cells, rows = _cells([sight]) if metric.labels else _apart(len(target))
    few = sight.pick(rows)
    return middle(lambda w: metric.figure(few, w), cells, len(rows), _rounds(name, sight, rounds), seed)


def bootstrap_difference(target: Tensor, ours: Tensor, theirs: Tensor, schema_target: Target, name: str, *, seed: int,
                         rounds: int = 1000) -> tuple[float, float]:  # fmt: skip
    """The 95 % interval of our figure minus theirs, both taken on the same draws of the same examples."""
    metric = METRICS[name]
    sights = [_sight(target, read, schema_target) for read in (ours, theirs)]
    cells, rows = _cells(sights) if metric.labels else _apart(len(target))
    first, second = (sight.pick(rows) for sight in sights)

    def difference(weights: Tensor) -> Tensor:
        return metric.figure(first, weights) - metric.figure(second, weights)

    return middle(difference, cells, len(rows), _rounds(name, sights[0], rounds), seed)


def default_metric(target: Target) -> str:
    """accuracy; roc_auc where the rarer of two classes is under a quarter, so that accuracy says little; rmse.

    >>> default_metric(Target("fraud", "binary", ("no", "yes"), (90, 10)))
    'roc_auc'
    """
    if target.task == "regression":
        return "rmse"
    rare = target.task == "binary" and bool(target.counts) and min(target.counts) < RARE * sum(target.counts)
    return "roc_auc" if rare else "accuracy"


def choose_metric(recipe: Recipe, target: Target) -> str:
    """The metric that decides: the recipe's, or the default one. Raises RecipeError where it does not suit the task."""
    if recipe.metric is None:
        return default_metric(target)
    suited = [name for name, metric in METRICS.items() if target.task in metric.tasks]
    if recipe.metric in suited:
        return recipe.metric
    if recipe.metric in METRICS:
        kind = "numbers" if target.task == "regression" else "classes"
        raise RecipeError(f"recipe: metric = {recipe.metric!r} is not for {kind}, which {target.name!r} holds.",
                          next=f"--set metric= one of: {', '.join(suited)}")  # fmt: skip
    raise RecipeError(f"recipe: no metric {recipe.metric!r}.", next=f"the nearest: {nearest(recipe.metric, suited)}")


def _sight(target: Tensor, read: Tensor, schema_target: Target) -> Sight:
    target, read, least = target.detach().cpu(), read.detach().cpu(), float(torch.finfo(read.dtype).eps)
    if schema_target.task == "regression":
        std = torch.tensor(schema_target.std or (1.0,), dtype=torch.float64)
        mean = torch.tensor(schema_target.mean or (0.0,), dtype=torch.float64)
        numbers = target.double().reshape(len(target), -1) * std + mean
        return Sight(
            numbers, read.double().reshape(numbers.shape), torch.zeros(len(target), dtype=torch.int64), 0, least
        )
    classes = len(schema_target.classes)
    read = read.double()
    predicted = torch.where(torch.isfinite(read).all(1), read.argmax(1), classes)
    return Sight(target.long(), read, predicted, classes, least)


def _cells(sights: list[Sight]) -> tuple[Tensor, Tensor]:
    """Examples alike in the class expected and those predicted: each example's cell, and one example of each cell."""
    if not sights[0].classes:
        return _apart(len(sights[0].target))
    key = sights[0].target
    for sight in sights:
        key = key * (sight.classes + 1) + sight.predicted
    found, cells = torch.unique(key, return_inverse=True)
    rows = torch.empty(len(found), dtype=torch.int64)
    rows[cells] = torch.arange(len(key))
    return cells, rows


def _apart(examples: int) -> tuple[Tensor, Tensor]:
    return torch.arange(examples), torch.arange(examples)


def _rounds(name: str, sight: Sight, rounds: int) -> int:
    """Fewer rounds where one is costly: a ranking is sorted out anew for each class."""
    if METRICS[name].labels:
        return rounds
    return affordable(rounds, len(sight.target), max(1, sight.classes) if name == "roc_auc" else 1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted means [columns, r] of values [m] or [m, columns]."""
    columns = values.reshape(len(values), -1)
    return columns.T @ weights / weights.sum(0)


def _rates(sight: Sight, weights: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Precision, recall, F1 [classes, r], each 0 where undefined; how many were expected, predicted."""
    empty = torch.zeros(sight.classes + 1, weights.shape[1], dtype=torch.float64)
    expected = empty.index_add(0, sight.target, weights)[:-1]
    predicted = empty.index_add(0, sight.predicted, weights)[:-1]
    hit = empty.index_add(0, sight.target, weights * sight.hit[:, None])[:-1]
    precision = hit / predicted.clamp_min(1)
    recall = hit / expected.clamp_min(1)
    return precision, recall, 2 * hit / (expected + predicted).clamp_min(1), expected, predicted


def _of_classes(which: int) -> Callable[[Sight, Tensor], Tensor]:
    """Precision (0), recall (1) or F1 (2): of classes[1], or the mean over the classes that occur."""

    def figure(sight: Sight, weights: Tensor) -> Tensor:
        rates = _rates(sight, weights)
        if sight.classes == 2:
            return rates[which][1]
        occurs = (rates[3] + rates[4] > 0).double()
        return (rates[which] * occurs).sum(0) / occurs.sum(0)

    return figure


def _balanced_accuracy(sight: Sight, weights: Tensor) -> Tensor:
    _, recall, _, expected, _ = _rates(sight, weights)
    return recall.sum(0) / (expected > 0).sum(0)


def _log_loss(sight: Sight, weights: Tensor) -> Tensor:
    probability = sight.read.gather(1, sight.target[:, None])
    return _mean(-probability.clamp(sight.least, 1 - sight.least).log(), weights)[0]


def _calibration_error(sight: Sight, weights: Tensor) -> Tensor:
    """Σ over bins of confidence: share of the bin · |accuracy − mean confidence|. Source: Guo et al. (2017)."""
    confidence = sight.read.amax(1)
    which = (confidence.nan_to_num(0.0) * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
    gap = torch.zeros(BINS, weights.shape[1], dtype=torch.float64)
    gap = gap.index_add(0, which, weights * (sight.hit - confidence)[:, None])
    return gap.abs().sum(0) / weights.sum(0)


def _roc_auc(sight: Sight, weights: Tensor) -> Tensor:
    """The chance that a positive ranks above a negative, ties counting half (Hanley & McNeil 1982)."""
    if sight.classes == 2:
        return _auc(sight, 1, weights)
    return torch.stack([_auc(sight, code, weights) for code in range(sight.classes)]).nanmean(0)


def _auc(sight: Sight, code: int, weights: Tensor) -> Tensor:
    if bool((sight.predicted == sight.classes).any()):
        return torch.full((weights.shape[1],), math.nan, dtype=torch.float64)
    levels, level = sight.levels[code]
    positive = (sight.target == code).nonzero()[:, 0]
    of_positives = weights[positive]
    every = torch.zeros(levels, weights.shape[1], dtype=torch.float64).index_add_(0, level, weights)
    # Weight ranked below each positive, ties halved; positives among themselves come to half of their square.
    ranked = every.cumsum(0)[level[positive]] - every[level[positive]] / 2
    among = of_positives.sum(0)
    return ((of_positives * ranked).sum(0) - among**2 / 2) / (among * (weights.sum(0) - among))


def _rmse(sight: Sight, weights: Tensor) -> Tensor:
    return _mean((sight.read - sight.target) ** 2, weights).sqrt().mean(0)


def _r2(sight: Sight, weights: Tensor) -> Tensor:
    """1 − Σ(ŷ−y)² / Σ(y−ȳ)², the mean over columns."""
    centered = sight.target - sight.target.mean(0)
    variance = _mean(centered**2, weights) - _mean(centered, weights) ** 2
    # A constant column leaves rounding errors only; nothing can be said of it.
    known = variance > 1e-14 * (centered**2).mean(0)[:, None].clamp_min(1e-300)
    explained = 1 - _mean((sight.read - sight.target) ** 2, weights) / variance
    return torch.where(known, explained, math.nan).mean(0)


METRICS: dict[str, Metric] = {
    "accuracy": Metric("accuracy", True, CLASSES, lambda s, w: _mean(s.hit, w)[0], labels=True),
    "balanced_accuracy": Metric("balanced accuracy", True, CLASSES, _balanced_accuracy, labels=True),
    "precision": Metric("precision", True, CLASSES, _of_classes(0), labels=True),
    "recall": Metric("recall", True, CLASSES, _of_classes(1), labels=True),
    "f1": Metric("F1", True, CLASSES, _of_classes(2), labels=True),
    "roc_auc": Metric("area under the ROC curve", True, CLASSES, _roc_auc),
    "log_loss": Metric("log loss", False, CLASSES, _log_loss),
    "calibration_error": Metric("calibration error", False, CLASSES, _calibration_error),
    "mae": Metric("mean absolute error", False, NUMBERS, lambda s, w: _mean((s.read - s.target).abs(), w).mean(0)),
    "rmse": Metric("root mean squared error", False, NUMBERS, _rmse),
    "r2": Metric("R²", True, NUMBERS, _r2),
}
