"""Tensors inside tuples, lists, dicts, slices and dataclasses: found, and exchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def leaves(thing: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a nested thing, with the way to it.

    >>> import torch
    >>> [path for path, _ in leaves({"x": torch.ones(1), "more": [torch.ones(1), 2]}, "batch")]
    ['batch.x', 'batch.more[0]']
    """
    if isinstance(thing, Tensor):
        yield path, thing
    elif isinstance(thing, Mapping):
        for key, part in thing.items():
            yield from leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(thing, (tuple, list)):
        for place, part in enumerate(thing):
            yield from leaves(part, f"{path}[{place}]")
    elif isinstance(thing, slice):
        for part in (thing.start, thing.stop, thing.step):
            yield from leaves(part, path)
    elif is_dataclass(thing) and not isinstance(thing, type):
        for entry in fields(thing):
            yield from leaves(getattr(thing, entry.name, None), f"{path}.{entry.name}" if path else entry.name)


def tensors_in(thing: Any) -> list[Tensor]:
    """The tensors of a nested thing, in order."""
    if isinstance(thing, Tensor):
        return [thing]
    if thing is None or isinstance(thing, (int, float, str)):
        return []
    return [tensor for _, tensor in leaves(thing)]


def exchanged(thing: Any, kind: type | tuple[type, ...], new: Callable[[Any], Any]) -> Any:
    """The same nested thing, with `new(part)` in the place of each part of that kind."""
    if isinstance(thing, kind):
        return new(thing)
    if isinstance(thing, tuple):
        parts = [exchanged(part, kind, new) for part in thing]
        return type(thing)(*parts) if hasattr(thing, "_fields") else tuple(parts)
    if isinstance(thing, list):
        return [exchanged(part, kind, new) for part in thing]
    if type(thing) is dict:
        return {key: exchanged(part, kind, new) for key, part in thing.items()}
    if isinstance(thing, slice):
        return slice(*(exchanged(part, kind, new) for part in (thing.start, thing.stop, thing.step)))
    return thing
