"""Pictures -> data: folders, archives, IDX files and arrays, decoded once, kept as uint8 [m, c, h, w]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepglass.data.albums import SPLIT_NAMES, Album, develop, develop_like, lay_out
from deepglass.data.archives import Shelf, is_archive, open_shelf
from deepglass.data.decoding import Shape, is_picture
from deepglass.data.labels import code_labels, fit_target, understand_labels
from deepglass.data.packed import Packed, idx_siblings, is_idx, read_cifar, read_idx_files
from deepglass.data.parts import split_parts
from deepglass.data.pixels import as_pixels, pixel_input, pixel_statistics, pixels_like, to_tensor
from deepglass.data.schema import Data, Input, Note, Part, Schema, Target, Wishes
from deepglass.data.split import duplicates_across
from deepglass.errors import PictureError, RecipeError, TargetError


@dataclass(frozen=True)
class Pictures:
    """Pictures in memory. `pixels` uint8 0 … 255 or float32 0 … 1; `homes` the split each brings ("" for none)."""

    pixels: np.ndarray
    labels: Any
    homes: np.ndarray
    rows: np.ndarray
    notes: tuple[Note, ...] = ()
    reader: dict[str, Any] | None = None


def read_pictures(source: Path | Packed, wishes: Wishes, *, name: str, target: str = "class") -> Data:
    """Data from a folder or archive of class folders, from IDX files, or from pictures already packed in arrays.

    A source's own train, valid and test parts are kept; what is missing of them is cut from train. Raises PictureError
    for pictures that cannot be decoded, TargetError without two classes.
    """
    _refuse(wishes)
    pictures = _from_files(source, wishes, name) if isinstance(source, Path) else from_packed(source)
    return picture_data(pictures, wishes, name=name, target=target)


def encode_pictures(schema: Schema, source: Any, *, with_target: bool) -> tuple[Part, tuple[Note, ...]]:
    """New pictures in the shape of the schema: one file, a folder (flat, or of class folders), an archive, or arrays.

    `Part.rows` are places in `picture_names(source)`. Without target, `Part.target` is an empty tensor [m, 0].
    """
    channels, height, width = pixel_input(schema).shape
    if isinstance(source, Path):
        packed = _packed_from(source)
        if packed is None:
            with _shelf(source) as shelf:
                album = _album(shelf, labelled=with_target)
                pixels, album, notes = develop_like(shelf, album, Shape(channels, height, width))
            return _part(schema.target, pixels, album.labels if with_target else None, album.positions), notes
        source = packed
    if not isinstance(source, Packed):
        source = Packed(source, None, np.full(len(source), ""))
    pixels = pixels_like(schema, source.pictures)
    if with_target and source.labels is None:
        raise TargetError("these pictures come without labels.", next="give (pictures, labels)")
    labels = _named(source) if with_target else None
    return _part(schema.target, pixels, labels, np.arange(len(pixels))), ()


def picture_names(source: Path) -> list[str] | None:
    """The name of each picture of a file, folder or archive, in the order of `Part.rows`; None where they have none."""
    if _packed_from(source, names_only=True) is not None:
        return None
    with _shelf(source) as shelf:
        return list(shelf.names)


def picture_data(pictures: Pictures, wishes: Wishes, *, name: str, target: str) -> Data:
    """Pictures with labels, split, measured and described."""
    labels = understand_labels(pictures.labels, wish=wishes.task, name=target)
    parts, how, notes = split_parts(pictures.homes, labels, wishes)
    train = parts["train"]
    aim, answers = fit_target(labels, train, name=target)
    if 0 in aim.counts:
        strange = [kind for kind, count in zip(aim.classes, aim.counts, strict=True) if count == 0]
        raise TargetError(
            f"{name}: the class {strange[0]!r} is in valid or test, and not in train.",
            next="give the same class folders in each part",
        )
    mean, std = pixel_statistics(pictures.pixels, train)
    shape = tuple(int(length) for length in pictures.pixels.shape[1:])
    reader = pictures.reader or {"axis": "first", "low": 0.0, "high": 255.0}
    schema = Schema("picture", (Input("pixels", "pixels", shape, mean=mean, std=std),), aim, reader)
    cut = {part: pictures.pixels[index] for part, index in parts.items()}
    twice = duplicates_across(cut["train"], cut["valid"], cut["test"])
    if twice:
        notes += (Note("trouble", f"{twice:,} picture(s) of valid or test are also in an earlier part, bit for bit."),)
    made = {
        part: Part((to_tensor(cut[part]),), answers[index], to_tensor(pictures.rows[index]))
        for part, index in parts.items()
    }
    return Data(schema, **made, source=name, split=how, notes=(*pictures.notes, *labels.notes, *notes))


def from_packed(packed: Packed) -> Pictures:
    """Packed arrays as pictures with labels and splits."""
    if packed.labels is None:
        raise TargetError("these pictures come without labels.", next="put the label file beside them")
    pixels, reader, notes = as_pixels(packed.pictures)
    rows = np.arange(len(pixels))
    return Pictures(pixels, _named(packed), packed.homes, rows, tuple(notes), reader)


def _from_files(source: Path, wishes: Wishes, name: str) -> Pictures:
    packed = _packed_from(source)
    if packed is not None:
        return from_packed(packed)
    with _shelf(source) as shelf:
        album = _album(shelf, labelled=True)
        kinds = np.unique(album.labels)
        if len(kinds) < 2:
            raise TargetError(
                f"{name}: only the class folder {str(kinds[0])!r}; at least two are needed to tell apart.",
                next="put the pictures of each class into a folder of its own",
            )
        pixels, album, notes = develop(shelf, album, wishes.size)
    empty = _empty_folders(source, set(kinds.tolist()))
    return Pictures(pixels, album.labels, album.homes, album.positions, notes=(*album.notes, *notes, *empty))


def _packed_from(path: Path, *, names_only: bool = False) -> Packed | None:
    """The arrays of IDX files or of the CIFAR-10 binary; None for a path to picture files."""
    if path.is_dir():
        files = tuple(sorted(file for file in path.iterdir() if file.is_file() and is_idx(file)))
    else:
        files = (path,) if is_idx(path) else ()
    cifar = path.name.startswith("cifar-10-binary") and is_archive(path)
    if names_only:
        return _NO_NAMES if files or cifar else None
    if files:
        return read_idx_files(files if path.is_dir() else idx_siblings(path))
    return read_cifar(path) if cifar else None


_NO_NAMES = Packed(np.empty(0), None, np.empty(0))


def _shelf(source: Path) -> Shelf:
    if source.is_file() and not is_archive(source):
        return Shelf(source.parent.name, (source.name,), (source.stat().st_size,), lambda _: source.read_bytes())
    return open_shelf(source, is_picture)


def _album(shelf: Shelf, *, labelled: bool) -> Album:
    """All pictures, or with labels those that have one. Raises PictureError where there are none."""
    if not len(shelf):
        raise PictureError(f"{shelf.place}: holds no pictures.", next="name a folder with a folder of pictures a class")
    if not labelled:
        count = len(shelf)
        return Album(np.arange(count), np.full(count, ""), np.full(count, ""))
    album = lay_out(shelf.names)
    if not len(album.labels) or album.labels[0] == "":
        raise PictureError(
            f"{shelf.place}: {len(shelf):,} picture(s), and no class folders to learn from.",
            next="put the pictures of each class into a folder of its own",
        )
    return album


def _empty_folders(source: Path, classes: set[str]) -> tuple[Note, ...]:
    """A note of folders where a class would be, that hold no picture."""
    if not source.is_dir():
        return ()
    place = source
    while len(inside := [entry for entry in sorted(place.iterdir()) if entry.is_dir()]) == 1:
        place = inside[0]
    parts = [entry for entry in inside if entry.name.casefold() in SPLIT_NAMES]
    inside = [entry for part in parts for entry in sorted(part.iterdir()) if entry.is_dir()] if parts else inside
    empty = [entry.name for entry in inside if entry.name not in classes and not entry.name.startswith((".", "__"))]
    few = ", ".join(empty[:3]) + (" …" if len(empty) > 3 else "")
    return (Note("trouble", f"{len(empty):,} folder(s) hold no picture and are no class: {few}."),) if empty else ()


def _refuse(wishes: Wishes) -> None:
    for field, given in (("group", wishes.group), ("time", wishes.time), ("ignore", wishes.ignore)):
        if given:
            raise RecipeError(f"{field}={given!r}: pictures have no columns.", next=f"leave {field} out")
    if wishes.split in ("group", "time"):
        raise RecipeError(f"split={wishes.split!r}: pictures have no columns.", next="--set split=stratified")


def _named(source: Packed) -> Any:
    return np.array(source.classes)[source.labels] if source.classes else source.labels


def _part(target: Target, pixels: np.ndarray, labels: Any, rows: Sequence[int] | np.ndarray) -> Part:
    answers: Tensor = torch.empty(len(pixels), 0) if labels is None else code_labels(labels, target)
    return Part((to_tensor(pixels),), answers, torch.as_tensor(np.asarray(rows), dtype=torch.int64))
