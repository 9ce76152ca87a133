"""Inputs anywhere between a baseline, where nothing is said, and what they are.

    x(mix) = x₀ + mix · (x − x₀)

A mix is a number from 0 to 1 for each entry of an example: a path from baseline to example is one number rising, an
occluded patch is a zero there. Integers are blended where they enter the net (see `entrances`), so that one form serves
pictures, tables, texts, and several of them at once. Every pass is cut into chunks that keep within a memory budget.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.explaining.entrances import Entrances
from deepglass.explaining.unharmed import first_tensor

MOST_ROWS = 512
Mixes = Sequence[Tensor | float]
"""For each input that is explained, a mix that spreads over its entries [rows, …], or one number for all."""


@dataclass(frozen=True)
class Moved:
    """What was blended of one input in a pass: the tensor the net went on with, and its distance from the baseline.

    places   for integers: where in the flattened rows of the input each vector belongs; None for real numbers
    """

    input: int
    tensor: Tensor
    distance: Tensor
    places: Tensor | None = None


@dataclass(frozen=True)
class Pass:
    """One chunk: which examples it held, the net's answer, and what was blended."""

    rows: Tensor
    outputs: Tensor
    moved: tuple[Moved, ...]


@dataclass(frozen=True)
class Blend:
    """A net with the examples that are looked at.

    inputs     all that the net is given, on its device;  names   their keywords, where they have some
    explained  which of them are blended;  baselines   x₀ of each: real numbers as the input [1 or m, …], integers to
               stand for nothing, or None where zero vectors do
    chunk      the most rows of a pass;  weights   others in place of the module's own
    comparisons, substituted   how integers are blended: see `Entrances`; or an integer is put in place of another
    """

    call: Callable[..., Any]
    module: nn.Module | None
    name: str
    inputs: tuple[Tensor, ...]
    names: tuple[str | None, ...]
    explained: tuple[int, ...]
    baselines: tuple[Tensor | None, ...] = field(repr=False)
    chunk: int = MOST_ROWS
    weights: Mapping[str, Tensor] | None = field(default=None, repr=False)
    comparisons: bool = False
    substituted: bool = False

    def __len__(self) -> int:
        return len(self.inputs[self.explained[0]])

    def of(self, place: int) -> Tensor:
        """The explained input of this place."""
        return self.inputs[self.explained[place]]

    def run(self, tensors: Sequence[Tensor]) -> Tensor:
        """The net's answer to inputs as given, one tensor with the example first. Raises ModelError for none."""
        positional = [tensor for tensor, name in zip(tensors, self.names, strict=True) if name is None]
        named = {name: tensor for tensor, name in zip(tensors, self.names, strict=True) if name is not None}
        if self.weights is not None and self.module is not None:
            outputs = torch.func.functional_call(self.module, dict(self.weights), tuple(positional), named)
        else:
            outputs = self.call(*positional, **named)
        found = first_tensor(outputs)
        if found is None or not found.dim() or len(found) != len(tensors[self.explained[0]]):
            shape = "no tensor" if found is None else f"{tuple(found.shape)}"
            raise ModelError(f"{self.name} gave {shape}, where one answer an example is wanted.",
                             next="wrap it in a function that returns a tensor with the examples first")  # fmt: skip
        return found

    def passes(self, rows: Tensor, mixes: Callable[[slice], Mixes], *, gradients: bool = False) -> Iterator[Pass]:
        """The answers for examples `rows` int64 [n], each with its mix, chunk by chunk; `mixes` gives those of a slice.

        With gradients, what was blended is a leaf that the answer can be differentiated by.
        """
        for start in range(0, len(rows), self.chunk):
            part = slice(start, min(start + self.chunk, len(rows)))
            with torch.set_grad_enabled(gradients):
                outputs, moved = self._blended(rows[part], mixes(part), gradients)
            yield Pass(rows[part], outputs, moved)

    def _blended(self, rows: Tensor, mixes: Mixes, gradients: bool) -> tuple[Tensor, tuple[Moved, ...]]:
        given = [tensor[rows] if tensor.dim() else tensor for tensor in self.inputs]
        moved: list[Moved] = []
        whole: dict[int, Tensor] = {}
        for place, at in enumerate(self.explained):
            if not given[at].is_floating_point():
                whole[place] = given[at]
                continue
            baseline = _rows(self._baseline(place), rows)
            given[at], entry = _between(given[at], baseline, mixes[place], gradients)
            moved.append(dataclasses.replace(entry, input=place))
        if not whole:
            return self.run(given), tuple(moved)
        if self.substituted:
            for place, tensor in whole.items():
                kept = _open(mixes[place], torch.zeros((), device=tensor.device), tensor.dim()) > 0.5
                given[self.explained[place]] = torch.where(kept, tensor, _rows(self._baseline(place), rows))
            return self.run(given), tuple(moved)
        return self._entered(given, rows, whole, mixes, moved, gradients)

    def _entered(self, given: list[Tensor], rows: Tensor, whole: dict[int, Tensor], mixes: Mixes, moved: list[Moved],
                 gradients: bool) -> tuple[Tensor, tuple[Moved, ...]]:  # fmt: skip
        """The same with integers among the inputs, blended at their entrances."""
        nothing = self._nothing(given, rows, whole)
        order, count = list(whole), iter(range(10**9))

        def meet(which: int, places: Tensor, values: Tensor) -> Tensor:
            place, met = order[which], next(count)
            mix = _open(mixes[place], values, whole[place].dim()).expand(whole[place].shape).reshape(-1)[places]
            mix = mix[(..., *[None] * (values.dim() - places.dim()))]
            base = nothing[met] if nothing else torch.zeros_like(values)
            tensor, entry = _between(values.detach(), base, mix, gradients)
            moved.append(dataclasses.replace(entry, input=place, places=places))
            return tensor

        entrances = Entrances(whole.values(), meet, comparisons=self.comparisons)
        with entrances:
            outputs = self.run(given)
        if entrances.lost or {entry.input for entry in moved} < set(range(len(self.explained))):
            raise ModelError(f"{self.name}: where its whole numbers enter the net cannot be followed.",
                             next='take method="occlusion", which needs no gradient')  # fmt: skip
        return outputs, tuple(moved)

    def _nothing(self, given: list[Tensor], rows: Tensor, whole: dict[int, Tensor]) -> list[Tensor]:
        """What enters for integers that stand for nothing; empty where zero vectors do."""
        if all(self.baselines[place] is None for place in whole):
            return []
        found: list[Tensor] = []
        instead = list(given)
        for place in whole:
            instead[self.explained[place]] = _rows(self._baseline(place), rows).expand_as(whole[place]).clone()
        followed = [instead[self.explained[place]] for place in whole]

        def meet(_: int, __: Tensor, values: Tensor) -> Tensor:
            found.append(values.detach())
            return values

        with torch.no_grad(), Entrances(followed, meet, comparisons=self.comparisons):
            self.run(instead)
        return found

    def _baseline(self, place: int) -> Tensor:
        baseline = self.baselines[place]
        return torch.zeros_like(self.of(place)[:1]) if baseline is None else baseline


