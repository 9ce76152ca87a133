"""Mistakes against scikit-learn, against the file that the rows came from, and within bounds."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix

from deepglass.data.schema import Data, Input, Part, Schema, Target, Wishes
from deepglass.data.tables import read_table
from deepglass.seeing.inputs import as_png, shown_inputs
from deepglass.seeing.mistakes import find_mistakes


def classes(count: int, rows: int = 300, seed: int = 0) -> tuple[Data, torch.Tensor]:
    random = np.random.default_rng(seed)
    expected = torch.from_numpy(random.integers(0, count, rows))
    scores = torch.from_numpy(random.normal(size=(rows, count))) + 1.5 * torch.eye(count)[expected]
    part = Part((torch.arange(rows)[:, None].float(),), expected, torch.arange(rows) + 1000)
    names = tuple(f"c{k}" for k in range(count))
    described = Target("kind", "binary" if count == 2 else "multiclass", names, (1,) * count)
    schema = Schema("tensor", (Input("x", "numbers", (1,)),), described)
    return Data(schema, part, part, part), scores.softmax(1)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_confusion_agrees_with_scikit_learn(count: int) -> None:
    data, read = classes(count)
    found = find_mistakes(data, "test", read)
    expected = confusion_matrix(data.test.target, read.argmax(1), labels=range(count))
    np.testing.assert_array_equal(found["confusion"]["counts"], expected)
    assert found["wrong"] == int((data.test.target != read.argmax(1)).sum())


def test_of_many_classes_the_most_mistaken_are_kept_and_no_row_is_lost() -> None:
    data, read = classes(60, rows=900)
    confusion = find_mistakes(data, "test", read)["confusion"]
    counts = np.array(confusion["counts"])
    assert counts.shape == (21, 21) and counts.sum() == 900 and confusion["classes"][-1] == "40 others"
    whole = confusion_matrix(data.test.target, read.argmax(1), labels=range(60))
    wrong = whole.sum(0) + whole.sum(1) - 2 * whole.diagonal()
    kept = [int(name[1:]) for name in confusion["classes"][:-1]]
    assert min(wrong[kept]) >= max(np.delete(wrong, kept))
    np.testing.assert_array_equal(counts[:20, :20], whole[np.ix_(kept, kept)])


def test_the_worst_come_first_and_are_wrong() -> None:
    data, read = classes(4)
    worst = find_mistakes(data, "test", read)["worst"]
    chances = [one["expected_probability"] for one in worst]
    assert chances == sorted(chances) and len(worst) == 12
    place = worst[0]["row"] - 1000
    loss = -read[torch.arange(300), data.test.target].log()
    assert place == int(loss.argmax()) and worst[0]["inputs"] == {"x[0]": str(place)}
    assert worst[0]["expected"] == f"c{data.test.target[place]}" != worst[0]["predicted"]
    assert worst[0]["probability"] == pytest.approx(float(read[place].max()), rel=1e-5)


def test_without_mistakes_the_least_sure_are_shown() -> None:
    data, _ = classes(3)
    read = torch.eye(3)[data.test.target] * 0.9 + 0.1 / 3
    found = find_mistakes(data, "test", read)
    assert found["wrong"] == 0 and len(found["worst"]) == 12
    assert all(one["expected"] == one["predicted"] for one in found["worst"])


def test_calibration_counts_every_row_in_its_bin() -> None:
    data, read = classes(3, rows=500)
    bins = find_mistakes(data, "test", read)["calibration"]
    sure, predicted = (column.numpy() for column in read.max(1))
    right = predicted == data.test.target.numpy()
    for low in range(15):
        inside = (sure > low / 15) & (sure <= (low + 1) / 15)
        if inside.any():
            one = bins.pop(0)
            assert one["count"] == inside.sum()
            assert one["accuracy"] == pytest.approx(right[inside].mean(), rel=1e-5)
            assert one["confidence"] == pytest.approx(sure[inside].mean(), rel=1e-5)
    assert not bins


def numbers(rows: int = 2000, width: int = 1) -> tuple[Data, torch.Tensor, np.ndarray]:
    random = np.random.default_rng(0)
    true = random.normal(50, 7, (rows, width))
    target = torch.from_numpy((true - 50) / 7).float()
    part = Part((torch.zeros(rows, 1),), target, torch.arange(rows))
    described = Target(", ".join("pqrstu"[:width]), "regression", mean=(50.0,) * width, std=(7.0,) * width)
    schema = Schema("tensor", (Input("x", "numbers", (1,)),), described)
    return Data(schema, part, part, part), torch.from_numpy(true + random.normal(1, 2, (rows, width))), true


def test_residuals_are_in_the_targets_unit() -> None:
    data, read, true = numbers()
    (one,) = find_mistakes(data, "test", read)["numbers"]
    errors = read.numpy()[:, 0] - true[:, 0]
    for share, value in one["residuals"]["quantiles"].items():
        assert value == pytest.approx(np.quantile(errors, float(share)), abs=1e-4)
    assert sum(one["residuals"]["counts"]) + one["residuals"]["outside"] == 2000
    inside = np.histogram(errors, one["residuals"]["edges"])[0]
    np.testing.assert_allclose(one["residuals"]["counts"], inside, atol=2)
    assert len(one["points"]) == 800 and one["name"] == "p"


def test_the_largest_error_comes_first_whatever_its_sign() -> None:
    data, read, true = numbers()
    read[7], read[9] = true[7, 0] - 40, true[9, 0] + 30
    worst = find_mistakes(data, "test", read)["worst"]
    assert [one["row"] for one in worst[:2]] == [7, 9]
    assert worst[0]["error"] == pytest.approx(-40, abs=1e-4)


def test_several_numbers_are_named_and_bounded() -> None:
    data, read, _ = numbers(rows=50, width=6)
    found = find_mistakes(data, "test", read)
    assert [one["name"] for one in found["numbers"]] == list("pqrs") and len(found["worst"][0]["expected"]) == 6


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_what_is_found_is_json_even_where_outputs_are_broken(broken: float) -> None:
    data, read = classes(3)
    read[3] = broken
    many, predicted, _ = numbers()
    predicted[5] = broken
    for found in (find_mistakes(data, "test", read), find_mistakes(many, "test", predicted)):
        assert len(json.dumps(found, allow_nan=False)) < 60_000


def test_an_empty_part_has_no_mistakes() -> None:
    data, read = classes(3)
    nothing = torch.zeros(0, dtype=torch.long)
    empty = Data(data.schema, data.train, data.valid, data.test.select(nothing))
    assert find_mistakes(empty, "test", read[:0]) == {"part": "test", "rows": 0}


def made_table(folder: Path) -> tuple[Path, list[dict[str, str]]]:
    random = np.random.default_rng(0)
    rows = [
        {
            "price": f"{random.lognormal(3, 1.5):.2f}",
            "age": "" if random.random() < 0.2 else str(random.integers(1, 90)),
            "town": random.choice(["Bern", "Wien", "Rom"]),
            "since": f"20{random.integers(10, 24)}-0{random.integers(1, 10)}-1{random.integers(0, 10)}",
            "label": random.choice(["yes", "no"]),
        }
        for _ in range(400)
    ]
    path = folder / "made.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path, rows


@pytest.mark.parametrize("plain", [False, True])
def test_a_tables_inputs_are_the_cells_of_the_file(tmp_path: Path, plain: bool) -> None:
    path, rows = made_table(tmp_path)
    data = read_table(path, Wishes(target="label", plain=plain), name="made.csv")
    for place in range(len(data.test)):
        shown = shown_inputs(data.schema, data.test, place)["inputs"]
        cells = rows[int(data.test.rows[place])]
        assert list(shown) == ["price", "age", "town", "since"]
        assert shown["price"] == "far above the usual" or float(shown["price"]) == pytest.approx(
            float(cells["price"]), rel=1e-3
        )
        assert shown["age"] == (cells["age"] or "missing")
        assert shown["town"] == cells["town"] and shown["since"] == cells["since"]


def test_wide_tables_show_sixteen_columns_and_short_words() -> None:
    columns = {f"column {k}": [f"{'long ' * 40}{row % 3}" for row in range(60)] for k in range(40)}
    data = read_table(columns | {"label": ["a", "b", "c"] * 20}, Wishes(target="label"), name="wide")
    shown = shown_inputs(data.schema, data.test, 0)["inputs"]
    assert len(shown) == 16 and list(shown)[-1] == "…" and max(map(len, shown.values())) <= 60


@pytest.mark.parametrize(("channels", "side", "factor"), [(1, 8, 12), (3, 32, 3), (4, 40, 2), (2, 5, 19)])
def test_a_picture_comes_back_pixel_by_pixel(channels: int, side: int, factor: int) -> None:
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (channels, side, side)).astype(np.uint8))
    image = Image.open(io.BytesIO(base64.b64decode(as_png(pixels))))
    assert image.size == (side * factor, side * factor)
    shown = np.asarray(image)[factor // 2 :: factor, factor // 2 :: factor]
    expected = pixels[:3].permute(1, 2, 0).numpy() if channels >= 3 else pixels[0].numpy()
    np.testing.assert_array_equal(shown, expected)


def test_pictures_of_floats_and_large_ones() -> None:
    bright = torch.full((1, 4, 4), 0.5)
    assert np.unique(np.asarray(Image.open(io.BytesIO(base64.b64decode(as_png(bright)))))).tolist() == [128]
    beyond = torch.linspace(-2, 2, 16).reshape(1, 4, 4)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(as_png(beyond))))).min() == 0
    large = torch.zeros(3, 300, 500, dtype=torch.uint8)
    assert Image.open(io.BytesIO(base64.b64decode(as_png(large)))).size == (160, 96)


def test_mistakes_on_pictures_hold_the_picture() -> None:
    random = np.random.default_rng(0)
    part = Part((torch.from_numpy(random.integers(0, 256, (9, 3, 8, 8)).astype(np.uint8)),),
                torch.arange(9) % 2, torch.arange(9))  # fmt: skip
    schema = Schema("picture", (Input("pixels", "pixels", (3, 8, 8)),), Target("kind", "binary", ("a", "b"), (5, 4)))
    read = torch.tensor([[0.9, 0.1]]).expand(9, 2)
    worst = find_mistakes(Data(schema, part, part, part), "test", read)["worst"]
    assert [one["row"] for one in worst] == [1, 3, 5, 7] and worst[0]["picture"] == as_png(part.inputs[0][1])
