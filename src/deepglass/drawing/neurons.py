"""Neurons and synapses found in a record: what the linear layers and convolutions that follow one another weigh.

    z[l] = W[l] a[l-1] + b[l],   a[l] = g(z[l])                                                                  (F7)

Of a convolution a neuron is a channel: its activation the mean of its map, its synapse the norm of the kernel between
two channels, with the sign of the kernel's sum.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from deepglass.errors import ModelError, nearest
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Operation

PLAIN = {"linear": (0, 1, 2), "addmm": (1, 2, 0), "matmul": (0, 1, None), "mm": (0, 1, None)}
"""Functions, and which of their inputs is the layer's input, its weight and its bias."""
TURNED = frozenset({"addmm", "matmul", "mm", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
"""Those that hold the weight of [input, output]; the others of [output, input]."""
FELT = frozenset({"activation", "normalization", "pooling"})
MOST_COLUMNS = 12


@dataclass(frozen=True)
class Column:
    """A layer of neurons: before its function z, after it a, and its biases, each [neurons] or None where not known.

    functions   what turns z into a, in order: ("relu",)
    """

    title: str
    total: int
    functions: tuple[str, ...] = ()
    a: Tensor | None = None
    z: Tensor | None = None
    bias: Tensor | None = None
    channels: bool = False


@dataclass(frozen=True)
class Stack:
    """Columns of neurons, the weights [after, before] between each two, and in words what is not in the picture."""

    columns: tuple[Column, ...]
    weights: tuple[Tensor | None, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Walk:
    columns: list[Column] = field(default_factory=list)
    weights: list[Tensor | None] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)


def stack_of(graph: Graph, *, at: str | None = None, example: int = 0) -> Stack:
    """The first chain of layers in a record (or in the module `at`), as one example saw it.

    Raises ModelError where there is no layer that could be drawn so.

    >>> from torch import nn
    >>> from deepglass.tracing.record import record
    >>> stack = stack_of(record(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), torch.ones(2, 3)))
    >>> [(column.title, column.total, column.functions) for column in stack.columns]
    [('input', 3, ()), ('Linear 0', 4, ('relu',)), ('Linear 2', 1, ())]
    """
    inside = _inside(graph, at)
    operation = next((one for one in graph.operations if one.id in inside and weighed(graph, one)), None)
    if operation is None:
        where = f"{graph.title}, {at}" if at else graph.title
        found = "no linear layer and no convolution with a weight of its own"
        raise ModelError(
            f"{where}: {found}, so there are no neurons to draw.", next="take --view layers, or --view graph"
        )
    walk = _Walk()
    while operation is not None:
        operation = _enter(graph, operation, walk, inside, example)
    return Stack(tuple(walk.columns), tuple(walk.weights), tuple(walk.notes))


def _inside(graph: Graph, at: str | None) -> set[int]:
    """The operations of a module, with those of the modules in it."""
    if not at:
        return {operation.id for operation in graph.operations}
    waiting = [owner.id for owner in graph.owners if owner.path == at][:1]
    if not waiting:
        paths = sorted({owner.path for owner in graph.owners if owner.path})
        raise ModelError(f"{graph.title}: no module {at!r} ran.", next=f"try {nearest(at, paths)}")
    for owner in waiting:
        waiting += graph.owners[owner].children
    return {operation for owner in waiting for operation in graph.owners[owner].operations}


def weighed(graph: Graph, operation: Operation) -> tuple[int, int, int | None] | None:
    """The values that are a layer's input, weight and bias; None for what is no such layer."""
    places = PLAIN.get(operation.name, (0, 1, 2) if operation.name.startswith("conv") else None)
    inputs = operation.inputs
    if places is None or operation.failure or not operation.outputs or max(places[:2]) >= len(inputs):
        return None
    given, weight = inputs[places[0]], inputs[places[1]]
    bias = inputs[places[2]] if places[2] is not None and places[2] < len(inputs) else None
    kind = graph.values[weight]
    least = 3 if operation.name.startswith("conv") else 2
    right = len(kind.shape) == 2 if least == 2 else len(kind.shape) >= 3
    fixed = kind.role in ("weight", "buffer") or (kind.role in ("input", "constant") and given != weight)
    return (given, weight, bias) if right and fixed else None


def _enter(graph: Graph, operation: Operation, walk: _Walk, inside: set[int], example: int) -> Operation | None:
    """Add a layer's column, with that of its input before the first; give the layer that follows."""
    found = weighed(graph, operation)
    if found is None:
        return None
    given, weight, bias = found
    conv = operation.name.startswith("conv")
    matrix, (after, before) = _matrix(graph, operation, weight)
    if not walk.columns:
        name = graph.values[given].name if graph.values[given].role == "input" else f"into {_name(graph, operation)}"
        walk.columns.append(Column(name, before, a=_units(graph, given, before, conv, example), channels=conv))
    last = walk.columns[-1]
    if before != last.total and (matrix is None or before % last.total):
        walk.notes[f"{operation.label} takes {before} numbers, not the {last.total} before it: drawn up to there"] = (
            None
        )
        return None
    if matrix is not None and before != last.total:
        matrix = _joined(matrix.reshape(after, last.total, -1))
        walk.notes[f"each channel enters {_name(graph, operation)} as {before // last.total} numbers, drawn as one"] = (
            None
        )
    z = _units(graph, operation.outputs[0], after, conv, example)
    biases = _whole(graph, bias)
    column = Column(
        _name(graph, operation), after, (), z, z, biases if biases is not None and biases.dim() == 1 else None, conv
    )
    walk.weights.append(matrix)
    walk.columns.append(column)
    if conv:
        walk.notes["a neuron is a channel: its number the mean of its map, its synapses the norms of kernels"] = None
    if len(walk.columns) > MOST_COLUMNS:
        walk.notes[f"the first {MOST_COLUMNS} layers are drawn"] = None
        return None
    return _follow(graph, operation, walk, inside, example)


def _follow(graph: Graph, operation: Operation, walk: _Walk, inside: set[int], example: int) -> Operation | None:
    """Go on to the next layer, taking up on the way what becomes of z."""
    value = operation.outputs[0]
    while True:
        users = [graph.operations[user] for user in graph.users[value] if user in inside]
        users = [user for user in users if user.outputs and user.kind != "loss"]
        layers = [user for user in users if (weighed(graph, user) or (None,))[0] == value]
        if not users:
            return None
        if len(users) > 1:
            walk.notes[f"{graph.values[value].name} goes {len(users)} ways, of which one is drawn"] = None
        if layers:
            return layers[0]
        if users[0].kind in ("reduction", "attention", "recurrent", "opaque") and not walk.columns[-1].channels:
            return None
        _take_up(graph, users[0], value, walk, example)
        value = users[0].outputs[0]


def _take_up(graph: Graph, user: Operation, value: int, walk: _Walk, example: int) -> None:
    """A function of a layer's neurons: its name, and what they are after it."""
    column = walk.columns[-1]
    others = [graph.values[other] for other in user.inputs if other != value]
    if user.kind == "arithmetic" and any(other.role == "between" or other.role == "input" for other in others):
        walk.notes[f"{user.label} joins another path, which is not drawn"] = None
    units = _units(graph, user.outputs[0], column.total, column.channels, example)
    adds = user.name == "add" and len(others) == 1 and others[0].shape == (column.total,) and column.bias is None
    if adds and not column.functions:
        walk.columns[-1] = replace(column, z=units, a=units, bias=_whole(graph, others[0].id))
        return
    felt = user.kind in FELT or (user.kind == "dropout" and dict(user.settings).get("training"))
    functions = (*column.functions, user.name) if felt else column.functions
    walk.columns[-1] = replace(column, functions=functions, a=units if units is not None else column.a)


def _matrix(graph: Graph, operation: Operation, weight: int) -> tuple[Tensor | None, tuple[int, int]]:
    """A layer's weight as [after, before], if it was kept, and these two numbers."""
    turned = operation.name in TURNED
    shape = graph.values[weight].shape
    groups = int(dict(operation.settings).get("groups", 1) or 1) if operation.name.startswith("conv") else 1
    sizes = (shape[1] * groups, shape[0]) if turned else (shape[0], shape[1] * groups)
    kept = _whole(graph, weight)
    if kept is None:
        return None, sizes
    joined = _joined(kept.reshape(shape[0], shape[1], -1))
    if groups > 1:
        joined = torch.block_diag(*joined.chunk(groups))
    return (joined.T if turned else joined), sizes


def _joined(kernels: Tensor) -> Tensor:
    """[after, before, numbers] -> [after, before]: their norm, with the sign of their sum."""
    if kernels.shape[-1] == 1:
        return kernels.squeeze(-1)
    return kernels.norm(dim=-1) * torch.where(kernels.sum(dim=-1) < 0, -1.0, 1.0)


def _units(graph: Graph, value: int, total: int, channels: bool, example: int) -> Tensor | None:
    """One number for each neuron, as one example saw it; None where that was not kept or has another form."""
    tensor = _whole(graph, value)
    if tensor is None or not tensor.dim():
        return None
    if channels:
        if tensor.dim() < 2 or total not in tensor.shape[:2]:
            return None
        rows = tensor if tensor.shape[1] == total else tensor.unsqueeze(0)
        return rows[min(example, len(rows) - 1)].reshape(total, -1).mean(dim=1) if rows.numel() else None
    if tensor.shape[-1] != total or not tensor.numel():
        return None
    rows = tensor.reshape(-1, total)
    return rows[min(example, len(rows) - 1)]


def _whole(graph: Graph, value: int | None) -> Tensor | None:
    kept = graph.values[value].kept if value is not None else None
    if kept is None or kept.form != "whole" or kept.tensor is None or kept.tensor.is_complex():
        return None
    return kept.tensor.detach().to("cpu", torch.float64)


def _name(graph: Graph, operation: Operation) -> str:
    """The path of the module that ran it and nothing else of weight, or the operation's own label."""
    owner = graph.owners[operation.owner]
    if not (owner.path and owner.weights):
        return operation.label
    return f"{owner.type} {owner.path}" if owner.path.rpartition(".")[2].isdigit() else owner.path


def shown_neurons(stack: Stack, most: int) -> tuple[tuple[int, ...], ...]:
    """Which neurons to draw: all of a column of at most `most`, else those with the strongest synapses to the shown.

    Chosen from the last column to the first, since what an answer comes from is of interest.
    """
    chosen: list[tuple[int, ...]] = []
    for place in range(len(stack.columns) - 1, -1, -1):
        total = stack.columns[place].total
        if total <= most:
            chosen.append(tuple(range(total)))
            continue
        weights = stack.weights[place] if place < len(stack.weights) else None
        into = stack.weights[place - 1] if place else None
        if weights is not None and chosen:
            strength = weights[list(chosen[-1])].abs().sum(dim=0)
        else:
            strength = into.abs().sum(dim=1) if into is not None else torch.zeros(total)
        best = torch.argsort(torch.nan_to_num(strength), descending=True, stable=True)[:most]
        chosen.append(tuple(sorted(best.tolist())))
    return tuple(reversed(chosen))
