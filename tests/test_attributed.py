"""What mattered to a run, for its report: against closed forms and scikit-learn, and within bounds."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import permutation_importance
from torch import Tensor, nn

from deepglass.data.schema import Data, Input, Schema, Wishes
from deepglass.data.sources import read
from deepglass.models import CATALOGUE
from deepglass.seeing.attributed import attributions, columns_of
from deepglass.training.objective import objective_for
from deepglass.training.recipe import Recipe
from deepglass.training.run import Run
from samples import line, pictures, points


def run_of(data: Data, model: nn.Module | None = None, family: str = "neuron") -> Run:
    recipe = Recipe(model=family)
    network = model if model is not None else CATALOGUE[family].from_schema(data.schema)
    return Run(Path("run"), network.eval(), recipe, data.schema, objective_for(recipe, data.schema.target), data=data)


class Plane(nn.Module):
    """3 x0 − 2 x1, in the target's own unit."""

    def forward(self, x: Tensor) -> Tensor:
        return (3 * x[:, :1] - 2 * x[:, 1:2]) / 3.6


def test_importance_agrees_with_scikit_learn() -> None:
    data = line(1200)
    found = attributions(run_of(data, Plane()))
    assert found["metric"] == "rmse" and found["rows"] == 200 and not found["skipped"]
    (std,), (mean,) = data.schema.target.std, data.schema.target.mean

    class Estimator(RegressorMixin, BaseEstimator):
        def fit(self) -> None: ...
        def predict(self, x: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return Plane()(torch.from_numpy(x))[:, 0].numpy() * std + mean

    part = data.test
    theirs = permutation_importance(Estimator(), part.inputs[0].numpy(), part.target[:, 0].numpy() * std + mean,
                                    scoring="neg_root_mean_squared_error", n_repeats=20, random_state=0)  # fmt: skip
    ours = {one["name"]: one for one in found["columns"]}
    assert list(ours) == ["features[0]", "features[1]"]  # the weightiest first
    for place, one in enumerate(ours.values()):
        expected = theirs.importances_mean[place]  # type: ignore[attr-defined]
        assert one["importance"] == pytest.approx(expected, rel=0.12)
        low, high = one["interval"]
        assert low < one["importance"] < high and low > 0


def test_a_column_that_is_not_used_matters_nothing() -> None:
    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0], -x[:, 0], 0 * x[:, 0]], 1)

    found = attributions(run_of(points(240), First()))
    importance = {one["name"]: one["importance"] for one in found["columns"]}
    assert importance["b"] == importance["c"] == importance["d"] == 0
    json.dumps(found, allow_nan=False)


def test_a_picture_has_its_map_as_large_as_itself() -> None:
    torch.manual_seed(0)
    data = pictures()
    found = attributions(run_of(data, family="convolution"), 5)
    assert found["kind"] == "picture" and len(found["checks"]) == 2 and len(found["examples"]) == 5
    for one in found["examples"]:
        assert one["predicted"] in ("left", "right") and one["expected"] in ("left", "right")
        shown, mapped = (Image.open(io.BytesIO(base64.b64decode(one[name]))) for name in ("picture", "map"))
        assert shown.size == mapped.size
    assert len(json.dumps(found, allow_nan=False)) < 20_000


def test_a_picture_of_numbers_is_told_in_their_unit() -> None:
    data = pictures()
    target = dataclasses.replace(line().schema.target, mean=(5.0,), std=(2.0,))
    test = dataclasses.replace(data.test, target=data.test.target[:, None].float())
    numbers = Data(dataclasses.replace(data.schema, target=target), test, test, test)
    found = attributions(run_of(numbers, family="neuron"), 2)
    assert [one["expected"] for one in found["examples"]] == ["5", "7"]


def test_time_is_bounded_and_what_was_left_out_is_said() -> None:
    found = attributions(run_of(points(240)), seconds=0.0)
    assert found["columns"] == [] and found["skipped"] == ["a", "b", "c", "d"] and "want of time" in found["verdict"]


def test_a_net_that_cannot_be_explained_leaves_a_note() -> None:
    class Raises(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("out of order")

    assert attributions(run_of(points(), Raises())) == {"note": "? out of order"}
    gone = run_of(points())
    gone.data = None
    assert attributions(gone) == {}


@pytest.mark.parametrize("plain", [False, True])
def test_a_source_column_is_shuffled_as_one(tmp_path: Path, plain: bool) -> None:
    rows = [
        f"{k % 7},{'red' if k % 3 else 'blue'},{('hat', 'cap', 'wig', 'hood')[k % 4]},{'yes' if k % 2 else 'no'}"
        for k in range(90)
    ]
    path = tmp_path / "table.csv"
    path.write_text("size,color,wear,target\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = read(str(path), Wishes(target="target", plain=plain))
    found = columns_of(data.schema)
    assert set(found) == {"size", "color", "wear"}
    places = [place for several in found.values() for place in several]
    every = [(k, column) for k, entry in enumerate(data.schema.inputs) for column in range(entry.shape[0])]
    assert sorted(places) == every


def test_columns_without_names_are_numbered() -> None:
    schema = Schema(
        "tensor", (Input("x", "numbers", (2,)), Input("y", "codes", (1,), ("city",))), points().schema.target
    )
    assert columns_of(schema) == {"x[0]": [(0, 0)], "x[1]": [(0, 1)], "city": [(1, 0)]}
