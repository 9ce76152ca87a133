"""One module's call cut out of a record, as a record of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepglass.errors import ModelError, nearest
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Owner, Slot


def zoomed(graph: Graph, path: str) -> Graph:
    """The first call of the module at a path: what ran in it, what it was given, what it gave.

    Raises ModelError where no such module ran, and offers the nearest.

    >>> import torch
    >>> from deepglass.tracing.record import record
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Tanh()))
    >>> part = zoomed(record(net, torch.ones(2, 3)), "1")
    >>> part.title, [operation.label for operation in part.operations], [owner.path for owner in part.owners]
    ('Sequential · 1', ['relu_1', 'tanh_1'], ['', '0', '1'])
    """
    root = next((owner for owner in graph.owners if owner.path == path and owner.id), None)
    if root is None:
        known = sorted({owner.path for owner in graph.owners if owner.path})
        raise ModelError(
            f"{graph.title}: no module {path!r} ran.",
            next=f"try {nearest(path, known)}" if known else "leave it out: nothing here is inside another module",
        )
    return _cut(graph, root, _below(graph, root))


def _cut(graph: Graph, root: Owner, owners: list[Owner]) -> Graph:
    """The part of a record that some owners make up, numbered anew."""
    held = {operation for owner in owners for operation in owner.operations}
    operations = [operation for operation in graph.operations if operation.id in held]
    values = sorted(
        {value for owner in owners for value in (*owner.inputs, *owner.outputs, *owner.weights)}
        | {value for operation in operations for value in (*operation.inputs, *operation.outputs)}
    )
    new = _Numbers(values, [operation.id for operation in operations], [owner.id for owner in owners])
    cut = tuple(_value(graph, old, new) for old in values)
    weights = tuple(new.values[value] for value in graph.weights if value in new.values)
    return replace(
        graph,
        title=f"{graph.title} · {root.path}",
        operations=tuple(_operation(operation, new) for operation in operations),
        values=cut,
        owners=tuple(_owner(owner, root, new) for owner in owners),
        inputs=tuple(value.id for value in cut if value.role == "input"),
        outputs=new.of(new.values, root.outputs),
        loss=None,
        weights=weights,
        unused=tuple(name for name in graph.unused if name.startswith(f"{root.path}.")),
        failed=new.operations.get(graph.failed) if graph.failed is not None else None,
        failure=graph.failure if graph.failed in new.operations else "",
    )


class _Numbers:
    """Old places and new ones."""

    def __init__(self, values: list[int], operations: list[int], owners: list[int]) -> None:
        self.values, self.operations, self.owners = (
            {old: place for place, old in enumerate(found)} for found in (values, operations, owners)
        )

    @staticmethod
    def of(numbers: dict[int, int], old: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(numbers[one] for one in old if one in numbers)


def _below(graph: Graph, root: Owner) -> list[Owner]:
    """The owner and all in it, a parent before its children."""
    found = [root]
    for owner in found:
        found += [graph.owners[child] for child in owner.children]
    return sorted(found, key=lambda owner: owner.id)


def _value(graph: Graph, old: int, new: _Numbers) -> Any:
    """What was made outside is an input here."""
    value = graph.values[old]
    inside = value.maker in new.operations
    outside = value.maker is not None and not inside
    return replace(
        value,
        id=new.values[old],
        maker=new.operations[value.maker] if inside and value.maker is not None else None,
        role="input" if outside else value.role,
        alias_of=new.values.get(value.alias_of) if value.alias_of is not None else None,
    )


def _operation(operation: Any, new: _Numbers) -> Any:
    return replace(
        operation,
        id=new.operations[operation.id],
        inputs=new.of(new.values, operation.inputs),
        outputs=new.of(new.values, operation.outputs),
        owner=new.owners[operation.owner],
        args=_moved(operation.args, new),
        kwargs=_moved(operation.kwargs, new),
    )


def _moved(thing: Any, new: _Numbers) -> Any:
    """Slots in recorded arguments, pointing at the new places."""
    if isinstance(thing, Slot):
        return Slot(new.values[thing.value]) if thing.value in new.values else thing
    if type(thing) in (tuple, list):
        return type(thing)(_moved(part, new) for part in thing)
    if type(thing) is dict:
        return {key: _moved(part, new) for key, part in thing.items()}
    return thing


def _owner(owner: Owner, root: Owner, new: _Numbers) -> Owner:
    top = owner.id == root.id
    below = owner.path.removeprefix(f"{root.path}.")
    return replace(
        owner,
        id=new.owners[owner.id],
        path="" if top else below,
        parent=None if top or owner.parent is None else new.owners[owner.parent],
        depth=owner.depth - root.depth,
        inputs=new.of(new.values, owner.inputs),
        outputs=new.of(new.values, owner.outputs),
        weights=new.of(new.values, owner.weights),
        operations=new.of(new.operations, owner.operations),
        children=new.of(new.owners, owner.children),
    )
