"""Where whole numbers enter a net: the first tensors of real numbers that are made of them.

A token or a category cannot be moved a little, but the vector looked up for it can. Integers given are followed
through reshaping, slicing and arithmetic until an operation turns them into real numbers (a lookup, a one-hot row, a
conversion). There each entry's place in the input is still known, so what is found for the vector goes to the token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

Meet = Callable[[int, Tensor, Tensor], Tensor]

# These read a tensor's shape and type, not its entries.
SHAPES_ONLY = frozenset({"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros",
                         "new_ones", "new_empty", "new_full", "new_tensor", "numel"})  # fmt: skip

# These move entries about, so they tell of the places what they do to the entries. Any other function is taken to work
# entry by entry where the shape stays.
MOVING = frozenset({"__getitem__", "select", "index_select", "narrow", "gather", "take", "take_along_dim", "split",
                    "chunk", "unbind", "tensor_split", "reshape", "view", "flatten", "unflatten", "squeeze",
                    "unsqueeze", "expand", "repeat", "transpose", "swapaxes", "permute", "movedim", "t", "T", "mT",
                    "flip", "roll", "contiguous", "__get__", "repeat_interleave", "tile"})  # fmt: skip


class Entrances(TorchFunctionMode):
    """While active, `meet(input, places, values)` is asked at every entrance, and what it gives goes on in its stead.

    input    which of the followed tensors;  values   real numbers of shape places.shape + (…)
    places   int64: where in the flattened input, rows and all, each entry comes from

    `comparisons`: follow yes-and-no answers too. A table's category is often told by "equal to 3?"; a text's "equal to
    padding?" is a mask, whose place is not in the sum.
    `lost` becomes true where real numbers came of integers in a way that cannot be followed.

    >>> table, seen = torch.randn(9, 4), []
    >>> with Entrances([torch.tensor([[1, 2, 3]])], lambda k, at, x: seen.append((at.tolist(), x.shape)) or x):
    ...     _ = torch.nn.functional.embedding(torch.tensor([[0]]), table)   # not of the input: passes by
    >>> seen
    []
    """

    def __init__(self, inputs: Iterable[Tensor], meet: Meet, *, comparisons: bool = False) -> None:
        super().__init__()
        self.meet, self.comparisons, self.lost = meet, comparisons, False
        # The tensor is held, lest another one be given its id.
        self.known: dict[int, tuple[Tensor, int, Tensor | None]] = {}
        for place, tensor in enumerate(inputs):
            places = torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape)
            self.known[id(tensor)] = (tensor, place, places)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Run the function, and look at what came of the tensors followed."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        followed = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and id(leaf) in self.known]
        if not followed or getattr(func, "__name__", "") in SHAPES_ONLY:
            return result
        source, input, places = self.known[id(followed[0])]
        if isinstance(result, tuple | list):
            shadows = self._shadow(func, args, kwargs, source, places, result)
            found = [self._next(one, input, shadow) for one, shadow in zip(result, shadows, strict=True)]
            return type(result)(found) if type(result) in (tuple, list) else result
        if not isinstance(result, Tensor):
            return result
        return self._next(result, input, self._shadow(func, args, kwargs, source, places, result))

    def _next(self, result: Any, input: int, places: Tensor | None) -> Any:
        """Follow integers on; at real numbers, the entrance."""
        if not isinstance(result, Tensor) or result.is_complex():
            return result
        if not result.is_floating_point():
            if result.dtype != torch.bool or self.comparisons:
                self.known[id(result)] = (result, input, places)
            return result
        if places is None or result.shape[: places.dim()] != places.shape:
            self.lost = True
            return result
        return self.meet(input, places, result)

    def _shadow(self, func: Any, args: Any, kwargs: Any, source: Tensor, places: Tensor | None, result: Any) -> Any:
        """The places of the result: the same where the shape is, else what the function makes of the places."""
        several = isinstance(result, tuple | list)
        unknown = [None] * len(result) if several else None
        if places is None:
            return unknown
        name = getattr(func, "__name__", "")
        if not several and (result.is_floating_point() or name not in MOVING):
            return _spread(places, result)
        if name not in MOVING:
            return unknown
        try:
            with torch.no_grad():
                moved = tree_map(lambda leaf: places if leaf is source else leaf, (args, kwargs))
                found = func(*moved[0], **moved[1])
        except (RuntimeError, TypeError, IndexError, ValueError):
            return unknown
        return list(found) if several else found


def _spread(places: Tensor, result: Tensor) -> Tensor | None:
    """The places as they are for real numbers, and with the new axes of a one-hot row for integers."""
    if result.shape[: places.dim()] != places.shape:
        return None
    extra = result.dim() - places.dim()
    if result.is_floating_point() or not extra:
        return places
    return places[(..., *[None] * extra)].expand(result.shape)
