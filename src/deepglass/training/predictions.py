"""Predictions as a table: one row an example, the class or the number, and every class's probability."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from deepglass.data.sources import example_names
from deepglass.errors import StorageError
from deepglass.training.checkpoint import writing
from deepglass.training.run import Run

FORMATS = (".csv", ".tsv", ".parquet", ".jsonl")


def predictions(run: Run, data: Any) -> pa.Table:
    """A table with the columns row (or file, for pictures), prediction, and `probability of CLASS` for each class."""
    part = run.part(data, with_target=False)
    read = run.read(part)
    decided = run.decided(read)
    names = example_names(data)
    rows = part.rows.numpy()
    columns: dict[str, Any] = {"row": rows} if names is None else {"file": [names[row] for row in rows]}
    if decided.ndim == 2:
        columns |= {f"prediction {n}": decided[:, n] for n in range(decided.shape[1])}
    else:
        columns["prediction"] = decided
    if run.schema.target.task != "regression":
        shares = np.round(read.double().numpy(), 6)
        columns |= {f"probability of {name}": shares[:, n] for n, name in enumerate(run.schema.target.classes)}
    return pa.table(columns)


def write_predictions(table: pa.Table, path: Path | None) -> str:
    """Write by the file's ending, whole or not at all; the CSV text itself when there is no path.

    Raises StorageError for an ending that is not known or a place that cannot be written.
    """
    if path is None:
        return _delimited(table, ",").decode()
    ending = path.suffix.casefold()
    if ending not in FORMATS:
        raise StorageError(f"{path}: no format is known by the ending {ending!r}.", next=f"one of {', '.join(FORMATS)}")
    with writing(path) as beside:
        if ending == ".parquet":
            pyarrow.parquet.write_table(table, beside)
        elif ending == ".jsonl":
            beside.write_text("".join(_json_lines(table)), encoding="utf-8")
        else:
            beside.write_bytes(_delimited(table, "\t" if ending == ".tsv" else ","))
    return ""


def _delimited(table: pa.Table, delimiter: str) -> bytes:
    sink = io.BytesIO()
    options = pyarrow.csv.WriteOptions(delimiter=delimiter, quoting_style="needed")
    pyarrow.csv.write_csv(table, sink, options)
    return sink.getvalue()


def _json_lines(table: pa.Table) -> list[str]:
    return [json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_pylist()]
