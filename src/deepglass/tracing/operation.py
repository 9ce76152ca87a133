"""The parts of a record: values, operations, and the modules that own them. Frozen plain data, no behavior.

A computation graph has operations for nodes and values for edges (Bauer 1974; the tape of Wengert 1964). A value is
known by its place in `Graph.values`, an operation by its place in `Graph.operations`, a module's call by its place in
`Graph.owners`: numbers in place of references, so that a part can be printed, compared and written as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from torch import Tensor

from deepglass.tracing.figures import UNKNOWN, Summary, figures_of

Role = Literal["input", "weight", "buffer", "constant", "between"]
Kind = Literal[
    "linear", "convolution", "attention", "recurrent", "embedding", "normalization", "activation", "pooling",
    "dropout", "loss", "arithmetic", "reduction", "shape", "indexing", "opaque", "other",
]  # fmt: skip
"""What an operation does, coarsely: what decides its color, and what is said of it."""


@dataclass(frozen=True)
class Kept:
    """What was kept of a tensor: all of it, a sample of its entries, or its figures alone.

    tensor    detached: the whole one; where sampled, the entries at `places` of the flattened tensor; else None
    figures   the summary of the whole tensor, where it is known already; `summary` computes it on the first ask
    """

    form: Literal["whole", "sample", "summary"]
    figures: Summary | None = field(default=None, repr=False, compare=False)
    tensor: Tensor | None = field(default=None, repr=False, compare=False)
    places: Tensor | None = field(default=None, repr=False, compare=False)

    @cached_property
    def summary(self) -> Summary:
        """The seven figures of the whole tensor."""
        if self.figures is not None:
            return self.figures
        return UNKNOWN if self.tensor is None else figures_of(self.tensor)


@dataclass(frozen=True)
class Value:
    """A tensor at one moment: an edge of the graph. A tensor changed in place is a new value.

    name      "input", "fc1.weight", "relu_2": unique in its graph
    maker     the operation it came from; None for inputs, weights, buffers and constants
    names     of a weight: every path by which the module knows it; more than one where it is tied
    alias_of  the value whose memory this one shares (a view, or the same tensor changed in place), or None
    tracked   whether autograd followed it: it requires a gradient
    kept, gradient   None where nothing was kept, or no gradient reached it
    """

    id: int
    name: str
    role: Role
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    maker: int | None = None
    names: tuple[str, ...] = ()
    trainable: bool = False
    alias_of: int | None = None
    tracked: bool = False
    kept: Kept | None = None
    gradient: Kept | None = None


@dataclass(frozen=True)
class Slot:
    """Where a recorded argument was a tensor: the value that goes there."""

    value: int


@dataclass(frozen=True)
class Cost:
    """Work of one operation: multiply-adds, bytes read and written, bytes of its outputs, seconds where timed."""

    multiply_adds: int = 0
    bytes_moved: int = 0
    output_bytes: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Operation:
    """One application of a function: a node of the graph.

    name      the function's plain name: "linear", "relu", "cross_entropy", "add"
    label     name and number, unique in its graph: "linear_2"
    function  the full name: "torch.nn.functional.linear"
    inputs    values in the order of the arguments; one used twice stands twice
    settings  the arguments that are no tensors, by name where known: (("stride", 2),)
    owner     the module call it ran in (a place in `Graph.owners`)
    failure   the message, where it raised
    written   for an operation in place: the inputs whose memory it changed, as places in `inputs`
    returned  where each output stands among the tensors that the call returns; -1: a written input, seen anew
    state     what is needed of the surroundings to run it again alike: ("autocast", …), ("generator", …)
    call, args, kwargs   what is needed to run it again; each tensor argument is a `Slot`
    """

    id: int
    name: str
    label: str
    function: str
    kind: Kind
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    owner: int
    settings: tuple[tuple[str, Any], ...] = ()
    in_place: bool = False
    random: bool = False
    failure: str = ""
    written: tuple[int, ...] = ()
    returned: tuple[int, ...] = ()
    state: tuple[tuple[str, Any], ...] = field(default=(), repr=False, compare=False)
    cost: Cost = Cost()
    call: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    args: tuple[Any, ...] = field(default=(), repr=False, compare=False)
    kwargs: tuple[tuple[str, Any], ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class Owner:
    """One call of a module (or, at the ATen level, of an author's operation); owner 0 is the thing recorded.

    path      the module's path ("" for the root), `call` which of its calls this is, from 1
    type      the class's name: "Linear"
    weights   its own parameters' values (not its children's), in their order
    operations   those that ran directly in it;  children   the calls made inside it
    """

    id: int
    path: str
    type: str
    parent: int | None
    depth: int
    call: int = 1
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    weights: tuple[int, ...] = ()
    operations: tuple[int, ...] = ()
    children: tuple[int, ...] = ()
    training: bool = False
