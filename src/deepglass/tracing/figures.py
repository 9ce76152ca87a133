"""A tensor in seven figures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Summary:
    """A tensor in seven figures. Those of an empty tensor are NaN; of integers and booleans, taken as numbers.

    `spread` is the standard deviation (divided by n), `zeros` the share of exact zeros, `bad` the count of NaN and
    infinities, which the other figures leave out. Of complex numbers the magnitudes are taken.
    """

    mean: float
    spread: float
    least: float
    largest: float
    norm: float
    zeros: float
    bad: int


UNKNOWN = Summary(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)


@torch.no_grad()
def figures_of(tensor: Tensor) -> Summary:
    """The seven figures of a tensor, computed in float64.

    >>> figures_of(torch.tensor([3.0, -4.0, 0.0, torch.nan]))
    Summary(mean=-0.333..., spread=2.867..., least=-4.0, largest=3.0, norm=5.0, zeros=0.333..., bad=1)
    """
    if tensor.device.type == "meta" or tensor.numel() == 0:
        return UNKNOWN
    plain = tensor.detach()
    if plain.layout != torch.strided:
        plain = plain.to_dense()
    if plain.is_quantized:
        plain = plain.dequantize()
    if plain.is_complex():
        plain = plain.abs()
    # Apple's GPUs have no float64.
    flat = plain.reshape(-1).to(torch.float32 if plain.device.type == "mps" else torch.float64)
    bad = 0
    if tensor.is_floating_point() or tensor.is_complex():
        good = flat.isfinite()
        bad = flat.numel() - int(good.sum())
        flat = flat[good] if bad else flat
    if not flat.numel():
        return Summary(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, bad)
    least, largest = flat.aminmax()
    mean, norm = flat.mean(), flat.norm()
    spread = (flat - mean).norm() / math.sqrt(flat.numel())
    zeros = 1.0 - float(flat.count_nonzero()) / flat.numel()
    mean, spread, least, largest, norm = torch.stack((mean, spread, least, largest, norm)).tolist()
    return Summary(mean, spread, least, largest, norm, zeros, bad)
