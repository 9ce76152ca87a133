"""A folder or archive of pictures: which folder is a class, which a split, and all of it decoded once to uint8.

The names above the pictures say everything: [wrapper/…] [train|valid|test/] class/ [any/…] picture. Wrappers that hold
all the rest are passed through; folders below a class belong to it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepglass.data.archives import Shelf
from deepglass.data.decoding import Decoded, Look, Shape, Unread, decode, in_threads, look_at
from deepglass.data.schema import Note
from deepglass.errors import PictureError

SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
SIDES = (128, 96, 64, 32)
SMALL = 64
SAMPLE = 512
MOST_BYTES = 4 << 30
BAD_SHARE = 0.05
COLOR, OUTLINES = "color among gray pictures", "pictures of another outline"


@dataclass(frozen=True)
class Album:
    """Pictures in order of their names: which names (`positions`), each one's class and split ("" for none)."""

    positions: np.ndarray
    labels: np.ndarray
    homes: np.ndarray
    notes: tuple[Note, ...] = ()

    def select(self, index: np.ndarray) -> Album:
        """Some of the pictures."""
        return Album(self.positions[index], self.labels[index], self.homes[index], self.notes)


@dataclass(frozen=True)
class Plan:
    """The shape all pictures get. `alike`: the (width, height) all are taken to have; `final`: no other will do."""

    shape: Shape
    alike: tuple[int, int] | None
    words: str = ""
    final: bool = False


def lay_out(names: Sequence[str]) -> Album:
    """Class and split of each picture by the folders above it.

    >>> album = lay_out(["pets/test/cat/1.png", "pets/train/cat/2.png", "pets/train/dog/3.png"])
    >>> album.labels.tolist(), album.homes.tolist()
    (['cat', 'cat', 'dog'], ['test', 'train', 'train'])
    """
    parts = [name.split("/") for name in names]
    above = _wrappers(parts)
    parts = [entry[above:] for entry in parts]
    tops = {entry[0].casefold() for entry in parts if len(entry) > 1}
    splits = any(SPLIT_NAMES.get(top) == "train" for top in tops) and len(tops & SPLIT_NAMES.keys()) > 1
    notes: list[Note] = []
    homes = [SPLIT_NAMES.get(entry[0].casefold(), "?") if splits and len(entry) > 1 else "" for entry in parts]
    parts = [entry[1:] if home else entry for entry, home in zip(parts, homes, strict=True)]
    labels = [entry[0] if len(entry) > 1 else "" for entry in parts]
    keep = np.array([home != "?" and not (splits and home == "") for home in homes], dtype=bool)
    if not keep.all():
        notes.append(Note("trouble", f"{(~keep).sum():,} pictures lie outside train, valid and test: left out."))
    loose = np.array([label == "" for label in labels], dtype=bool) & keep
    if loose.any() and not loose[keep].all():
        notes.append(Note("trouble", f"{loose.sum():,} pictures lie in no class folder: left out."))
        keep &= ~loose
    every = Album(np.arange(len(names)), np.array(labels, dtype=np.str_), np.array(homes, dtype=np.str_), tuple(notes))
    return every.select(np.flatnonzero(keep))


def develop(shelf: Shelf, album: Album, size: int | None) -> tuple[np.ndarray, Album, tuple[Note, ...]]:
    """Every picture of an album as uint8 [m, channels, height, width], the album without those that cannot be read.

    Gray stays one channel where all are gray, and pictures saved in color whose colors are all gray count as gray.
    Raises PictureError when more than one in twenty is bad, or at a decompression bomb.
    """
    surprises: set[str] = set()
    while True:
        plan = plan_shape(shelf, album.positions, size, surprises)
        found = _decode_all(shelf, album, plan)
        if not isinstance(found, str):
            break
        surprises.add(found)
    pixels, album, notes = found
    if plan.words:
        notes = (Note("guess", plan.words), *notes)
    if pixels.shape[1] == 3 and _colorless(pixels):
        pixels = np.ascontiguousarray(pixels[:, :1])
        notes = (*notes, Note("guess", "all pictures are gray though saved in color: one channel is kept."))
    return pixels, album, notes


