"""The arguments of a call by name: from a Python function's signature, else from PyTorch's schemas."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import Any

import torch

from deepglass.tracing.operation import Slot


def settings_of(call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The arguments that are no tensors, by name where known; those left at None are not said.

    >>> settings_of(torch.conv2d, (Slot(0), Slot(1), None, (2, 2)), {})
    (('stride', (2, 2)),)
    """
    shape = tuple("slot" if _tensors(value) else type(value).__name__ for value in args)
    names = _names(call, shape, tuple(kwargs)) if call is not None else ()
    found = []
    for place, value in enumerate(args):
        if value is not None and not _tensors(value):
            found.append((names[place] if place < len(names) else f"argument {place + 1}", value))
    return (*found, *((name, value) for name, value in kwargs.items() if value is not None and not _tensors(value)))


def _tensors(value: Any) -> bool:
    """Whether an argument is a tensor, or holds tensors only."""
    if isinstance(value, Slot):
        return True
    return (
        isinstance(value, (tuple, list)) and bool(value) and all(_tensors(part) for part in value if part is not None)
    )


@lru_cache(maxsize=4096)
def _names(call: Any, shape: tuple[str, ...], named: tuple[str, ...]) -> tuple[str, ...]:
    if inspect.isfunction(call) or isinstance(call, torch.nn.Module):
        try:
            entries = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            return ()
        # The pooling functions choose between two others, and name nothing: their schema does.
        if not any(entry.kind is entry.VAR_POSITIONAL for entry in entries):
            return tuple(entry.name for entry in entries)
    if isinstance(call, torch._ops.OpOverload):
        return tuple(entry.name for entry in call._schema.arguments)
    name = str(getattr(call, "__name__", ""))
    plain = name.strip("_") if name.startswith("__") else name
    # Those that know all the names come first; Python's own functions may take a name more than the schema has.
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{plain}")
    for schema in sorted(schemas, key=lambda one: len(set(named) - {entry.name for entry in one.arguments})):
        arguments = schema.arguments
        positional = [entry for entry in arguments if not entry.kwarg_only]
        if len(shape) > len(positional):
            continue
        if all(_fits(kind, entry) for kind, entry in zip(shape, positional, strict=False)):
            return tuple(entry.name for entry in positional)
    return ()


def _fits(kind: str, entry: Any) -> bool:
    """Whether an argument of this kind may stand at this place of a schema."""
    wanted = str(entry.type).replace("Optional[", "").rstrip("]")
    if kind == "slot":
        return "Tensor" in wanted
    if kind == "NoneType":
        return "Optional" in str(entry.type) or "NoneType" in str(entry.type)
    if kind in ("int", "bool", "float"):
        return wanted in ("int", "bool", "float", "number", "Scalar") or "List[int" in wanted
    if kind in ("tuple", "list", "Size"):
        return wanted.startswith("List")
    return "Tensor" not in wanted
