"""What a portrait says of a part of a network, and the facts that it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kind, Operation, Owner, Value

Part = Literal["layer", "sliver", "join", "through"]
Form = Literal["volume", "slab", "bar", "sign", "tokens", "block"]


@dataclass(frozen=True)
class Portrait:
    """How one part is shown.

    part     a layer of its own; a sliver on the layer beside it; a join where branches meet; or not at all ("through")
    kind     its color;  form   volume for maps, slab for sequences, bar for vectors, sign for a single mark
    caption  "conv 3×3, 64";  sign   what stands in a join: "+"
    note     why it could not be told what this is, where the caption is "?"
    """

    part: Part
    kind: Kind
    caption: str
    form: Form = "bar"
    sign: str = ""
    note: str = ""


def batch_of(graph: Graph) -> int | None:
    """The number of examples recorded at once, by the first input that has two sides or more."""
    shapes = (graph.values[value].shape for value in graph.inputs)
    return next((shape[time_leads(graph)] for shape in shapes if len(shape) > 1), None)


def time_leads(graph: Graph) -> bool:
    """Whether sequences are given as [time, batch, features], as recurrent layers take them unless told otherwise."""
    reached = [operation for value in graph.inputs for operation in graph.users[value]]
    reached += [user for one in reached for value in graph.operations[one].outputs for user in graph.users[value]]
    readers = (graph.operations[one] for one in reached)
    return any(one.kind == "recurrent" and dict(one.settings).get("batch_first") is False for one in readers)


def inner_shape(graph: Graph, value: Value) -> tuple[int, ...]:
    """A value's shape without the side of the batch, or the 1 that is stretched to it."""
    batch, shape = batch_of(graph), value.shape
    if batch is None:
        return shape
    if len(shape) > 2 and shape[1] == batch and time_leads(graph):
        return shape[:1] + shape[2:]
    shared = value.role == "between" and len(shape) > 1 and shape[0] == 1
    return shape[1:] if shape[:1] == (batch,) or shared else shape


def form_of(kind: Kind | str, shape: tuple[int, ...]) -> Form:
    """Maps are volumes, sequences slabs, vectors bars, single numbers signs.

    >>> form_of("convolution", (64, 8, 8)), form_of("linear", (16, 64)), form_of("linear", (10,)), form_of("loss", ())
    ('volume', 'slab', 'bar', 'sign')
    """
    if kind == "loss" or not shape:
        return "sign"
    return "bar" if len(shape) == 1 else "slab" if len(shape) == 2 else "volume"


def weights_into(graph: Graph, operation: Operation) -> tuple[Value, ...]:
    """The weights an operation reads, also where they were first transposed, cast or normalized."""
    found: dict[int, Value] = {}
    for value in operation.inputs:
        found |= {weight.id: weight for weight in _weights_behind(graph, value, 6)}
    return tuple(found.values())


def _weights_behind(graph: Graph, value: int, depth: int) -> tuple[Value, ...]:
    one = graph.values[value]
    if one.role == "weight":
        return (one,)
    if one.maker is None or depth == 0:
        return ()
    found: tuple[Value, ...] = ()
    for source in graph.operations[one.maker].inputs:
        role = graph.values[source].role
        behind = _weights_behind(graph, source, depth - 1)
        if role == "input" or (role == "between" and not behind):
            return ()
        found += behind
    return found


def operations_inside(graph: Graph, owner: Owner) -> list[Operation]:
    """All operations of a module's call, however deep."""
    found, waiting = [], [owner]
    while waiting:
        one = waiting.pop()
        found += [graph.operations[operation] for operation in one.operations]
        waiting += [graph.owners[child] for child in one.children]
    return sorted(found, key=lambda operation: operation.id)
