"""Columns as tensors: robustly scaled numbers with missing marks, and category codes; fitted on training rows alone.

A number x becomes f((x - median) / scale) with f(z) = z / sqrt(1 + (z/3)²), which is z near 0 and never beyond ±3:
heavy tails neither stretch the scale nor blow up a layer (Holzmüller et al. 2024, "RealMLP").
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepglass.data.columns import Column

CLIP = 3.0
FEW_WORDS = 20  # up to so many categories all are kept
OFTEN = 5  # beyond that, one that stands in fewer training rows shares the code of the rare
MOST_WORDS = 1000
BINS = 48  # as Gorishniy et al. 2022 choose for their piecewise-linear encoding
SAMPLE = 100_000  # training rows that medians and quantiles are taken from; more do not move them


@dataclass(frozen=True)
class NumberFeature:
    """One column of the numbers tensor. `part`: value, missing, or what is taken out of a date; `origin` in seconds."""

    column: str
    part: str
    center: float = 0.0
    scale: float = 1.0
    origin: float = 0.0

    @property
    def name(self) -> str:
        """What the feature is called: "age", "age is missing", "born year"."""
        return {"value": self.column, "missing": f"{self.column} is missing"}.get(
            self.part, f"{self.column} {self.part}"
        )


@dataclass(frozen=True)
class CodeFeature:
    """One column of the codes tensor: words[k] has code k+1; with `rare`, the last code is every other word's."""

    column: str
    words: tuple[str, ...]
    rare: bool = False

    @property
    def size(self) -> int:
        """How many codes there are, 0 (missing, or never seen) included."""
        return 1 + len(self.words) + self.rare


@dataclass(frozen=True)
class Left:
    """A column left out, and why. `level` as a Note's."""

    column: str
    reason: str
    level: str = "guess"