def _between(values: Tensor, baseline: Tensor, mix: Tensor | float, gradients: bool) -> tuple[Tensor, Moved]:
    """x₀ + mix (x − x₀); exactly x where the mix is one, as nothing else may come of an example left whole."""
    distance = values - baseline
    share = _open(mix, values, values.dim())
    blended = torch.where(share == 1, values, baseline + share * distance).detach()
    if not gradients:
        return blended, Moved(0, blended, distance)
    leaf = blended.requires_grad_()
    # The net is handed a copy: its first layer may work in place, which a leaf forbids.
    return leaf.clone(), Moved(0, leaf, distance)


def _open(mix: Tensor | float, like: Tensor, axes: int) -> Tensor:
    """A mix [rows, …] with as many axes as what it spreads over."""
    share = torch.as_tensor(mix, dtype=like.dtype, device=like.device)
    return share.reshape(*share.shape, *[1] * (axes - share.dim())) if share.dim() else share


def _rows(baseline: Tensor, rows: Tensor) -> Tensor:
    return baseline if len(baseline) == 1 else baseline[rows]


def bytes_of_one(blend: Blend) -> int:
    """How many bytes a backward pass keeps for one example, beside the weights: what a chunk is measured by."""
    weights = set() if blend.module is None else {w.untyped_storage().data_ptr() for w in blend.module.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    whole = torch.zeros(1, dtype=torch.int64, device=blend.of(0).device)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        (only,) = blend.passes(whole, lambda _: [1.0] * len(blend.explained), gradients=True)
    own = sum(blend.inputs[at][:1].nbytes for at in blend.explained)
    return sum(seen.values()) + 4 * own + only.outputs.nbytes
