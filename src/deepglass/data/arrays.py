"""Arrays, tensors and torch data sets: a table, pictures, or the tensor as it stands for a module of the user's own."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from deepglass.data.images import encode_pictures, read_pictures
from deepglass.data.labels import Labels, code_labels, fit_target, understand_labels
from deepglass.data.packed import Packed
from deepglass.data.parts import split_parts
from deepglass.data.pixels import to_tensor
from deepglass.data.schema import Data, Input, Note, Part, PartName, Schema, Wishes
from deepglass.data.split import duplicates_across
from deepglass.data.tables import encode_table, read_table
from deepglass.errors import RecipeError, SourceError, TableError, TargetError, nearest

EXAMPLES = {"x", "data", "images", "features", "pictures", "inputs"}
ANSWERS = {"y", "target", "targets", "labels", "label", "classes"}
PARTS = {"train": "train", "test": "test", "valid": "valid", "val": "valid"}


@dataclass(frozen=True)
class Arrays:
    """Examples [m, …], their labels or None, and the split each belongs to ("" for none)."""

    examples: np.ndarray
    labels: Any
    homes: np.ndarray

    def __len__(self) -> int:
        return len(self.examples)


def pair_arrays(examples: Any, labels: Any = None) -> Arrays:
    """(X, y) as arrays. Raises SourceError where the lengths differ or X is no array of numbers.

    >>> len(pair_arrays([[1.0, 2.0], [3.0, 4.0]], ["a", "b"]))
    2
    """
    array = _as_array(examples)
    if array.dtype.kind not in "biuf" or array.ndim < 1:
        raise SourceError(
            f"X: an array of type {array.dtype} and shape {list(array.shape)}; expected numbers, one row an example.",
            next="give columns of text as a frame (pandas, polars, pyarrow)",
        )
    if labels is not None:
        labels = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
        if labels.ndim == 0 or len(labels) != len(array):
            found = f"{len(labels):,} labels" if labels.ndim else "one label"
            raise SourceError(f"X has {len(array):,} examples, y {found}; expected one label an example.",
                              next="check that X and y belong together")  # fmt: skip
    return Arrays(array, labels, np.full(len(array), ""))


def stack_dataset(dataset: Dataset) -> Arrays:
    """A torch data set of (x, y) as arrays. Raises SourceError for one without length or with uneven examples."""
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) in (1, 2):
        return pair_arrays(*dataset.tensors)
    try:
        length = len(dataset)  # type: ignore[arg-type]  # that it may have none is what is asked here
    except (TypeError, NotImplementedError):
        raise SourceError(
            f"{type(dataset).__name__}: a data set without a length; expected one that can be indexed.",
            next="collect its examples into arrays, and give (X, y)",
        ) from None
    items = [dataset[place] for place in range(length)]
    if not items or not all(isinstance(item, (tuple, list)) and len(item) == 2 for item in items):
        kind = type(items[0]).__name__ if items else "nothing"
        raise SourceError(f"{type(dataset).__name__}: gives {kind}; expected pairs (x, y).", next="give (X, y)")
    examples = [_as_array(x) for x, _ in items]
    if len(shapes := {entry.shape for entry in examples}) > 1:
        first, second = sorted(shapes)[:2]
        raise SourceError(
            f"{type(dataset).__name__}: examples of shapes {list(first)} and {list(second)}; expected one shape.",
            next="resize or pad them in the data set",
        )
    return pair_arrays(np.stack(examples), np.stack([_as_array(y) for _, y in items]))


def load_npz(path: Path) -> Arrays:
    """The arrays X and y of an .npz file, or x_train, y_train, x_test, y_test (and x_valid, y_valid)."""
    try:
        # Opened here: of a broken file np.load leaves its own handle open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = "it holds Python objects, which are not safe to load" if "pickle" in str(error).lower() else str(error)
        raise SourceError(f"{path}: cannot be read as .npz ({reason}).",
                          next="save plain arrays: numpy.savez(file, X=X, y=y)") from None  # fmt: skip
    pieces: list[tuple[str, Arrays]] = []
    for name, array in held.items():
        stem, _, part = name.casefold().rpartition("_")
        stem, part = (stem, PARTS[part]) if part in PARTS else (name.casefold(), "")
        if stem in EXAMPLES:
            beside = {key.casefold(): value for key, value in held.items()}
            tail = name.casefold()[len(stem) :]
            answers = next((beside[answer + tail] for answer in sorted(ANSWERS) if answer + tail in beside), None)
            pieces.append((part, pair_arrays(array, answers)))
    if not pieces:
        raise SourceError(f"{path}: holds {nearest('X', held)}; expected X and y, or x_train, y_train, x_test, y_test.",
                          next="name the arrays so")  # fmt: skip
    pieces.sort(key=lambda piece: ("train", "valid", "test", "").index(piece[0]))
    return _joined(path, pieces)


def read_arrays(arrays: Arrays, wishes: Wishes, *, name: str) -> Data:
    """Data from arrays: two axes are a table; three or four are pictures; with `wishes.plain`, the tensor as it stands.

    Floats of three axes and other shapes are taken as they stand too, since nothing tells what their axes mean.
    """
    if arrays.labels is None:
        raise TargetError(f"{name}: examples without labels.", next="give (X, y)")
    if not len(arrays):
        raise SourceError(f"{name}: no examples.", next="give at least a few dozen")
    if wishes.plain or not (arrays.examples.ndim == 2 or _are_pictures(arrays.examples)):
        return _read_plain(arrays, wishes, name)
    if arrays.examples.ndim > 2:
        return read_pictures(Packed(arrays.examples, arrays.labels, arrays.homes), wishes, name=name, target="y")
    return _read_rows(arrays, wishes, name)


def encode_arrays(schema: Schema, arrays: Arrays, *, with_target: bool) -> tuple[Part, tuple[Note, ...]]:
    """New arrays as the schema says. Without target, `Part.target` is an empty tensor [m, 0]."""
    if with_target and arrays.labels is None:
        raise TargetError("examples without labels cannot be judged.", next="give (X, y)")
    if schema.kind == "picture":
        return encode_pictures(schema, Packed(arrays.examples, arrays.labels, arrays.homes), with_target=with_target)
    if schema.kind == "table":
        return encode_table(schema, _table_like(schema, arrays, with_target), with_target=with_target, name="X")
    entry = schema.inputs[0]
    examples = arrays.examples[None] if arrays.examples.shape == entry.shape else arrays.examples
    if examples.shape[1:] != entry.shape:
        raise TableError(
            f"X: examples of shape {list(examples.shape[1:])}; the network was trained on {list(entry.shape)}.",
            next="give the same shape as in training",
        )
    _check_finite(examples)
    tensor = _as_it_stands(examples, entry.kind == "codes")
    answers = code_labels(arrays.labels, schema.target) if with_target else torch.empty(len(tensor), 0)
    return Part((tensor,), answers, torch.arange(len(tensor))), ()


def _read_rows(arrays: Arrays, wishes: Wishes, name: str) -> Data:
    """Two axes: the columns x0, x1, … and y through the reader of tables; a test part that came along is kept."""
    labels = understand_labels(arrays.labels, wish=wishes.task)
    columns = {f"x{place}": pa.array(column) for place, column in enumerate(arrays.examples.T)}
    answers = _answer_columns(labels)
    table = pa.table(columns | {key: pa.array(column) for key, column in answers.items()})
    task = "classes" if labels.classes else "numbers"
    wishes = dataclasses.replace(wishes, target=tuple(answers), task=task)
    if not (arrays.homes != "").any():
        data = read_table(table, wishes, name=name)
        return dataclasses.replace(data, notes=(*labels.notes, *data.notes))
    parts, how, notes = split_parts(arrays.homes, labels, wishes)
    fitted = read_table(table.take(parts["train"]), dataclasses.replace(wishes, valid=0.0, test=0.0), name=name)
    made: dict[str, Part] = {}
    for part, index in parts.items():
        encoded, _ = encode_table(fitted.schema, table.take(index), with_target=True)
        made[part] = dataclasses.replace(encoded, rows=torch.from_numpy(index)[encoded.rows])
    found = (*labels.notes, *notes, *fitted.notes)
    return dataclasses.replace(fitted, **made, split=how, notes=found)


def _answer_columns(labels: Labels) -> dict[str, np.ndarray]:
    if labels.classes:
        return {"y": np.array(labels.classes)[labels.values]}
    width = labels.values.shape[1]
    return {"y" if width == 1 else f"y{place}": labels.values[:, place] for place in range(width)}


def _table_like(schema: Schema, arrays: Arrays, with_target: bool) -> pa.Table:
    """Rows of numbers under the names of the table that was trained on, by position."""
    targets = [entry["name"] for entry in schema.reader["target"]]
    names = [name for name in schema.reader["names"] if name not in targets]
    examples = arrays.examples[None] if arrays.examples.ndim == 1 else arrays.examples
    if examples.ndim != 2 or examples.shape[1] != len(names):
        raise TableError(
            f"X: shape {list(arrays.examples.shape)}; the network was trained on {len(names)} columns.",
            next="give the same columns in the same order",
        )
    columns = {name: pa.array(column) for name, column in zip(names, examples.T, strict=True)}
    if with_target:
        answers = np.asarray(arrays.labels).reshape(len(examples), -1)
        if schema.target.classes:
            answers = np.array([[name] for name in _class_names(arrays.labels, schema)])
        if answers.shape[1] != len(targets):
            raise TargetError(f"y: {answers.shape[1]} columns, expected {len(targets)}: {', '.join(targets)}.")
        columns |= {name: pa.array(column) for name, column in zip(targets, answers.T, strict=True)}
    return pa.table(columns)


def _class_names(labels: Any, schema: Schema) -> list[str]:
    codes = code_labels(labels, schema.target)
    return [schema.target.classes[code] for code in codes.tolist()]


def _read_plain(arrays: Arrays, wishes: Wishes, name: str) -> Data:
    """The tensor as it stands: floats as float32, whole numbers as int64 (uint8 and bool as float32)."""
    _refuse(wishes)
    _check_finite(arrays.examples)
    labels = understand_labels(arrays.labels, wish=wishes.task)
    array, notes = arrays.examples, list(labels.notes)
    codes = array.dtype.kind in "iu" and array.dtype != np.uint8
    if array.dtype == np.uint8 and array.ndim > 2:
        notes.append(Note("guess", "X is uint8: the module is given floats 0 … 255; divide by 255 to change that."))
    parts, how, said = split_parts(arrays.homes, labels, wishes)
    target, answers = fit_target(labels, parts["train"], name="y", plain=wishes.plain)
    made: dict[PartName, Part] = {}
    for part, index in parts.items():
        made[part] = Part((_as_it_stands(array[index], codes),), answers[index], torch.from_numpy(index))
    twice = duplicates_across(*(array[index] for index in parts.values()))
    if twice:
        notes.append(Note("trouble", f"{twice:,} example(s) of valid or test are also in an earlier part."))
    sizes = (int(array.max()) + 1,) if codes and array.min() >= 0 else ()
    entry = Input("features", "codes" if codes else "numbers", tuple(array.shape[1:]), sizes=sizes)
    schema = Schema("tensor", (entry,), target, {"form": "arrays"})
    return Data(schema, **made, source=name, split=how, notes=(*notes, *said))


def _refuse(wishes: Wishes) -> None:
    for field, given in (("group", wishes.group), ("time", wishes.time), ("ignore", wishes.ignore)):
        if given:
            raise RecipeError(f"{field}={given!r}: arrays have no named columns.", next="give a frame, or leave it out")


def _as_it_stands(array: np.ndarray, codes: bool) -> Tensor:
    return to_tensor(np.ascontiguousarray(array, np.int64 if codes else np.float32))


def _check_finite(array: np.ndarray) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(1)
        raise TableError(
            f"X: {bad.sum():,} of {len(array):,} examples hold missing or infinite values (first: {bad.argmax()}).",
            next="fill or remove them; a network turns one of them into a loss that is no number",
        )


def _are_pictures(array: np.ndarray) -> bool:
    return (array.ndim in (3, 4) and array.dtype == np.uint8) or (array.ndim == 4 and array.dtype.kind == "f")


def _as_array(values: Any) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise SourceError(f"X: rows of different lengths ({error}).", next="give rows of one length") from None


def _joined(path: Path, pieces: Sequence[tuple[str, Arrays]]) -> Arrays:
    """The parts of an .npz one after another, each remembering where it belongs."""
    if len({piece.examples.shape[1:] for _, piece in pieces}) > 1 or len({part for part, _ in pieces}) < len(pieces):
        raise SourceError(f"{path}: arrays of different shapes for train and test, or several for one part.")
    labelled = all(piece.labels is not None for _, piece in pieces)
    named = len(pieces) > 1 and pieces[0][0] == "train"
    return Arrays(
        np.concatenate([piece.examples for _, piece in pieces]),
        np.concatenate([piece.labels for _, piece in pieces]) if labelled else None,
        np.concatenate([np.full(len(piece), part if named else "") for part, piece in pieces]),
    )
