"""Pictures packed as fixed records: the IDX files of MNIST, and the binary version of CIFAR-10.

IDX (LeCun, Cortes & Burges 1998): two zero bytes, a code of the type, the number of axes, each axis as a big-endian
32-bit integer, then the values, last axis fastest. CIFAR-10 (Krizhevsky 2009): records of one label byte and
3 x 32 x 32 bytes, red, green, blue.
"""

from __future__ import annotations

import gzip
import math
import struct
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepglass.errors import SourceError

_IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_PARTS = {"train": "train", "training": "train", "t10k": "test", "test": "test", "valid": "valid", "val": "valid"}
_RECORD = 1 + 3 * 32 * 32


@dataclass(frozen=True)
class Packed:
    """Arrays as they were packed: pictures [m, …], labels [m] or None, and the split each belongs to ("" for none)."""

    pictures: np.ndarray
    labels: np.ndarray | None
    homes: np.ndarray
    classes: tuple[str, ...] = ()


def is_idx(path: Path) -> bool:
    """Whether the name says IDX.

    >>> is_idx(Path("train-images-idx3-ubyte.gz")), is_idx(Path("cat.png"))
    (True, False)
    """
    name = path.name.casefold()
    return "-idx" in name or "-ubyte" in name or name.removesuffix(".gz").endswith(".idx")


def read_idx(path: Path) -> np.ndarray:
    """The array of an IDX file, gzip or not. Raises SourceError for one that is broken or shorter than it says."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix.casefold() == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: cannot be read ({error}).", next="download or copy it again") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _IDX_TYPES:
        raise SourceError(f"{path}: not an IDX file (it begins with {raw[:4].hex(' ') or 'nothing'}).")
    axes = raw[3]
    if len(raw) < 4 + 4 * axes:
        raise SourceError(f"{path}: broken off inside its header.", next="download or copy it again")
    shape = struct.unpack(f">{axes}I", raw[4 : 4 + 4 * axes])
    kind = np.dtype(_IDX_TYPES[raw[2]])
    want, have = math.prod(shape) * kind.itemsize, len(raw) - 4 - 4 * axes
    if want != have:
        raise SourceError(
            f"{path}: its header promises {'x'.join(map(str, shape))} values, {want:,} bytes; {have:,} are there.",
            next="download or copy it again",
        )
    return np.frombuffer(raw, kind, offset=4 + 4 * axes).reshape(shape).astype(kind.newbyteorder("="), copy=False)


def read_idx_files(paths: tuple[Path, ...]) -> Packed:
    """Image files (three axes or more) with the label file of the same beginning: train-…, t10k-…, or any."""
    arrays = {path: read_idx(path) for path in paths}
    pictures = {_stem(path): (path, array) for path, array in arrays.items() if array.ndim >= 3}
    labels = {_stem(path): array for path, array in arrays.items() if array.ndim == 1}
    if not pictures:
        raise SourceError(f"{paths[0].parent}: IDX files, but none with pictures (three axes) among them.")
    labelled = all(stem in labels for stem in pictures)
    for stem, (path, array) in pictures.items():
        if stem in labels and len(labels[stem]) != len(array):
            raise SourceError(f"{path}: {len(array):,} pictures, but {len(labels[stem]):,} labels beside them.")
    if len({array.shape[1:] for _, array in pictures.values()}) > 1:
        raise SourceError(f"{paths[0].parent}: IDX files with pictures of different sizes.")
    order = sorted(pictures, key=lambda stem: ("train", "valid", "test", "").index(_PARTS.get(stem, "")))
    homes = [np.full(len(pictures[stem][1]), _PARTS.get(stem, "") if len(order) > 1 else "") for stem in order]
    return Packed(
        np.concatenate([pictures[stem][1] for stem in order]),
        np.concatenate([labels[stem] for stem in order]) if labelled else None,
        np.concatenate(homes),
    )


def idx_siblings(path: Path) -> tuple[Path, ...]:
    """An IDX file of pictures and the labels that lie beside it."""
    beside = [other for other in sorted(path.parent.iterdir()) if other.is_file() and is_idx(other)]
    return (
        path,
        *(other for other in beside if _stem(other) == _stem(path) and "label" in other.name and other != path),
    )


def read_cifar(path: Path) -> Packed:
    """The six batches of the binary CIFAR-10 tar, five to train and one to test, with the names of the classes."""
    pieces: dict[str, np.ndarray] = {}
    classes: tuple[str, ...] = ()
    try:
        with tarfile.open(path, "r:*") as archive:
            for entry in archive:
                name = Path(entry.name).name
                stream = archive.extractfile(entry) if entry.isreg() and entry.size < (64 << 20) else None
                if stream is not None and name.endswith(".bin"):
                    pieces[name] = np.frombuffer(stream.read(), np.uint8)
                elif stream is not None and name == "batches.meta.txt":
                    classes = tuple(stream.read().decode().split())
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise SourceError(f"{path}: cannot be read ({error}).", next="delete it, and it is downloaded again") from None
    names = [name for name in sorted(pieces) if name.startswith("data_batch")] + ["test_batch.bin"]
    if len(names) < 2 or any(len(pieces.get(name, b"")) == 0 or len(pieces[name]) % _RECORD for name in names):
        raise SourceError(f"{path}: not the binary version of CIFAR-10.", next="delete it, and it is downloaded again")
    records = [pieces[name].reshape(-1, _RECORD) for name in names]
    homes = [
        np.full(len(piece), "test" if name.startswith("test") else "train")
        for name, piece in zip(names, records, strict=True)
    ]
    every = np.concatenate(records)
    return Packed(every[:, 1:].reshape(-1, 3, 32, 32), every[:, 0], np.concatenate(homes), classes)


def _stem(path: Path) -> str:
    """What comes before "-images" or "-labels": the split's name.

    >>> _stem(Path("t10k-images-idx3-ubyte.gz"))
    't10k'
    """
    name = path.name.casefold()
    for mark in ("-images", "-labels", "_images", "_labels"):
        if mark in name:
            return name.split(mark)[0]
    return name.split("-idx")[0]
