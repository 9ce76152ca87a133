"""A name, a path, a frame, arrays -> the reader that takes it. READERS is the list, most specific first."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn import datasets
from torch import Tensor
from torch.utils.data import Dataset

from deepglass.data.archives import is_archive
from deepglass.data.arrays import Arrays, encode_arrays, load_npz, pair_arrays, read_arrays, stack_dataset
from deepglass.data.decoding import is_picture
from deepglass.data.fetch import NAMED_FILES, find_named
from deepglass.data.images import encode_pictures, picture_names, read_pictures
from deepglass.data.packed import Packed, is_idx, read_idx_files
from deepglass.data.schema import Data, Note, Part, Schema, Wishes
from deepglass.data.tables import encode_table, read_table
from deepglass.errors import RecipeError, SourceError, SplitError, nearest

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data", ".dat", ".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """A file or frame with a table in it, and the target that its source is known by."""

    content: Any
    target: str | None = None


@dataclass(frozen=True)
class Album:
    """Pictures: a path to files, or arrays packed with labels."""

    content: Path | Packed
    target: str = "class"


Found = Table | Album | Arrays


def read(source: Any, wishes: Wishes | None = None) -> Data:
    """What is learned from, out of anything.

    source   a named set ("digits"), a path (CSV, TSV, Parquet; a folder or archive of class folders of pictures; IDX;
             .npz), a pandas, polars or Arrow table, (X, y) as arrays, tensors or a frame and a column, a torch
             Dataset, or a Data, which passes through.

    Raises SourceError where nothing reads it; else the errors of the reader that does.

    >>> data = read("digits")
    >>> data.schema.input("pixels").shape, len(data.schema.target.classes)
    ((1, 8, 8), 10)
    """
    if isinstance(source, Data):
        return source
    wishes, found, name = wishes or Wishes(), _find(source), _full_name(source)
    try:
        return _read(found, wishes, name)
    except SplitError as error:
        # Whoever splits rows knows how many there are, and not where they came from.
        raise SplitError(f"{name}: {error.facts}", next=error.next) from None


def _read(found: Found, wishes: Wishes, name: str) -> Data:
    if isinstance(found, Arrays):
        return read_arrays(found, wishes, name=name)
    if isinstance(found, Album):
        return read_pictures(found.content, _without_target(wishes, found.target, name), name=name, target=found.target)
    if wishes.target is None and found.target is not None:
        wishes = dataclasses.replace(wishes, target=found.target)
    return read_table(found.content, wishes, name=name)


def reread(schema: Schema, source: Any, *, with_target: bool) -> tuple[Part, tuple[Note, ...]]:
    """New data as a network that was trained on `schema` is given it, and notes of what was found on the way.

    Of a Data the test part is taken. Without target, `Part.target` is an empty tensor [m, 0], and sources without
    labels do as well: X alone, one picture, a flat folder.
    """
    if isinstance(source, Data):
        return source.test, ()
    found = _find(source)
    if isinstance(found, Arrays):
        return encode_arrays(schema, found, with_target=with_target)
    if isinstance(found, Album) and schema.kind == "picture":
        return encode_pictures(schema, found.content, with_target=with_target)
    if isinstance(found, Table) and schema.kind == "table":
        return encode_table(schema, found.content, with_target=with_target, name=_full_name(source))
    given = "a table" if isinstance(found, Table) else "pictures"
    trained = {"table": "a table", "picture": "pictures", "tensor": "arrays"}[schema.kind]
    raise SourceError(
        f"{_full_name(source)}: holds {given}, but this run learned from {trained}.", next="give data of that kind"
    )


def example_names(source: Any) -> list[str] | None:
    """The file of each picture, so that names[row] belongs to `Part.rows`; None where examples have but numbers."""
    if isinstance(source, Data) or not isinstance(source, str | Path):
        return None
    found = _find(source)
    return picture_names(found.content) if isinstance(found, Album) and isinstance(found.content, Path) else None


def source_name(source: Any) -> str:
    """A short name fit for a folder.

    >>> source_name("data/Titanic (1).csv.gz"), source_name("digits"), source_name(([[1.0]], [1]))
    ('Titanic-1', 'digits', 'arrays')
    """
    name = _full_name(source)
    while Path(name).suffix.casefold() in _SUFFIXES:
        name = Path(name).stem
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "data"


def _find(source: Any) -> Found:
    for reader in READERS:
        found = reader(source)
        if found is not None:
            return found
    raise SourceError(
        f"a {type(source).__name__} is nothing that can be read.",
        next="give a path, a named set, a frame, (X, y) arrays or a torch Dataset",
    )


def _full_name(source: Any) -> str:
    if isinstance(source, str) and source.casefold() in NAMED:
        return source.casefold()
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        return path.name or path.resolve().name or "data"
    if isinstance(source, Data):
        return source.source
    if isinstance(source, Dataset):
        return type(source).__name__
    return "frame" if _is_frame(source) else "arrays"


def _named(source: Any) -> Found | None:
    return NAMED[source.casefold()]() if isinstance(source, str) and source.casefold() in NAMED else None


def _missing(source: Any) -> Found | None:
    """Declines what is there; a path that leads nowhere is an error that names what is near."""
    if not isinstance(source, str | Path):
        return None
    path = Path(source).expanduser()
    try:
        if str(source).strip() and path.exists():
            return None
        known = [entry.name for entry, _ in zip(sorted(path.parent.iterdir()), range(1000), strict=False)]
    except (OSError, ValueError):
        known = []
    close = nearest(path.name, [*NAMED, *known])
    raise SourceError(f"{source}: no such file or folder, and no named set; known here: {close}.")


def _files(source: Any) -> Found | None:
    """A folder or file by its name: pictures, IDX, .npz."""
    if not isinstance(source, str | Path):
        return None
    path = Path(source).expanduser()
    if path.is_dir() or is_archive(path) or is_picture(path.name) or is_idx(path):
        return Album(path)
    return load_npz(path) if path.suffix.casefold() == ".npz" else None


def _table_file(source: Any) -> Found | None:
    if not isinstance(source, str | Path):
        return None
    path = Path(source).expanduser()
    name = path.name.casefold().removesuffix(".gz")
    if not name.endswith(TABLE_SUFFIXES):
        kinds = f"{', '.join(TABLE_SUFFIXES)} (.gz or not), .npz, pictures, IDX, .tar, .zip or a folder"
        raise SourceError(f"{path}: nothing reads files that end in {path.suffix or 'no suffix'!r}; expected {kinds}.",
                          next="rename or convert the file")  # fmt: skip
    return Table(path)


def _pair(source: Any) -> Found | None:
    """(X, y): a frame with its column to predict, or arrays."""
    if not (isinstance(source, tuple) and len(source) == 2):
        return None
    if not _is_frame(source[0]):
        return pair_arrays(*source)
    try:
        table, name = pa.table(source[0]), str(getattr(source[1], "name", None) or "y")
        return Table(table.append_column(name, pa.array(np.asarray(source[1]))), name)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise SourceError(f"(frame, column): cannot be put together ({error}).",
                          next="give one frame that holds the target too, and target=NAME") from None  # fmt: skip


def _dataset(source: Any) -> Found | None:
    return stack_dataset(source) if isinstance(source, Dataset) else None


def _array(source: Any) -> Found | None:
    return pair_arrays(source) if isinstance(source, np.ndarray | Tensor | list) else None


def _frame(source: Any) -> Found | None:
    return Table(source) if _is_frame(source) else None


READERS: tuple[Callable[[Any], Found | None], ...] = (
    _named, _missing, _files, _table_file, _pair, _dataset, _frame, _array,
)  # fmt: skip
"""Each takes a source, or returns None to decline it."""


def _is_frame(source: Any) -> bool:
    if isinstance(source, pa.Table) or hasattr(source, "__dataframe__"):
        return True
    if isinstance(source, Mapping):
        return bool(source) and all(hasattr(column, "__len__") for column in source.values())
    return hasattr(source, "__arrow_c_stream__") and hasattr(source, "columns")


def _digits() -> Found:
    bunch: Any = datasets.load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return Album(Packed(pixels, bunch.target, np.full(len(pixels), "")), "digit")


def _bunch(load: Callable[..., Any], target: str, **options: Any) -> Callable[[], Found]:
    """One of scikit-learn's small tables, with the names of its columns and classes."""

    def found() -> Found:
        bunch = load(**options)
        columns = dict(zip(bunch.feature_names, bunch.data.T, strict=True))
        names = getattr(bunch, "target_names", None)
        answers = bunch.target if names is None else np.array([str(name) for name in names])[bunch.target]
        return Table(pa.table(columns | {target: answers}), target)

    return found


def _fetched(name: str) -> Callable[[], Found]:
    def found() -> Found:
        paths = find_named(name)
        return Album(paths[0]) if len(paths) == 1 else Album(read_idx_files(paths))

    return found


NAMED: dict[str, Callable[[], Found]] = {
    "digits": _digits,
    "iris": _bunch(datasets.load_iris, "species"),
    "wine": _bunch(datasets.load_wine, "cultivar"),
    "breast_cancer": _bunch(datasets.load_breast_cancer, "diagnosis"),
    "diabetes": _bunch(datasets.load_diabetes, "progression", scaled=False),
    **{name: _fetched(name) for name in NAMED_FILES},
}
"""Sets known by name. The small ones come with scikit-learn."""

_SUFFIXES = (*TABLE_SUFFIXES, ".gz", ".tgz", ".bz2", ".xz", ".tar", ".zip", ".npz", ".npy")


def _without_target(wishes: Wishes, target: str, name: str) -> Wishes:
    if wishes.target not in (None, target):
        raise RecipeError(f"target={wishes.target!r}: in {name} the target is the {target} of each picture.",
                          next="leave --target out")  # fmt: skip
    return wishes
