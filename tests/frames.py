"""Small frames and the folder of real tables, for tests of what reads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deepglass.data.schema import Data, Wishes
from deepglass.data.tables import read_table


def real_table(name: str) -> Path:
    """A real table by its file's name; the test is skipped where there are none."""
    folder = os.environ.get("DEEPGLASS_DATA")
    if not folder or not (Path(folder) / "tables" / name).is_file():
        pytest.skip(f"DEEPGLASS_DATA names no folder with tables/{name}")
    return Path(folder) / "tables" / name


def frame_of(rows: int = 60, **columns: Any) -> pd.DataFrame:
    """A column x of normal numbers, and those given."""
    return pd.DataFrame({"x": np.random.default_rng(0).normal(size=rows), **columns})


def read(frame: pd.DataFrame, **wishes: Any) -> Data:
    """The frame as data."""
    return read_table(frame, Wishes(**wishes), name="here")


def said(data: Data) -> str:
    """All notes, one a line."""
    return "\n".join(note.text for note in data.notes)
