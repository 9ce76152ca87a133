"""The record while it is written: values, operations and owners as they come, and which tensor is which value.

A tensor is known by its identity and its version: one that was changed in place since it was last seen is a new value,
made by the operation that wrote to its memory.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from deepglass.tracing.belongings import Belongings
from deepglass.tracing.drafts import OperationDraft, OwnerDraft, ValueDraft, region_of
from deepglass.tracing.keeping import Keeper, storage_of, version_of
from deepglass.tracing.kinds import RESHAPING, Facts, kind_of
from deepglass.tracing.nesting import exchanged, tensors_in
from deepglass.tracing.operation import Role, Slot


class Tape:
    """What has run so far. `failing` is the operation that raised last, and its exception."""

    def __init__(self, keeper: Keeper, *, kernels: bool = False) -> None:
        self.keeper, self._kernels = keeper, kernels
        self.values: list[ValueDraft] = []
        self.operations: list[OperationDraft] = []
        self.owners: list[OwnerDraft] = []
        self.stack: list[int] = []
        self.notes: dict[str, None] = {}
        self.leaves: dict[int, Tensor] = {}
        self.handles: list[Any] = []
        self.failing: tuple[BaseException, OperationDraft | None, int] | None = None
        self.foreign: dict[int, str] = {}
        self.failure = self.refused = ""
        self.failed: OperationDraft | None = None
        self._unread: dict[int, Tensor] = {}
        self._known: dict[int, tuple[Any, int, int]] = {}
        self._writers: dict[int, OperationDraft] = {}
        self._nodes: dict[Any, int] = {}
        self._belongings = Belongings()

    # -- which tensor is which value ---------------------------------------------------------------------------------

    @property
    def owner(self) -> int:
        return self.stack[-1] if self.stack else 0

    def known(self, tensor: Tensor) -> int | None:
        """The value that this tensor is at this moment, if it was seen before."""
        entry = self._known.get(id(tensor))
        if entry is None or entry[0]() is not tensor:
            return None
        if entry[2] != self._stamp(tensor):
            return self._refreshed(tensor, entry[1])
        if tensor.requires_grad and not self.values[entry[1]].tracked:
            self._follow(tensor, self.values[entry[1]])
        return entry[1]

    def value_of(self, tensor: Tensor) -> int:
        """The value that this tensor is; one never seen before comes from outside."""
        found = self.known(tensor)
        return self.adopt(tensor, "constant") if found is None else found

    def read(self, tensor: Tensor) -> int:
        """The value that an operation reads; a weight is kept when it is read first."""
        value = self.value_of(tensor)
        if value in self._unread:
            self.keeper.keep(("value", value), self._unread.pop(value), copy=True)
        return value

    def adopt(self, tensor: Tensor, role: Role, name: str = "", names: tuple[str, ...] = ()) -> int:
        """A tensor that no recorded operation made. Where autograd knows what it came from, an opaque operation."""
        if tensor.grad_fn is not None and role == "constant":
            return self._opaque_origin(tensor)
        draft = self.add(tensor, role, copy=True)
        self._belongings.add(tensor)
        draft.name, draft.names = name or self.foreign.get(id(tensor), ""), names
        if tensor.requires_grad and tensor.is_leaf:
            self.leaves[draft.id] = tensor
        return draft.id

    def expect(self, tensor: Tensor, role: Role, names: tuple[str, ...]) -> None:
        """A weight or buffer: known from the start, kept when it is first read."""
        draft = self.add(tensor, role, kept=False)
        draft.names = names
        self._belongings.add(tensor)
        self._unread[draft.id] = tensor
        if tensor.requires_grad:
            self.leaves[draft.id] = tensor

    def add(
        self, tensor: Tensor, role: Role, *, copy: bool = False, kept: bool = True, changed: bool = False
    ) -> ValueDraft:
        """A new value for a tensor; it is kept, and its gradient will be."""
        size = tensor.numel() * tensor.element_size() if tensor.layout == torch.strided else 0
        draft = ValueDraft(len(self.values), role, tuple(tensor.shape), str(tensor.dtype)[6:], size)
        self.values.append(draft)
        self._bind(tensor, draft.id)
        if kept:
            self._keep(tensor, draft, copy)
        # Below autograd, a tensor changed in place has still its old history: it is followed when it is seen next.
        if tensor.requires_grad and not (changed and self._kernels):
            self._follow(tensor, draft)
        return draft

    def _keep(self, tensor: Tensor, draft: ValueDraft, copy: bool) -> None:
        """A reference will do, but not to what belongs to others: of a view of a weight, the same view of our copy."""
        found = storage_of(tensor)
        owned = next(iter(self._belongings.at(found[0])), None) if found else None
        key = ("value", draft.id)
        if owned is None or found is None or copy:
            self.keeper.keep(key, tensor, copy=copy)
            return
        entry = self._known.get(id(owned))
        mirror = None
        if entry is not None and found[0] not in self._writers:
            mirror = self.keeper.mirrored(("value", entry[1]), owned, tensor)
        self.keeper.keep(key, tensor if mirror is None else mirror, copy=mirror is None)

    def _bind(self, tensor: Tensor, value: int) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), value, self._stamp(tensor))

    def _stamp(self, tensor: Tensor) -> int:
        """What changes when a tensor is written to: its version; below autograd, where that counts late, the writer."""
        if not self._kernels:
            return version_of(tensor)
        found = storage_of(tensor)
        writer = self._writers.get(found[0]) if found else None
        return 0 if writer is None else id(writer)

    def _follow(self, tensor: Tensor, draft: ValueDraft) -> None:
        """Keep the gradient that will reach this value, by a hook on its place in autograd's graph.

        A hook on the tensor would do, but for tensors transposed in place: it stays with what they were before.
        """
        draft.tracked = True
        node = tensor.grad_fn
        if node is None:
            return
        written_by_hand = getattr(type(node), "_forward_cls", None)
        if (
            written_by_hand is not None
            and draft.maker is not None
            and draft.maker.facts.name != written_by_hand.__name__
        ):
            draft.maker.state.append(("custom", written_by_hand.__name__))
        self._nodes[node] = draft.id
        keeper, key, place = self.keeper, ("gradient", draft.id), tensor.output_nr

        def reached(gradients: Any) -> None:
            if gradients[place] is not None:
                keeper.keep(key, gradients[place])

        self.handles.append(node.register_prehook(reached))

    def _refreshed(self, tensor: Tensor, old: int) -> int:
        """A tensor whose memory was written to through another: a new value, of the operation that wrote."""
        found = storage_of(tensor)
        writer = self._writers.get(found[0]) if found else None
        draft = self.add(tensor, "between" if writer else "constant", copy=writer is None)
        draft.alias_of = old
        if writer is None:
            self.note(
                "a tensor was changed in place by something that could not be seen; from there on it is a constant"
            )
        else:
            draft.maker = writer
            writer.outputs.append(draft.id)
            writer.returned.append(-1)
            writer.state.append(("region", (len(writer.outputs) - 1, region_of(tensor))))
        if old in self.leaves:
            self.leaves[draft.id] = self.leaves[old]
        return draft.id

    def _opaque_origin(self, tensor: Tensor) -> int:
        """Something unseen made this tensor; autograd's graph says from which values."""
        node = tensor.grad_fn
        if node in self._nodes:
            draft = self.add(tensor, "between")
            draft.alias_of = self._nodes[node]
            draft.maker = self.values[self._nodes[node]].maker
            if draft.maker is not None:
                draft.maker.outputs.append(draft.id)
                draft.maker.returned.append(-1)
            return draft.id
        found: dict[int, None] = {}
        seen, todo = set(), [node]
        leaves = {id(leaf): value for value, leaf in self.leaves.items()}
        while todo:
            here = todo.pop()
            if here is None or here in seen:
                continue
            seen.add(here)
            variable = getattr(here, "variable", None)
            if here in self._nodes:
                found[self._nodes[here]] = None
            elif variable is not None:
                found[leaves[id(variable)] if id(variable) in leaves else self.value_of(variable)] = None
            else:
                todo.extend(step for step, _ in here.next_functions)
        name = (
            node.name()
            if node is not None
            else "".removesuffix("0").removesuffix("Backward").rsplit("::", 1)[-1] or "opaque"
        )
        self.note(f"{name}: an operation that could not be seen from inside; its inputs are known from autograd alone")
        return self.opaque(name, sorted(found), [tensor])[0]

    # -- what runs ---------------------------------------------------------------------------------------------------

    def opaque(self, name: str, inputs: list[int], outputs: list[Tensor], call: Any = None, args: Any = (),
               kwargs: Any = None) -> list[int]:  # fmt: skip
        """One operation for something whose inside was not seen."""
        facts = Facts(name, name, kind_of(name) if kind_of(name) != "other" else "opaque")
        draft = OperationDraft(facts, inputs, [], self.owner, call, args, kwargs or {})
        self.made(draft, outputs)
        return draft.outputs

    def made(self, draft: OperationDraft, results: list[Tensor], written: list[Tensor] | None = None,
             given: list[Tensor] | None = None) -> None:  # fmt: skip
        """Enter an operation that has run, and give its results values."""
        self.operations.append(draft)
        for tensor in () if self._kernels and draft.facts.name in RESHAPING else written or ():
            found = storage_of(tensor)
            if found is not None:
                self._writers[found[0]] = draft
                self._doubt(found[0])
        for place, tensor in enumerate(results):
            entry = self._known.get(id(tensor))
            before = entry[1] if entry is not None and entry[0]() is tensor else None
            if before is not None and entry is not None and entry[2] == self._stamp(tensor) and not draft.in_place:
                continue
            value = self.add(tensor, "between", changed=before is not None)
            value.maker, value.alias_of = draft, before
            if before is None:
                value.alias_of = self._same_memory(tensor, given or ())
            if before in self.leaves:
                # A weight written to under no_grad: the gradient is the weight's, before and after.
                self.leaves[value.id] = self.leaves[before]
            draft.outputs.append(value.id)
            draft.returned.append(place)

    def _same_memory(self, tensor: Tensor, given: Iterable[Tensor]) -> int | None:
        """The argument whose memory a result looks at, where it is a view."""
        found = storage_of(tensor)
        for other in given if found else ():
            if storage_of(other) == found:
                entry = self._known.get(id(other))
                return entry[1] if entry is not None and entry[0]() is other else None
        return None

    def slotted(self, args: Any, inputs: list[int]) -> Any:
        """The arguments with a `Slot` for each tensor; the values are added to `inputs` in their order."""

        def slot(tensor: Tensor) -> Slot:
            inputs.append(self.read(tensor))
            return Slot(inputs[-1])

        return exchanged(args, Tensor, slot)

    def before_write(self, tensors: list[Tensor]) -> None:
        """Copy what would be lost: what is kept, and what belongs to others and must be put back."""
        for tensor in tensors:
            self.keeper.before_write(tensor)
            self._belongings.before_write(tensor)

    def _doubt(self, storage: int) -> None:
        """Written through `.data`, which counts its versions apart: what belongs to others there is to be seen anew."""
        for owned in self._belongings.at(storage):
            entry = self._known.get(id(owned))
            if entry is not None and entry[0]() is owned and entry[2] == self._stamp(owned):
                self._known[id(owned)] = (entry[0], entry[1], -1)

    def close(self) -> None:
        """Take the hooks away, and give back what belongs to others as it was."""
        for handle in self.handles:
            handle.remove()
        self._belongings.give_back()

    def note(self, text: str) -> None:
        self.notes.setdefault(text)

    def seen(self, thing: Any) -> list[int]:
        """The values of the tensors in a nested thing, those that are known."""
        found = (self.known(tensor) for tensor in tensors_in(thing))
        return [value for value in found if value is not None]
