"""What is to be recorded, made ready: unwrapped, its tensors named, its state guarded."""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from deepglass.errors import ModelError
from deepglass.tracing.belongings import put_back
from deepglass.tracing.nesting import leaves, tensors_in

WRAPPERS = {
    "OptimizedModule": ("_orig_mod", "compiled; recorded as it was written, before compilation"),
    "DataParallel": ("module", "spread over devices by DataParallel; recorded on one"),
    "DistributedDataParallel": ("module", "spread over processes; recorded in this one"),
}
"""Modules that hold the one meant: the attribute it is in, and what is said of it."""


def runnable(thing: Any, inputs: Any, named: Any) -> tuple[Callable[..., Any], list[str]]:
    """The module or function to run, without its wrappers, and what was found. Raises ModelError."""
    notes = []
    while isinstance(thing, nn.Module) and type(thing).__name__ in WRAPPERS:
        attribute, text = WRAPPERS[type(thing).__name__]
        thing = getattr(thing, attribute)
        notes.append(f"{type(thing).__name__}: {text}")
    if not callable(thing):
        raise ModelError(
            f"{type(thing).__name__}: neither a module nor a function.", next="give a torch module and its inputs"
        )
    if isinstance(thing, nn.Module):
        _refuse_without_numbers(thing, (inputs, named))
    return thing, notes


def _refuse_without_numbers(module: nn.Module, given: Any) -> None:
    title = type(module).__name__
    lazy = [name for name, weight in module.named_parameters() if isinstance(weight, UninitializedParameter)]
    if lazy:
        raise ModelError(
            f"{title}: {lazy[0]} has no shape yet (a lazy layer).", next="run the module once on a batch, then look"
        )
    empty = [name for name, weight in module.named_parameters() if weight.is_meta]
    if empty and not all(tensor.is_meta for tensor in tensors_in(given)):
        raise ModelError(
            f"{title}: {empty[0]} and {len(empty) - 1} other weights are on the meta device: shapes without numbers.",
            next="load its weights, or give inputs on the meta device to see the shapes alone",
        )


def module_names(root: Any) -> dict[int, str]:
    """For each module its path; of a function, the paths of the modules that it reads, by its own names for them."""
    if isinstance(root, nn.Module):
        return {id(module): name for name, module in root.named_modules()}
    found: dict[int, str] = {}
    for name, value in _read_by(root).items():
        if isinstance(value, nn.Module):
            for path, module in value.named_modules():
                found.setdefault(id(module), f"{name}.{path}" if path else name)
    return found


def weights_of(root: Any) -> Iterator[tuple[str, str, Tensor]]:
    """Every parameter and buffer by every name: ("weight", "fc1.weight", tensor)."""
    held = {"": root} if isinstance(root, nn.Module) else _read_by(root)
    for name, value in held.items():
        if isinstance(value, nn.Module):
            before = f"{name}." if name else ""
            for path, tensor in value.named_parameters(remove_duplicate=False):
                yield "weight", before + path, tensor
            for path, tensor in value.named_buffers(remove_duplicate=False):
                yield "buffer", before + path, tensor
        elif isinstance(value, nn.Parameter):
            yield "weight", name, value


def loose_tensors(function: Any) -> dict[int, str]:
    """Tensors that a function reads from around it, by its names for them."""
    return {id(value): name for name, value in _read_by(function).items() if isinstance(value, Tensor)}


def _read_by(function: Any) -> dict[str, Any]:
    """The names that a function reads from around it. A method of a module reads that module."""
    if function is None or isinstance(function, nn.Module):
        return {}
    owner = getattr(function, "__self__", None)
    found = {"self": owner} if isinstance(owner, nn.Module) else {}
    try:
        around = inspect.getclosurevars(function)
    except (TypeError, ValueError):
        return found
    return found | dict(around.globals) | dict(around.nonlocals)


def input_names(root: Any, inputs: Any, named: Any) -> list[tuple[str, Tensor]]:
    """The input tensors, each called after its parameter in the signature."""
    try:
        bound = inspect.signature(root.forward if isinstance(root, nn.Module) else root).bind(*inputs, **named)
        given = {}
        for name, value in bound.arguments.items():
            kind = bound.signature.parameters[name].kind
            given |= value if kind is inspect.Parameter.VAR_KEYWORD else {name: value}
    except (TypeError, ValueError):
        given = {"input" if not place else f"input_{place + 1}": value for place, value in enumerate(inputs)} | named
    return list(leaves(given))


PLAIN = (bool, int, float, str)


class Guard:
    """Keeps what a module's forward may change: buffers, flags, `training` among them. Puts it back at the end."""

    def __init__(self, root: Any) -> None:
        modules = {id(m): m for value in ([root] if isinstance(root, nn.Module) else _read_by(root).values())
                   if isinstance(value, nn.Module) for m in value.modules()}.values()  # fmt: skip
        self._buffers = [
            (module, name, buffer, None if buffer is None else buffer.detach().clone())
            for module in modules
            for name, buffer in module._buffers.items()
        ]
        # What a forward may set for itself, to do something only once.
        self._plain = [
            (module, {name: value for name, value in vars(module).items() if value is None or type(value) in PLAIN})
            for module in modules
        ]
        weights = [weight for module in modules for weight in module._parameters.values() if weight is not None]
        self._wanted = [(weight, weight.requires_grad, weight.grad) for weight in weights]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._restore()

    def _restore(self) -> None:
        for module, name, buffer, copy in self._buffers:
            module._buffers[name] = buffer
            if buffer is not None and copy is not None and not _same(buffer, copy):
                put_back(buffer, copy)
        for module, plain in self._plain:
            vars(module).update(plain)
        for weight, wanted, gradient in self._wanted:
            if weight.requires_grad != wanted:
                weight.requires_grad_(wanted)
            if weight.grad is not gradient:
                weight.grad = gradient


def _same(left: Tensor, right: Tensor) -> bool:
    return left.is_meta or torch.equal(left, right)


@contextlib.contextmanager
def randomness(seed: int | None, given: Any) -> Iterator[None]:
    """The random generators, put back as they were: torch's on every device in use, Python's, numpy's."""
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if cuda else []
    metal = any(tensor.device.type == "mps" for tensor in tensors_in(given))
    numbers = getattr(sys.modules.get("numpy"), "random", None)
    before = random.getstate(), numbers.get_state() if numbers else None, torch.mps.get_rng_state() if metal else None
    with torch.random.fork_rng(devices, enabled=True):
        try:
            if seed is not None:
                torch.manual_seed(seed)
            yield
        finally:
            random.setstate(before[0])
            if numbers:
                numbers.set_state(before[1])
            if before[2] is not None:
                torch.mps.set_rng_state(before[2])


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Compiled functions run as they were written; where nothing was compiled, torch's compiler is not even loaded."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
        # Compiled parts warn of the hooks by which the record follows modules; both are gone in a moment.
        warnings.filterwarnings("ignore", "Using `torch.compile")
        yield
