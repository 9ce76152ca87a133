"""A data set as the plain matrices that simpler models take: one row an example, float64 columns.

Pictures are averaged down to few pixels first: linear models and trees gain little from more, and take far longer.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from deepglass.data.schema import Data, Input, Part, Schema
from deepglass.data.tables import raw_features

MOST_PIXELS = 200
MOST_DUMMIES = 400
AT_ONCE = 1024


def flat_features(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The training and the test rows for a linear model: numbers as they are, one-hot categories, pixels."""
    frequent = [_frequent(data.train, place, entry) for place, entry in enumerate(data.schema.inputs)]
    train, test = (_flat(data.schema, part, frequent) for part in (data.train, data.test))
    return train, test


def tree_features(data: Data) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The training and the test rows for boosted trees, and which columns hold categories, if any do.

    A missing value is NaN and a category its code; a column of more than 255 codes is taken as ordered numbers.
    """
    if data.schema.kind != "table" or "encoding" not in data.schema.reader:
        train, test = (_finite(rows) for rows in flat_features(data))
        return train, test, None
    (train, mask), (test, _) = (raw_features(data.schema, part) for part in (data.train, data.test))
    return _finite(train), _finite(test), mask if mask.any() else None


def learning_rows(data: Data, most: float, seed: int) -> np.ndarray:
    """Positions of the training rows to learn from: all, or at most `most` at random with a row of each class."""
    count = len(data.train)
    wanted = int(max(1, min(count, most)))
    if wanted == count:
        return np.arange(count)
    shuffled = np.random.default_rng(seed).permutation(count)
    if data.schema.target.task == "regression":
        return np.sort(shuffled[:wanted])
    _, first = np.unique(data.train.target.numpy()[shuffled], return_index=True)
    ordered = np.concatenate([shuffled[first], np.delete(shuffled, first)])
    return np.sort(ordered[: max(wanted, len(first))])


def shrunk(pictures: Tensor, entry: Input) -> Tensor:
    """Pictures [m, channels, height, width] averaged down to at most 200 numbers each, float32 in 0 … 1 if bytes."""
    channels, height, width = entry.shape
    scale = min(1.0, math.sqrt(MOST_PIXELS / (channels * height * width)))
    side = (max(1, int(height * scale)), max(1, int(width * scale)))
    unit = 255.0 if pictures.dtype == torch.uint8 else 1.0
    chunks = [
        functional.adaptive_avg_pool2d(chunk.float() / unit, side).flatten(1) for chunk in pictures.split(AT_ONCE)
    ]
    return torch.cat(chunks)


def _flat(schema: Schema, part: Part, frequent: list[list[Tensor]]) -> np.ndarray:
    columns = []
    for entry, tensor, kept in zip(schema.inputs, part.inputs, frequent, strict=True):
        if kept:
            flat = tensor.reshape(len(tensor), -1)
            columns += [(flat[:, place, None] == codes).double() for place, codes in enumerate(kept)]
        elif entry.kind == "pixels" and len(entry.shape) == 3:
            columns.append(shrunk(tensor, entry).double())
        else:
            columns.append(tensor.double().reshape(len(tensor), math.prod(entry.shape)))
    return torch.cat(columns, dim=1).numpy()


def _frequent(part: Part, place: int, entry: Input) -> list[Tensor]:
    """For every column of codes, those that get a column of their own: the most frequent of the training rows.

    Whole numbers of a user's own array that go below zero are no codes: they are taken as numbers.
    """
    codes = part.inputs[place].reshape(len(part), -1)
    if entry.kind != "codes" or not codes.numel() or bool((codes < 0).any()):
        return []
    width = codes.shape[1]
    most = max(2, MOST_DUMMIES // width, MOST_DUMMIES if width <= 4 else 0)
    kept = []
    for column in codes.T:
        counts = torch.bincount(column)
        ordered = counts.argsort(descending=True, stable=True)[:most]
        kept.append(ordered[counts[ordered] > 0].sort().values)
    return kept


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(rows), np.nan, rows)
