"""Labels that come beside the examples (y, names of folders): classes or numbers, and their tensors.

Classes are text in code order; numbers are standardized by the training part alone: value = tensor * std + mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from deepglass.data.schema import Note, Target
from deepglass.errors import TargetError, nearest

FEW_CLASSES = 20
ENOUGH_A_CLASS = 10


@dataclass(frozen=True)
class Labels:
    """Labels understood: codes int64 [m] into `classes`, or numbers float64 [m, width] with no classes."""

    values: np.ndarray
    classes: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


def understand_labels(y: Any, *, wish: Literal["classes", "numbers"] | None = None, name: str = "y") -> Labels:
    """Classes or numbers, by what y holds: text, booleans and whole numbers are classes, other numbers are numbers.

    Floats holding only 0 and 1 are two classes; one-hot rows are classes; whole numbers of more than 20 kinds with
    gaps between them, and fewer than 10 examples a kind, are numbers. A guess is noted; `wish` overrides it.

    >>> understand_labels(["cat", "dog", "cat"]).classes
    ('cat', 'dog')
    >>> understand_labels([0.5, 1.5]).classes
    ()
    """
    array = as_column(y, name)
    notes: tuple[Note, ...] = ()
    if not len(array):
        raise TargetError(f"{name}: no labels at all.", next="give one label an example")
    if array.ndim == 2 and wish != "numbers" and _is_onehot(array):
        notes = (Note("guess", f"{name} is one-hot: {array.shape[1]} classes, numbered from 0."),)
        array = array.argmax(1)
    if wish == "numbers" or (wish is None and _means_numbers(array)):
        if array.dtype.kind in "iu" and wish is None:
            kinds = len(np.unique(array))
            notes += (Note("guess", f"{name}: {kinds:,} different whole numbers are taken as numbers, not classes."),)
        return Labels(_numbers(array, name), notes=notes)
    if array.ndim != 1:
        raise TargetError(
            f"{name}: shape {list(array.shape)} with several labels a row; expected one class a row, or numbers.",
            next="give one column of classes, or floats for several numbers",
        )
    return _classes(array, name, notes)


def fit_target(labels: Labels, train: np.ndarray, *, name: str, plain: bool = False) -> tuple[Target, Tensor]:
    """The target as the training rows show it, and the tensor of all rows."""
    if labels.classes:
        task = "binary" if len(labels.classes) == 2 else "multiclass"
        counts = np.bincount(labels.values[train], minlength=len(labels.classes))
        target = Target(name, task, classes=labels.classes, counts=tuple(int(count) for count in counts))
    else:
        width = labels.values.shape[1]
        mean, std = labels.values[train].mean(0), labels.values[train].std(0)
        if plain:
            mean, std = np.zeros(width), np.ones(width)
        std = np.where(std > 0, std, 1.0)
        target = Target(name, "regression", mean=tuple(map(float, mean)), std=tuple(map(float, std)))
    return target, target_tensor(labels.values, target)


def code_labels(y: Any, target: Target) -> Tensor:
    """Labels of new data as the tensor of a known target. Raises TargetError for a class never seen, or no number."""
    array = as_column(y, target.name)
    if target.task == "regression":
        numbers = _numbers(array, target.name)
        if numbers.shape[1] != len(target.mean):
            raise TargetError(
                f"{target.name}: {numbers.shape[1]} numbers a row, expected {len(target.mean)}.",
                next="give the same columns as in training",
            )
        return target_tensor(numbers, target)
    if array.ndim == 2 and array.shape[1] == len(target.classes) and _is_onehot(array):
        return torch.from_numpy(array.argmax(1).astype(np.int64))
    kinds, back = np.unique(np.array([class_name(value) for value in array.tolist()]), return_inverse=True)
    known = {entry: code for code, entry in enumerate(target.classes)}
    strange = [str(kind) for kind in kinds if str(kind) not in known]
    if strange:
        raise TargetError(
            f"{target.name}: class {strange[0]!r} was not there in training"
            f"{f' (nor {len(strange) - 1} others)' if len(strange) > 1 else ''}; "
            f"known are {nearest(strange[0], target.classes)}.",
            next="rename it, or remove its examples",
        )
    return torch.tensor([known[str(kind)] for kind in kinds], dtype=torch.int64)[torch.from_numpy(back.reshape(-1))]


def target_tensor(values: np.ndarray, target: Target) -> Tensor:
    """int64 [m] for classes; float32 [m, width] standardized for numbers."""
    if target.task != "regression":
        return torch.from_numpy(values.astype(np.int64))
    return torch.from_numpy(((values - np.array(target.mean)) / np.array(target.std)).astype(np.float32))


def as_column(y: Any, name: str) -> np.ndarray:
    """Any column of labels as an array [m] or [m, width]; a width of 1 is taken away."""
    array = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or array.dtype.kind not in "biufUSOT":
        raise TargetError(
            f"{name}: shape {list(array.shape)} of type {array.dtype}; expected one label a row.",
            next="give y as a column of classes or numbers",
        )
    return array


def class_name(value: Any) -> str:
    """A class as text: 1.0 and 1 are the same class.

    >>> class_name(1.0), class_name(True), class_name("cat")
    ('1', 'True', 'cat')
    """
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _means_numbers(array: np.ndarray) -> bool:
    if array.ndim == 2:
        return array.dtype.kind == "f"
    if array.dtype.kind == "f":
        return not np.isin(array, (0, 1)).all() or len(np.unique(array)) < 2
    if array.dtype.kind not in "iu" or len(array) == 0:
        return False
    kinds = np.unique(array)
    unbroken = kinds[0] in (0, 1) and kinds[-1] - kinds[0] == len(kinds) - 1
    return len(kinds) > FEW_CLASSES and not unbroken and len(array) < ENOUGH_A_CLASS * len(kinds)


def _is_onehot(array: np.ndarray) -> bool:
    return (
        array.shape[1] > 1
        and array.dtype.kind in "biuf"
        and bool(np.isin(array, (0, 1)).all())
        and bool((array.sum(1) == 1).all())
    )


def _numbers(array: np.ndarray, name: str) -> np.ndarray:
    try:
        numbers = array.astype(np.float64).reshape(len(array), -1)
    except (TypeError, ValueError) as error:
        raise TargetError(f"{name}: not all labels are numbers ({error}).", next="--set task=classes") from None
    bad = int((~np.isfinite(numbers)).any(1).sum())
    if bad:
        raise TargetError(
            f"{name}: {bad:,} of {len(numbers):,} labels are missing or infinite.", next="remove those examples"
        )
    if len(numbers) > 1 and (numbers == numbers[0]).all():
        raise TargetError(f"{name}: every label is {numbers[0].tolist()}: there is nothing to predict.")
    return numbers


def _classes(array: np.ndarray, name: str, notes: tuple[Note, ...]) -> Labels:
    listed = array.tolist()
    missing = sum(value is None or value != value for value in listed)
    if missing:
        raise TargetError(f"{name}: {missing:,} of {len(listed):,} labels are missing.", next="remove those examples")
    names = np.array([class_name(value) for value in listed])
    kinds, back, counts = np.unique(names, return_inverse=True, return_counts=True)
    if len(kinds) < 2:
        found = f"only the class {str(kinds[0])!r}" if len(kinds) else "no label"
        raise TargetError(f"{name}: {found}; at least two classes are needed to tell apart.", next="add another class")
    if array.dtype.kind in "iuf":  # "10" stands after "9"
        order = np.argsort(kinds.astype(np.float64), kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        kinds, back, counts = kinds[order], place[back.reshape(-1)], counts[order]
    lonely = [str(kind) for kind, count in zip(kinds, counts, strict=True) if count == 1]
    if lonely:
        few = ", ".join(map(repr, lonely[:3])) + (" …" if len(lonely) > 3 else "")
        notes += (Note("trouble", f"{len(lonely)} class(es) have a single example, which is trained on: {few}."),)
    return Labels(back.reshape(-1).astype(np.int64), tuple(str(kind) for kind in kinds), notes)
