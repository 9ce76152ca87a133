"""The chain rule along a record, one operation at a time: forward, then backward (F4).

    dL/dx = Σ over the operations that read x:  dL/dz · ∂z/∂x

Every product is computed anew from what was recorded, by the operation's own vector-Jacobian product (Griewank &
Walther 2008, chapter 3), summed where paths meet, and held against the gradient that autograd gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor

from deepglass.tracing.formulas import ELEMENTWISE, FORMULAS
from deepglass.tracing.operation import Kept, Operation, Value
from deepglass.tracing.pullback import Pullback, folded
from deepglass.tracing.replay import apart

JACOBIAN = 4096


@dataclass(frozen=True)
class Path:
    """One way back through an operation: from its outputs to one of its inputs.

    symbol, rule    the input in the formula, and how the gradient goes back to it: ("W", "gᵀ·x")
    contribution    what arrives by this way, in the shape of the input; None where nothing can
    arrived, ways   this is the second of three; `total`  the sum so far
    difference      once the last has arrived: the largest difference from the recorded gradient; None before
    """

    value: Value
    symbol: str
    rule: str
    contribution: Tensor | None = field(repr=False, compare=False)
    total: Tensor | None = field(repr=False, compare=False)
    arrived: int
    ways: int
    difference: float | None
    elementwise: bool = False
    derive: Callable[[], Tensor | None] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def local(self) -> Tensor | None:
        """∂z/∂x: like z for an elementwise operation; else the Jacobian [*z, *x] up to 4,096 entries, or None."""
        return self.derive() if self.derive is not None else None


@dataclass(frozen=True)
class Step:
    """One operation, forward or backward. `upstream` is dL/dz, one for each output; None where none reached it."""

    phase: Literal["forward", "backward"]
    operation: Operation
    formula: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    upstream: tuple[Tensor | None, ...] = field(default=(), repr=False, compare=False)
    paths: tuple[Path, ...] = ()

    def say(self) -> str:
        """The step as one reads it aloud."""
        names = ", ".join(value.name for value in self.inputs) or "nothing"
        out = ", ".join(value.name for value in self.outputs)
        if self.phase == "forward":
            kept = self.outputs[0].kept if self.outputs else None
            return f"{out} = {self.operation.name}({names}). {self.formula}{_span(kept)}."
        above = " and ".join(f"dL/d[{value.name}]" for value in self.outputs)
        told = [f"Back through {self.operation.label}, with g = {above}{_figure(self.upstream)}."]
        told += [_told(path) for path in self.paths]
        return " ".join(told)


def walked(
    operations: Sequence[Operation], values: Sequence[Value], loss: int | None, failed: int | None
) -> Iterator[Step]:
    """Every operation forward; then, from the loss, every operation a gradient reached, backward."""
    for operation in operations:
        if operation.id != failed:
            yield Step("forward", operation, _formula(operation), *_ends(operation, values))
    if loss is None:
        return
    reached = _reached(operations, values, loss)
    ways: dict[int, int] = {}
    for operation in operations:
        for value in dict.fromkeys(operation.inputs) if operation.id in reached else ():
            ways[value] = ways.get(value, 0) + int(values[value].tracked)
        if operation.id in reached and -1 in operation.returned:
            whole, views = folded(operation, values, _recorded(operation, values))
            base = operation.outputs[whole]
            ways[base] = ways.get(base, 0) + len(views)
    book = _Book(values, loss, ways)
    for operation in reversed(operations):
        if operation.id in reached:
            yield book.back(operation)


class _Book:
    """The gradients summed so far."""

    def __init__(self, values: Sequence[Value], loss: int, ways: dict[int, int]) -> None:
        self.values, self.loss, self.ways = values, loss, ways
        self.totals: dict[int, Tensor] = {}
        self.arrived: dict[int, int] = {}

    def back(self, operation: Operation) -> Step:
        upstream = tuple(self._gradient(value) for value in operation.outputs)
        whole, views = folded(operation, self.values, _recorded(operation, self.values))
        seen = tuple(self._viewed(operation.outputs[whole], gradient) for _, gradient in views)
        if whole >= 0:
            # The base's gradient holds its views' already.
            base = self._gradient(operation.outputs[whole])
            upstream = tuple(base if place == whole else None for place in range(len(upstream)))
        pull = Pullback(operation, self.values, upstream)
        contributions = pull.contributions()
        chosen = [value for value in dict.fromkeys(operation.inputs) if self.values[value].tracked]
        chosen += [value for value in contributions if value not in chosen]
        paths = tuple(self._path(operation, value, contributions.get(value), pull) for value in chosen)
        return Step(
            "backward", operation, _formula(operation), *_ends(operation, self.values), upstream, (*seen, *paths)
        )

    def _viewed(self, value: int, gradient: Tensor) -> Path:
        """What comes to a value through another that looks at its memory."""
        difference = self._arrive(value, gradient)
        rule = "g of what looks at the same memory"
        return Path(self.values[value], "x", rule, gradient, self.totals.get(value), self.arrived[value],
                    self.ways.get(value, 1), difference)  # fmt: skip

    def _arrive(self, value: int, contribution: Tensor | None) -> float | None:
        """Add to the sum. Once it is whole: the largest difference from the recorded gradient."""
        if contribution is not None:
            before = self.totals.get(value)
            self.totals[value] = contribution if before is None else before + contribution
        self.arrived[value] = self.arrived.get(value, 0) + 1
        total, kept = self.totals.get(value), self.values[value].gradient
        if self.arrived[value] < self.ways.get(value, 1) or total is None or kept is None or kept.form != "whole":
            return None
        return None if kept.tensor is None else apart(kept.tensor, total)

    def _gradient(self, value: int) -> Tensor | None:
        """What autograd recorded; where it kept no count (a view written over), what has been summed."""
        kept = self.values[value].gradient
        if kept is not None and kept.form == "whole":
            return kept.tensor
        return self.totals.get(value)

    def _path(self, operation: Operation, value: int, contribution: Tensor | None, pull: Pullback) -> Path:
        formula = FORMULAS.get(operation.name)
        place = operation.inputs.index(value) if value in operation.inputs else 0
        symbol = formula.symbols[min(place, len(formula.symbols) - 1)] if formula else "x"
        rule = formula.way_back(place) if formula else "g · ∂z/∂x, computed"
        custom = dict(operation.state).get("custom")
        if contribution is None and (custom or operation.kind == "opaque"):
            contribution = self._gradient(value)
            rule = f"what the hand-written backward pass of {custom} gives" if custom else "what autograd gives"
        difference = self._arrive(value, contribution)
        elementwise = operation.name in ELEMENTWISE
        return Path(
            self.values[value], symbol, rule, contribution, self.totals.get(value), self.arrived[value],
            self.ways.get(value, 1), difference, elementwise, partial(pull.local, value, elementwise, JACOBIAN),
        )  # fmt: skip


def _recorded(operation: Operation, values: Sequence[Value]) -> list[Tensor | None]:
    """The gradients of an operation's outputs, those kept whole."""
    kept = [values[value].gradient for value in operation.outputs]
    return [found.tensor if found is not None and found.form == "whole" else None for found in kept]


