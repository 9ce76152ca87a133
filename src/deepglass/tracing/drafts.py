"""Values, operations and owners while they are being recorded: what may still change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from deepglass.tracing.kinds import Facts
from deepglass.tracing.operation import Role


@dataclass(slots=True, eq=False)
class ValueDraft:
    """A value being recorded."""

    id: int
    role: Role
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    name: str = ""
    maker: OperationDraft | None = None
    names: tuple[str, ...] = ()
    tracked: bool = False
    alias_of: int | None = None


@dataclass(slots=True, eq=False)
class OperationDraft:
    """An operation being recorded."""

    facts: Facts
    inputs: list[int]
    outputs: list[int]
    owner: int
    call: Any = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    written: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    state: list[tuple[str, Any]] = field(default_factory=list)
    random: bool = False
    in_place: bool = False
    failure: str = ""


@dataclass(slots=True, eq=False)
class OwnerDraft:
    """A module's call being recorded."""

    id: int
    path: str
    type: str
    parent: int | None
    depth: int
    call: int = 1
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    training: bool = False
    module: Any = None


def region_of(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Where in its storage a tensor lies: sizes, strides, offset."""
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())
