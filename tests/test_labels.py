"""Labels beside the examples: classes or numbers, by what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepglass.data.labels import code_labels, fit_target, understand_labels
from deepglass.data.schema import Target
from deepglass.errors import TargetError


def test_labels_are_understood() -> None:
    assert understand_labels([3, 1, 10, 1]).classes == ("1", "3", "10")
    assert understand_labels(np.array([0.0, 1.0, 1.0])).classes == ("0", "1")
    assert understand_labels(torch.tensor([True, False])).classes == ("False", "True")
    assert understand_labels(np.array([0.0, 1.0, 2.0])).classes == ()
    assert understand_labels(np.eye(3, dtype=np.float32)).values.tolist() == [0, 1, 2]
    assert understand_labels(np.arange(40) * 7).classes == () and len(understand_labels(np.arange(40)).classes) == 40
    assert understand_labels(["1", "2.5"], wish="numbers").values.ravel().tolist() == [1.0, 2.5]
    for bad, said in (([1.0, float("nan")], "missing or infinite"), (["a", "a"], "only the class 'a'"),
                      ([0.5, 0.5], "nothing to predict"), (["a", None], "1 of 2 labels are missing"),
                      ([], "no labels at all")):  # fmt: skip
        with pytest.raises(TargetError, match=said):
            understand_labels(bad)
    numbers = understand_labels(np.array([1.0, 3.0, 50.0]))
    target, tensor = fit_target(numbers, np.arange(2), name="y")
    assert (target.mean, target.std) == ((2.0,), (1.0,)) and tensor.ravel().tolist() == [-1.0, 1.0, 48.0]
    target = read_target()
    assert code_labels(["dog", "cat"], target).tolist() == [1, 0]
    assert code_labels(np.eye(2), target).tolist() == [0, 1]


def read_target() -> Target:
    return fit_target(understand_labels(["cat", "dog"]), np.arange(2), name="y")[0]
