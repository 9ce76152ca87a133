"""Tensors kept within a budget: whole ones by reference, then samples of the largest, then figures alone.

A reference costs nothing but what it keeps alive, so memory is counted by storage, once for all who share it. What is
about to be overwritten is copied first, and only then.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deepglass.tracing.figures import UNKNOWN, Summary, figures_of
from deepglass.tracing.operation import Kept

SMALL = 1 << 16
SAMPLE = 4096


@dataclass(slots=True)
class Entry:
    """One tensor that is kept: whole, or what is left of it."""

    tensor: Tensor | None
    version: int = 0
    places: Tensor | None = None
    figures: Summary | None = None


def storage_of(tensor: Tensor) -> tuple[int, int] | None:
    """A key for the tensor's memory, and how many bytes it has; None where it has none of its own (sparse, meta)."""
    try:
        storage = tensor.untyped_storage()
        return (storage._cdata, storage.nbytes()) if tensor.device.type != "meta" else None
    except (RuntimeError, NotImplementedError):
        return None


def version_of(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


class Keeper:
    """Keeps tensors by key: ("value", 3), ("gradient", 3). `used` is what they take, and never more than the budget."""

    def __init__(self, budget: int) -> None:
        self.budget, self.used = budget, 0
        self.entries: dict[Any, Entry] = {}
        self.spoiled: list[Any] = []
        self._sharers: dict[int, set[Any]] = {}
        self._sizes: dict[int, int] = {}
        self._largest: list[tuple[int, int]] = []
        self._samples: list[tuple[int, int, Any]] = []
        self._places: dict[tuple[int, str], Tensor] = {}

    @torch.no_grad()
    def keep(self, key: Any, tensor: Tensor, *, copy: bool = False) -> None:
        """Keep a tensor as it is now. `copy` where others will change it unseen: weights, inputs."""
        plain = tensor.detach()
        found = storage_of(plain)
        if found is None:
            self.entries[key] = Entry(None, figures=UNKNOWN if tensor.device.type == "meta" else figures_of(plain))
            return
        nbytes = plain.numel() * plain.element_size() if copy else found[1]
        if copy or found[0] not in self._sizes:
            if not self._make_room(nbytes, key, plain):
                return
            plain = plain.clone() if copy else plain
            # The memory behind a tensor may be larger than a copy of it: an odd stride, an allocator's rounding.
            found = storage_of(plain) or found
            self._enter(*found)
        self.entries[key] = Entry(plain, version_of(plain))
        self._sharers[found[0]].add(key)

    def mirrored(self, key: Any, owned: Tensor, view: Tensor) -> Tensor | None:
        """The same view of what is kept of `owned` under this key; None where that is not there to be looked at."""
        entry = self.entries.get(key)
        if entry is None or entry.tensor is None or entry.places is not None or view.dtype != owned.dtype:
            return None
        if not owned.is_contiguous() or not entry.tensor.is_contiguous():
            return None
        return entry.tensor.as_strided(view.shape, view.stride(), view.storage_offset() - owned.storage_offset())

    def before_write(self, tensor: Tensor) -> None:
        """Copy what is kept of this memory, for it will be overwritten."""
        found = storage_of(tensor)
        if found is None or found[0] not in self._sharers:
            return
        keys = list(self._sharers[found[0]])
        held = [(key, self.entries[key].tensor) for key in keys]
        self._leave(found[0])
        for key, kept in held:
            if kept is not None:
                self.keep(key, kept, copy=True)

    def charge(self, nbytes: int) -> bool:
        """Take some of the budget for something else, if there is room."""
        if self.used + nbytes > self.budget:
            return False
        self.used += nbytes
        return True

    def kept(self, key: Any) -> Kept | None:
        """What there is of a tensor, in its final form."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        if entry.places is not None:
            return Kept("sample", entry.figures, entry.tensor, entry.places)
        if entry.tensor is None:
            return Kept("summary", entry.figures)
        if version_of(entry.tensor) != entry.version:
            self.spoiled.append(key)
            return None
        return Kept("whole", entry.figures, entry.tensor)

    def _make_room(self, nbytes: int, key: Any, plain: Tensor) -> bool:
        """Room for a tensor kept whole; where it is itself the largest, it is lessened and False returned."""
        while self.used + nbytes > self.budget:
            while self._largest and -self._largest[0][0] != self._sizes.get(self._largest[0][1], -1):
                heapq.heappop(self._largest)
            size, storage = (-self._largest[0][0], self._largest[0][1]) if self._largest else (0, 0)
            if self._samples and max(size, nbytes) <= SMALL:
                self._drop_sample()
            elif nbytes >= size:
                self._lessen(key, plain)
                return False
            else:
                self._give_up(storage)
        return True

    def _enter(self, storage: int, nbytes: int) -> None:
        self._sharers[storage], self._sizes[storage] = set(), nbytes
        self.used += nbytes
        heapq.heappush(self._largest, (-nbytes, storage))

    def _leave(self, storage: int) -> None:
        self._sharers.pop(storage)
        self.used -= self._sizes.pop(storage)

    def _give_up(self, storage: int) -> None:
        """Lessen all that share a memory: only together do they free it."""
        held = [(key, self.entries[key].tensor) for key in self._sharers[storage]]
        whole = self._sizes[storage]
        self._leave(storage)
        for key, tensor in held:
            if tensor is None:
                continue
            small = tensor.numel() * tensor.element_size()
            if small <= SMALL < whole and self.used + small <= self.budget:
                self.keep(key, tensor, copy=True)
            else:
                self._lessen(key, tensor)

    def _lessen(self, key: Any, tensor: Tensor) -> None:
        """From the whole to a sample and the figures, or to the figures alone."""
        figures = figures_of(tensor)
        self.entries[key] = Entry(None, figures=figures)
        if tensor.numel() <= 4 * SAMPLE:
            return
        shared = (tensor.numel(), str(tensor.device))
        cost = SAMPLE * tensor.element_size() + (0 if shared in self._places else SAMPLE * 8)
        if self.used + cost > self.budget:
            return
        if shared not in self._places:
            chosen = torch.randint(tensor.numel(), (SAMPLE,), generator=torch.Generator().manual_seed(0))
            self._places[shared] = chosen.sort().values.to(tensor.device)
        places = self._places[shared]
        self.used += cost
        taken = tensor[torch.unravel_index(places, tensor.shape)] if tensor.dim() else tensor.reshape(1)
        self.entries[key] = Entry(taken, places=places, figures=figures)
        heapq.heappush(self._samples, (-tensor.numel(), id(taken), key))

    def _drop_sample(self) -> None:
        key = heapq.heappop(self._samples)[2]
        entry = self.entries[key]
        if entry.places is None or entry.tensor is None:
            return
        self.used -= SAMPLE * entry.tensor.element_size()
        self.entries[key] = Entry(None, figures=entry.figures)
        if not any(other.places is entry.places for other in self.entries.values()):
            gone = next(shared for shared, places in self._places.items() if places is entry.places)
            del self._places[gone]
            self.used -= SAMPLE * 8
