"""Folders of small pictures made for a test, and what was read of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deepglass.data.images import read_pictures
from deepglass.data.schema import Data, Wishes


def noise(seed: int, height: int = 12, width: int = 12, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(array: np.ndarray, kind: str = "png", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def build(folder: Path, classes: dict[str, int], **size: int) -> Path:
    seed = 0
    for name, count in classes.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / name / f"{number:03}.png").write_bytes(encoded(noise(seed, **size)))
            seed += 1
    return folder


def read(path: Path, **wishes: object) -> Data:
    return read_pictures(path, Wishes(**wishes), name=path.name)  # type: ignore[arg-type]


def texts(data: Data) -> str:
    return "\n".join(note.text for note in data.notes)


def every(data: Data) -> dict[int, tuple[torch.Tensor, int]]:
    parts = (data.train, data.valid, data.test)
    return {
        int(row): (pixels, int(label))
        for part in parts
        for row, pixels, label in zip(part.rows, part.inputs[0], part.target, strict=True)
    }
