"""Whatever holds a table (a file, an Arrow table, a pandas or polars frame) as one Arrow table with plain names.

Frames come through Arrow's own door (`__arrow_c_stream__`, or pandas' layout as Arrow reads it): neither pandas nor
polars is imported here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from deepglass.data.delimited import parse_delimited, read_bytes
from deepglass.data.schema import Note
from deepglass.errors import SourceError, TableError

PARQUET = b"PAR1"


@dataclass(frozen=True)
class Frame:
    """A table as it came. `comma`: what a comma between digits likely means, "thousands" or "decimal"."""

    table: pa.Table
    header: bool = True
    comma: str = "thousands"
    notes: tuple[Note, ...] = ()


def open_frame(source: Any, place: str, *, header: bool | None = None) -> Frame:
    """The table in a source. Raises SourceError for what is none, TableError for one without rows or names.

    >>> open_frame({"a": [1, 2], "b": ["x", None]}, "here").table.column_names
    ['a', 'b']
    """
    if isinstance(source, str | Path):
        frame = _open_file(Path(source).expanduser(), header)
    else:
        frame = Frame(_from_memory(source, place))
    if frame.table.num_rows == 0 or frame.table.num_columns == 0:
        raise TableError(f"{place}: found {frame.table.num_rows} rows and {frame.table.num_columns} columns.")
    return frame


def _open_file(path: Path, header: bool | None) -> Frame:
    if path.is_dir():
        raise SourceError(f"{path}: found a folder, expected a file with a table.")
    try:
        with path.open("rb") as file:
            whole = file.read(4) != PARQUET
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file.") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}).") from None
    raw = read_bytes(path) if whole else b""
    if not whole or raw.startswith(PARQUET):
        return Frame(_read_parquet(pa.BufferReader(raw) if whole else path, path.name))
    sheet = parse_delimited(raw, path.name, header=header)
    return Frame(sheet.table, sheet.header, "decimal" if sheet.delimiter == ";" else "thousands", sheet.notes)


def _read_parquet(where: Any, place: str) -> pa.Table:
    try:
        table = parquet.ParquetFile(where).read()
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{place}: a broken Parquet file ({error}).", next="write or fetch the file again") from None
    return _with_good_names(table, place)


def _from_memory(source: Any, place: str) -> pa.Table:
    try:
        table = source if isinstance(source, pa.Table) else pa.table(source)
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError) as error:
        table = _by_column(source, place, error)
    return _with_good_names(table, place)


def _by_column(source: Any, place: str, error: Exception) -> pa.Table:
    """A frame whose columns hold values of several types: those columns as texts."""
    if isinstance(source, Mapping):
        names, columns = list(source), list(source.values())
    elif hasattr(source, "columns") and hasattr(source, "__getitem__"):
        names = list(source.columns)
        _check_names([str(name) for name in names], place)
        columns = [source[name] for name in names]
    else:
        raise SourceError(f"{place}: found {type(source).__name__}, expected a table or a frame ({error}).") from None
    if len({len(column) for column in columns}) > 1:
        raise TableError(f"{place}: found columns of different lengths, expected one value a row in each.") from None
    arrays = [_as_array(column) for column in columns]
    return pa.table(arrays, names=[str(name) for name in names])


def _as_array(column: Any) -> Any:
    try:
        return pa.array(column)
    except (pa.ArrowException, TypeError, ValueError):
        return pa.array(
            [None if value is None or value != value else str(value) for value in column], pa.large_string()
        )


def _with_good_names(table: pa.Table, place: str) -> pa.Table:
    """Names trimmed, each once; the unnamed index that pandas leaves is no column."""
    kept = [k for k, name in enumerate(table.column_names) if name != "__index_level_0__"]
    table = table.select(kept)
    names = [name.strip() or f"column {k + 1}" for k, name in enumerate(table.column_names)]
    _check_names(names, place)
    return table.rename_columns(names)


def _check_names(names: list[str], place: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5]) + (" …" if len(twice) > 5 else "")
        raise TableError(
            f"{place}: the column name {shown} stands more than once.", next="give each column its own name"
        )
