"""What may spoil a result on a table: the target copied among the features, a row in two splits, rare classes.

Kapoor and Narayanan (2023) found such leaks in published results of 17 fields; they are looked for in every table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from deepglass.data.aims import Aim
from deepglass.data.columns import Column
from deepglass.data.encoding import Left, looks_like_id
from deepglass.data.schema import Note
from deepglass.data.split import Splits, duplicates_across, hash_rows

SAMPLE = 20_000  # rows that the search for copies looks at
SAME = 0.9999  # correlation from which on a feature tells the target and nothing else
RARE = 0.1  # share of the rows below which a class is called rare
SHOWN = 8


def look_for_troubles(features: Sequence[Column], others: Sequence[Column], aim: Aim, splits: Splits) -> list[Note]:
    """Notes on copies of the target, rows in two splits and classes. `others` are columns read but not learned from."""
    rows = np.concatenate((splits.train, splits.valid, splits.test))
    return [
        *note_copies(features, aim, rows),
        *note_duplicates([*features, *(column for column in others if not looks_like_id(column))], splits),
        *note_classes(aim, splits),
    ]


def note_left(left: Sequence[Left]) -> list[Note]:
    """One note a reason for the columns left out.

    >>> note_left([Left("id", "a running number"), Left("nr", "a running number")])[0].text
    "2 columns left out (a running number): 'id', 'nr'"
    """
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in left:
        grouped[entry.level, entry.reason].append(entry.column)
    notes = []
    for (level, reason), names in grouped.items():
        shown = ", ".join(repr(name) for name in names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
        columns = "1 column" if len(names) == 1 else f"{len(names):,} columns"
        notes.append(Note("trouble" if level == "trouble" else "guess", f"{columns} left out ({reason}): {shown}"))
    return notes


def note_copies(features: Sequence[Column], aim: Aim, rows: np.ndarray) -> list[Note]:
    """Features that are the target again: a copy, a recoding one to one, or the same order."""
    rows = rows[:: max(1, len(rows) // SAMPLE)]
    width = aim.values.shape[1] if aim.task == "numbers" else 1
    goals = aim.values[rows].reshape(len(rows), width).T
    found = [
        column.reading.name for column in features if any(_is_copy(column, goal, aim.task, rows) for goal in goals)
    ]
    if not found:
        return []
    shown = ", ".join(repr(name) for name in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
    return [Note("trouble", f"{shown} tells the target {aim.name!r} exactly: a copy of it? ignore it if so")]


def note_duplicates(columns: Sequence[Column], splits: Splits) -> list[Note]:
    """Rows that stand in two splits, the same in all these columns. An id that is not learned from is none of them."""
    mixed: np.ndarray | None = None
    for column in columns:
        if len(column.values):
            words = np.where(column.missing, np.nan, column.values + 0.0).view(np.uint64)
            mixed = hash_rows(words[:, None] if mixed is None else np.stack((mixed, words), axis=1))
    if mixed is None:
        return []
    twice = duplicates_across(mixed[splits.train], mixed[splits.valid], mixed[splits.test])
    if not twice:
        return []
    return [Note("trouble", f"{twice:,} row(s) of valid and test also stand, cell for cell, in an earlier part")]


def note_classes(aim: Aim, splits: Splits) -> list[Note]:
    """Classes that are rare, stand once, or are not in the training part at all."""
    if aim.task != "classes":
        return []
    size = len(aim.labels)
    train = np.bincount(aim.values[splits.train], minlength=size)
    total = train + sum(np.bincount(aim.values[part], minlength=size) for part in (splits.valid, splits.test))
    notes = []
    single = [aim.labels[k] for k in np.flatnonzero(total == 1) if train[k]]
    if single:
        notes.append(Note("trouble", f"{_listed(single)} has one example: it trains, and is never tested"))
    unseen = [aim.labels[k] for k in np.flatnonzero((train == 0) & (total > 0))]
    if unseen:
        notes.append(Note("trouble", f"{_listed(unseen)} is not in the training part: it cannot be learned"))
    least = int(np.argmin(total))
    share = total[least] / total.sum()
    if share < min(RARE, 0.5 / size):  # ten even classes have a tenth each, and none is rare
        notes.append(
            Note("trouble", f"class {aim.labels[least]!r} is {share:.1%} of the rows: accuracy alone says little of it")
        )
    return notes


def _listed(labels: list[str]) -> str:
    shown = ", ".join(repr(label) for label in labels[:SHOWN]) + (" …" if len(labels) > SHOWN else "")
    return ("class " if len(labels) == 1 else "each of the classes ") + shown


def _is_copy(column: Column, goal: np.ndarray, task: str, rows: np.ndarray) -> bool:
    if column.reading.kind not in ("number", "category"):
        return False
    here = ~column.missing[rows]
    values, goal = column.values[rows][here], goal[here]
    if len(values) < 20:
        return False
    kinds, codes = np.unique(values, return_inverse=True)
    goals, aims = np.unique(goal, return_inverse=True)
    if len(kinds) == len(goals) > 1 and (task == "classes" or len(goals) <= len(values) / 2):
        pairs = np.unique(codes.reshape(-1) * len(goals) + aims.reshape(-1))
        if len(pairs) == len(goals):
            return True
    if column.reading.kind != "number" or len(goals) < 2 or (task == "classes" and len(goals) > 2):
        return False
    ranked = _correlation(_ranks(codes.reshape(-1)), _ranks(aims.reshape(-1))) if task == "numbers" else 0.0
    return max(ranked, _correlation(values, goal)) > SAME


def _ranks(codes: np.ndarray) -> np.ndarray:
    """The mean rank of each value; `codes` number the distinct values by size."""
    counts = np.bincount(codes)
    return (np.cumsum(counts) - counts / 2)[codes]


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """|Pearson's r|, 0 where a side is constant."""
    a, b = _unit(a), _unit(b)
    return float(abs(a @ b))


def _unit(values: np.ndarray) -> np.ndarray:
    """Centered and of length 1, or all zeros; divided by the largest first, as squares of 1e300 are infinite."""
    values = values / max(np.abs(values).max(), 1e-300)
    values = values - values.mean()
    length = np.sqrt(values @ values)
    return values / length if length > 1e-12 else np.zeros_like(values)
