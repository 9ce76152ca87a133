"""The written record of one run: operations, values, owners. Frozen; asked by name, walked, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from deepglass.errors import ModelError, nearest
from deepglass.tracing.chain import Step, walked
from deepglass.tracing.operation import Operation, Owner, Value
from deepglass.tracing.replay import Check, replayed


@dataclass(frozen=True, repr=False)
class Graph:
    """What a module or function computed, in the order it ran.

    inputs, outputs   values given and returned;  loss   the value that was differentiated, if any
    weights           parameters' values, a tied one once;  unused   parameters' names that no operation read
    failure           the message, where the run ended half-way; `failed` is then the operation that raised
    wrong_shapes      whether shapes, sizes or types that do not fit ended it: `failure` then says layer, wanted, given
    budget, kept_bytes   bytes of memory allowed for values and gradients, and taken
    notes             what could not be seen, in words: a scripted module that is one opaque operation
    """

    title: str
    operations: tuple[Operation, ...]
    values: tuple[Value, ...]
    owners: tuple[Owner, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    loss: int | None = None
    weights: tuple[int, ...] = ()
    unused: tuple[str, ...] = ()
    failure: str = ""
    failed: int | None = None
    wrong_shapes: bool = False
    budget: int = 0
    kept_bytes: int = 0
    level: str = "author"
    notes: tuple[str, ...] = ()

    @cached_property
    def users(self) -> dict[int, tuple[int, ...]]:
        """For each value, the operations that read it."""
        found: dict[int, list[int]] = {value.id: [] for value in self.values}
        for operation in self.operations:
            for value in dict.fromkeys(operation.inputs):
                found[value].append(operation.id)
        return {value: tuple(operations) for value, operations in found.items()}

    @property
    def parameters(self) -> int:
        """How many numbers the weights hold, tied ones once, unused ones not."""
        sizes = (self.values[weight].shape for weight in self.weights)
        total = 0
        for shape in sizes:
            count = 1
            for side in shape:
                count *= side
            total += count
        return total

    def value(self, name: str) -> Value:
        """The value of this name (or the output of the operation or module so called). Raises ModelError for none."""
        by_name = self._by_name
        if name not in by_name:
            raise ModelError(f"{self.title}: nothing here is called {name!r}.", next=f"try {nearest(name, by_name)}")
        return self.values[by_name[name]]

    def check(self) -> Check:
        """Run every operation again from what was recorded, and compare (F3). Whatever is random draws the same."""
        return replayed(self.operations, self.values, self.failed)

    def steps(self) -> Iterator[Step]:
        """Walk forward and then backward, an operation at a time, with every derivative (F4).

        >>> import torch
        >>> from deepglass.tracing.record import record
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> for step in record(lambda x: x * x, x).steps(): print(step.say())
        mul_1 = mul(x, x). z = x · y, entry by entry: 9.
        Back through mul_1, with g = dL/d[mul_1] = 1. dL/d[x] = g · y = 6 (x is x).
        """
        return walked(self.operations, self.values, self.loss, self.failed)

    def calls(self, path: str) -> tuple[Owner, ...]:
        """Every call of a module, in order: a loop of a recurrent net, a module that is shared."""
        return tuple(owner for owner in self.owners if owner.path == path)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __str__(self) -> str:
        ended = f"; failed: {self.failure}" if self.failure else ""
        return f"{self.title}: {len(self.operations):,} operations, {self.parameters:,} parameters{ended}"

    @cached_property
    def _by_name(self) -> dict[str, int]:
        found = {owner.path: owner.outputs[0] for owner in reversed(self.owners) if owner.path and owner.outputs}
        found |= {operation.label: operation.outputs[0] for operation in self.operations if operation.outputs}
        found |= {name: value.id for value in self.values for name in (value.name, *value.names)}
        return found
