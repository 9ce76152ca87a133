"""A table from anywhere (CSV, Parquet, a frame) as tensors, and new tables read exactly as the first.

What was fitted travels in `schema.reader` as plain values: no file, no pickle, no library object.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepglass.data.aims import Aim, choose_target, fit_target, read_aim, reread_aim
from deepglass.data.columns import Column, Reading, read_column, reread_column
from deepglass.data.encoding import Encoding, fit_encoding, unseen_words
from deepglass.data.frames import Frame, open_frame
from deepglass.data.schema import Data, Note, Part, Schema, Wishes
from deepglass.data.split import Splits, split_rows
from deepglass.data.tensors import inputs_of, part_of, raw_features
from deepglass.data.troubles import look_for_troubles, note_left
from deepglass.errors import TableError, TargetError, nearest

__all__ = ["encode_table", "raw_features", "read_table"]


@dataclass(frozen=True)
class _Roles:
    """The columns by what they are for; `features` have neither target nor group."""

    target: tuple[Column, ...]
    features: tuple[Column, ...]
    group: Column | None = None
    time: Column | None = None


def read_table(source: Any, wishes: Wishes, *, name: str) -> Data:
    """The table as a schema and three parts.

    source   a path (CSV, TSV, Parquet, gzip or not), an Arrow table, a pandas or polars frame, a dict of columns.
    name     what messages call it: "titanic.csv".

    Inputs are always "numbers" [m, n] float32 and "codes" [m, c] int64, n or c may be 0; with `wishes.plain` the one
    input is "features" [m, n + one-hot]. All fitting is on the training part. Rows without a target are left out;
    `Part.rows` are places in the source.

    Raises SourceError (not a table), TableError (rows, columns), TargetError (what to predict), SplitError.

    >>> from sklearn.datasets import load_iris
    >>> data = read_table(load_iris(as_frame=True).frame, Wishes(), name="iris")
    >>> data.schema.target.classes, [tuple(t.shape) for t in data.train.inputs]
    (('0', '1', '2'), [(98, 4), (98, 0)])
    """
    frame = open_frame(source, name)
    roles, notes = _read_roles(frame, wishes, name)
    aim, said = read_aim(roles.target, wishes, name)
    rows = np.flatnonzero(~aim.missing)
    notes = [*frame.notes, *notes, *said, *_note_dropped(aim, len(rows))]
    splits = _split(rows, aim, roles, wishes)
    encoding, left = fit_encoding(roles.features, splits.train)
    if not encoding.columns:
        reasons = "; ".join(note.text for note in note_left(left)) or "the target is the only column"
        raise TableError(f"{name}: found no column to learn from ({reasons}).", next="give a table with features")
    wanted = set(encoding.columns)
    used = [column for column in roles.features if column.reading.name in wanted]
    others = [*(column for column in roles.features if column.reading.name not in wanted), *roles.target]
    notes += [*note_left(left), *look_for_troubles(used, others, aim, splits)]
    target = fit_target(aim, splits.train, wishes.plain)
    schema = Schema("table", (), target, _reader(frame, roles, encoding, wishes))
    everything = part_of(schema, {c.reading.name: c for c in used}, aim, np.arange(frame.table.num_rows))
    train, valid, test = (
        everything.select(torch.from_numpy(part)) for part in (splits.train, splits.valid, splits.test)
    )
    schema = dataclasses.replace(schema, inputs=inputs_of(encoding, train, wishes.plain))
    return Data(schema, train, valid, test, source=name, split=splits.how, notes=tuple(notes))


def encode_table(
    schema: Schema, source: Any, *, with_target: bool, name: str = "new data"
) -> tuple[Part, tuple[Note, ...]]:
    """New rows as the schema's inputs, and notes of what was ignored, unseen or left out.

    Columns are found by name, in any order; those never used may be absent. Without the target, `Part.target` is an
    empty float tensor [m, 0] and every row is kept; with it, rows whose target is missing are left out.

    Raises TableError naming absent columns (with the nearest there), or column, row and value that cannot be read;
    TargetError for a class that training never had.
    """
    reader = schema.reader
    name = Path(source).name if isinstance(source, str | Path) else name
    frame = open_frame(source, name, header=reader["header"])
    frame = _named_as_before(frame, reader)
    encoding = Encoding.from_json(reader["encoding"])
    targets = [Reading(**entry) for entry in reader["target"]] if with_target else []
    readings = [Reading(**entry) for entry in reader["columns"]]
    _check_columns(frame, encoding.columns, [reading.name for reading in targets], name)
    notes = [*frame.notes, *_note_extra(frame, reader)]
    columns = {reading.name: _reread(reading, frame, name, notes) for reading in readings}
    for feature in encoding.codes:
        unseen = unseen_words(feature, columns[feature.column])
        if unseen and not feature.rare:
            shown = ", ".join(repr(word) for word in unseen[:5]) + (" …" if len(unseen) > 5 else "")
            notes.append(
                Note("trouble", f"column {feature.column!r}: never seen in training, read as missing: {shown}")
            )
    aim = None
    if with_target:
        aim = reread_aim(schema.target, [_reread(reading, frame, name, notes) for reading in targets], name)
    rows = np.arange(frame.table.num_rows) if aim is None else np.flatnonzero(~aim.missing)
    if aim is not None:
        notes += _note_dropped(aim, len(rows))
    return part_of(schema, columns, aim, rows), tuple(notes)


def _read_roles(frame: Frame, wishes: Wishes, place: str) -> tuple[_Roles, list[Note]]:
    """Every column read, by its role."""
    names: list[str] = frame.table.column_names
    for wish, wanted in (("ignore", wishes.ignore), ("group", [wishes.group]), ("time", [wishes.time])):
        for asked in wanted:
            if asked is not None and asked not in names:
                raise TableError(
                    f"{place}: found no column {asked!r} for {wish}, expected one of {nearest(asked, names)}.",
                    next=f"--set {wish}=COLUMN with a column of the table",
                )
    targets, notes = choose_target(names, wishes, place)
    columns: dict[str, Column] = {}
    unread = set(wishes.ignore) - {*targets, wishes.group, wishes.time}
    for name in names:
        if name not in unread:
            columns[name], said = read_column(name, frame.table[name], comma=frame.comma)
            notes += said
    group = columns[wishes.group] if wishes.group else None
    if group is not None:
        notes.append(Note("guess", f"column {wishes.group!r} splits the rows by group, and is not learned from"))
    kept_out = {*targets, wishes.group, *wishes.ignore}
    features = [column for name, column in columns.items() if name not in kept_out]
    time = columns[wishes.time] if wishes.time else None
    return _Roles(tuple(columns[name] for name in targets), tuple(features), group, time), notes


def _split(rows: np.ndarray, aim: Aim, roles: _Roles, wishes: Wishes) -> Splits:
    """The three parts as places in the source."""
    labels = aim.values[rows] if aim.task == "classes" else None
    if aim.task == "numbers" and wishes.split == "stratified":
        first = aim.values[rows, 0]
        labels = np.searchsorted(np.unique(np.quantile(first, np.linspace(0, 1, 11)[1:-1])), first)
    given = {"group": roles.group, "time": roles.time}
    for role, column in given.items():
        if column is not None and column.reading.kind == "nothing":
            raise TableError(f"column {column.reading.name!r}: {column.reading.reason}, expected a {role} in each row.")
    times = roles.time
    if times is not None and times.reading.kind == "category":
        raise TableError(
            f"column {times.reading.name!r}: found words such as {times.words[0]!r}, expected dates or numbers."
        )
    made = split_rows(
        len(rows),
        labels=labels,
        groups=None if roles.group is None else roles.group.values[rows],
        times=None if times is None else times.values[rows],
        valid=wishes.valid,
        test=wishes.test,
        seed=wishes.seed,
        how=wishes.split,
    )
    return Splits(rows[made.train], rows[made.valid], rows[made.test], made.how)


def _reader(frame: Frame, roles: _Roles, encoding: Encoding, wishes: Wishes) -> dict[str, Any]:
    """All that is needed to read new data, as plain JSON values."""
    wanted = set(encoding.columns)
    used = [column.reading for column in roles.features if column.reading.name in wanted]
    return {
        "plain": wishes.plain,
        "header": frame.header,
        "names": list(frame.table.column_names),
        "columns": [_listed(dataclasses.asdict(reading)) for reading in used],
        "target": [_listed(dataclasses.asdict(column.reading)) for column in roles.target],
        "encoding": _listed(encoding.to_json()),
    }


def _listed(value: Any) -> Any:
    """Tuples as lists, so that the reader equals what JSON gives back."""
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, list | tuple) else value


def _reread(reading: Reading, frame: Frame, place: str, notes: list[Note]) -> Column:
    column, said = reread_column(reading, frame.table[reading.name], place)
    notes += said
    return column


def _named_as_before(frame: Frame, reader: Mapping[str, Any]) -> Frame:
    """A file without a header, from which the target was taken away, has the names of the other columns."""
    if frame.header or reader["header"]:
        return frame
    targets = [entry["name"] for entry in reader["target"]]
    rest = [name for name in reader["names"] if name not in targets]
    if frame.table.num_columns != len(rest):
        return frame
    return dataclasses.replace(frame, table=frame.table.rename_columns(rest))


def _check_columns(frame: Frame, needed: Sequence[str], targets: Sequence[str], place: str) -> None:
    names = frame.table.column_names
    absent = [name for name in needed if name not in names]
    if absent:
        shown = "; ".join(f"{name!r} (nearest: {nearest(name, names)})" for name in absent[:5])
        more = f" … ({len(absent)} in all)" if len(absent) > 5 else ""
        raise TableError(
            f"{place}: found no column {shown}{more}, expected every column that training used.",
            next="add or rename those columns",
        )
    gone = [name for name in targets if name not in names]
    if gone:
        raise TargetError(
            f"{place}: found no column {gone[0]!r}, expected the target to compare with: {nearest(gone[0], names)}.",
            next="add that column, or predict without evaluating",
        )


def _note_extra(frame: Frame, reader: Mapping[str, Any]) -> list[Note]:
    extra = [name for name in frame.table.column_names if name not in reader["names"]]
    if not extra:
        return []
    shown = ", ".join(repr(name) for name in extra[:8]) + (" …" if len(extra) > 8 else "")
    return [Note("guess", f"{len(extra):,} column(s) that training did not have are ignored: {shown}")]


def _note_dropped(aim: Aim, kept: int) -> list[Note]:
    dropped = len(aim.values) - kept
    if not kept:
        raise TargetError(f"target {aim.name!r}: every cell is missing, expected classes or numbers.")
    return [Note("trouble", f"{dropped:,} row(s) without a target {aim.name!r} are left out")] if dropped else []
