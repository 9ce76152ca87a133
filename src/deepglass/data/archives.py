"""Folders, tar and zip files as one thing: a sorted list of names whose bytes can be read, nothing unpacked to disk.

Members are never written anywhere, so a name cannot reach outside; names that try ("../x", "/etc/x") are refused all
the same, links and devices are passed over, and what is read is bounded whatever the archive claims of itself.
"""

from __future__ import annotations

import lzma
import os
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deepglass.errors import SourceError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
MOST_MEMBERS = 20_000_000
MOST_UNPACKED = 16 << 30
MOST_MEMBER = 1 << 30
_BROKEN = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    NotImplementedError,
)


@dataclass(frozen=True)
class Shelf:
    """Files by name, wherever they lie: `names` sorted, with "/" between folders; `read(position)` gives the bytes.

    Used in a `with`, which closes the archive. `read` may be called from several threads.
    """

    place: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    read: Callable[[int], bytes]
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Shelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.names)


def is_archive(path: Path) -> bool:
    """Whether the name says tar or zip.

    >>> is_archive(Path("cats.tar.gz")), is_archive(Path("cats.csv.gz"))
    (True, False)
    """
    return path.name.casefold().endswith(ARCHIVE_SUFFIXES)


def open_shelf(path: Path, wanted: Callable[[str], bool]) -> Shelf:
    """The wanted files of a folder or an archive. Hidden files and systems' litter are never wanted.

    Raises SourceError for an archive that is broken, encrypted, unsafe or too large.
    """

    def kept(name: str) -> bool:
        return not _is_litter(name) and wanted(name)

    try:
        if path.is_dir():
            return _folder_shelf(path, kept)
        if path.name.casefold().endswith(".zip"):
            return _zip_shelf(path, kept)
        if path.name.casefold().endswith(".tar"):
            return _tar_shelf(path, kept)
        return _packed_tar_shelf(path, kept)
    except _BROKEN as error:
        raise _broken(path, error) from None
    except OSError as error:
        # gzip and bz2 tell of broken bytes by a plain OSError, which has no errno.
        raise _broken(path, error.strerror or error) from None


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return parts[-1] in ("Thumbs.db", "desktop.ini") or any(part.startswith((".", "__MACOSX")) for part in parts)


def _folder_shelf(folder: Path, kept: Callable[[str], bool]) -> Shelf:
    found: list[tuple[str, int]] = []
    for path, size in _files_below(folder):
        name = path.relative_to(folder).as_posix()
        if kept(name):
            found.append((name, size))
    found.sort()
    names = tuple(name for name, _ in found)
    return Shelf(folder.name, names, tuple(size for _, size in found), lambda at: (folder / names[at]).read_bytes())


def _files_below(folder: Path) -> Iterator[tuple[Path, int]]:
    """Files in a folder and below; folders reached by a link are entered once, so that a loop of links ends."""
    seen: set[str] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path), entry.stat().st_size


def _zip_shelf(path: Path, kept: Callable[[str], bool]) -> Shelf:
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    found = sorted((_safe(path, entry.filename), entry.file_size, number) for number, entry in enumerate(entries))
    found = [entry for entry in found if kept(entry[0])]
    _check_bounds(path, [size for _, size, _ in found])
    if any(entries[number].flag_bits & 1 for _, _, number in found):
        raise SourceError(f"{path.name}: the archive is locked with a password.", next="unpack it, and name the folder")
    order = [number for _, _, number in found]
    archive = zipfile.ZipFile(path)

    def read(at: int) -> bytes:
        try:
            with archive.open(entries[order[at]]) as stream:
                return stream.read(MOST_MEMBER)
        except _BROKEN as error:
            raise OSError(str(error)) from None

    names, sizes = tuple(name for name, _, _ in found), tuple(size for _, size, _ in found)
    return Shelf(path.name, names, sizes, read, archive.close)


def _tar_shelf(path: Path, kept: Callable[[str], bool]) -> Shelf:
    """A tar without compression: bytes are read where they lie."""
    found: list[tuple[str, int, int]] = []
    with tarfile.open(path, "r:") as archive:
        for entry in archive:
            if entry.isreg() and not entry.issparse() and kept(name := _safe(path, entry.name)):
                found.append((name, entry.size, entry.offset_data))
    found.sort()
    _check_bounds(path, [size for _, size, _ in found])
    places = [place for _, _, place in found]
    sizes = tuple(size for _, size, _ in found)
    stream, lock = path.open("rb"), threading.Lock()

    def read(at: int) -> bytes:
        with lock:
            stream.seek(places[at])
            return stream.read(sizes[at])

    return Shelf(path.name, tuple(name for name, _, _ in found), sizes, read, stream.close)


def _packed_tar_shelf(path: Path, kept: Callable[[str], bool]) -> Shelf:
    """A compressed tar can only be read in order, so its wanted members are held in memory, still encoded."""
    held: dict[str, bytes] = {}
    total = 0
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            if not entry.isreg() or entry.issparse() or not kept(name := _safe(path, entry.name)):
                continue
            total += entry.size
            _check_bounds(path, [entry.size, total - entry.size])
            stream = archive.extractfile(entry)
            held[name] = stream.read() if stream else b""
    names = tuple(sorted(held))
    return Shelf(path.name, names, tuple(len(held[name]) for name in names), lambda at: held[names[at]])


def _safe(path: Path, name: str) -> str:
    """A member's name with plain slashes, or SourceError for one that points outside the archive."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or ":" in (plain.parts or ("",))[0]:
        raise SourceError(
            f"{path.name}: the member {name!r} points outside the archive: it is not safe to read.",
            next="pack the folder again with relative names",
        )
    return plain.as_posix()


def _check_bounds(path: Path, sizes: list[int]) -> None:
    if sum(sizes) > MOST_UNPACKED or max(sizes, default=0) > MOST_MEMBER or len(sizes) > MOST_MEMBERS:
        raise SourceError(
            f"{path.name}: unpacks to {sum(sizes) / 2**30:.1f} GiB with a member of {max(sizes) / 2**30:.1f} GiB; "
            f"at most {MOST_UNPACKED >> 30} GiB and {MOST_MEMBER >> 30} GiB a member are read.",
            next="unpack it, and name the folder",
        )


def _broken(path: Path, reason: object) -> SourceError:
    kind = "folder" if path.is_dir() else "archive"
    return SourceError(f"{path}: the {kind} cannot be read ({reason}).", next="download or copy it again")
