"""Inputs and targets described: names, kinds, shapes, classes; all that models know of data.

A reader turns a source into a `Data`: a `Schema` and three `Part`s (train, valid, test) of plain tensors. A family
builds itself from the schema alone, so a network can be made again from `schema.json` with no data at hand.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

InputKind = Literal["numbers", "codes", "pixels"]
Task = Literal["binary", "multiclass", "regression"]
PartName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Input:
    """One tensor a model is given.

    kind     numbers: float32, zero-centred of about unit spread unless the user's arrays are taken as they stand;
             codes: int64 in 0 … size-1, where 0 stands for missing or never seen;
             pixels: stored as uint8 0 … 255 (or float32 as given), handed to the model as (value/255 - mean) / std.
    shape    of one example, without the batch axis: (columns,), (columns,), (channels, height, width).
    """

    name: str
    kind: InputKind
    shape: tuple[int, ...]
    columns: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    quantiles: tuple[tuple[float, ...], ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


@dataclass(frozen=True)
class Target:
    """What is to be predicted.

    binary, multiclass   `classes` in code order, `counts` of each in the training part; the tensor is int64 [m].
    regression           the tensor is float32 [m, width], standardised: value = tensor * std + mean (one a column).
    """

    name: str
    task: Task
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def outputs(self) -> int:
        """How many numbers a network gives for one example: 1 logit for two classes, else one a class or a number."""
        return {"binary": 1, "multiclass": len(self.classes), "regression": len(self.mean)}[self.task]


@dataclass(frozen=True)
class Schema:
    """All that is known of the data without the data. `reader` holds the fitted preprocessing as plain JSON values."""

    kind: Literal["table", "picture", "tensor"]
    inputs: tuple[Input, ...]
    target: Target
    reader: dict[str, Any] = field(default_factory=dict)

    def input(self, kind: InputKind) -> Input | None:
        """The first input of a kind, or None."""
        return next((entry for entry in self.inputs if entry.kind == kind), None)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for schema.json."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(plain: dict[str, Any]) -> Schema:
        """The schema that `to_json` wrote."""
        inputs = tuple(Input(**{k: _frozen(v) for k, v in entry.items()}) for entry in plain["inputs"])
        target = Target(**{k: _frozen(v) for k, v in plain["target"].items()})
        return Schema(kind=plain["kind"], inputs=inputs, target=target, reader=plain["reader"])


class Batch(NamedTuple):
    """What one step learns from: the model's inputs, the target, and which rows of the training part they are.

    `target` is as `Target` says, or float [m, classes] when classes were mixed (mix-up, CutMix).
    """

    inputs: tuple[Tensor, ...]
    target: Tensor
    rows: Tensor

    def __len__(self) -> int:  # type: ignore[override]  # the number of examples, not of fields
        return self.target.shape[0]


@dataclass(frozen=True)
class Part:
    """One split: input tensors with the example first, the target, and each example's place in the source."""

    inputs: tuple[Tensor, ...]
    target: Tensor
    rows: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, index: Tensor) -> Part:
        """The examples at these positions."""
        return Part(tuple(tensor[index] for tensor in self.inputs), self.target[index], self.rows[index])


@dataclass(frozen=True)
class Note:
    """Something worth telling about the data. A guess can be overridden; a trouble may spoil the result."""

    level: Literal["guess", "trouble"]
    text: str


@dataclass(frozen=True)
class Data:
    """What is learned from: a schema, three splits of tensors, and what was guessed or found on the way.

    `source` names where it came from ("titanic.csv"); `split` says in words how the three parts were made.
    """

    schema: Schema
    train: Part
    valid: Part
    test: Part
    source: str = "data"
    split: str = ""
    notes: tuple[Note, ...] = ()

    def part(self, name: PartName) -> Part:
        """A split by its name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}[name]


@dataclass(frozen=True)
class Wishes:
    """What a person may ask of reading; None means: guess, and say so.

    task     overrides the guess between classes and numbers.
    valid, test   shares of all rows; ignored (and said) where the source brings its own splits.
    split    auto: stratified for classes, random for numbers, by time where `time` is given, by group where `group` is.
    size     side in pixels that pictures are brought to.
    plain    for a foreign module: one float32 tensor, arrays untouched, a table one-hot coded, a target of numbers
             unscaled.
    """

    target: str | tuple[str, ...] | None = None
    task: Literal["classes", "numbers"] | None = None
    valid: float = 0.15
    test: float = 0.2
    split: Literal["auto", "random", "stratified", "group", "time"] = "auto"
    group: str | None = None
    time: str | None = None
    ignore: tuple[str, ...] = ()
    size: int | None = None
    seed: int = 0
    plain: bool = False


def _frozen(value: Any) -> Any:
    return tuple(_frozen(entry) for entry in value) if isinstance(value, list) else value