@dataclass(frozen=True)
class Encoding:
    """What turns columns into tensors, in order."""

    numbers: tuple[NumberFeature, ...] = ()
    codes: tuple[CodeFeature, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(found: Mapping[str, Any]) -> Encoding:
        """The encoding that `to_json` wrote."""
        numbers = tuple(NumberFeature(**entry) for entry in found["numbers"])
        codes = tuple(CodeFeature(e["column"], tuple(e["words"]), e["rare"]) for e in found["codes"])
        return Encoding(numbers, codes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that are used, each once."""
        return tuple(dict.fromkeys(feature.column for feature in (*self.numbers, *self.codes)))


def fit_encoding(columns: Sequence[Column], train: np.ndarray) -> tuple[Encoding, list[Left]]:
    """The encoding of these columns, learned from the rows `train`, and the columns left out with the reason.

    A running number or another row's name is left out, unless nothing else is left to learn from.
    """
    encoding, left = _fit(columns, train, keep_ids=False)
    if not encoding.columns:
        encoding, left = _fit(columns, train, keep_ids=True)
    return encoding, left


def encode(encoding: Encoding, columns: Mapping[str, Column], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers [count, n] float32 and codes [count, c] int64."""
    numbers = np.zeros((count, len(encoding.numbers)), np.float32)
    for place, feature in enumerate(encoding.numbers):
        numbers[:, place] = _encoded(feature, columns[feature.column])
    codes = np.zeros((count, len(encoding.codes)), np.int64)
    for place, feature in enumerate(encoding.codes):
        codes[:, place] = _coded(feature, columns[feature.column])
    return numbers, codes


def unseen_words(feature: CodeFeature, column: Column) -> list[str]:
    """The words of a column that have no code of their own."""
    known = set(feature.words)
    return [column.words[k] for k in np.unique(column.values[column.values >= 0]) if column.words[k] not in known]


def quantile_edges(values: np.ndarray, bins: int = BINS) -> tuple[float, ...]:
    """At most bins+1 rising edges, the smallest and largest value among them, that cut values [m] into even shares.

    Edge k is the value below which a share of k/bins lies, where a value met more often than m/bins counts as m/bins:
    so a column that is mostly zero still spends its edges on what is not zero. Few distinct values: all are edges.

    >>> quantile_edges(np.array([0.0] * 90 + [1.0, 2.0, 3.0, 4.0]), bins=2)
    (0.0, 1.0, 4.0)
    """
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= bins + 1:
        return tuple(distinct.tolist())
    weights = np.minimum(counts, len(values) / bins)
    below = np.cumsum(weights) - weights / 2
    wanted = np.linspace(below[0], below[-1], bins + 1)
    return tuple(np.unique(distinct[np.searchsorted(below, wanted)]).tolist())


def looks_like_id(column: Column) -> str | None:
    """Why a column seems to name its rows instead of describing them, or None."""
    values, name = column.values, column.reading.name
    named = re.search(r"(?i)(^|[\W_])(id|uuid|guid|key|index|rowid)$", name) or re.search(r"[a-z](Id|ID)$", name)
    if len(values) < 10:
        return None
    if column.reading.kind == "category":
        return "every cell is different" if len(column.words) == len(values) else None
    if column.reading.kind != "number" or not np.all(np.mod(values[:100], 1) == 0):
        return None
    low, high = values.min(), values.max()
    if not np.all(np.mod(values, 1) == 0) or len(np.unique(values)) < len(values):
        return None
    running = high - low + 1 == len(values) and (low in (0, 1) or named)
    return "a running number" if running else "every cell is different, as in an id" if named else None


def _fit(columns: Sequence[Column], train: np.ndarray, keep_ids: bool) -> tuple[Encoding, list[Left]]:
    numbers: list[NumberFeature] = []
    codes: list[CodeFeature] = []
    left: list[Left] = []
    for column in columns:
        name = column.reading.name
        if column.reading.kind == "nothing":
            left.append(Left(name, column.reading.reason, "trouble"))
            continue
        reason = None if keep_ids else looks_like_id(column)
        if reason:
            left.append(Left(name, reason))
            continue
        fitted = column.take(train)
        if fitted.missing.all():
            left.append(Left(name, "no finite value in the training rows", "trouble"))
        elif column.reading.kind == "category":
            _fit_words(fitted, codes, left)
        else:
            _fit_numbers(fitted, numbers, left)
    return Encoding(tuple(numbers), tuple(codes)), left


def _fit_numbers(column: Column, numbers: list[NumberFeature], left: list[Left]) -> None:
    """Add the features of a column of numbers or dates, constants left out, and a mark where cells are missing."""
    name, before, missing = column.reading.name, len(numbers), column.missing
    parts, origin = ("value",), 0.0
    if column.reading.kind == "date":
        parts, origin = tuple(DATE_PARTS), float(np.nanmin(column.values))
    for part in parts:
        values = part_values(column, part, origin)[~missing]
        values = values[:: max(1, len(values) // SAMPLE)]
        center, scale = robust_scale(values)
        if scale:
            numbers.append(NumberFeature(name, part, center, scale, origin))
    if missing.any():
        numbers.append(NumberFeature(name, "missing"))
    elif len(numbers) == before:
        left.append(Left(name, "every cell is the same"))


def _fit_words(column: Column, codes: list[CodeFeature], left: list[Left]) -> None:
    """Add the feature of a column of words: all of few, the frequent of many, none where nearly all differ."""
    name, present = column.reading.name, column.values[~column.missing]
    counts = np.bincount(present, minlength=len(column.words))
    seen = np.flatnonzero(counts)
    if len(seen) == 1 and len(present) == len(column.values):
        left.append(Left(name, "every cell is the same"))
        return
    kept = seen
    if len(seen) > min(FEW_WORDS, max(2, len(present) // 2)):
        often = seen[counts[seen] >= OFTEN]
        kept = often[np.argsort(-counts[often], kind="stable")][:MOST_WORDS]
        absent = 1 - len(present) / len(column.values)
        if counts[kept].sum() < len(present) / 2:
            if absent < 0.1:
                left.append(Left(name, "free text or names: nearly every cell is different"))
                return
            kept = kept[:0]  # too varied to learn from, but whether there is anything may well tell
    words = tuple(sorted(column.words[int(k)] for k in kept))
    codes.append(CodeFeature(name, words, rare=len(kept) < len(seen)))


def robust_scale(values: np.ndarray) -> tuple[float, float]:
    """The median, and the interquartile range; without one, the usual distance of those that are not the median.

    A scale of 0 means: all values are the same. Values are float64 [m], none missing.
    """
    low, center, high = np.quantile(values, (0.25, 0.5, 0.75))
    spread = high - low
    if not spread > 0:
        away = np.abs(values - center)
        away = away[away > 0]
        spread = np.median(away) if len(away) else 0.0
    # below the resolution of float64 a spread is rounding, not a signal
    return float(center), float(spread) if spread > 1e-12 * abs(center) else 0.0


def part_values(column: Column, part: str, origin: float) -> np.ndarray:
    """What a feature measures before scaling, float64 [rows], NaN where missing."""
    if part == "value":
        return column.values
    if part == "missing":
        return column.missing.astype(np.float64)
    seconds = np.where(column.missing, 0.0, column.values)
    return np.where(column.missing, np.nan, DATE_PARTS[part](seconds, origin))


def _encoded(feature: NumberFeature, column: Column) -> np.ndarray:
    values = part_values(column, feature.part, feature.origin)
    if feature.part == "missing":
        return values
    scaled = (values - feature.center) / feature.scale
    with np.errstate(over="ignore"):  # a number beyond 1e154 squares to infinity: its place is the clip itself
        clipped = np.where(np.abs(scaled) < 1e6, scaled / np.sqrt(1 + (scaled / CLIP) ** 2), CLIP * np.sign(scaled))
    return np.nan_to_num(clipped, nan=0.0)


def _coded(feature: CodeFeature, column: Column) -> np.ndarray:
    code_of = {word: code for code, word in enumerate(feature.words, start=1)}
    other = feature.size - 1 if feature.rare else 0
    codes = np.array([*(code_of.get(word, other) for word in column.words), 0], np.int64)
    return codes[column.values]  # -1, missing, is the last: 0


def _days(seconds: np.ndarray) -> np.ndarray:
    return np.floor(seconds / 86400).astype(np.int64).astype("datetime64[D]")


def _turn(seconds: np.ndarray) -> np.ndarray:
    days = _days(seconds)
    return 2 * np.pi * (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.float64) / 365.25


DATE_PARTS: dict[str, Any] = {
    "seconds": lambda seconds, origin: seconds - origin,
    "year": lambda seconds, origin: _days(seconds).astype("datetime64[Y]").astype(np.float64) + 1970,
    "month": lambda seconds, origin: _days(seconds).astype("datetime64[M]").astype(np.float64) % 12 + 1,
    "day of week": lambda seconds, origin: (_days(seconds).astype(np.float64) + 3) % 7,  # 1970 began on a Thursday
    "day of year, sine": lambda seconds, origin: np.sin(_turn(seconds)),
    "day of year, cosine": lambda seconds, origin: np.cos(_turn(seconds)),
    "hour, sine": lambda seconds, origin: np.sin(2 * np.pi * (seconds % 86400) / 86400),
    "hour, cosine": lambda seconds, origin: np.cos(2 * np.pi * (seconds % 86400) / 86400),
}
