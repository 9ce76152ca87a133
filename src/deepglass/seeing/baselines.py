"""What simpler models reach on the same split: a dummy, a linear model, boosted trees; and a verdict (P4).

Each learns from exactly the training rows that the network learned from, never from validation or test rows, and is
judged on the same test rows. Where all rows would take too long, a random share of them is used, and `what` says so.
Sources: Hastie, Tibshirani & Friedman (2009); histogram-based boosting, Ke et al. (2017, "LightGBM").
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits
from torch import Tensor

from deepglass.data.features import flat_features, learning_rows, tree_features
from deepglass.data.schema import Data, PartName, Target
from deepglass.training.metrics import METRICS, bootstrap_interval, measure
from deepglass.training.wording import LABELS, decimals

UNITS = {"table": "rows", "picture": "pictures", "tensor": "examples"}
LINEAR_STEPS, TREE_ROUNDS = 300, 100
# Nanoseconds on one core, measured: a cell, class and step (linear) or round (trees); a tree's own cost a column.
LINEAR_CELL, LINEAR_USUAL_STEPS, TREE_CELL, TREE_COLUMN = 0.5, 150, 7.5, 26_000.0
MANY_CELLS = 5_000_000


@dataclass(frozen=True)
class Baseline:
    """A simpler model, judged: what it is in words, its figures on the test rows, and what it said of each of them.

    `interval` is the 95 % bootstrap interval of the metric that the run is judged by; `read` holds probabilities
    [m, classes] or numbers [m, width] in the target's own unit.
    """

    what: str
    metrics: dict[str, float]
    interval: tuple[float, float]
    seconds: float
    read: Tensor


def judge_baselines(data: Data, metric: str, *, seed: int = 0, budget_seconds: float = 60) -> dict[str, Baseline]:
    """{"dummy", "linear", "trees"}: each fitted on the training rows and judged by `metric` on the test rows.

    `budget_seconds` bounds the work by an estimate, not by a clock, so that the same seed gives the same figures on any
    machine: past it, fewer rows are learned from.
    """
    judged = {}
    for name, fit in (("dummy", _dummy), ("linear", _linear), ("trees", _trees)):
        begun = time.perf_counter()
        # On little data threads mostly wait for each other: up to fifteen times slower where other work runs beside.
        with threadpool_limits(limits=None if _cells(data) > MANY_CELLS else 1):
            what, read = fit(data, seed, budget_seconds)
        seconds = time.perf_counter() - begun
        figures = measure(data.test.target, read, data.schema.target)
        interval = bootstrap_interval(data.test.target, read, data.schema.target, metric, seed=seed)
        judged[name] = Baseline(what, figures, interval, seconds, read)
    return judged


def _cells(data: Data) -> int:
    return len(data.train) * sum(math.prod(entry.shape) for entry in data.schema.inputs if entry.kind != "pixels")


def _dummy(data: Data, seed: int, budget: float) -> tuple[str, Tensor]:
    """The shares of the classes, or the mean, of the training rows: the best guess that looks at nothing."""
    target, rows = data.schema.target, len(data.test)
    if target.task == "regression":
        return "the mean of the training rows", _numbers(data.train.target, target).mean(0).expand(rows, -1).clone()
    counts = torch.bincount(data.train.target, minlength=len(target.classes)).double()
    words = f"always the most frequent class, {target.classes[int(counts.argmax())]}"
    return words, (counts / counts.sum()).expand(rows, -1).clone()


def _linear(data: Data, seed: int, budget: float) -> tuple[str, Tensor]:
    """Logistic regression (L2, C = 1) or ridge regression (alpha = 1) on standardized, one-hot columns."""
    train, test = flat_features(data)
    outputs = max(1, data.schema.target.outputs)
    affordable = budget / 4 * 1e9 / (LINEAR_CELL * LINEAR_USUAL_STEPS * train.shape[1] * outputs)
    index = learning_rows(data, min(affordable, 2e7 / train.shape[1]), seed)
    learned, seen = _standardized(train[index], test)
    share = _share(data, len(index))
    if data.schema.target.task == "regression":
        solver = "lsqr" if train.shape[1] > 1000 else "auto"
        ridge = Ridge(solver=solver).fit(learned, _numbers(data.train.target[index], data.schema.target).numpy())
        return f"ridge regression{share}", _columns(ridge.predict(seen))
    labels = data.train.target[index].numpy()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ConvergenceWarning)
        model = LogisticRegression(max_iter=LINEAR_STEPS).fit(learned, labels)
    unfinished = any(issubclass(warning.category, ConvergenceWarning) for warning in said)
    stopped = f", stopped after {LINEAR_STEPS} steps" if unfinished else ""
    return f"logistic regression{share}{stopped}", _placed(model, seen, data.schema.target)


def _trees(data: Data, seed: int, budget: float) -> tuple[str, Tensor]:
    """Histogram-based gradient boosting as scikit-learn sets it: missing values and categories are understood."""
    train, test, categorical = tree_features(data)
    target = data.schema.target
    index, rounds = _tree_work(data, train.shape[1], seed, budget)
    filled = np.isfinite(train[index]).any(axis=0)
    if not filled.all():  # a column without a single number cannot be cut into bins
        train, test = (np.where(filled, rows, 0.0) for rows in (train, test))
    options: dict[str, Any] = {"max_iter": rounds, "random_state": seed, "categorical_features": categorical}
    fewer = f", {rounds} rounds" if rounds < TREE_ROUNDS else ""
    what = f"gradient-boosted trees{_share(data, len(index))}{fewer}"
    if target.task == "regression":
        numbers = _numbers(data.train.target[index], target).numpy()
        single = [HistGradientBoostingRegressor(**options).fit(train[index], column) for column in numbers.T]
        return what, torch.stack([torch.from_numpy(model.predict(test)) for model in single], dim=1)
    labels = data.train.target[index].numpy()
    if np.unique(labels, return_counts=True)[1].min() < 2:
        options["early_stopping"] = False  # it would split a class of one row in two
    return what, _placed(HistGradientBoostingClassifier(**options).fit(train[index], labels), test, target)


def _tree_work(data: Data, columns: int, seed: int, budget: float) -> tuple[np.ndarray, int]:
    """The rows to learn from and the rounds of boosting that the budget allows; a tree is grown a class and round."""
    trees = columns * max(1, data.schema.target.outputs)
    spendable = budget * 1e9 * (0.5 if data.schema.kind == "table" else 0.2)
    affordable = (spendable / (trees * TREE_ROUNDS) - TREE_COLUMN) / TREE_CELL
    index = learning_rows(data, min(max(affordable, 2000), 4e8 / columns), seed)
    cost = trees * (TREE_COLUMN + TREE_CELL * len(index))
    return index, int(min(TREE_ROUNDS, max(10, spendable / cost)))


def _placed(model: Any, features: np.ndarray, target: Target) -> Tensor:
    """Probabilities in the order of all classes; a class that the model never met gets none."""
    read = torch.zeros(len(features), len(target.classes), dtype=torch.float64)
    read[:, torch.from_numpy(model.classes_.astype(np.int64))] = torch.from_numpy(
        model.predict_proba(features)
    ).double()
    return read


def _standardized(learned: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by the mean and the deviation of what is learned from; what is missing or infinite stands at the mean."""
    known = np.isfinite(learned)
    count = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, learned, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, learned - middle, 0.0) ** 2).sum(axis=0) / count)
    spread = np.where(spread > 1e-12, spread, 1.0)
    both = [np.where(np.isfinite(rows), (rows - middle) / spread, 0.0) for rows in (learned, seen)]
    return both[0], both[1]


