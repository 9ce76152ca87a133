"""What is predicted from a table: classes or numbers, rows without it, rare classes, and leaks of it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from deepglass.data.schema import Wishes
from deepglass.data.tables import read_table
from deepglass.errors import SplitError, TableError, TargetError
from frames import frame_of, read, real_table, said


def test_duplicates_are_those_that_pandas_finds():
    frame = pd.read_csv(real_table("wine_quality.csv"))
    data = read_table(real_table("wine_quality.csv"), Wishes(seed=4), name="wine")
    parts = [frame.iloc[part.rows.numpy()] for part in (data.train, data.valid, data.test)]
    keys = [set(map(tuple, part.to_numpy(object))) for part in parts]
    expected = sum(tuple(row) in keys[0] for row in parts[1].to_numpy(object))
    expected += sum(tuple(row) in keys[0] | keys[1] for row in parts[2].to_numpy(object))
    assert expected > 300
    assert f"{expected:,} row(s) of valid and test" in said(data)


@pytest.mark.parametrize(
    ("name", "values", "task"),
    [
        ("quality", np.arange(60) % 7 + 3, "regression"),
        ("label", np.arange(60) % 10, "multiclass"),
        ("digit", np.arange(60) % 10, "multiclass"),
        ("visits", np.arange(60) % 10, "regression"),
        ("grade", np.arange(60) % 4, "multiclass"),
        ("y", np.arange(60) * 0.5, "regression"),
        ("y", np.arange(60) % 2 + 0.5, "binary"),
        ("y", np.arange(60) % 2 == 0, "binary"),
        ("y", np.array(["no", "yes"])[np.arange(60) % 2], "binary"),
        ("amount", np.arange(60) * 3, "regression"),
    ],
)
def test_classes_or_numbers(name, values, task):
    assert read(frame_of(60, **{name: values})).schema.target.task == task


def test_codes_point_at_their_classes():
    words = np.array(["c", "a", "d", "b"])[np.random.default_rng(1).integers(0, 4, 80)]
    words[:4] = ["c", "a", "d", "b"]
    data = read(frame_of(80, y=words))
    assert data.schema.target.classes == ("a", "b", "c", "d")
    for part in (data.train, data.test):
        assert [data.schema.target.classes[code] for code in part.target] == words[part.rows.numpy()].tolist()


def test_the_guess_is_overridden():
    frame = frame_of(70, quality=np.arange(70) % 7 + 3)
    assert read(frame, task="classes").schema.target.classes == ("3", "4", "5", "6", "7", "8", "9")
    assert read(frame_of(70, y=np.arange(70) % 2), task="numbers").schema.target.task == "regression"


def test_numbers_are_standardized_and_come_back():
    frame = frame_of(80, y=np.random.default_rng(3).normal(50, 10, 80), z=np.random.default_rng(4).normal(-5, 1, 80))
    data = read(frame, target=("y", "z"))
    target = data.schema.target
    assert data.train.target.shape[1] == target.outputs == 2
    back = data.train.target.double().numpy() * target.std + target.mean
    assert np.allclose(back, frame[["y", "z"]].to_numpy()[data.train.rows.numpy()], atol=1e-4)
    assert np.allclose(data.train.target.mean(0), 0, atol=1e-6)
    assert np.allclose(data.train.target.std(0, correction=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([3] * 60, "in every row"),
        (["a"] * 60, "found one class"),
        ([None] * 60, "every cell is missing"),
        ([math.inf] * 60, "every cell is missing"),
        ([f"word {k}" for k in range(60)], "60 different values"),
        ([f"2020-01-{k % 28 + 1:02d}" for k in range(60)], "found dates"),
        ([f'{{"a": {k}}}' for k in range(60)], "nested"),
    ],
)
def test_targets_that_cannot_be_learned(values, words):
    with pytest.raises(TargetError, match=words):
        read(frame_of(60, y=values))


def test_an_absent_target_offers_the_nearest():
    with pytest.raises(TargetError, match=r"'specie'.*'species'.*Next: --target species"):
        read(frame_of(30, species=["a", "b"] * 15), target="specie")
    with pytest.raises(TargetError, match=r"row 1: found 'a', expected a number"):
        read(frame_of(30, species=["a", "b"] * 15), task="numbers")
    with pytest.raises(TableError, match="no column 'colour' for ignore"):
        read(frame_of(30, color=["a", "b"] * 15), ignore=("colour",))
    with pytest.raises(SplitError, match="2 row"):
        read(frame_of(2, y=["a", "b"]))


def test_rows_without_a_target_are_left_out():
    data = read(frame_of(60, y=[None, "a", "b"] * 20))
    assert len(data.train) + len(data.valid) + len(data.test) == 40
    assert not set(torch.cat((data.train.rows, data.valid.rows, data.test.rows)).tolist()) & set(range(0, 60, 3))
    assert "20 row(s) without a target" in said(data)


def test_rare_classes_are_said():
    data = read(frame_of(100, y=["a"] * 60 + ["b"] * 39 + ["c"]))
    assert "class 'c' has one example" in said(data)
    assert "class 'c' is 1.0% of the rows" in said(data)
    assert 99 in data.train.rows
    assert "of the rows" not in said(read(frame_of(100, label=np.arange(100) % 10)))


@pytest.mark.parametrize("copy", ["same", "recoded", "squared", "scaled"])
def test_a_copy_of_the_target_is_found(copy):
    generator = np.random.default_rng(9)
    numbers = generator.normal(5, 1, 80)
    labels = generator.integers(0, 3, 80)
    leak = {"same": numbers, "squared": np.exp(numbers), "scaled": 3 - 2 * numbers, "recoded": labels * 7}[copy]
    frame = frame_of(80, leak=leak, y=labels if copy == "recoded" else numbers)
    assert "'leak' tells the target 'y' exactly" in said(read(frame))
    frame["leak"] = generator.permutation(leak)
    assert "tells the target" not in said(read(frame))


def test_groups_and_times():
    frame = frame_of(120, patient=np.arange(120) // 4, day=pd.date_range("2020-01-01", periods=120), y=[0, 1] * 60)
    data = read(frame, group="patient")
    sets = [set((part.rows // 4).tolist()) for part in (data.train, data.valid, data.test)]
    assert not sets[0] & sets[1]
    assert not (sets[0] | sets[1]) & sets[2]
    assert "patient" not in data.schema.inputs[0].columns
    data = read(frame, time="day")
    assert data.train.rows.max() < data.valid.rows.min() <= data.valid.rows.max() < data.test.rows.min()
    assert "by time" in data.split
    with pytest.raises(TableError, match="expected dates or numbers"):
        read(frame.assign(day=["soon", "late"] * 60), time="day")
