"""Arrays of pixels brought to one form: uint8 0 … 255 or float32 0 … 1, [m, channels, height, width]."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepglass.data.schema import Input, Note, Schema
from deepglass.errors import PictureError


def as_pixels(array: np.ndarray, reader: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any], list[Note]]:
    """Any picture array as uint8 0 … 255 or float32 0 … 1, [m, channels, height, width], with how it was done.

    [m, h, w] gets one channel. Of four axes, the second is channels if it is 1 to 4 long, else the last if that is.
    Whole numbers within 0 … 255 are uint8; other values are scaled, 0 … 1 from low … high (kept in the reader).
    """
    notes: list[Note] = []
    if reader is None:
        reader = {"axis": _channel_axis(array.shape)} | _span(array)
        if reader["axis"] == "last":
            notes.append(Note("guess", f"the last axis of {list(array.shape)} is taken as channels."))
        if (reader["low"], reader["high"]) not in ((0.0, 255.0), (0.0, 1.0)):
            notes.append(Note("guess", f"pixel values {reader['low']:.4g} … {reader['high']:.4g} are scaled to 0 … 1."))
    if array.ndim == 3:
        array = array[:, None]
    elif reader["axis"] == "last" and array.ndim == 4:
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4:
        raise PictureError(
            f"an array of shape {list(array.shape)} is no batch of pictures.",
            next="give [m, height, width], [m, channels, height, width] or [m, height, width, channels]",
        )
    low, high = reader["low"], reader["high"]
    if array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return np.ascontiguousarray(array), reader, notes
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise PictureError(f"pixels of type {array.dtype} with values missing or infinite; expected numbers.")
    scaled = (array.astype(np.float64) - low) / (high - low)
    steps = np.rint(scaled * 255)
    if (
        np.abs(scaled * 255 - steps).max(initial=0.0) < 1e-3
        and scaled.min(initial=0) >= 0
        and scaled.max(initial=0) <= 1
    ):
        return np.ascontiguousarray(steps.astype(np.uint8)), reader, notes
    return np.ascontiguousarray(scaled.astype(np.float32)), reader, notes


def pixels_like(schema: Schema, array: np.ndarray) -> np.ndarray:
    """New arrays as the pixels a network was trained on; a single picture becomes a batch of one.

    Raises PictureError for another shape.
    """
    shape = pixel_input(schema).shape
    axis = schema.reader.get("axis", "first")
    last = (shape[1], shape[2], shape[0])
    single = shape[1:] if axis == "none" else last if axis == "last" else shape
    if array.shape == single or (array.ndim == 3 and axis != "none" and array.shape in (shape, last)):
        array = array[None]
    reader = schema.reader | {"axis": axis if array.shape[1:] != shape else "first"}
    pixels, _, _ = as_pixels(array, reader if "low" in reader else None)
    if pixels.shape[1:] != shape:
        raise PictureError(
            f"pictures of shape {list(pixels.shape[1:])} were given; the network was trained on {list(shape)}.",
            next="bring them to that shape (channels, height, width)",
        )
    return pixels


def pixel_statistics(pixels: np.ndarray, index: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over these pictures, in 0 … 1; a constant channel has spread 1.

    uint8 is counted into 256 bins a channel, so that the sums are exact and no float copy is made.
    """
    means, stds = [], []
    for channel in range(pixels.shape[1]):
        if pixels.dtype == np.uint8:
            blocks = (pixels[index[low : low + 4096], channel] for low in range(0, len(index), 4096))
            counts = sum((np.bincount(block.reshape(-1), minlength=256) for block in blocks), np.zeros(256))
            values, weights = np.arange(256) / 255, counts / max(1, counts.sum())
        else:
            values = pixels[index, channel].astype(np.float64).reshape(-1)
            weights = np.full(len(values), 1 / max(1, len(values)))
        mean = float((values * weights).sum())
        spread = float(np.sqrt((weights * (values - mean) ** 2).sum()))
        means.append(mean)
        stds.append(spread if spread > 1e-8 else 1.0)
    return tuple(means), tuple(stds)


def to_tensor(array: np.ndarray) -> Tensor:
    """A tensor over the array's memory, or over a copy where that may not be written."""
    return torch.from_numpy(array if array.flags.writeable and array.flags.c_contiguous else array.copy())


def pixel_input(schema: Schema) -> Input:
    """The picture a network was trained on. Raises PictureError where it learned from other data."""
    entry = schema.input("pixels")
    if entry is None:
        raise PictureError("pictures were given, but this run learned from other data.", next="give data of that kind")
    return entry


def _channel_axis(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return "none"
    return "last" if len(shape) == 4 and shape[1] > 4 and shape[3] <= 4 else "first"


def _span(array: np.ndarray) -> dict[str, float]:
    """The values that become 0 and 1: 0 … 1 or 0 … 255 where all lie within, else the least and the greatest."""
    if array.dtype == np.uint8 or not array.size:
        return {"low": 0.0, "high": 255.0}
    least, most = float(array.min()), float(array.max())
    if least >= 0 and most <= 255:
        return {"low": 0.0, "high": 1.0 if most <= 1 and array.dtype.kind in "bf" else 255.0}
    return {"low": least, "high": most if most > least else least + 1}
