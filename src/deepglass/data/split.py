"""Train, validation and test rows without leaks: stratified, at random, whole groups, or the newest last.

Whatever is learned, fitted or chosen must not have seen the test rows (Hastie, Tibshirani and Friedman 2009, 7.10.2):
so rows are parted before a mean, a quantile or a vocabulary is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepglass.errors import SplitError

WAYS = ("auto", "random", "stratified", "group", "time")


@dataclass(frozen=True)
class Splits:
    """Three sets of row numbers (int64, sorted, disjoint, together all rows) and in words how they were made."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    how: str


def split_rows(
    count: int,
    *,
    labels: Any = None,
    groups: Any = None,
    times: Any = None,
    valid: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    how: str = "auto",
) -> Splits:
    """Part `count` rows into three; `valid` and `test` are shares of all rows, and 0 asks for none.

    labels [count]   classes: every part gets each class by its share; a class with one example goes to train.
    groups [count]   no group (patient, user, day) is ever in two parts.
    times [count]    the oldest rows train, the newest test; rows of the same time stay together where they can.

    `how="auto"` takes time before group before stratified before random, by what is given. The same arguments give
    the same rows. Raises SplitError where a part would stay empty.

    >>> made = split_rows(10, labels=[0] * 5 + [1] * 5, valid=0.2, test=0.2, seed=1)
    >>> [len(rows) for rows in (made.train, made.valid, made.test)], made.how
    ([6, 2, 2], 'stratified by class, seed 1: 6 train, 2 valid, 2 test')
    """
    given = {"time": times, "group": groups, "stratified": labels}
    _check(count, valid, test, how, given)
    way = next((name for name, values in given.items() if values is not None), "random") if how == "auto" else how
    generator = np.random.default_rng(seed)
    sizes = _sizes(count, valid, test)
    if way == "time":
        part, words = _by_time(np.asarray(times), sizes), "by time, the newest rows last"
    elif way == "group":
        part, words = _by_group(np.asarray(groups), sizes, generator), f"by group, seed {seed}"
    elif way == "stratified":
        part, words = _by_class(np.asarray(labels), sizes, generator), f"stratified by class, seed {seed}"
    else:
        part, words = _shuffled(count, sizes, generator), f"at random, seed {seed}"
    train, held, tested = (np.flatnonzero(part == number).astype(np.int64) for number in range(3))
    return Splits(train, held, tested, f"{words}: {len(train):,} train, {len(held):,} valid, {len(tested):,} test")


def duplicates_across(*parts: Any) -> int:
    """How many rows of the later parts also stand in an earlier part: the same example trained on and tested on.

    Each part is an array [m, ...] of numbers (NumPy, or a tensor on the CPU); rows are compared bit for bit through a
    64-bit hash, so that about n²/2⁶⁵ rows would be counted by chance: none in a million.

    >>> duplicates_across(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [5, 6], [3, 4]]))
    2
    """
    hashes = [hash_rows(np.asarray(part)) for part in parts if len(part)]
    found, seen = 0, np.empty(0, np.uint64)
    for part in hashes:
        found += int(np.isin(part, seen).sum())
        seen = np.union1d(seen, part)
    return found


