"""What is measured of one tensor during a step; the figures stay on the device until all are read at once.

Sources: activation mean, spread and share near zero are the statistics of fast.ai's ActivationStats (Howard & Gugger
2020); a unit is dead where a rectifier gives zero for every example (Lu et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

FEATURES_LAST = (nn.Linear, nn.Bilinear, nn.LayerNorm, nn.RMSNorm, nn.Embedding, nn.EmbeddingBag, nn.RNNBase,
                 nn.MultiheadAttention)  # fmt: skip
# The range of a squashing function ends at its limits: an output this far along has a slope of hardly anything.
LIMITS: dict[type[nn.Module], tuple[float, float]] = {
    nn.Sigmoid: (0.0, 1.0), nn.Hardsigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0), nn.Hardtanh: (-1.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}  # fmt: skip
NEAR_LIMIT, FAR_OUT = 0.97, 4.0
MOST_ENTRIES = 2**16
PLAIN = (torch.float32, torch.float64)


@dataclass(frozen=True)
class Figure:
    """A number on its device, of no axes, and what it is multiplied by once it is read."""

    tensor: Tensor
    scale: float = 1.0


class Readings:
    """Figures by place and name, gathered on their devices and read together: one wait a device."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, str, Figure]] = []

    def add(self, place: Any, figures: Mapping[str, Figure]) -> None:
        """Take down the figures of a place; of a place and name that come again, the mean is read."""
        self._entries += [(place, name, figure) for name, figure in figures.items()]

    def read(self) -> dict[Any, dict[str, float]]:
        """All figures as numbers, by place and name."""
        by_device: dict[torch.device, list[tuple[Any, str, Figure]]] = {}
        for entry in self._entries:
            by_device.setdefault(entry[2].tensor.device, []).append(entry)
        sums: dict[Any, dict[str, list[float]]] = {}
        for entries in by_device.values():
            values = torch.stack([figure.tensor for _, _, figure in entries]).tolist()
            for (place, name, figure), value in zip(entries, values, strict=True):
                sums.setdefault(place, {}).setdefault(name, []).append(value * figure.scale)
        self._entries = []
        return {p: {n: sum(found) / len(found) for n, found in named.items()} for p, named in sums.items()}


def moments(tensor: Tensor) -> dict[str, Figure]:
    """Mean μ = Σ x / n and spread √(Σ (x - μ)² / n) of all entries.

    >>> readings = Readings()
    >>> readings.add("output", moments(torch.tensor([1.0, 3.0, 1.0, 3.0])))
    >>> readings.read()
    {'output': {'mean': 2.0, 'spread': 1.0}}
    """
    # Not torch.var_mean: on the CPU it takes twenty times as long as these two passes.
    mean = tensor.mean()
    return {"mean": Figure(mean), "spread": Figure(torch.linalg.vector_norm(tensor - mean), tensor.numel() ** -0.5)}


def extent(tensor: Tensor) -> dict[str, Figure]:
    """Mean, spread, and the largest absolute entry."""
    least, most = torch.aminmax(tensor)
    return moments(tensor) | {"largest": Figure(torch.maximum(-least, most))}


def size(tensor: Tensor) -> Figure:
    """The root of the mean square of all entries: the norm that does not grow with the number of entries."""
    plain = tensor if tensor.dtype in PLAIN else tensor.float()
    return Figure(torch.linalg.vector_norm(plain), max(1, tensor.numel()) ** -0.5)


def dead_share(outputs: Tensor, axis: int) -> Figure:
    """The share of units, along `axis`, whose output is at most 0 for every example and at every place.

    >>> float(dead_share(torch.tensor([[-1.0, 2.0], [-3.0, -1.0]]), 1).tensor)
    0.5
    """
    others = [number for number in range(outputs.ndim) if number != axis]
    most = outputs.amax(others) if others else outputs
    return Figure((most <= 0).float().mean())


def saturated_share(outputs: Tensor, limits: tuple[float, float] | None) -> Figure:
    """The share of outputs beyond 0.97 of the way from the middle of a squashing function's range to its limits.

    limits   of the range; None for a layer that squashes nothing, of which the share of |output| > 4 is told: there
             the slope of a sigmoid put upon it is below 0.02

    Of more than 65,536 entries, so many, evenly strided, are looked at.
    """
    low, high = limits or (-1.0, 1.0)
    middle, far = (low + high) / 2, NEAR_LIMIT * (high - low) / 2 if limits else FAR_OUT
    chosen = strided(outputs, MOST_ENTRIES)
    return Figure(((chosen - middle).abs() > far).float().mean())


def strided(tensor: Tensor, most: int) -> Tensor:
    """At most so many entries, evenly strided over the whole; all, in the tensor's own shape, where there are no more.

    The stride shares no divisor with the last axis, so that every column has its part.
    """
    if tensor.numel() <= most:
        return tensor
    step = -(-tensor.numel() // most)
    while math.gcd(step, tensor.shape[-1]) > 1:
        step += 1
    return tensor.reshape(-1)[::step]


def norms(tensors: list[Tensor]) -> list[Tensor]:
    """The norm of each tensor, in at least float32."""
    return list(torch._foreach_norm([t if t.dtype in PLAIN else t.float() for t in tensors])) if tensors else []


def unit_axis(module: nn.Module, outputs: Tensor, known: dict[int, int]) -> int:
    """The axis along which a layer's units lie: channels of maps, features of rows and of sequences.

    known   by number of axes, where the units lay in the layer before: an activation has its units where it got them
    """
    if isinstance(module, _ConvNd):
        known[outputs.ndim] = outputs.ndim - 1 - len(module.kernel_size)
    elif isinstance(module, _NormBase | nn.GroupNorm) and outputs.ndim > 1:
        known[outputs.ndim] = 1
    elif isinstance(module, FEATURES_LAST):
        known[outputs.ndim] = outputs.ndim - 1
    return known.get(outputs.ndim, 1 if outputs.ndim in (2, 4, 5) else outputs.ndim - 1)


def measurable(thing: Any) -> Tensor | None:
    """The first tensor of real numbers in what a module gave, detached and in at least float32; None without one."""
    found = next((tensor for tensor in tensors_in(thing) if tensor.is_floating_point() and tensor.numel()), None)
    return None if found is None else plain(found)


def plain(tensor: Tensor) -> Tensor:
    """The entries as numbers to calculate with: detached, this process's share of a sharded tensor, not halved."""
    entries = share(tensor.detach())
    return entries if entries.dtype in PLAIN else entries.float()


def share(tensor: Tensor) -> Tensor:
    """Of a tensor sharded over processes, what this one holds; to gather the rest could wait for ever."""
    local = getattr(tensor, "to_local", None)
    return tensor if local is None else local()


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists, dicts and dataclasses, in their order."""
    if isinstance(thing, Tensor):
        yield thing
        return
    inner: Iterable[Any] = ()
    if isinstance(thing, Mapping):
        inner = thing.values()
    elif isinstance(thing, tuple | list):
        inner = thing
    elif is_dataclass(thing) and not isinstance(thing, type):
        inner = (getattr(thing, entry.name) for entry in fields(thing))
    for entry in inner:
        yield from tensors_in(entry)
