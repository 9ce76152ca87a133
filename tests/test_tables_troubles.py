"""Rows in two splits are told when what is learned from is the same in them, and small tables get few bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deepglass.data.schema import Wishes
from deepglass.data.tables import read_table
from frames import read, said

TWICE = "also stand"


def test_an_id_that_is_all_there_is_to_learn_from_tells_rows_apart() -> None:
    frame = pd.DataFrame({"node": np.arange(40), "kind": ["a", "b"] * 20})
    assert TWICE not in said(read(frame, target="kind"))


def test_an_id_beside_other_columns_does_not_tell_rows_apart() -> None:
    frame = pd.DataFrame({"nr": np.arange(40), "x": [1.5, 2.5] * 20, "kind": ["a", "b"] * 20})
    assert TWICE in said(read(frame, target="kind"))


@pytest.mark.parametrize(("rows", "edges"), [(100, 3), (1000, 14), (10_000, 49)])
def test_a_bin_is_for_at_least_fifty_training_rows(rows: int, edges: int) -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"x": generator.normal(size=rows), "y": generator.normal(size=rows)})
    numbers = read_table(frame, Wishes(target="y", valid=0.15, test=0.2), name="here").schema.inputs[0]
    assert len(numbers.quantiles[0]) == edges
