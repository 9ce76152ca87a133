"""The contract of a family: build from a schema, run forward, say who learns what, and by which recipe.

The loop knows nothing of families beyond this file. A classifier is one `Turn`; a generator and its critic are two.
Source for the name: a turn is one player's move, as in the minimax game of Goodfellow et al. (2014).
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from deepglass.data.schema import Batch, Schema


class Criterion(Protocol):
    """What a family is lent to judge its outputs: the task's loss.

    `loss` is the mean over a batch; `measure` the sum of the weights that mean divides by (the number of examples
    where all weigh the same). So micro-batches of any sizes add up to the whole: sum of loss x measure / all measures.
    """

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor: ...
    def measure(self, target: Tensor) -> Tensor | float: ...


def count(target: Tensor) -> float:
    """The measure of a plain mean: the number of examples."""
    return float(target.shape[0])


@dataclass(frozen=True)
class Turn:
    """One player's move in a step: the weights that move, the loss they descend, and that loss's measure."""

    name: str
    player: nn.Module
    loss: Callable[[Batch], Tensor]
    measure: Callable[[Tensor], Tensor | float] = count


class Family(nn.Module, ABC):
    """A network that builds itself from a schema.

    Options are the keyword arguments of `from_schema`, with types and defaults: they are the recipe fields of the
    family, `--set widths=256,128` on the command line.
    """

    title: ClassVar[str]
    papers: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def from_schema(cls, schema: Schema) -> Family:
        """The network for this data. Raises ModelError where the family cannot take it."""

    @classmethod
    def recipe(cls, schema: Schema, examples: int) -> dict[str, Any]:
        """The recipe fields this family learns best with, by measurement, for data of this size."""
        return {}

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [m, target.outputs] in evaluation: logits, or standardised numbers."""

    def turns(self, criterion: Criterion) -> tuple[Turn, ...]:
        """Who plays in a step, in order. One player descending the task's loss, unless the family says otherwise."""
        return supervised(self, criterion)

    @classmethod
    def options(cls) -> dict[str, inspect.Parameter]:
        """The family's own knobs by name."""
        parameters = inspect.signature(cls.from_schema, eval_str=True).parameters
        return {name: entry for name, entry in parameters.items() if entry.kind is entry.KEYWORD_ONLY}


def supervised(model: nn.Module, criterion: Criterion) -> tuple[Turn, ...]:
    """One player, any module: outputs = model(inputs), descended on the criterion."""

    def loss(batch: Batch) -> Tensor:
        return criterion.loss(model(*batch.inputs), batch.target)

    return (Turn("model", model, loss, criterion.measure),)
