"""Figures and their intervals against scikit-learn, and against intervals known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deepglass.data.schema import Target
from deepglass.errors import RecipeError
from deepglass.training.metrics import (
    METRICS,
    bootstrap_difference,
    bootstrap_interval,
    choose_metric,
    default_metric,
    measure,
    per_class,
)
from deepglass.training.recipe import Recipe
from deepglass.training.resampling import draws

PRICE = Target("price", "regression", mean=(50.0,), std=(7.0,))


def classes(count: int) -> Target:
    names = tuple("abcdefghijkl"[:count])
    return Target("kind", "binary" if count == 2 else "multiclass", names, (1,) * count)


def drawn(count: int, examples: int, seed: int, ties: bool = False) -> tuple[Tensor, Tensor]:
    source = np.random.default_rng(seed)
    target = source.integers(0, count, examples)
    scores = source.normal(size=(examples, count)) + 1.0 * np.eye(count)[target]
    scores = np.round(scores) if ties else scores
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    return torch.from_numpy(target), torch.from_numpy(probabilities)


def scikit(target: np.ndarray, read: np.ndarray) -> dict[str, float]:
    predicted = read.argmax(1)
    binary = read.shape[1] == 2
    average = {"average": "binary" if binary else "macro", "zero_division": 0}
    expected = {
        "accuracy": reference.accuracy_score(target, predicted),
        "precision": reference.precision_score(target, predicted, **average),  # type: ignore[arg-type]
        "recall": reference.recall_score(target, predicted, **average),  # type: ignore[arg-type]
        "f1": reference.f1_score(target, predicted, **average),  # type: ignore[arg-type]
        "log_loss": reference.log_loss(target, read, labels=list(range(read.shape[1]))),
    }
    if set(predicted) <= set(target) and len(set(target)) > 1:  # else scikit-learn warns
        expected["balanced_accuracy"] = reference.balanced_accuracy_score(target, predicted)
    if len(np.unique(target)) == read.shape[1]:
        scores = read[:, 1] if binary else read
        expected["roc_auc"] = reference.roc_auc_score(target, scores, multi_class="ovr")
    return {name: float(value) for name, value in expected.items()}


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(1, 60), st.integers(0, 10**6), st.booleans())
def test_figures_of_classes_are_scikit_learns(count, examples, seed, ties):
    target, read = drawn(count, examples, seed, ties)
    figures = measure(target, read, classes(count))
    for name, value in scikit(target.numpy(), read.numpy()).items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name
    assert all(math.isfinite(value) for value in figures.values())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(2, 40), st.integers(0, 10**6))
def test_figures_of_numbers_are_scikit_learns_in_the_targets_unit(width, examples, seed):
    source = np.random.default_rng(seed)
    schema = Target("y", "regression", mean=(50.0, -3.0, 0.0)[:width], std=(7.0, 0.1, 1.0)[:width])
    target = source.normal(size=(examples, width))
    unit = target * schema.std + schema.mean
    read = unit + source.normal(size=unit.shape)
    figures = measure(torch.from_numpy(target), torch.from_numpy(read), schema)
    assert figures["mae"] == pytest.approx(reference.mean_absolute_error(unit, read))
    assert figures["rmse"] == pytest.approx(reference.root_mean_squared_error(unit, read))
    assert figures["r2"] == pytest.approx(reference.r2_score(unit, read))


def test_calibration_error_is_the_weighted_gap_of_fifteen_bins():
    target, read = drawn(3, 400, 7)
    confidence, hit = read.numpy().max(1), (read.argmax(1) == target).numpy()
    expected = 0.0
    for low in range(15):
        chosen = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if chosen.any():
            expected += chosen.mean() * abs(hit[chosen].mean() - confidence[chosen].mean())
    assert measure(target, read, classes(3))["calibration_error"] == pytest.approx(expected)
    # A confidence of 9/15 is in the bin below that edge, apart from 0.62.
    edge = torch.tensor([[0.4, 0.6]] * 5 + [[0.38, 0.62]] * 5, dtype=torch.float64)
    found = measure(torch.tensor([1] * 5 + [0] * 5), edge, classes(2))
    assert found["calibration_error"] == pytest.approx(0.5 * 0.4 + 0.5 * 0.62)
    # Always 0.8 sure and right 6 times of 10.
    sure = torch.tensor([[0.2, 0.8]] * 10)
    found = measure(torch.tensor([1] * 6 + [0] * 4), sure, classes(2))
    assert found["calibration_error"] == pytest.approx(0.2, abs=1e-6)


def test_only_the_figures_asked_for_are_taken():
    target, read = drawn(3, 40, 0)
    every = measure(target, read, classes(3))
    assert measure(target, read, classes(3), names=("f1", "accuracy")) == {
        name: every[name] for name in ("accuracy", "f1")
    }
    assert set(every) == {name for name, metric in METRICS.items() if "multiclass" in metric.tasks}


def test_what_cannot_be_said_is_left_out():
    target, read = torch.zeros(5, dtype=torch.int64), torch.full((5, 2), 0.5)
    assert "roc_auc" not in measure(target, read, classes(2))
    assert measure(target[:0], read[:0], classes(2)) == {}
    assert "r2" not in measure(torch.ones(4, 1) / 3, torch.ones(4, 1), PRICE)
    broken = torch.full((5, 2), math.nan)
    assert measure(target, broken, classes(2))["accuracy"] == 0.0
    assert all(math.isfinite(value) for value in measure(target, broken, classes(2)).values())
    assert measure(torch.zeros(4, 1), torch.full((4, 1), math.nan), PRICE) == {}


def test_a_class_missing_from_the_split_does_not_stop_the_rest():
    target, read = drawn(3, 60, 3)
    present = target < 2
    figures = measure(target[present], read[present], classes(3))
    each = [reference.roc_auc_score(target[present] == k, read[present][:, k]) for k in (0, 1)]
    assert figures["roc_auc"] == pytest.approx(np.mean(each))


def test_figures_of_each_class_are_scikit_learns():
    target, read = drawn(4, 80, 5)
    found = per_class(target, read, classes(4))
    precision, recall, f1, support = reference.precision_recall_fscore_support(target, read.argmax(1))
    for code, row in enumerate(found):
        assert row["class"] == "abcd"[code] and row["support"] == support[code]  # type: ignore[index]
        assert row["precision"] == pytest.approx(precision[code])  # type: ignore[index]
        assert row["recall"] == pytest.approx(recall[code])  # type: ignore[index]
        assert row["f1"] == pytest.approx(f1[code])  # type: ignore[index]


@pytest.mark.parametrize("cells", [torch.arange(50), torch.arange(50) % 3, torch.arange(50) // 2])
def test_a_draw_holds_as_many_examples_as_the_split_each_alike(cells):
    count = int(cells.max()) + 1
    weights = torch.cat(list(draws(cells, count, 2000, seed=0)), 1)
    assert weights.shape == (count, 2000) and bool((weights.sum(0) == 50).all())
    size = torch.bincount(cells).double()
    torch.testing.assert_close(weights.mean(1), size, rtol=0, atol=0.3)
    # Multinomial counts have variance m p (1 - p).
    torch.testing.assert_close(weights.var(1), size * (1 - size / 50), rtol=0.15, atol=0)


def test_the_interval_of_an_accuracy_is_the_binomials():
    right = torch.arange(2000) < 1700
    target, read = torch.ones(2000, dtype=torch.int64), torch.stack([(~right).float(), right.float()], 1)
    low, high = bootstrap_interval(target, read, classes(2), "accuracy", seed=1, rounds=4000)
    error = 1.96 * math.sqrt(0.85 * 0.15 / 2000)
    assert low == pytest.approx(0.85 - error, abs=0.001) and high == pytest.approx(0.85 + error, abs=0.001)


def test_the_interval_of_a_mean_error_is_the_central_limits():
    target = torch.zeros(3000, 1)
    read = 50 + torch.rand(3000, 1, generator=torch.Generator().manual_seed(0)) * 10
    low, high = bootstrap_interval(target, read, PRICE, "mae", seed=1, rounds=2000)
    error = 1.96 * float((read - 50).std()) / math.sqrt(3000)
    middle = float((read - 50).mean())
    assert low == pytest.approx(middle - error, abs=0.01) and high == pytest.approx(middle + error, abs=0.01)


@pytest.mark.parametrize("name", METRICS)
def test_every_interval_is_that_of_resampling_by_hand(name):
    metric = METRICS[name]
    source = np.random.default_rng(3)
    if "binary" in metric.tasks:
        schema = classes(3)
        target, read = drawn(3, 150, 11)
    else:
        schema = PRICE
        target = torch.from_numpy(source.normal(size=(150, 1)))
        read = target * 7 + 50 + torch.from_numpy(source.normal(size=(150, 1)))
    picks = [torch.from_numpy(source.integers(0, 150, 150)) for _ in range(400)]
    by_hand = [measure(target[pick], read[pick], schema, names=(name,))[name] for pick in picks]
    low, high = bootstrap_interval(target, read, schema, name, seed=2)
    spread = np.std(by_hand)
    assert (
        abs(low - np.quantile(by_hand, 0.025)) < 0.5 * spread and abs(high - np.quantile(by_hand, 0.975)) < 0.5 * spread
    )
    assert low < measure(target, read, schema)[name] < high or name == "calibration_error"
    assert (low, high) == bootstrap_interval(target, read, schema, name, seed=2)


@pytest.mark.parametrize("name", ["accuracy", "f1", "roc_auc", "log_loss"])
def test_a_difference_is_taken_on_the_same_draws(name):
    target, ours = drawn(3, 300, 4)
    assert bootstrap_difference(target, ours, ours, classes(3), name, seed=0) == (0.0, 0.0)
    theirs = (ours + 0.3 * drawn(3, 300, 5)[1]) / 1.3
    low, high = bootstrap_difference(target, ours, theirs, classes(3), name, seed=0)
    gap = measure(target, ours, classes(3))[name] - measure(target, theirs, classes(3))[name]
    assert low < gap < high
    # Two alike readings are told apart better together than each alone.
    alone = [np.ptp(bootstrap_interval(target, read, classes(3), name, seed=0)) for read in (ours, theirs)]
    assert high - low < math.hypot(*alone)


def test_the_paired_interval_of_a_shift_of_numbers():
    target = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    ours = target * 7 + 50
    low, high = bootstrap_difference(target, ours + 1, ours - 3, PRICE, "mae", seed=0)
    assert low == pytest.approx(-2, abs=1e-4) and high == pytest.approx(-2, abs=1e-4)


def test_the_metric_that_decides():
    rare = Target("fraud", "binary", ("no", "yes"), (90, 10))
    assert default_metric(rare) == "roc_auc"
    assert default_metric(Target("fraud", "binary", ("no", "yes"), (75, 25))) == "accuracy"
    assert default_metric(classes(3)) == "accuracy" and default_metric(PRICE) == "rmse"
    assert choose_metric(Recipe(), rare) == "roc_auc" and choose_metric(Recipe(metric="f1"), rare) == "f1"
    with pytest.raises(RecipeError, match="'accuracy'"):
        choose_metric(Recipe(metric="acuracy"), rare)
    with pytest.raises(RecipeError, match="'rmse' is not for classes"):
        choose_metric(Recipe(metric="rmse"), rare)
    with pytest.raises(RecipeError, match="is not for numbers"):
        choose_metric(Recipe(metric="f1"), PRICE)


def test_which_metrics_are_better_when_higher():
    lower = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert lower == {"log_loss", "calibration_error", "mae", "rmse"}