def hash_rows(rows: np.ndarray) -> np.ndarray:
    """A uint64 for each row [m, ...]: the words of the row mixed in turn by splitmix64 (Steele et al. 2014)."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if flat.dtype.kind == "f":
        flat = np.ascontiguousarray(flat + flat.dtype.type(0))  # -0.0 equals 0.0, but its bits do not
    octets = flat.view(np.uint8).reshape(len(rows), -1)
    short = -octets.shape[1] % 8
    words = np.ascontiguousarray(np.pad(octets, ((0, 0), (0, short)))).view(np.uint64)
    mixed = np.full(len(rows), words.shape[1], np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed


def _check(count: int, valid: float, test: float, how: str, given: dict[str, Any]) -> None:
    if how not in WAYS:
        raise SplitError(
            f"split={how!r}: found no such way, expected one of {', '.join(WAYS)}.", next="--set split=auto"
        )
    if not (0 <= valid < 1 and 0 <= test < 1 and valid + test < 1):
        raise SplitError(
            f"valid={valid}, test={test}: expected shares of 0 or more that leave something to train on.",
            next="set the shares: --set valid=0.15 --set test=0.2",
        )
    parts = 1 + (valid > 0) + (test > 0)
    if count < parts:
        raise SplitError(f"{count} row(s): found too few for {parts} parts, expected at least {parts}.")
    if how in given and given[how] is None:
        raise SplitError(f"split={how}: found no column to split by.", next=_NEXT[how])
    for name, values in given.items():
        if values is not None and len(values) != count:
            raise SplitError(f"{name}: found {len(values)} values, expected one a row, {count}.")


_NEXT = {
    "time": "name the column that holds the time: --set time=COLUMN",
    "group": "name the column that holds the group: --set group=COLUMN",
    "stratified": "choose --set split=random, as there are no classes",
}


def _sizes(count: int, valid: float, test: float) -> tuple[int, int]:
    """Rows in valid and test: the nearest whole numbers, at least one of each that is asked for, one left to train."""
    tested = max(1, round(count * test)) if test > 0 else 0
    held = max(1, round(count * valid)) if valid > 0 else 0
    while tested + held >= count:
        tested, held = (tested - 1, held) if tested > held else (tested, held - 1)
    return held, tested


def _shuffled(count: int, sizes: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    held, tested = sizes
    part = np.zeros(count, np.int8)
    order = generator.permutation(count)
    part[order[:tested]] = 2
    part[order[tested : tested + held]] = 1
    return part


def _by_class(labels: np.ndarray, sizes: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Each class in its own shuffled order: the first of it test, the next valid, the rest (one at least) train."""
    names, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    held, tested = sizes
    test_quota = _quotas(counts, tested, counts - 1)
    valid_quota = _quotas(counts, held, counts - 1 - test_quota)
    order = generator.permutation(len(labels))
    order = order[np.argsort(codes.reshape(-1)[order], kind="stable")]
    first = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(len(labels)) - first
    test_until = np.repeat(test_quota, counts)
    valid_until = test_until + np.repeat(valid_quota, counts)
    part = np.zeros(len(labels), np.int8)
    part[order] = np.where(place < test_until, 2, np.where(place < valid_until, 1, 0))
    if (tested and not test_quota.any()) or (held and not valid_quota.any()):
        raise SplitError(
            f"{len(labels)} rows of {len(names)} classes: found too few to give train one of each class and still fill"
            " the other parts.",
            next="give more rows, or choose --set split=random",
        )
    return part


def _quotas(counts: np.ndarray, total: int, most: np.ndarray) -> np.ndarray:
    """`total` shared over the classes by their counts, never above `most`: largest remainder (Hamilton's method)."""
    wanted = counts * (total / max(1, counts.sum()))
    quota = np.minimum(np.floor(wanted).astype(np.int64), most)
    # Rounding matters where a class has a fraction left: the largest fractions first, big classes before small ones.
    rest = min(total, int(most.sum())) - int(quota.sum())
    order = np.lexsort((-counts, -(wanted - np.floor(wanted))))
    while rest > 0:
        room = order[(most > quota)[order]][:rest]
        quota[room] += 1
        rest -= len(room)
    return quota


def _by_group(groups: np.ndarray, sizes: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Groups in random order, cut where the rows so far come nearest to each part's size; the bulky ones train."""
    names, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    held, tested = sizes
    parts = 1 + (held > 0) + (tested > 0)
    if len(names) < parts:
        raise SplitError(
            f"{len(names)} group(s): found too few for {parts} parts, expected at least {parts}.",
            next="choose another column with --set group=COLUMN, or split without groups",
        )
    order = generator.permutation(len(names))
    small = min(size for size in (held, tested, len(groups)) if size)
    order = order[np.argsort(counts[order] > small, kind="stable")]
    after = np.cumsum(counts[order])
    first = int(np.argmin(np.abs(after - tested))) + 1 if tested else 0
    first = min(first, len(names) - parts + 1)
    second = int(np.argmin(np.abs(after - tested - held))) + 1 if held else first
    second = min(max(second, first + (held > 0)), len(names) - 1)
    part_of = np.zeros(len(names), np.int8)
    part_of[order[:first]] = 2
    part_of[order[first:second]] = 1
    return part_of[codes.reshape(-1)]


def _by_time(times: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
    missing = np.isnat(times) if times.dtype.kind in "mM" else times != times
    if np.any(missing):
        row = int(np.flatnonzero(missing)[0])
        raise SplitError(
            f"row {row + 1}: found no time ({int(np.sum(missing)):,} rows are so), expected one in every row.",
            next="fill or remove those rows, or split without --set time",
        )
    order = np.argsort(times, kind="stable")
    held, tested = sizes
    cut_test = _between_times(times[order], len(times) - tested) if tested else len(times)
    cut_valid = _between_times(times[order], min(cut_test, len(times) - tested) - held) if held else cut_test
    if not (cut_valid > 0 and cut_valid + (held > 0) <= cut_test and cut_test + (tested > 0) <= len(times)):
        cut_test, cut_valid = len(times) - tested, len(times) - tested - held  # too many equal times to keep together
    part = np.zeros(len(times), np.int8)
    part[order[cut_valid:cut_test]] = 1
    part[order[cut_test:]] = 2
    return part


def _between_times(ordered: np.ndarray, cut: int) -> int:
    """The place nearest to `cut` where one time ends and another begins; `cut` itself where there is none."""
    places = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return int(places[np.argmin(np.abs(places - cut))]) if len(places) else cut
