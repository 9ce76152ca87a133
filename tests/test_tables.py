"""Tables as tensors: fitted on training rows alone, read again exactly, targets guessed, leaks found."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from deepglass.data.encoding import DATE_PARTS, quantile_edges, robust_scale
from deepglass.data.schema import Schema, Wishes
from deepglass.data.tables import encode_table, raw_features, read_table
from deepglass.errors import TableError, TargetError
from frames import frame_of, read, real_table, said

EXPECTED = {
    "iris.csv": (None, "multiclass"),
    "penguins.csv": (None, "multiclass"),
    "titanic.csv": (None, "binary"),
    "adult_train.csv.gz": (None, "binary"),
    "credit_default.csv.gz": (None, "binary"),
    "digits_8x8.csv": (None, "multiclass"),
    "california_housing.csv.gz": ("median_house_value", "regression"),
    "diamonds.csv.gz": ("price", "regression"),
    "auto_mpg.csv": ("mpg", "regression"),
    "wine_quality.csv": (None, "regression"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_real_tables_are_understood(name):
    target, task = EXPECTED[name]
    data = read_table(real_table(name), Wishes(target=target), name=name)
    schema = data.schema
    assert schema.target.task == task
    assert [entry.name for entry in schema.inputs] == ["numbers", "codes"]
    for part in (data.train, data.valid, data.test):
        numbers, codes = part.inputs
        assert numbers.dtype == torch.float32
        assert codes.dtype == torch.int64
        assert torch.isfinite(numbers).all()
        assert numbers.abs().max() <= 3
        assert all(codes[:, k].max() < size for k, size in enumerate(schema.inputs[1].sizes))
    plain = json.loads(json.dumps(schema.to_json(), allow_nan=False))
    assert Schema.from_json(plain) == schema
    again, _ = encode_table(Schema.from_json(plain), real_table(name), with_target=True)
    place = torch.searchsorted(again.rows, data.test.rows)
    for ours, theirs in zip(data.test.inputs, again.select(place).inputs, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(again.target[place], data.test.target)


def test_what_is_left_out_of_titanic():
    data = read_table(real_table("titanic.csv"), Wishes(), name="titanic.csv")
    assert data.schema.inputs[0].columns == ("Pclass", "Age", "Age is missing", "SibSp", "Parch", "Fare")
    assert data.schema.inputs[1].columns == ("Sex", "Cabin", "Embarked")
    for name in ("'PassengerId'", "'Name'", "'Ticket'"):
        assert name in said(data)
    assert data.schema.target.classes == ("0", "1")
    assert sum(data.schema.target.counts) == len(data.train)


def test_numbers_are_scaled_by_the_training_part_alone():
    frame = frame_of(200, y=np.arange(200) % 2)
    data = read(frame)
    changed = frame.copy()
    changed.loc[data.test.rows.numpy(), "x"] *= 1000
    again = read(changed)
    assert torch.equal(again.train.inputs[0], data.train.inputs[0])
    assert again.schema.reader == data.schema.reader
    train = frame.x.to_numpy()[data.train.rows.numpy()]
    low, center, high = np.percentile(train, (25, 50, 75))
    scaled = (train - center) / (high - low)
    expected = scaled / np.sqrt(1 + (scaled / 3) ** 2)
    assert np.allclose(data.train.inputs[0][:, 0].numpy(), expected, rtol=1e-6, atol=1e-7)


def test_scale_of_columns_that_are_mostly_one_value():
    assert robust_scale(np.array([0.0] * 95 + [10, 10, 20, 30, 40])) == (0.0, 20.0)
    assert robust_scale(np.full(9, 0.1)) == (0.1, 0.0)
    assert robust_scale(np.full(9, 0.1) + np.arange(9) * 1e-17)[1] == 0.0


def test_edges_are_quantiles():
    values = np.random.default_rng(0).normal(size=20_000)
    edges = np.array(quantile_edges(values))
    assert len(edges) == 49
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    shares = np.histogram(values, edges)[0] / len(values)
    assert np.allclose(shares, 1 / 48, atol=2e-3)
    assert np.allclose(edges[1:-1], np.quantile(values, np.arange(1, 48) / 48), atol=5e-3)
    assert quantile_edges(np.array([3.0, 1.0, 1.0])) == (1.0, 3.0)
    heavy = np.concatenate((np.zeros(9000), np.arange(1, 1001)))
    assert len(quantile_edges(heavy)) > 40


def test_missing_numbers_are_marked_and_come_back_as_nan():
    frame = frame_of(100, y=[0, 1] * 50, color=["a", None, "b", "c"] * 25)
    frame.loc[::7, "x"] = np.nan
    data = read(frame)
    assert data.schema.inputs[0].columns == ("x", "x is missing")
    rows = data.train.rows.numpy()
    absent = frame.x.isna().to_numpy()[rows]
    numbers = data.train.inputs[0].numpy()
    assert np.array_equal(numbers[:, 1], absent)
    assert np.all(numbers[absent, 0] == 0)
    raw, mask = raw_features(data.schema, data.train)
    assert mask.tolist() == [False, False, True]
    assert np.array_equal(np.isnan(raw[:, 0]), absent)
    assert np.array_equal(np.isnan(raw[:, 2]), frame.color.isna().to_numpy()[rows])
    trees: Any = HistGradientBoostingClassifier  # its stub knows only text for the mask
    trees(categorical_features=mask, max_iter=2).fit(raw, data.train.target.numpy())


def test_dates_become_what_pandas_says_of_them():
    seconds = np.random.default_rng(1).integers(10**9, 2 * 10**9, 90).astype(np.float64)
    days = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s"))
    parts = {name: part(seconds, seconds.min()) for name, part in DATE_PARTS.items()}
    assert np.array_equal(parts["year"], days.year)
    assert np.array_equal(parts["month"], days.month)
    assert np.array_equal(parts["day of week"], days.day_of_week)
    turn = 2 * math.pi * (days.day_of_year.to_numpy() - 1) / 365.25
    assert np.allclose(parts["day of year, sine"], np.sin(turn))
    assert np.allclose(parts["hour, cosine"] ** 2 + parts["hour, sine"] ** 2, 1)
    data = read(frame_of(90, day=days, y=[0, 1, 1] * 30))
    assert "day seconds" in data.schema.inputs[0].columns


def test_categories_rare_and_never_seen():
    words = [f"town {k % 30}" for k in range(600)] + [f"hamlet {k}" for k in range(100)]
    frame = frame_of(700, place=words, color=["red", "blue"] * 350, y=np.arange(700) % 2)
    data = read(frame)
    place, color = data.schema.inputs[1].sizes
    assert (place, color) == (32, 3)
    new = pd.DataFrame({"x": [0.0, 1.0], "place": ["nowhere", None], "color": ["green", "red"]})
    part, notes = encode_table(data.schema, new, with_target=False)
    assert part.inputs[1].tolist() == [[31, 0], [0, 2]]
    assert part.target.shape == (2, 0)
    assert ["'green'" in note.text for note in notes] == [True]


def test_ids_constants_and_names_are_left_out():
    frame = frame_of(
        100,
        nr=np.arange(100),
        customer_id=np.random.default_rng(0).permutation(10_000)[:100],
        name=[f"person {k}" for k in range(100)],
        same=["a"] * 100,
        seven=[7] * 100,
        year=np.arange(1950, 2050),
        y=[0, 1] * 50,
    )
    data = read(frame)
    assert data.schema.inputs[0].columns == ("x", "year")
    assert data.schema.inputs[1].columns == ()
    for name in ("nr", "customer_id", "name", "same", "seven"):
        assert f"'{name}'" in said(data)


def test_a_running_number_is_kept_where_there_is_nothing_else():
    data = read(pd.DataFrame({"t": np.arange(50), "y": np.random.default_rng(0).normal(size=50)}))
    assert data.schema.inputs[0].columns == ("t",)


def test_troubled_columns_are_said():
    frame = frame_of(60, y=[0, 1] * 30, empty=[None] * 60, endless=[np.inf] * 60, nested=[[1]] * 60)
    frame.loc[3, "x"] = -np.inf
    data = read(frame)
    assert data.schema.inputs[0].columns[0] == "x"
    troubles = [note.text for note in data.notes if note.level == "trouble"]
    for name in ("'x'", "'empty'", "'endless'", "'nested'"):
        assert any(name in text for text in troubles)


def test_plain_is_one_tensor_and_the_target_unscaled():
    frame = frame_of(80, color=["r", "g", "b", None] * 20, y=np.random.default_rng(3).normal(50, 10, 80))
    data = read(frame, plain=True)
    (entry,) = data.schema.inputs
    assert (entry.name, entry.columns) == ("features", ("x", "color=b", "color=g", "color=r"))
    rows = data.valid.rows.numpy()
    hot = pd.get_dummies(frame.color)[["b", "g", "r"]].to_numpy(np.float32)[rows]
    assert np.array_equal(data.valid.inputs[0][:, 1:].numpy(), hot)
    assert np.array_equal(data.valid.target[:, 0].numpy(), frame.y.to_numpy(np.float32)[rows])
    again, _ = encode_table(data.schema, frame, with_target=True)
    assert torch.equal(again.inputs[0][rows], data.valid.inputs[0])
    assert raw_features(data.schema, data.valid)[0].shape == (len(rows), 4)


def test_new_data_missing_extra_and_reordered(tmp_path):
    frame = frame_of(60, size=np.random.default_rng(5).normal(size=60), color=["r", "g", "b"] * 20, y=["a", "b"] * 30)
    data = read(frame)
    expected, notes = encode_table(data.schema, frame, with_target=True)
    assert not notes
    moved = frame[["y", "color", "size", "x"]].assign(extra=1)
    moved.to_csv(tmp_path / "new.csv", index=False)
    for source in (moved, tmp_path / "new.csv", str(tmp_path / "new.csv")):
        part, notes = encode_table(data.schema, source, with_target=True)
        assert all(torch.equal(a, b) for a, b in zip(part.inputs, expected.inputs, strict=True))
        assert [note.text for note in notes] == ["1 column(s) that training did not have are ignored: 'extra'"]
    with pytest.raises(TableError, match=r"no column 'size'.*nearest: 'sizes'"):
        encode_table(data.schema, frame.rename(columns={"size": "sizes"}), with_target=False)
    with pytest.raises(TableError, match=r"new data, column 'size', row 3: found 'big', expected a number"):
        encode_table(data.schema, frame.assign(size=["1", "2", "big"] * 20), with_target=False)
    with pytest.raises(TargetError, match="no column 'y'"):
        encode_table(data.schema, frame.drop(columns="y"), with_target=True)
    with pytest.raises(TargetError, match="row 1: found 'c', expected one of the classes"):
        encode_table(data.schema, frame.assign(y="c"), with_target=True)
    assert len(encode_table(data.schema, frame.drop(columns="y")[:1], with_target=False)[0]) == 1


def test_a_file_without_header_is_read_again_without_its_target(tmp_path):
    generator = np.random.default_rng(0)
    lines = [f"{'ab'[k % 2]},{generator.normal():.3f},{generator.normal():.3f}" for k in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    (tmp_path / "new.csv").write_text("\n".join(line[2:] for line in lines[:1]))
    data = read_table(tmp_path / "train.csv", Wishes(target="column 1"), name="train.csv")
    part, _ = encode_table(data.schema, tmp_path / "new.csv", with_target=False)
    whole, _ = encode_table(data.schema, tmp_path / "train.csv", with_target=True)
    assert torch.equal(part.inputs[0], whole.inputs[0][:1])


def test_thousands_of_columns():
    values = np.random.default_rng(0).normal(size=(30, 2_000))
    data = read(pd.DataFrame(values, columns=[f"c{k}" for k in range(2_000)]).assign(y=np.arange(30) % 2))
    assert data.schema.inputs[0].shape == (2_000,)
    assert data.schema.inputs[0].quantiles == ()


def test_huge_numbers_stay_finite():
    frame = frame_of(60, y=np.arange(60) % 2)
    frame["x"] *= 1e300
    data = read(frame)
    assert torch.isfinite(data.train.inputs[0]).all()
    new, _ = encode_table(data.schema, {"x": [1.7e308, -1.7e308, 0.0]}, with_target=False)
    assert torch.isfinite(new.inputs[0]).all()
