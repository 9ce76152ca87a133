"""What belongs to the one who is looked at: weights, inputs. Copied before it is written to, and given back after."""

from __future__ import annotations

import torch
from torch import Tensor

from deepglass.tracing.keeping import storage_of


class Belongings:
    """Tensors from outside, by the memory they lie in."""

    def __init__(self) -> None:
        self._owned: dict[int, list[Tensor]] = {}
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, tensor: Tensor) -> None:
        found = storage_of(tensor)
        if found is not None:
            self._owned.setdefault(found[0], []).append(tensor)

    def at(self, storage: int) -> list[Tensor]:
        """Those that lie in this memory; the first is the one that was met first."""
        return self._owned.get(storage, [])

    def before_write(self, tensor: Tensor) -> None:
        """Copy what lies in the memory that will be written to, once."""
        found = storage_of(tensor)
        for owned in self.at(found[0]) if found else ():
            if id(owned) not in self._copies:
                self._copies[id(owned)] = (owned, owned.detach().clone())

    def give_back(self) -> None:
        for tensor, copy in self._copies.values():
            put_back(tensor, copy)


def put_back(tensor: Tensor, copy: Tensor) -> None:
    """Make a tensor what it was."""
    with torch.inference_mode() if tensor.is_inference() else torch.no_grad():
        tensor.copy_(copy)
