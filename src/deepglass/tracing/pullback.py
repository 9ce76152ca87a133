"""One operation's vector-Jacobian product: from the gradients of its outputs to those of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from deepglass.tracing.nesting import exchanged, tensors_in
from deepglass.tracing.operation import Operation, Slot, Value
from deepglass.tracing.replay import surrounded

Region = tuple[tuple[int, ...], tuple[int, ...], int]


class Pullback:
    """The operation run again on leaves of its own, so that autograd sees it alone.

    An operation in place is run on copies. Where it wrote to memory that other values look at too, they lie in one
    buffer again as they did, and their gradients are shared out as autograd does: the widest view answers for all.
    """

    def __init__(self, operation: Operation, values: Sequence[Value], upstream: Sequence[Tensor | None]) -> None:
        self.operation, self.values, self.upstream = operation, values, upstream

    def contributions(self) -> dict[int, Tensor]:
        """For each input that a gradient goes back to: that gradient."""
        wanted = [place for place, gradient in enumerate(self.upstream) if gradient is not None]
        leaves = self._leaves()
        if not wanted or leaves is None or self.operation.call is None:
            return {}
        outputs = self._outputs(leaves)
        pairs = [(outputs[place], self.upstream[place]) for place in wanted if outputs[place] is not None]
        pairs = [(output, gradient) for output, gradient in pairs if output.requires_grad]
        free = {value: leaf for value, leaf in leaves.items() if leaf.requires_grad}
        if not pairs or not free:
            return {}
        found = torch.autograd.grad(
            [output for output, _ in pairs], list(free.values()), [gradient for _, gradient in pairs], allow_unused=True
        )
        return {value: gradient for value, gradient in zip(free, found, strict=True) if gradient is not None}

    def local(self, value: int, elementwise: bool, most: int) -> Tensor | None:
        """∂z/∂x: like z for an elementwise operation, else [*z, *x] where that is at most so many numbers."""
        leaves = self._leaves()
        if leaves is None or value not in leaves or not leaves[value].requires_grad or self.operation.call is None:
            return None
        size = self.values[self.operation.outputs[0]].shape
        if elementwise and not self.operation.in_place:
            # Broadcast beforehand, so that no entry of the derivative is summed with another.
            leaves = {
                key: leaf.detach().expand(size).clone().requires_grad_(leaf.requires_grad)
                if leaf.dim() and leaf.shape != size and key == value else leaf for key, leaf in leaves.items()
            }  # fmt: skip
            output = self._outputs(leaves)[0]
            if leaves[value].shape != output.shape:
                elementwise = False
            else:
                return torch.autograd.grad(output.sum(), leaves[value], allow_unused=True)[0]
        if leaves[value].numel() * torch.Size(size).numel() > most:
            return None
        output = self._outputs(leaves)[0]
        rows = [
            torch.autograd.grad(entry, leaves[value], retain_graph=True, allow_unused=True, materialize_grads=True)[0]
            for entry in output.reshape(-1).unbind()
        ]
        return torch.stack(rows).reshape(*size, *leaves[value].shape) if rows else None

    def _leaves(self) -> dict[int, Tensor] | None:
        """A leaf for each value that is read; None where one was not kept whole."""
        operation = self.operation
        again = [
            self.values[v].alias_of for v, place in zip(operation.outputs, operation.returned, strict=True) if place < 0
        ]
        found = {}
        for value in dict.fromkeys((*operation.inputs, *(old for old in again if old is not None))):
            kept = self.values[value].kept
            if kept is None or kept.form != "whole" or kept.tensor is None:
                return None
            leaf = kept.tensor.detach()
            tracked = self.values[value].tracked
            leaf = leaf.clone() if not tracked else leaf
            found[value] = leaf.requires_grad_() if tracked else leaf
        return found

    def _outputs(self, leaves: dict[int, Tensor]) -> list[Any]:
        operation = self.operation
        given = dict(leaves)
        with surrounded(operation), torch.enable_grad():
            views = self._laid_out(leaves)
            for place in operation.written:
                value = operation.inputs[place]
                given[value] = views[value] if value in views else leaves[value].clone()

            def tensor(slot: Slot) -> Tensor:
                return given[slot.value]

            args = exchanged(operation.args, Slot, tensor)
            kwargs = {name: exchanged(value, Slot, tensor) for name, value in operation.kwargs}
            call: Any = operation.call
            with torch.set_grad_enabled(dict(operation.state).get("grad", True)):
                results = tensors_in(call(*args, **kwargs))
        if operation.in_place and not results:
            results = [given[operation.inputs[place]] for place in operation.written]
        return [
            results[place] if place >= 0 else views.get(self.values[value].alias_of or 0)
            for value, place in zip(operation.outputs, operation.returned, strict=True)
        ]

    def _laid_out(self, leaves: dict[int, Tensor]) -> dict[int, Tensor]:
        """The written value and those that share its memory, as views of one buffer."""
        regions = {
            value: region for value, region in regions_of(self.operation, self.values).items() if value in leaves
        }
        if len(regions) < 2:
            return {}
        low, high = _extent(regions.values())
        sample = next(leaves[value] for value in regions)
        buffer = torch.zeros(high - low + 1, dtype=sample.dtype, device=sample.device)
        for value in sorted(regions, key=lambda value: leaves[value].numel()):
            size, stride, offset = regions[value]
            buffer.as_strided(size, stride, offset - low).copy_(leaves[value])
        return {value: buffer.as_strided(r[0], r[1], r[2] - low) for value, r in regions.items()}


def regions_of(operation: Operation, values: Sequence[Value]) -> dict[int, Region]:
    """Where in their common memory lie the value that was written, and the others that were seen anew, as before it."""
    regions: dict[int, Region] = {}
    for name, found in operation.state:
        if name == "written":
            regions[operation.inputs[found[0]]] = found[1]
        elif name == "region":
            old = values[operation.outputs[found[0]]].alias_of
            if old is not None:
                regions[old] = found[1]
    return regions


def folded(
    operation: Operation, values: Sequence[Value], upstream: Sequence[Tensor | None]
) -> tuple[int, list[tuple[int, Tensor]]]:
    """After a write in place, the views are views of the one output that holds all the memory: autograd's base.

    Gives that output's place (-1 for none), and for each other output that has a gradient, the same in its shape.
    """
    regions = regions_of(operation, values)
    placed = [(place, regions.get(values[value].alias_of or -1)) for place, value in enumerate(operation.outputs)]
    if len(regions) < 2 or any(region is None for _, region in placed):
        return -1, []
    low, high = _extent(region for _, region in placed if region)
    whole = [place for place, region in placed if region and torch.Size(region[0]).numel() == high - low + 1]
    if not whole:
        return -1, []
    base, found = placed[whole[0]][1], []
    for place, region in placed:
        gradient = upstream[place]
        if place != whole[0] and gradient is not None and base and region:
            buffer = torch.zeros(high - low + 1, dtype=gradient.dtype, device=gradient.device)
            buffer.as_strided(region[0], region[1], region[2] - low).add_(gradient)
            found.append((place, buffer.as_strided(base[0], base[1], base[2] - low)))
    return whole[0], found


def _extent(regions: Iterable[Region]) -> tuple[int, int]:
    """The first and last entry of a memory that regions reach."""
    found = [(o, o + sum((n - 1) * step for n, step in zip(size, stride, strict=True))) for size, stride, o in regions]
    return min(low for low, _ in found), max(high for _, high in found)
