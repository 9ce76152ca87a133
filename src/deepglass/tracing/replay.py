"""A record run again: every operation from what was recorded, its results compared with those that were kept (F3)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepglass.tracing.nesting import exchanged, tensors_in
from deepglass.tracing.operation import Kept, Operation, Slot, Value

BLANK = frozenset(("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "empty_permuted"))
"""What these return is whatever lay in memory before: it is taken over, not compared."""

WRITERS = ("batch_norm", "instance_norm", "embedding")


@dataclass(frozen=True)
class Check:
    """Whether a record, run again, gives what it says.

    agrees   every compared value equal to the last bit, and none that could not be compared at all
    largest_difference   of an entry;  where   the first value that differs, or what could not be run
    compared, taken   values compared; values taken over from the record because they could not be computed
    """

    agrees: bool
    largest_difference: float = 0.0
    where: str = ""
    compared: int = 0
    taken: int = 0


def replayed(operations: Sequence[Operation], values: Sequence[Value], failed: int | None = None) -> Check:
    """Run the operations in their order, each on what the ones before gave, and compare.

    What was not kept whole and has no maker cannot be started from: what hangs on it is left out and counted.
    """
    held: dict[int, Tensor] = {}
    last = {value: operation.id for operation in operations for value in _touched(operation, values)}
    overwritten = any(operation.in_place or operation.name in WRITERS for operation in operations)
    largest, where, compared, taken = 0.0, "", 0, 0
    for operation in operations:
        if operation.id == failed:
            continue
        _begin(operation, values, held, copy=overwritten)
        results = run_again(operation, held, values)
        taken += len(operation.outputs) if results is None else 0
        for place, (value, result) in enumerate(zip(operation.outputs, results or (), strict=False)):
            held[value] = result
            scratch = values[value].maker == operation.id and place in SCRATCH.get(operation.name, ())
            difference = None if scratch else _difference(values[value].kept, result)
            compared += difference is not None
            if difference:
                where = where or values[value].name
                largest = max(largest, difference)
        for value in _touched(operation, values):
            if last[value] == operation.id:
                held.pop(value, None)
    return Check(not where, largest, where, compared, taken)


def _touched(operation: Operation, values: Sequence[Value]) -> list[int]:
    """What an operation reads and makes, and the views of its memory that are seen anew after it."""
    again = [
        values[value].alias_of for value, place in zip(operation.outputs, operation.returned, strict=True) if place < 0
    ]
    return [*operation.inputs, *operation.outputs, *(value for value in again if value is not None)]


def _begin(operation: Operation, values: Sequence[Value], held: dict[int, Tensor], *, copy: bool) -> None:
    """Take from the record what no operation computed."""
    for value in operation.inputs:
        kept = values[value].kept
        if value not in held and kept is not None and kept.form == "whole" and kept.tensor is not None:
            held[value] = kept.tensor.clone() if copy else kept.tensor


def run_again(operation: Operation, held: dict[int, Tensor], values: Sequence[Value]) -> list[Tensor] | None:
    """The outputs of an operation on the values held; None where it cannot be run."""
    if operation.call is None or any(value not in held for value in operation.inputs):
        return None
    if operation.name in BLANK:
        blanks = [values[value].kept for value in operation.outputs]
        found = [
            kept.tensor.clone()
            for kept in blanks
            if kept is not None and kept.form == "whole" and kept.tensor is not None
        ]
        return found if len(found) == len(blanks) else None
    written = {operation.inputs[place] for place in operation.written}
    # One tensor for one value, however often it is given: attention asks whether query and key are the same object.
    tensors = {value: held[value].detach() for value in operation.inputs}
    for value, tensor in tensors.items():
        if values[value].tracked and value not in written:
            tensor.requires_grad_()

    def given(slot: Slot) -> Tensor:
        return tensors[slot.value]

    args = exchanged(operation.args, Slot, given)
    kwargs = {name: exchanged(value, Slot, given) for name, value in operation.kwargs}
    with surrounded(operation, grad=not written):
        result = operation.call(*args, **kwargs)
    results = tensors_in(result)
    if operation.in_place and not results:
        results = [held[operation.inputs[place]] for place in operation.written]
    found = []
    for value, place in zip(operation.outputs, operation.returned, strict=True):
        alias = values[value].alias_of
        if place < 0 and (alias is None or alias not in held):
            return None
        found.append((results[place] if place >= 0 else held[alias or 0]).detach())
    return found


@contextlib.contextmanager
def surrounded(operation: Operation, *, grad: bool = True) -> Iterator[None]:
    """The surroundings that an operation ran in: autocast, grad mode, the state of the random generator."""
    state: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        for name, value in operation.state:
            if name == "autocast":
                stack.enter_context(torch.autocast(value[0], value[1]))
            state[name] = value
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(grad and state.get("grad", True)))
        if "generator" in state:
            device = state["device"]
            stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
            _set_generator(device, state["generator"])
        yield


def _set_generator(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.set_rng_state(state)


SCRATCH = {"mkldnn_rnn_layer": (3,)}
"""Results that are a kernel's own notes for its backward pass, with bytes in them that nobody wrote."""


def _difference(kept: Kept | None, result: Tensor) -> float | None:
    """The largest difference between a result and what was kept of it; None where nothing was kept to compare with."""
    if kept is None or kept.tensor is None:
        return None
    if kept.places is not None:
        result = result[torch.unravel_index(kept.places, result.shape)]
    return apart(kept.tensor, result)


def apart(left: Tensor, right: Tensor) -> float:
    """The largest difference of two tensors: 0 only if they are equal; NaN equals NaN."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return float("inf")
    if left.layout != torch.strided:
        left, right = left.to_dense(), right.to_dense()
    same = (left == right) | ((left != left) & (right != right))
    if bool(same.all()):
        return 0.0
    wide = torch.complex128 if left.is_complex() else torch.float64
    found = (left[~same].cpu().to(wide) - right[~same].cpu().to(wide)).abs().nan_to_num(float("inf"))
    return float(found.max())
