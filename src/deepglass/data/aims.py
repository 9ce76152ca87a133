"""What is to be predicted: which column, classes or numbers; guessed where nothing is said, and the guess told.

An `Aim` is the target read: a code or a number for each row, before any row is left out or standardized.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from deepglass.data.cells import number_words
from deepglass.data.columns import Column, reread_column
from deepglass.data.schema import Note, Target, Wishes
from deepglass.errors import TargetError, nearest

TARGET_NAMES = ("target", "label", "labels", "class", "y", "outcome", "response", "species", "survived", "diagnosis")
LABEL_NAMES = re.compile(r"(^|[\W_])(label|labels|class|target|digit|category|type|kind|species|y)$", re.IGNORECASE)
FEW_GRADES = 6
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Aim:
    """The target of all rows.

    classes   `values` int64 [rows], -1 missing, codes into `labels`.
    numbers   `values` float64 [rows, width], NaN missing; `labels` is empty.
    """

    names: tuple[str, ...]
    task: Literal["classes", "numbers"]
    values: np.ndarray
    labels: tuple[str, ...] = ()

    @property
    def missing(self) -> np.ndarray:
        """Rows without a whole target, bool [rows]."""
        return np.asarray(self.values < 0 if self.task == "classes" else np.isnan(self.values).any(axis=1))

    @property
    def name(self) -> str:
        """The target's name; several are joined."""
        return ", ".join(self.names)


def choose_target(names: Sequence[str], wishes: Wishes, place: str) -> tuple[tuple[str, ...], list[Note]]:
    """The target's column or columns: the one asked for, else one named like a target, else the last.

    >>> choose_target(["a", "Species", "b"], Wishes(), "here")[0]
    ('Species',)
    """
    if wishes.target is not None:
        wanted = (wishes.target,) if isinstance(wishes.target, str) else tuple(wishes.target)
        for name in wanted:
            if name not in names:
                raise TargetError(
                    f"{place}: found no column {name!r} to predict, expected one of {nearest(name, names)}.",
                    next=f"--target {_closest(name, names)}",
                )
        return wanted, []
    known = [name for name in names if name not in wishes.ignore and name not in (wishes.group, wishes.time)]
    if not known:
        raise TargetError(f"{place}: every column is ignored, grouped or split by: none is left to predict.")
    folded = {name.casefold(): name for name in reversed(known)}
    found = next((folded[name] for name in TARGET_NAMES if name in folded), None)
    reason = "by its name" if found else "as the last column"
    chosen = found or known[-1]
    return (chosen,), [Note("guess", f"the target is {chosen!r}, {reason}; --target COLUMN chooses another")]


