"""Schemas that the tests of the families share."""

from __future__ import annotations

import numpy as np

from deepglass.data.schema import Input, Schema, Target

TEN = Target("digit", "multiclass", tuple("0123456789"))
PIXELS = Schema("picture", (Input("picture", "pixels", (1, 28, 28)),), TEN)


def table(columns: int, *, edges: bool = True, sizes: tuple[int, ...] = ()) -> Schema:
    names = tuple(f"x{i}" for i in range(columns))
    quantiles = (tuple(np.linspace(-2, 2, 9).tolist()),) * columns if edges else ()
    inputs = (Input("numbers", "numbers", (columns,), names, quantiles=quantiles),)
    codes = Input("codes", "codes", (len(sizes),), tuple(f"c{i}" for i in range(len(sizes))), sizes=sizes)
    return Schema("table", (*inputs, codes), Target("y", "binary", ("no", "yes")))
