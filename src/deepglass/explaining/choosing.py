"""Places of a network by what a person calls them: a path, a pattern, a class, a kind, a label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import get_args

from deepglass.errors import ModelError, nearest
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kind, Operation, Owner


@dataclass(frozen=True)
class Place:
    """A value with the name it goes by, and what made it.

    channel   the axis of its units: 1 where it holds maps, else the last
    order     when it came to be: the last operation that had run by then
    """

    name: str
    type: str
    kind: str
    value: int
    channel: int
    order: int


def places(graph: Graph, at: Iterable[str] | None) -> tuple[Place, ...]:
    """The places asked for, in the order they ran, each once; every layer for None.

    A layer is a module without modules beneath it; where nothing is a module, every operation is one.
    Raises ModelError for a name that is nowhere, and offers the nearest.
    """
    if at is None:
        return _ordered(_layers(graph) or [_of_operation(graph, operation) for operation in _made(graph)])
    found: list[Place] = []
    for name in at:
        found.extend(_named(graph, name))
    return _ordered(found)


def _named(graph: Graph, name: str) -> list[Place]:
    owners = [owner for owner in graph.owners if owner.outputs]
    hits = [_of_owner(graph, owner) for owner in owners if name in (owner.path, owner.type) and (name or not owner.id)]
    if any(character in name for character in "*?["):
        hits += [_of_owner(graph, owner) for owner in owners if owner.path and fnmatchcase(owner.path, name)]
        hits += [_of_operation(graph, made) for made in _made(graph) if fnmatchcase(made.label, name)]
    if not hits and name in get_args(Kind):
        hits = [_of_operation(graph, made) for made in _made(graph) if made.kind == name]
    if not hits:
        hits = [_of_operation(graph, made) for made in _made(graph) if name in (made.label, made.name)]
    if not hits:
        hits = [Place(name, v.role, "", v.id, -1, v.maker or 0) for v in graph.values if name in (v.name, *v.names)]
    if not hits:
        raise ModelError(f"{graph.title}: nothing here is called {name!r}.", next=f"try {_nearby(graph, name)}")
    return hits


def _nearby(graph: Graph, name: str) -> str:
    """The nearest of all names that would have been understood."""
    known = [owner.path for owner in graph.owners if owner.path]
    known += [owner.type for owner in graph.owners] + [operation.label for operation in graph.operations]
    known += sorted({operation.kind for operation in graph.operations})
    return nearest(name, dict.fromkeys(known))


def _layers(graph: Graph) -> list[Place]:
    return [_of_owner(graph, owner) for owner in graph.owners if owner.path and owner.outputs and not owner.children]


def _made(graph: Graph) -> list[Operation]:
    return [operation for operation in graph.operations if operation.outputs and not operation.failure]


def _of_owner(graph: Graph, owner: Owner) -> Place:
    inside = [graph.operations[place] for place in owner.operations]
    chief = max(inside, key=lambda operation: operation.cost.multiply_adds, default=None)
    value = owner.outputs[0]
    flat = _kind(chief) != "activation" or len(graph.values[value].shape) != 4
    maps = owner.type.endswith(("1d", "2d", "3d")) or not flat
    name = owner.path + (f" ({owner.call})" if owner.call > 1 else "")
    order = max((operation.id for operation in inside), default=graph.values[value].maker or 0)
    return Place(name or owner.type, owner.type, _kind(chief), value, 1 if maps else -1, order)


def _of_operation(graph: Graph, operation: Operation) -> Place:
    value = operation.outputs[0]
    maps = operation.kind in ("convolution", "pooling") or (
        operation.kind == "activation" and len(graph.values[value].shape) == 4
    )
    return Place(operation.label, operation.name, operation.kind, value, 1 if maps else -1, operation.id)


def _kind(operation: Operation | None) -> str:
    return operation.kind if operation else ""


def _ordered(found: Iterable[Place]) -> tuple[Place, ...]:
    once = {place.name: place for place in found}
    return tuple(sorted(once.values(), key=lambda place: place.order))