def read_aim(columns: Sequence[Column], wishes: Wishes, place: str) -> tuple[Aim, list[Note]]:
    """The target's columns as classes or numbers. Raises TargetError where neither can be learned."""
    for column in columns:
        _check_readable(column, place)
    names = tuple(column.reading.name for column in columns)
    column, *more = columns
    if more:
        if wishes.task == "classes":
            raise TargetError(f"{place}: found {len(columns)} targets, expected one for classes.")
        return Aim(names, "numbers", _numbers(columns, place)), []
    task, reason = (wishes.task, "") if wishes.task else _guess_task(column)
    notes = [Note("guess", f"target {names[0]!r}: {reason}; task=numbers or task=classes overrides")] if reason else []
    if task == "numbers":
        values = _numbers(columns, place)
        if np.ptp(values[~np.isnan(values)]) == 0:
            raise TargetError(f"{place}, target {names[0]!r}: found one value in every row, expected at least two.")
        return Aim(names, "numbers", values), notes
    values, labels = _classes(column)
    if len(labels) < 2:
        raise TargetError(
            f"{place}, target {names[0]!r}: found one class ({''.join(labels)!r}) in every row, expected at least two."
        )
    rows = int((values >= 0).sum())
    if len(labels) > MOST_CLASSES or len(labels) > max(2, rows // 2):
        raise TargetError(
            f"{place}, target {names[0]!r}: found {len(labels):,} different values in {rows:,} rows, expected classes"
            " that each stand in several."
        )
    return Aim(names, "classes", values, labels), notes


def fit_target(aim: Aim, train: np.ndarray, plain: bool) -> Target:
    """The target described from its training rows: counts of classes, or mean and spread (0 and 1 where plain)."""
    if aim.task == "classes":
        counts = np.bincount(aim.values[train], minlength=len(aim.labels))
        task = "binary" if len(aim.labels) == 2 else "multiclass"
        return Target(aim.name, task, classes=aim.labels, counts=tuple(counts.tolist()))
    width = aim.values.shape[1]
    if plain:
        return Target(aim.name, "regression", mean=(0.0,) * width, std=(1.0,) * width)
    values = aim.values[train]
    std = values.std(axis=0)
    mean = tuple(values.mean(axis=0).tolist())
    return Target(aim.name, "regression", mean=mean, std=tuple(np.where(std > 0, std, 1.0).tolist()))


def reread_aim(target: Target, columns: Sequence[Column], place: str) -> Aim:
    """The target of new rows, in the classes or columns of training. A class never seen is a TargetError."""
    names = tuple(column.reading.name for column in columns)
    if target.task == "regression":
        return Aim(names, "numbers", np.stack([column.values for column in columns], axis=1))
    column = columns[0]
    words = column.words if column.reading.kind == "category" else None
    if words is None:
        column, _ = reread_column(_as_words_again(column), number_words(column.values), place)
        words = column.words
    code_of = {label: code for code, label in enumerate(target.classes)}
    strange = [k for k in np.unique(column.values[column.values >= 0]) if words[k] not in code_of]
    if strange:
        row = int(np.argmax(column.values == strange[0]))
        raise TargetError(
            f"{place}, target {target.name!r}, row {row + 1}: found {words[strange[0]]!r}, expected one of the classes"
            f" of training: {nearest(words[strange[0]], target.classes)}.",
            next="mend or empty that cell, or train on data that has this class",
        )
    codes = np.array([*(code_of.get(word, -1) for word in words), -1], np.int64)
    return Aim(names, "classes", codes[column.values], target.classes)


def _as_words_again(column: Column) -> Any:
    return type(column.reading)(column.reading.name, "category", "words")


def _closest(name: str, names: Sequence[str]) -> str:
    return nearest(name, names, most=1).strip("'").split("'")[0] if names else "COLUMN"


def _check_readable(column: Column, place: str) -> None:
    name, reading = column.reading.name, column.reading
    if reading.kind == "nothing":
        raise TargetError(f"{place}, target {name!r}: {reading.reason}, expected classes or numbers.")
    if column.missing.all():
        raise TargetError(f"{place}, target {name!r}: every cell is missing, expected classes or numbers.")
    if reading.kind == "date":
        raise TargetError(f"{place}, target {name!r}: found dates, expected classes or numbers.")


def _guess_task(column: Column) -> tuple[Literal["classes", "numbers"], str]:
    """Classes or numbers, and why; an empty reason where there is no doubt."""
    if column.reading.kind == "category":
        return "classes", ""
    values = column.values[~column.missing]
    distinct = np.unique(values)
    if len(distinct) <= 2:
        return "classes", "" if len(distinct) == 1 or set(distinct.tolist()) <= {
            0.0,
            1.0,
        } else "two values, read as classes"
    if not np.all(np.mod(distinct, 1) == 0):
        return "numbers", ""
    span = f"{len(distinct)} different whole numbers, {distinct[0]:g} to {distinct[-1]:g}"
    crowded = len(values) >= 4 * len(distinct)
    coded = distinct[0] in (0, 1) and distinct[-1] - distinct[0] + 1 == len(distinct)
    labeled = LABEL_NAMES.search(column.reading.name) is not None
    most = 100 if re.search(r"label|class", column.reading.name, re.IGNORECASE) else 20
    if crowded and (len(distinct) <= FEW_GRADES or (coded and labeled and len(distinct) <= most)):
        return "classes", f"{span}, read as classes"
    return "numbers", f"{span}, read as numbers" if len(distinct) <= 50 else ""


def _classes(column: Column) -> tuple[np.ndarray, tuple[str, ...]]:
    """Codes in the order of the labels: numbers by size, words by alphabet."""
    if column.reading.kind == "category":
        words = column.words
        order = sorted(range(len(words)), key=words.__getitem__)
        rank = np.append(np.argsort(np.array(order)), -1)
        return rank[column.values], tuple(words[k] for k in order)
    distinct, places = np.unique(column.values[~column.missing], return_inverse=True)
    codes = np.full(len(column.values), -1, np.int64)
    codes[~column.missing] = places
    return codes, tuple(number_words(distinct).to_pylist())


def _numbers(columns: Sequence[Column], place: str) -> np.ndarray:
    for column in columns:
        if column.reading.kind != "number":
            row = int(np.argmax(~column.missing))
            raise TargetError(
                f"{place}, target {column.reading.name!r}, row {row + 1}: found {column.words[column.values[row]]!r},"
                " expected a number.",
                next="choose --set task=classes, or another column with --target",
            )
    return np.stack([column.values for column in columns], axis=1)