def develop_like(shelf: Shelf, album: Album, shape: Shape) -> tuple[np.ndarray, Album, tuple[Note, ...]]:
    """As `develop`, brought to the shape that a network was trained on."""
    found = _decode_all(shelf, album, Plan(shape, None, final=True))
    if isinstance(found, str):
        raise PictureError(f"{shelf.place}: {found}.")
    return found


def plan_shape(shelf: Shelf, positions: np.ndarray, size: int | None, surprises: set[str]) -> Plan:
    """The common shape, from the heads of at most 512 pictures spread over the album.

    With `size`, a square of it. All alike: as they are up to 64 pixels, else with a shorter side of 128 at most.
    Otherwise a square of the largest of 32, 64, 96, 128 that half of the pictures fill, and that fits into 4 GiB.
    `surprises` are what an earlier plan did not expect of the pictures that it had not looked at.
    """
    chosen = positions[:: -(-len(positions) // SAMPLE) or 1].tolist()
    mean_bytes = sum(shelf.sizes[at] for at in chosen) / max(1, len(chosen))
    looks = list(in_threads(lambda at: _look(shelf, at), chosen, mean_bytes))
    good = [look for look in looks if isinstance(look, Look)]
    if not good:
        bad = [(at, look) for at, look in zip(chosen, looks, strict=True) if isinstance(look, Unread)]
        raise _too_many_bad(shelf, bad, len(positions))
    channels = 1 if COLOR not in surprises and all(look.gray for look in good) else 3
    sizes = sorted({(look.width, look.height) for look in good}, key=lambda pair: pair[0] * pair[1])
    if len(sizes) == 1 and size is None and OUTLINES not in surprises:
        return _plan_alike(channels, *sizes[0], len(positions))
    middle = int(statistics.median(min(look.width, look.height) for look in good))
    guess = _fitting(next((side for side in SIDES if side <= middle), max(1, middle)), channels, len(positions))
    side = size or guess
    (low, short), (wide, high) = sizes[0], sizes[-1]
    was = f"pictures of {low}x{short}" + (f" to {wide}x{high}" if len(sizes) > 1 else "")
    was += " and others" if OUTLINES in surprises else ""
    said = "as asked" if size else "a guess that --set size=… changes"
    words = (
        ""
        if sizes == [(side, side)] and OUTLINES not in surprises
        else f"{was} are resized to {side}x{side}, the middle cut out: {said}."
    )
    return Plan(Shape(channels, side, side), None, words)


def _plan_alike(channels: int, width: int, height: int, count: int) -> Plan:
    shorter = min(width, height)
    side = shorter if max(width, height) <= SMALL else _fitting(min(shorter, SIDES[0]), channels, count)
    wide, high = (max(1, round(length * side / shorter)) for length in (width, height))
    words = f"pictures of {width}x{height} are resized to {wide}x{high}: a guess that --set size=… changes."
    return Plan(Shape(channels, high, wide), (width, height), words if side < shorter else "")


def _fitting(side: int, channels: int, count: int) -> int:
    """The side, or a smaller one of SIDES when the pictures would fill more than MOST_BYTES of memory."""
    return next(
        (s for s in (side, *SIDES) if s <= side and count * channels * s * s <= MOST_BYTES), min(side, SIDES[-1])
    )


def _look(shelf: Shelf, at: int) -> Look | Unread:
    raw = _raw(shelf, at)
    return raw if isinstance(raw, Unread) else look_at(raw, shelf.names[at])


def _raw(shelf: Shelf, at: int) -> bytes | Unread:
    try:
        return shelf.read(at)
    except OSError as error:
        return Unread(error.strerror or str(error) or "cannot be read")


def _decode_all(shelf: Shelf, album: Album, plan: Plan) -> tuple[np.ndarray, Album, tuple[Note, ...]] | str:
    """All pictures, or the name of what the plan did not expect."""
    shape, count = plan.shape, len(album.positions)
    try:
        pixels = np.empty((count, shape.channels, shape.height, shape.width), np.uint8)
    except (MemoryError, ValueError):
        raise PictureError(
            f"{shelf.place}: {count:,} pictures of {shape.height}x{shape.width} do not fit into memory.",
            next="bring them to a smaller size: --set size=64",
        ) from None

    def one(at: int) -> Decoded | Unread:
        raw = _raw(shelf, at)
        return raw if isinstance(raw, Unread) else decode(raw, shelf.names[at], shape)

    bad: list[tuple[int, Unread]] = []
    kept, animated, colored = [], [], 0
    mean_bytes = sum(shelf.sizes[at] for at in album.positions) / max(1, count)
    for index, decoded in enumerate(in_threads(one, album.positions.tolist(), mean_bytes)):
        if isinstance(decoded, Unread):
            bad.append((int(album.positions[index]), decoded))
            continue
        if not plan.final and decoded.colored and shape.channels == 1:
            return COLOR
        if plan.alike and decoded.size != plan.alike:
            return OUTLINES
        pixels[len(kept)] = decoded.pixels
        kept.append(index)
        colored += decoded.colored
        animated += [index] if decoded.animated else []
    if not kept or len(bad) > max(1, BAD_SHARE * count):
        raise _too_many_bad(shelf, bad, count)
    notes = _told(shelf, album, bad, animated, colored if shape.channels == 1 else 0)
    return pixels[: len(kept)], album.select(np.array(kept)), notes


def _told(
    shelf: Shelf, album: Album, bad: list[tuple[int, Unread]], animated: list[int], colored: int
) -> tuple[Note, ...]:
    notes = []
    if bad:
        notes.append(Note("trouble", f"{len(bad):,} bad picture(s) left out: {_named(shelf, bad)}."))
    if animated:
        first = shelf.names[album.positions[animated[0]]]
        notes.append(
            Note("guess", f"{len(animated):,} picture(s) of several frames ({first} …): the first frame is taken.")
        )
    if colored:
        notes.append(Note("trouble", f"{colored:,} picture(s) in color are read as gray, as the network was trained."))
    return tuple(notes)


def _named(shelf: Shelf, bad: list[tuple[int, Unread]]) -> str:
    first = "; ".join(f"{shelf.names[at]}: {unread.reason}" for at, unread in bad[:3])
    return first + (" …" if len(bad) > 3 else "")


def _too_many_bad(shelf: Shelf, bad: list[tuple[int, Unread]], count: int) -> PictureError:
    return PictureError(
        f"{shelf.place}: {len(bad):,} of {count:,} pictures cannot be read ({_named(shelf, bad)}).",
        next="mend or remove them; up to one in twenty would be left out",
    )


def _colorless(pixels: np.ndarray) -> bool:
    """Whether red, green and blue are equal everywhere."""
    blocks = (pixels[low : low + 256] for low in range(0, len(pixels), 256))
    return all(
        np.array_equal(block[:, 0], block[:, 1]) and np.array_equal(block[:, 0], block[:, 2]) for block in blocks
    )


def _wrappers(parts: list[list[str]]) -> int:
    """How many folders on top hold everything, above the folders that tell classes."""
    found = 0
    while len({entry[found] if len(entry) > found + 1 else "" for entry in parts} - {""}) == 1:
        below = [entry[found + 1] if len(entry) > found + 2 else "" for entry in parts if len(entry) > found + 1]
        if len(below) < len(parts) or len(set(below) - {""}) < (2 if "" in below else 1):
            break
        found += 1
    return found