def _numbers(target: Tensor, described: Target) -> Tensor:
    """The target in its own unit, float64 [m, width]."""
    std, mean = (torch.tensor(values, dtype=torch.float64) for values in (described.std, described.mean))
    return target.double().reshape(len(target), -1) * std + mean


def _columns(predicted: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(predicted, dtype=np.float64).reshape(len(predicted), -1))


def _share(data: Data, used: int) -> str:
    whole = len(data.train)
    return f" on {used:,} of {whole:,} {UNITS[data.schema.kind]}" if used < whole else ""


def verdict(
    metric: str,
    ours: float,
    interval: tuple[float, float],
    baselines: Mapping[str, Baseline],
    differences: Mapping[str, tuple[float, float]],
    *,
    rows: int | None = None,
    part: PartName = "test",
) -> str:
    """One honest sentence: the figure with its interval, and whether the best baseline is beaten, tied with, or wins.

    `differences` are the paired 95 % bootstrap intervals of ours minus theirs: a tie is an interval that holds zero.

    >>> verdict("accuracy", 0.871, (0.865, 0.877), {}, {}, rows=6512)
    'The network reaches an accuracy of 0.871 (0.865 to 0.877) on 6,512 rows it never saw.'
    """
    digits = decimals(interval)
    low, high = (f"{end:,.{digits}f}" for end in interval)
    around = f" ({low} to {high})" if all(map(math.isfinite, interval)) else ""
    counted = f"{rows:,} " if rows is not None else ""
    where = {
        "test": f"{counted}rows it never saw",
        "valid": f"the {counted}validation rows that also chose its weights",
        "train": f"the {counted}rows it learned from",
    }[part]
    begin = f"The network reaches {_named(metric)} of {ours:,.{digits}f}{around} on {where}"
    sign = 1 if METRICS[metric].higher_is_better else -1
    known = {name: one.metrics[metric] for name, one in baselines.items() if metric in one.metrics}
    if not known:
        return f"{begin}."
    best = max(known, key=lambda name: sign * known[name])
    figures = {name: f"{figure:,.{digits}f}" for name, figure in known.items()}
    return f"{begin}{_ending(best, figures, {k: sorted(sign * end for end in v) for k, v in differences.items()})}"


def _ending(best: str, figures: Mapping[str, str], gains: Mapping[str, list[float]]) -> str:
    """What the best baseline reaches and what follows; a gain is ours minus theirs, positive when ours is better."""
    label, many = LABELS.get(best, best), best == "trees"
    reach = "reach" if many else "reaches"
    if "dummy" in gains and gains["dummy"][0] <= 0:
        word = "worse than" if gains["dummy"][1] < 0 else "no better, within the error, than"
        return f": {word} {LABELS['dummy']} ({figures['dummy']}), so it has learned nothing to rely on."
    if gains[best][0] > 0:
        return f" and beats {label}, the best baseline, at {figures[best]}."
    if gains[best][1] < 0:
        return f" and loses to {label} at {figures[best]}: prefer {'them' if many else 'that'} here."
    if best != "linear" and "linear" in gains and gains["linear"][0] <= 0:
        return f"; {label} {reach} {figures[best]} and {LABELS['linear']} {figures['linear']}: ties within the error."
    return f"; {label} {reach} {figures[best]}: a tie within the error."


def _named(metric: str) -> str:
    """A metric in the middle of a sentence."""
    words = METRICS[metric].words
    vowel = words[0] in "aeioFR" and not words.startswith("ro")
    return f"{'an' if vowel else 'a'} {words}"
