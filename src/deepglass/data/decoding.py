"""One picture file -> uint8 numbers: oriented, its colors made plain, brought to size; or the reason why not.

Frames of an animation after the first are left out, what shines through shows white, 16 bits become 8 by scaling.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepglass.errors import PictureError

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif"),
)
_GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
_ORIENTATION = 0x0112
_LARGE_FILE = 20_000
_ANIMATED_FORMATS = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Look:
    """What the head of a picture file says, before its pixels are decoded."""

    width: int
    height: int
    gray: bool


@dataclass(frozen=True)
class Shape:
    """What every picture is brought to: resized until it covers this, and the middle cut out."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class Decoded:
    """A picture as uint8 [channels, height, width]; its (width, height) in the file;
    whether it was colored, or had more frames.
    """

    pixels: np.ndarray
    size: tuple[int, int]
    animated: bool = False
    colored: bool = False


@dataclass(frozen=True)
class Unread:
    """A picture that could not be decoded, and why."""

    reason: str


def is_picture(name: str) -> bool:
    """Whether a file's name says that it is a picture.

    >>> is_picture("a/B.JPG"), is_picture("notes.txt")
    (True, False)
    """
    return name.casefold().endswith(PICTURE_SUFFIXES)


def look_at(raw: bytes, name: str) -> Look | Unread:
    """Size and color from the head of a file. A decompression bomb raises PictureError, whatever else is there."""
    opened = _open(raw, name)
    if isinstance(opened, Unread):
        return opened
    width, height = opened.size
    try:
        if opened.getexif().get(_ORIENTATION, 1) >= 5:
            width, height = height, width
    except Exception:  # a broken EXIF block says nothing of the pixels, and Pillow raises many kinds of error for it
        pass
    return Look(width, height, _is_gray(opened))


def decode(raw: bytes, name: str, shape: Shape) -> Decoded | Unread:
    """The picture brought to a shape. Raises PictureError for a decompression bomb alone."""
    opened = _open(raw, name)
    if isinstance(opened, Unread):
        return opened
    try:
        size, colored = opened.size, not _is_gray(opened)
        animated = opened.format in _ANIMATED_FORMATS and getattr(opened, "is_animated", False)
        # JPEG can decode at 1/2, 1/4 or 1/8 of its size for a fraction of the cost.
        side = max(shape.height, shape.width)
        opened.draft(None, (side, side))
        image = ImageOps.exif_transpose(opened) if _turned(opened) else opened
        if (image.width > image.height) != (opened.width > opened.height):
            size = (size[1], size[0])
        image = _plain_color(image, gray=shape.channels == 1)
        image = _sized(image, shape)
        array = np.asarray(image)
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise dozens of kinds of error on broken bytes
        return Unread(_in_words(error, raw))
    return Decoded(array, size, animated, colored)


def in_threads(work: Callable[[int], Result], positions: Sequence[int], mean_bytes: float) -> Iterator[Result]:
    """work(position) in order; large files in threads, small ones one by one, since for them threads only contend."""
    with _pillow_quiet():
        if mean_bytes < _LARGE_FILE or len(positions) < 8:
            yield from map(work, positions)
            return
        with ThreadPoolExecutor() as threads:
            for low in range(0, len(positions), 256):
                yield from threads.map(work, positions[low : low + 256])


@contextmanager
def _pillow_quiet() -> Iterator[None]:
    """Pillow warns of what is decided here anyway: bombs, transparency in palettes, broken EXIF blocks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(raw: bytes, name: str) -> Image.Image | Unread:
    if not raw:
        return Unread("the file is empty")
    try:
        opened = Image.open(io.BytesIO(raw))
    except Image.DecompressionBombError as error:
        counts = [int(count) for count in re.findall(r"\d+", str(error))]
        raise _bomb(name, counts[0] if counts else 0) from None
    except MemoryError:
        raise
    except Exception as error:  # as in decode
        return Unread(_in_words(error, raw))
    if Image.MAX_IMAGE_PIXELS and opened.width * opened.height > Image.MAX_IMAGE_PIXELS:
        raise _bomb(name, opened.width * opened.height)
    return opened


def _bomb(name: str, pixels: int) -> PictureError:
    return PictureError(
        f"{name}: {pixels:,} pixels in one picture; at most {Image.MAX_IMAGE_PIXELS:,} are decoded, "
        "because a small file can claim to be one that fills the memory.",
        next="remove the file, or save it smaller",
    )


def _in_words(error: Exception, raw: bytes) -> str:
    if isinstance(error, UnidentifiedImageError):
        begins = "text" if raw[:64].isascii() and raw[:64].decode("ascii").isprintable() else "no picture's bytes"
        return f"not a picture (it begins with {begins})"
    return (str(error) or type(error).__name__).strip().rstrip(".").splitlines()[0][:100]


def _turned(image: Image.Image) -> bool:
    return "exif" in image.info or image.format in ("TIFF", "PNG", "WEBP", "AVIF")


def _is_gray(image: Image.Image) -> bool:
    return image.mode in _GRAY_MODES or image.mode.startswith("I;16")


def _plain_color(image: Image.Image, *, gray: bool) -> Image.Image:
    """To L or RGB: transparency over white, deep grays scaled to 8 bits, palettes and inks looked up."""
    wanted = "L" if gray else "RGB"
    if image.mode == "F" or image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image if image.mode == wanted else image.convert(wanted)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Whole numbers of 16 bits by 255/65535; floats from 0 … 1, or from 0 … 255 where they go beyond 1."""
    values = np.asarray(image).astype(np.float64)
    full = 65535.0 if image.mode != "F" else 1.0 if np.nanmax(values, initial=0.0) <= 1 else 255.0
    scaled = np.nan_to_num(values) * (255 / full)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _sized(image: Image.Image, shape: Shape) -> Image.Image:
    """Shrunk or grown until it covers the shape, with the middle cut out."""
    wanted = (shape.width, shape.height)
    return image if image.size == wanted else ImageOps.fit(image, wanted, Image.Resampling.BILINEAR)
