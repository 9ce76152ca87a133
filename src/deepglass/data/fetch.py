"""Named data sets found on this machine, or downloaded once with checksums: one literal table of addresses.

A file is looked for in $DEEPGLASS_DATA, then in the user's cache folder, then at its official addresses. Whatever is
found must have the checksum of the table, so that two people who say "mnist" mean the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from deepglass.errors import SourceError, StorageError

CHUNK = 1 << 18
TIMEOUT = 30.0
Counted = Callable[[int, int | None], None]


@dataclass(frozen=True)
class RemoteFile:
    """One file of a named set.

    addresses   tried in order.
    md5         of the bytes as downloaded, or of the unpacked bytes where `unpacked` (gzip wrappers differ).
    most        bytes; a longer answer is not this file.
    """

    name: str
    addresses: tuple[str, ...]
    md5: str
    most: int
    unpacked: bool = False


def _idx_files(addresses: tuple[str, ...], sums: tuple[str, str, str, str], unpacked: bool) -> tuple[RemoteFile, ...]:
    stems = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(
        RemoteFile(f"{stem}-ubyte.gz", tuple(f"{base}{stem}-ubyte.gz" for base in addresses), md5, 64 << 20, unpacked)
        for stem, md5 in zip(stems, sums, strict=True)
    )


# MNIST: LeCun, Cortes & Burges 1998. Fashion-MNIST: Xiao, Rasul & Vollgraf 2017. CIFAR-10: Krizhevsky 2009.
NAMED_FILES: dict[str, tuple[RemoteFile, ...]] = {
    "mnist": _idx_files(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        (
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
        unpacked=True,
    ),
    "fashion-mnist": _idx_files(
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        unpacked=False,
    ),
    "cifar10": (
        RemoteFile(
            "cifar-10-binary.tar.gz",
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "c32a1d4ab5d03f1284b67883e8d87530",
            256 << 20,
        ),
    ),
}

# What a person may have put into $DEEPGLASS_DATA in place of the official files.
STAND_INS: dict[str, str] = {"cifar10": "cifar10-jpeg.tar"}


def cache_folder() -> Path:
    """Where downloads are kept for this user, by the custom of the system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "deepglass"


def find_named(name: str) -> tuple[Path, ...]:
    """The files of a named set, in the table's order: found with the right checksums, or downloaded.

    A stand-in (CIFAR-10 as a tar of JPEG files) comes alone. Raises SourceError when it is nowhere to be had, and
    StorageError when it cannot be kept.
    """
    files = NAMED_FILES[name]
    shared = os.environ.get("DEEPGLASS_DATA")
    if shared:
        folder = Path(shared).expanduser() / name
        stand_in = folder / STAND_INS.get(name, "")
        if name in STAND_INS and stand_in.is_file():
            return (stand_in,)
        if all((folder / file.name).is_file() for file in files):
            return tuple(_checked(folder / file.name, file) for file in files)
    folder = cache_folder() / name
    return tuple(
        folder / file.name if matches(folder / file.name, file) else download(file, folder, of=name) for file in files
    )


def matches(path: Path, file: RemoteFile) -> bool:
    """Whether the file is there and has the checksum of the table."""
    if not path.is_file():
        return False
    digest = hashlib.md5(usedforsecurity=False)
    opened = gzip.open if file.unpacked else open
    try:
        with opened(path, "rb") as stream:
            while block := stream.read(CHUNK):
                digest.update(block)
    except (OSError, EOFError, zlib.error):
        return False
    return digest.hexdigest() == file.md5


def download(file: RemoteFile, folder: Path, *, of: str, counted: Counted | None = None) -> Path:
    """Fetch a file into a folder: to a temporary name, checked, then renamed, so that a half file never has the name.

    `counted(bytes so far, bytes in all or None)` is called as they come; without it a bar is drawn on a terminal.
    """
    place = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=folder)
        os.close(handle)
    except OSError as error:
        raise StorageError(
            f"{folder}: the cache folder cannot be written ({error.strerror or error}).",
            next="free some space, or set XDG_CACHE_HOME (LOCALAPPDATA on Windows) to a folder that can be written",
        ) from None
    half = Path(temporary)
    troubles: list[str] = []
    try:
        for address in file.addresses:
            trouble = _attempt(address, file, half, counted)
            if not trouble:
                half.replace(place)
                return place
            troubles.append(f"{address}: {trouble}")
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    raise _not_to_be_had(file, folder, of, troubles)


def _attempt(address: str, file: RemoteFile, half: Path, counted: Counted | None) -> str:
    """One download to a temporary file; what went wrong in words, or nothing."""
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
            declared = answer.headers.get("Content-Length")
            total = int(declared) if declared and declared.isdigit() else None
            with _Bar(file.name, total, counted) as bar, half.open("wb") as stream:
                got = _copy(answer, stream, file.most, lambda so_far: bar(so_far, total))
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        return str(getattr(error, "reason", "") or error or type(error).__name__)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(f"{half.parent}: {file.name} cannot be kept there ({reason}).") from None
    if got > file.most:
        return f"longer than {file.most:,} bytes: not this file"
    if total is not None and got < total:
        return f"broke off after {got:,} of {total:,} bytes"
    return "" if matches(half, file) else "the bytes do not have the checksum of the official file"


def _copy(answer: http.client.HTTPResponse, stream: BinaryIO, most: int, tell: Callable[[int], None]) -> int:
    got = 0
    while got <= most and (block := answer.read(CHUNK)):
        stream.write(block)
        got += len(block)
        tell(got)
    return got


class _Bar:
    """A progress bar on a terminal, silence elsewhere, or the caller's own counter."""

    def __init__(self, name: str, total: int | None, counted: Counted | None) -> None:
        self.counted = counted
        console = Console(stderr=True)
        shown = counted is None and console.is_terminal
        columns = (TextColumn("downloading {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not shown, transient=True)
        self.task = self.progress.add_task(name, total=total)

    def __enter__(self) -> Counted:
        self.progress.start()
        return self.counted or self._advance

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def _advance(self, so_far: int, total: int | None) -> None:
        self.progress.update(self.task, completed=so_far, total=total)


def _checked(path: Path, file: RemoteFile) -> Path:
    if matches(path, file):
        return path
    raise SourceError(
        f"{path}: not the official file (expected md5 {file.md5}{' unpacked' if file.unpacked else ''}).",
        next="replace it, or unset DEEPGLASS_DATA so that the official file is downloaded",
    )


def _not_to_be_had(file: RemoteFile, folder: Path, of: str, troubles: list[str]) -> SourceError:
    names = ", ".join(entry.name for entry in NAMED_FILES.get(of, (file,)))
    return SourceError(
        f"{of}: {file.name} is not on this machine and cannot be downloaded ({'; '.join(troubles)}).",
        next=f"connect and try again, or fetch {names} elsewhere and put them into {folder}, "
        f"or set DEEPGLASS_DATA to a folder that holds {of}/",
    )
