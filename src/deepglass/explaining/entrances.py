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

# These move entries about, so they tell of the places what they do to the entries. Those in the next list mix entries.
# Any other function is taken to work entry by entry where the shape stays.
MOVING = frozenset({"__getitem__", "select", "index_select", "narrow", "gather", "take", "take_along_dim", "split",
                    "chunk", "unbind", "tensor_split", "reshape", "view", "flatten", "unflatten", "squeeze",
                    "unsqueeze", "expand", "repeat", "transpose", "swapaxes", "permute", "movedim", "t", "T", "mT",
                    "flip", "roll", "contiguous", "__get__", "repeat_interleave", "tile", "cat", "concat", "stack",
                    "hstack", "vstack"})  # fmt: skip
MIXING = frozenset({"cumsum", "cumprod", "cummax", "cummin", "sort", "argsort", "unique", "diff", "topk"})


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
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        followed = [leaf for leaf in leaves if id(leaf) in self.known]
        if not followed or getattr(func, "__name__", "") in SHAPES_ONLY:
            return result
        input = self.known[id(followed[0])][1]
        shadow = self._shadow(func, args, kwargs, leaves, followed, result)
        if isinstance(result, tuple | list):
            shadows = shadow if isinstance(shadow, tuple | list) else [None] * len(result)
            found = [self._next(one, input, places) for one, places in zip(result, shadows, strict=True)]
            return type(result)(found) if type(result) in (tuple, list) else result
        return self._next(result, input, shadow if isinstance(shadow, Tensor) else None)

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

    def _shadow(self, func: Any, args: Any, kwargs: Any, leaves: list[Tensor], followed: list[Tensor],
                result: Any) -> Any:  # fmt: skip
        """The places of the result: what a moving function makes of the places, else as they are where the shape is."""
        entries = [self.known[id(leaf)] for leaf in followed]
        first = entries[0][2]
        if any(places is None or input != entries[0][1] for _, input, places in entries) or first is None:
            return None
        name = getattr(func, "__name__", "")
        real = isinstance(result, Tensor) and result.is_floating_point()
        if name in MOVING and not real:
            whole = [leaf for leaf in leaves if not leaf.is_floating_point() and leaf.dim()]
            if name in ("cat", "concat", "stack", "hstack", "vstack") and len(whole) != len(followed):
                return None  # joined with what is not of the input
            try:
                with torch.no_grad():
                    moved = tree_map(self._place_of, (args, kwargs))
                    return func(*moved[0], **moved[1])
            except (RuntimeError, TypeError, IndexError, ValueError):
                return None
        alike = all(places is not None and torch.equal(places, first) for _, _, places in entries)
        return _spread(first, result) if alike and name not in MIXING and isinstance(result, Tensor) else None

    def _place_of(self, leaf: Any) -> Any:
        known = self.known.get(id(leaf)) if isinstance(leaf, Tensor) else None
        return leaf if known is None else known[2]


def _spread(places: Tensor, result: Tensor) -> Tensor | None:
    """The places as they are for real numbers; with the axes that a comparison or a one-hot row adds, for integers."""
    if result.shape[: places.dim()] == places.shape:
        extra = result.dim() - places.dim()
        if result.is_floating_point() or not extra:
            return places
        return places[(..., *[None] * extra)].expand(result.shape)
    widened = zip(places.shape, result.shape, strict=False)
    if result.dim() == places.dim() and all(old in (1, new) for old, new in widened):
        return places.expand(result.shape)
    return None
