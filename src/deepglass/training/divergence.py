"""Where a loss stopped being a number: the step, the rows of the batch, the first layer with NaN or infinity in it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deepglass.data.schema import Batch


def first_failure(model: nn.Module, batch: Batch, loss: Callable[[Batch], Tensor]) -> str:
    """Run the batch once more with an eye on every module, and name the first thing that is not finite.

    The search goes in the order in which things are used: the batch, the weights, the outputs layer by layer.
    """
    for number, tensor in enumerate(batch.inputs):
        if not _finite(tensor):
            return f"input {number} of the batch, which holds NaN or infinity before any layer has run"
    if not _finite(batch.target):
        return "the target of the batch, which holds NaN or infinity"
    spoiled = next((name for name, tensor in model.named_parameters() if not _finite(tensor)), None)
    if spoiled:
        return (
            f"layer {spoiled.rpartition('.')[0] or 'model'!r}, whose {spoiled.rpartition('.')[2]} is no longer finite"
        )
    found: list[str] = []
    hooks = [module.register_forward_hook(_watcher(name, found)) for name, module in model.named_modules()]
    try:
        value = loss(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if found:
        return f"layer {found[0] or 'model'!r}, the first whose output is not finite"
    return _backward_failure(model, value)


def _backward_failure(model: nn.Module, value: Tensor) -> str:
    """The chain rule runs from the loss down: the last layer whose gradient is not finite is where that began."""
    if not _finite(value):
        return "the loss itself"
    model.zero_grad()
    value.backward()
    bad = [name for name, weight in model.named_parameters() if weight.grad is not None and not _finite(weight.grad)]
    return f"the gradient of layer {bad[-1].rpartition('.')[0] or 'model'!r}" if bad else "the step before this one"


def _watcher(name: str, found: list[str]) -> Callable[[nn.Module, object, object], None]:
    def watch(module: nn.Module, given: object, output: object) -> None:
        tensors = output if isinstance(output, tuple | list) else (output,)
        if any(isinstance(entry, Tensor) and not _finite(entry) for entry in tensors):
            found.append(name)

    return watch


def _finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
