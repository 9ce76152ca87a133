"""Baselines against scikit-learn fitted by hand, on the training rows alone; and the verdict's sentences."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from deepglass.data.features import flat_features, learning_rows, shrunk
from deepglass.data.schema import Data, Input, Part, Schema, Target, Wishes
from deepglass.data.sources import read
from deepglass.data.tables import raw_features, read_table
from deepglass.seeing.baselines import Baseline, judge_baselines, verdict

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def as_data(inputs: np.ndarray, target: np.ndarray, described: Target, kind: str = "numbers") -> Data:
    """Arrays as they stand: the first 60 % to train, the last 30 % to test."""
    shape = tuple(inputs.shape[1:])
    schema = Schema("picture" if kind == "pixels" else "tensor", (Input("x", kind, shape),), described)  # type: ignore[arg-type]
    count = len(inputs)
    cuts = [range(count * 6 // 10), range(count * 6 // 10, count * 7 // 10), range(count * 7 // 10, count)]
    train, valid, test = (
        Part((torch.from_numpy(inputs[list(rows)]),), torch.from_numpy(target[list(rows)]), torch.tensor(list(rows)))
        for rows in cuts
    )
    return Data(schema, train, valid, test)


def arrays(load: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    return load(return_X_y=True, **options)


def iris() -> tuple[Data, Parts]:
    inputs, target = arrays(load_iris)
    order = np.random.default_rng(0).permutation(len(target))
    inputs, target = inputs[order].astype(np.float32), target[order].astype(np.int64)
    data = as_data(inputs, target, Target("species", "multiclass", ("a", "b", "c"), (30, 30, 30)))
    return data, (inputs[:90], target[:90], inputs[105:], target[105:])


def diabetes() -> tuple[Data, Parts]:
    inputs, target = arrays(load_diabetes, scaled=False)
    mean, std = float(target.mean()), float(target.std())
    scaled = ((target - mean) / std).astype(np.float32)[:, None]
    data = as_data(inputs.astype(np.float32), scaled, Target("y", "regression", mean=(mean,), std=(std,)))
    cut, last = len(target) * 6 // 10, len(target) * 7 // 10
    return data, (inputs[:cut].astype(np.float32), target[:cut], inputs[last:].astype(np.float32), target[last:])


def test_classes_agree_with_scikit_learn_on_the_same_rows() -> None:
    data, (x, y, unseen, truth) = iris()
    judged = judge_baselines(data, "accuracy", seed=3)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(x.astype(np.float64), y)
    trees = HistGradientBoostingClassifier(random_state=3).fit(x, y)
    np.testing.assert_allclose(judged["linear"].read, linear.predict_proba(unseen.astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(judged["trees"].read, trees.predict_proba(unseen), atol=1e-6)
    majority = np.bincount(y).argmax()
    assert judged["dummy"].metrics["accuracy"] == pytest.approx(np.mean(truth == majority))
    assert judged["trees"].metrics["accuracy"] == pytest.approx(accuracy_score(truth, trees.predict(unseen)))
    low, high = judged["linear"].interval
    assert low <= judged["linear"].metrics["accuracy"] <= high


def test_numbers_agree_with_scikit_learn_in_the_targets_unit() -> None:
    data, (x, y, unseen, truth) = diabetes()
    judged = judge_baselines(data, "rmse", seed=0)
    linear = make_pipeline(StandardScaler(), Ridge()).fit(x.astype(np.float64), y)
    trees = HistGradientBoostingRegressor(random_state=0).fit(x, y)
    np.testing.assert_allclose(judged["linear"].read[:, 0], linear.predict(unseen.astype(np.float64)), rtol=1e-4)
    assert judged["trees"].metrics["rmse"] == pytest.approx(
        np.sqrt(np.mean((trees.predict(unseen) - truth) ** 2)), rel=0.02
    )
    np.testing.assert_allclose(judged["dummy"].read[:, 0], y.mean(), rtol=1e-6)


def test_several_numbers_at_once() -> None:
    data, _ = diabetes()
    target = Target("y, z", "regression", mean=(150.0, -3.0), std=(70.0, 2.0))
    train, valid, test = (
        dataclasses.replace(part, target=torch.cat([part.target, -part.target], 1))
        for part in (data.train, data.valid, data.test)
    )
    twice = Data(dataclasses.replace(data.schema, target=target), train, valid, test)
    for one in judge_baselines(twice, "rmse").values():
        assert one.read.shape == (len(data.test), 2)
        scaled = (one.read - torch.tensor(target.mean)) / torch.tensor(target.std)
        np.testing.assert_allclose(scaled[:, 0], -scaled[:, 1], atol=0.6)  # trees bin both their own way


def test_nothing_is_learned_from_validation_or_test_rows() -> None:
    data, _ = iris()
    spoiled = dataclasses.replace(
        data,
        valid=dataclasses.replace(data.valid, target=data.valid.target.flip(0) * 0),
        test=dataclasses.replace(data.test, target=(data.test.target + 1) % 3),
    )
    before, after = judge_baselines(data, "accuracy"), judge_baselines(spoiled, "accuracy")
    for name in before:
        torch.testing.assert_close(before[name].read, after[name].read, rtol=0, atol=0)
        assert before[name].metrics != after[name].metrics


def table(rows: int = 400) -> Data:
    random = np.random.default_rng(1)
    word = random.choice(["red", "green", "blue", ""], rows)
    size = random.normal(size=rows)
    size[random.random(rows) < 0.2] = np.nan
    label = np.where((word == "red") ^ (np.nan_to_num(size, nan=2.0) > 0.5), "yes", "no")
    shown = ["" if np.isnan(value) else f"{value:.4f}" for value in size]
    columns = {"word": word.tolist(), "size": shown, "label": label.tolist()}
    return read_table(columns, Wishes(target="label"), name="made")


def test_trees_are_given_missing_values_and_categories_as_such() -> None:
    data = table()
    (x, mask), (unseen, _) = raw_features(data.schema, data.train), raw_features(data.schema, data.test)
    assert np.isnan(x).any() and mask.any()
    trees: Any = HistGradientBoostingClassifier
    trees = trees(random_state=0, categorical_features=mask).fit(x, data.train.target.numpy())
    np.testing.assert_allclose(judge_baselines(data, "accuracy")["trees"].read, trees.predict_proba(unseen))


def test_linear_is_given_one_column_a_category() -> None:
    data = table()
    codes, (train, _) = data.train.inputs[1].numpy(), flat_features(data)
    hot = OneHotEncoder(sparse_output=False).fit_transform(codes)
    np.testing.assert_array_equal(train[:, -hot.shape[1] :], hot)


def digits() -> Data:
    pictures, target = arrays(load_digits)
    pixels = (pictures.reshape(-1, 1, 8, 8) * 15).astype(np.uint8)
    return as_data(
        pixels, target.astype(np.int64), Target("d", "multiclass", tuple("0123456789"), (100,) * 10), "pixels"
    )


def test_little_time_means_fewer_rows_and_says_so() -> None:
    data = digits()
    judged = judge_baselines(data, "accuracy", budget_seconds=0.1)
    assert "of 1,078 pictures" in judged["linear"].what and "rounds" in judged["trees"].what
    assert judged["linear"].metrics["accuracy"] > 0.8
    again = judge_baselines(data, "accuracy", budget_seconds=0.1)
    torch.testing.assert_close(judged["trees"].read, again["trees"].read, rtol=0, atol=0)


def test_large_pictures_are_averaged_down_block_by_block() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 28, 28)).astype(np.uint8)
    small = shrunk(torch.from_numpy(pixels), Input("pixels", "pixels", (1, 28, 28)))
    blocks = pixels.reshape(3, 14, 2, 14, 2).mean(axis=(2, 4)) / 255
    np.testing.assert_allclose(small, blocks.reshape(3, 196), atol=1e-6)


def test_a_share_of_the_rows_holds_every_class() -> None:
    data = digits()
    for seed in range(20):
        rows = learning_rows(data, 12, seed=seed)
        assert len(rows) == 12 and set(data.train.target[rows].tolist()) == set(range(10))
    np.testing.assert_array_equal(learning_rows(data, 1e9, seed=0), np.arange(len(data.train)))


def test_a_class_never_trained_on_gets_no_probability() -> None:
    data, _ = iris()
    kept = data.train.select(data.train.target != 1)
    for name, one in judge_baselines(dataclasses.replace(data, train=kept), "accuracy").items():
        assert float(one.read[:, 1].max()) == 0, name
        np.testing.assert_allclose(one.read.sum(1), 1.0)


def test_a_class_of_one_row_in_a_large_set_is_no_trouble() -> None:
    random = np.random.default_rng(0)
    target = (random.random(20_000) < 0.5).astype(np.int64)
    target[5] = 2
    inputs = (random.normal(size=(20_000, 2)) + target[:, None]).astype(np.float32)
    data = as_data(inputs, target, Target("y", "multiclass", ("a", "b", "c"), (1, 1, 1)))
    assert judge_baselines(data, "accuracy")["trees"].metrics["accuracy"] > 0.6


def test_arrays_with_holes_infinities_and_constants() -> None:
    data, _ = diabetes()
    train = data.train.inputs[0].clone()
    train[::7, 0], train[3, 1], train[:, 2], train[:, 3] = float("nan"), float("inf"), 1.0, float("nan")
    holed = dataclasses.replace(data, train=dataclasses.replace(data.train, inputs=(train,)))
    for one in judge_baselines(holed, "rmse").values():
        assert torch.isfinite(one.read).all()


def test_named_sets_and_a_real_table() -> None:
    folder = os.environ.get("DEEPGLASS_DATA")
    if not folder:
        pytest.skip("DEEPGLASS_DATA names no folder with the real tables")
    data = read(Path(folder) / "tables" / "titanic.csv", Wishes(target="Survived"))
    judged = judge_baselines(data, "accuracy")
    assert judged["dummy"].metrics["accuracy"] < 0.7 < 0.75 < judged["linear"].metrics["accuracy"]
    auc = roc_auc_score(data.test.target, judged["trees"].read[:, 1])
    assert judged["trees"].metrics["roc_auc"] == pytest.approx(auc) and auc > 0.8


def rivals(**figures: float) -> dict[str, Baseline]:
    read = torch.zeros(1, 1)
    return {name: Baseline("", {"accuracy": f, "rmse": f}, (f, f), 0.0, read) for name, f in figures.items()}


@pytest.mark.parametrize(
    ("differences", "ending"),
    [
        ({"dummy": (0.2, 0.3), "linear": (0.01, 0.03), "trees": (0.02, 0.04)},
         " and beats a linear model, the best baseline, at 0.860."),
        ({"dummy": (0.2, 0.3), "linear": (-0.01, 0.03), "trees": (0.02, 0.04)},
         "; a linear model reaches 0.860: a tie within the error."),
        ({"dummy": (0.2, 0.3), "linear": (-0.04, -0.03), "trees": (0.02, 0.04)},
         " and loses to a linear model at 0.860: prefer that here."),
        ({"dummy": (-0.01, 0.3), "linear": (0.01, 0.03), "trees": (0.02, 0.04)},
         ": no better, within the error, than a constant guess (0.500), so it has learned nothing to rely on."),
        ({"dummy": (-0.2, -0.1), "linear": (0.01, 0.03), "trees": (0.02, 0.04)},
         ": worse than a constant guess (0.500), so it has learned nothing to rely on."),
    ],
)  # fmt: skip
def test_the_verdict_says_who_wins(differences: dict[str, tuple[float, float]], ending: str) -> None:
    known = rivals(dummy=0.5, linear=0.86, trees=0.85)
    sentence = verdict("accuracy", 0.871, (0.865, 0.877), known, differences, rows=6512)
    begin = "The network reaches an accuracy of 0.871 (0.865 to 0.877) on 6,512 rows it never saw"
    assert sentence == begin + ending


def test_the_verdict_prefers_trees_in_the_plural_and_names_a_tie_of_three() -> None:
    known = rivals(dummy=0.5, linear=0.86, trees=0.88)
    behind = {"dummy": (0.1, 0.2), "linear": (-0.01, 0.01), "trees": (-0.02, -0.01)}
    assert verdict("accuracy", 0.86, (0.855, 0.865), known, behind).endswith(
        " and loses to boosted trees at 0.880: prefer them here."
    )
    level = behind | {"trees": (-0.02, 0.01)}
    assert verdict("accuracy", 0.87, (0.865, 0.875), known, level).endswith(
        "; boosted trees reach 0.880 and a linear model 0.860: ties within the error."
    )


def test_where_lower_is_better_a_smaller_error_wins() -> None:
    known = rivals(dummy=900.0, linear=480.0, trees=420.0)
    gains = {"dummy": (-600.0, -400.0), "linear": (-120.0, -60.0), "trees": (-60.0, -10.0)}
    sentence = verdict("rmse", 390.0, (370.0, 410.0), known, gains, rows=50)
    assert sentence.startswith("The network reaches a root mean squared error of 390 (370 to 410) on 50 rows")
    assert sentence.endswith(" and beats boosted trees, the best baseline, at 420.")


def test_the_verdict_owns_up_to_rows_that_were_not_unseen() -> None:
    said = verdict("accuracy", 0.9, (0.8, 1.0), {}, {}, rows=20, part="valid")
    assert said.endswith("on the 20 validation rows that also chose its weights.")
    assert "(nan" not in verdict("accuracy", 0.9, (float("nan"), float("nan")), {}, {}, rows=20)


def test_whole_numbers_of_ones_own_arrays_are_codes_and_negative_ones_numbers():
    draw = np.random.default_rng(0)
    words = draw.integers(0, 9, (60, 4))
    data = read((words, words[:, 0] % 2), Wishes(plain=True))
    flat, _ = flat_features(data)
    train = data.train.inputs[0].numpy()
    by_hand = OneHotEncoder(sparse_output=False).fit_transform(train)
    np.testing.assert_array_equal(flat, by_hand)
    below, _ = flat_features(read((words - 3, words[:, 0] % 2), Wishes(plain=True)))
    np.testing.assert_array_equal(below, data.train.inputs[0].numpy() - 3)