def _reached(operations: Sequence[Operation], values: Sequence[Value], loss: int) -> set[int]:
    """The operations on a way from something tracked to the loss."""
    wanted, found = {loss}, set()
    for operation in reversed(operations):
        if any(value in wanted and values[value].tracked for value in operation.outputs):
            found.add(operation.id)
            wanted.update(operation.inputs)
            wanted.update(alias for alias in (values[v].alias_of for v in operation.outputs) if alias is not None)
    return found


def _ends(operation: Operation, values: Sequence[Value]) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    return tuple(values[value] for value in operation.inputs), tuple(values[value] for value in operation.outputs)


def _formula(operation: Operation) -> str:
    found = FORMULAS.get(operation.name)
    return found.forward if found else f"z = {operation.name}(x)"


def _span(kept: Kept | None) -> str:
    if kept is None:
        return ""
    figures = kept.summary
    if figures.least == figures.largest:
        return f": {figures.least:.4g}"
    return f": from {figures.least:.4g} to {figures.largest:.4g}, on average {figures.mean:.4g}"


def _figure(tensors: Sequence[Tensor | None]) -> str:
    """A single number is said; of many, their size."""
    given = [tensor for tensor in tensors if tensor is not None]
    if len(given) == 1 and given[0].numel() == 1:
        return f" = {float(given[0]):.4g}"
    return f" of norm {float(torch.stack([t.float().norm() for t in given]).norm()):.4g}" if given else ""


def _told(path: Path) -> str:
    name = f"dL/d[{path.value.name}]"
    if path.contribution is None:
        return f"Nothing goes back to {path.value.name}."
    text = f"{name} = {path.rule}{_figure([path.contribution])}" if path.ways == 1 else (
        f"To {name} comes {path.rule}{_figure([path.contribution])}, {path.arrived} of {path.ways} paths")  # fmt: skip
    if path.ways > 1 and path.arrived == path.ways:
        text += f"; together{_figure([path.total])}"
    if path.difference:
        text += f" (autograd's differs by {path.difference:.2g})"
    return f"{text} ({path.symbol} is {path.value.name})."
