"""Everything that a network computes, recorded as it runs: `record(module, x)` -> a frozen Graph."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.tracing.binding import (
    Guard,
    eager,
    input_names,
    loose_tensors,
    module_names,
    randomness,
    runnable,
    weights_of,
)
from deepglass.tracing.drafts import OwnerDraft
from deepglass.tracing.failing import failed_here
from deepglass.tracing.freezing import frozen
from deepglass.tracing.graph import Graph
from deepglass.tracing.keeping import Keeper
from deepglass.tracing.nesting import exchanged, tensors_in
from deepglass.tracing.tape import Tape
from deepglass.tracing.watching import Calls, Kernels, Modules, custom_functions

Level = Literal["author", "aten"]


def record(
    thing: Callable[..., Any],
    *inputs: Any,
    loss: Callable[[Any], Tensor] | None = None,
    budget: int = 1 << 30,
    level: Level = "author",
    options: dict[str, Any] | None = None,
    seed: int | None = None,
    **named: Any,
) -> Graph:
    """Run a module or function once, and keep every operation, value and gradient.

    thing     any torch module, or a function of tensors; it runs in the mode it is in
    inputs, named, options   what it is called with; `options` for names that `record` itself takes
    loss      outputs -> a scalar, which is differentiated; without one, an output that is a scalar or has a `.loss` is
    budget    bytes for values and gradients; beyond it the largest become samples, then figures
    level     "author": functions as they were called (linear, relu); "aten": PyTorch's kernels, nested in those
    seed      seeds the random generators while recording; they are put back in any case

    What is looked at stays as it was: weights, `.grad`, buffers, hooks, modes, random generators. If it raises half-way
    the graph ends there: `graph.failure` says where and why. Raises ModelError for what cannot be run at all.

    >>> graph = record(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.ones(2, 3), loss=lambda y: y.sum())
    >>> [operation.label for operation in graph.operations], graph.value("0.weight").gradient is not None
    (['linear_1', 'relu_1', 'sum_1'], True)
    """
    _check_options(budget, level)
    tape = Tape(Keeper(budget), kernels=level == "aten")
    return _recorded(tape, thing, inputs, named | (options or {}), loss, level, seed)


def _check_options(budget: Any, level: Any) -> None:
    if not isinstance(budget, int) or budget < 0:
        raise ModelError(f"budget={budget!r}: not a number of bytes.", next="give bytes: budget=1 << 30")
    if level not in ("author", "aten"):
        raise ModelError(f"level={level!r}: there are 'author' and 'aten'.", next="level='author'")


def _recorded(
    tape: Tape, thing: Any, inputs: Any, named: dict[str, Any], loss: Any, level: Level, seed: int | None
) -> Graph:
    """Run it, with all that it may change guarded."""
    root, notes = runnable(thing, inputs, named)
    for text in notes:
        tape.note(text)
    outputs: list[int] = []
    target: Tensor | None = None
    guard, wanted = Guard(root), loss is not None or torch.is_grad_enabled()
    with (
        guard.kept(),
        eager(),
        randomness(seed, (inputs, named)),
        torch.inference_mode(False),
        torch.set_grad_enabled(wanted),
    ):
        try:
            outputs, target = _run(tape, root, inputs, named, loss, level)
            if target is not None:
                _differentiate(tape, target)
        finally:
            tape.close()
    return frozen(tape, outputs, target, level)


def _run(
    tape: Tape, root: Any, inputs: Any, named: dict[str, Any], loss: Any, level: Level
) -> tuple[list[int], Tensor | None]:
    """The forward pass under watch. Gives the values returned, and what is to be differentiated."""
    inputs, named = plain_tensors((inputs, named))
    names = module_names(root)
    _enter_sources(tape, root, loss, inputs, named)
    title = type(root).__name__ if isinstance(root, nn.Module) else getattr(root, "__name__", type(root).__name__)
    training = bool(getattr(root, "training", False))
    tape.owners.append(OwnerDraft(0, "", title, None, 0, inputs=tape.seen((inputs, named)), training=training))
    calls = Calls(tape, kernels=level == "aten")
    watch = Modules(tape, root, names)
    kernels = Kernels(tape) if level == "aten" else contextlib.nullcontext()
    result: Any = None
    try:
        with watch.watched(), custom_functions(calls if level == "author" else None), kernels, calls:
            result = root(*inputs, **named)
        _returned(tape, result, root, inputs, named)
        with watch.watched(), custom_functions(calls if level == "author" else None), kernels, calls:
            target = loss(result) if loss is not None else None
    except Exception as error:
        failed_here(tape, error)
        return tape.seen(result), None
    outputs = tape.owners[0].outputs
    return outputs, _target(tape, result, target, loss is not None)


def plain_tensors(thing: Any) -> Any:
    """Tensors made in inference mode cannot be differentiated: a copy of them can."""
    return exchanged(thing, Tensor, lambda tensor: tensor.clone() if tensor.is_inference() else tensor)


def _enter_sources(tape: Tape, root: Any, loss: Any, inputs: Any, named: dict[str, Any]) -> None:
    """Inputs, weights and buffers, by name, before anything runs."""
    for name, tensor in input_names(root, inputs, named):
        if tape.known(tensor) is None:
            tape.adopt(tensor, "input", name)
    found: dict[int, tuple[Tensor, Any, list[str]]] = {}
    for part in (root, loss):
        for role, name, tensor in weights_of(part):
            found.setdefault(id(tensor), (tensor, role, []))[2].append(name)
    for tensor, role, names in found.values():
        if tape.known(tensor) is None:
            tape.expect(tensor, role, tuple(dict.fromkeys(names)))
    tape.foreign = loose_tensors(root) | loose_tensors(loss)


def _returned(tape: Tape, result: Any, root: Any, inputs: Any, named: dict[str, Any]) -> None:
    """The whole call has returned: what it gave are the outputs; what nobody saw being made is one operation."""
    tensors = tensors_in(result)
    if any(tape.known(tensor) is None and tensor.grad_fn is None for tensor in tensors):
        read: list[int] = []
        slotted = tape.slotted((inputs, named), read)
        tape.note(f"{tape.owners[0].type}: the inside could not be seen; it is one operation")
        tape.opaque(tape.owners[0].type, read, tensors, root, *slotted)
    tape.owners[0].outputs = [tape.value_of(tensor) for tensor in tensors]


def _target(tape: Tape, result: Any, target: Any, asked: bool) -> Tensor | None:
    """The scalar to differentiate: what `loss` gave, else a scalar output, else the output's own loss."""
    if not asked:
        own = getattr(result, "loss", None) if not isinstance(result, dict) else result.get("loss")
        return next((t for t in (result, own) if isinstance(t, Tensor) and t.dim() == 0 and t.requires_grad), None)
    if not isinstance(target, Tensor) or target.numel() != 1:
        shape = f"a tensor of shape {tuple(target.shape)}" if isinstance(target, Tensor) else type(target).__name__
        failed_here(
            tape, ModelError(f"the loss gave {shape}, not one number.", next="reduce it: loss=lambda y: f(y).mean()")
        )
        return None
    if not target.requires_grad:
        tape.note("the loss depends on no weight and on no input that requires a gradient: there are no gradients")
        return None
    return target


def _differentiate(tape: Tape, target: Tensor) -> None:
    """Gradients of every value, by hooks; of the leaves, from autograd itself. Nobody's `.grad` is touched."""
    wanted = {value: leaf for value, leaf in tape.leaves.items() if leaf.requires_grad}
    if not wanted:
        return
    leaves = list(wanted.values())
    try:
        try:
            gradients = torch.autograd.grad(target, leaves, allow_unused=True)
        except RuntimeError as error:
            if "use_reentrant" not in str(error):
                raise
            gradients = _by_backward(target, leaves)
    except Exception as error:
        failed_here(tape, error, "the backward pass")
        return
    for value, gradient in zip(wanted, gradients, strict=True):
        if gradient is not None:
            tape.keeper.keep(("gradient", value), gradient)


def _by_backward(target: Tensor, leaves: list[Tensor]) -> list[Tensor | None]:
    """Gradients through `.grad`, as activation checkpoints want it; what stood there is put back."""
    before = [leaf.grad for leaf in leaves]
    try:
        for leaf in leaves:
            leaf.grad = None
        target.backward()
        return [leaf.grad for leaf in leaves]
    finally:
        for leaf, gradient in zip(leaves, before, strict=True):
            leaf.grad = gradient
