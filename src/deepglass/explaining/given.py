"""What a net is given, made ready to be explained: of which kind it is, and from what baseline it is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from deepglass.errors import ModelError
from deepglass.explaining.blending import MOST_ROWS, Blend, bytes_of_one
from deepglass.explaining.unharmed import home_of, opened

Kind = Literal["picture", "table", "sequence", "numbers"]
Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]
Baseline = str | float | Tensor | Sequence[Any] | None
BUDGET = 1 << 28
ENOUGH_FOR_A_MEAN = 8
BLUR_SHARE = 0.15
STEERING = ("mask", "label", "position", "token_type", "cache", "index")


def kind_of(tensors: Sequence[Tensor]) -> Kind:
    """The kind of what is given, by shapes and types.

    picture    [m, channels, height, width];  sequence  nothing but integers [m, time], or vectors [m, time, width]
    table      rows of numbers [m, columns], beside codes or not;  numbers  anything else

    >>> kind_of([torch.zeros(2, 3, 8, 8)]), kind_of([torch.zeros(2, 5), torch.zeros(2, 1).long()])
    ('picture', 'table')
    """
    if any(tensor.dim() == 4 for tensor in tensors):
        return "picture"
    whole = [not tensor.is_floating_point() for tensor in tensors]
    if any(tensor.dim() == 3 for tensor in tensors) or (all(whole) and all(tensor.dim() == 2 for tensor in tensors)):
        return "sequence"
    return "table" if all(tensor.dim() in (1, 2) for tensor in tensors) else "numbers"


def blend_of(thing: Any, inputs: Inputs, *, baseline: Baseline = None, kind: Kind | None = None,
             budget: int = BUDGET) -> tuple[Blend, Kind, str]:  # fmt: skip
    """The net with its inputs, what kind they are, and the baseline in words. To be called inside `unharmed`.

    Integers that cannot be followed into the net are put in the place of others: `blend.substituted`.
    """
    call, module, name = opened(thing)
    tensors, names = _listed(inputs, name)
    device, dtype = home_of(module)
    tensors = tuple(t.detach().to(device, dtype if t.is_floating_point() else t.dtype) for t in tensors)
    explained = tuple(place for place, tensor in enumerate(tensors) if _explained(tensor, names[place]))
    count = len(tensors[explained[0]]) if explained else 0
    if not count or any(t.dim() and len(t) != count for t in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise ModelError(f"{name} was given {shapes}: the examples are not first in each, or there are none.",
                         next="give one tensor an input, with the same examples first in each")  # fmt: skip
    found = kind or kind_of([tensors[place] for place in explained])
    baselines, words = _baselines([tensors[place] for place in explained], baseline, found)
    blend = Blend(call, module, name, tensors, names, explained, baselines, chunk=1, comparisons=found == "table")
    return _fitted(blend, budget), found, words


def _fitted(blend: Blend, budget: int) -> Blend:
    """The blend with the chunk that keeps within the budget; the net's own errors told with what it was given."""
    try:
        try:
            size = bytes_of_one(blend)
        except ModelError:
            if all(blend.of(place).is_floating_point() for place in range(len(blend.explained))):
                raise
            blend = dataclasses.replace(blend, substituted=True)
            size = bytes_of_one(blend)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as error:
        given = ", ".join(f"{str(tensor.dtype)[6:]} {tuple(tensor.shape)}" for tensor in blend.inputs)
        facts = " ".join(str(error).split())[:240]
        raise ModelError(f"{blend.name} raised on {given}: {facts}.",
                         next="record it to see which layer wants what") from error  # fmt: skip
    return dataclasses.replace(blend, chunk=max(1, min(MOST_ROWS, budget // max(1, size))))


def _listed(inputs: Inputs, name: str) -> tuple[tuple[Tensor, ...], tuple[str | None, ...]]:
    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    if isinstance(inputs, Mapping):
        held = {key: value for key, value in inputs.items() if value is not None}
        tensors, names = tuple(held.values()), tuple(held)
    else:
        tensors, names = tuple(inputs), (None,) * len(inputs)
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise ModelError(f"{name} was given a {type(tensor).__name__}, where tensors are wanted.",
                             next="give a tensor, several in a tuple, or a dictionary of them by keyword")  # fmt: skip
    return tensors, names


def _explained(tensor: Tensor, name: str | None) -> bool:
    """Masks, labels and positions steer a net; they are not what it judges."""
    steers = name is not None and any(word in name for word in STEERING)
    return bool(tensor.dim() and tensor.numel() and tensor.dtype != torch.bool and not tensor.is_complex() and
                not steers)  # fmt: skip


def _baselines(tensors: list[Tensor], baseline: Baseline, kind: Kind) -> tuple[tuple[Tensor | None, ...], str]:
    wished = list(baseline) if isinstance(baseline, list | tuple) else [baseline] * len(tensors)
    if len(wished) != len(tensors):
        raise ModelError(f"baseline: {len(wished)} for {len(tensors)} inputs.", next="give one, or one an input")
    found = [_baseline(tensor, wish, kind) for tensor, wish in zip(tensors, wished, strict=True)]
    words = list(dict.fromkeys(word for _, word in found))
    return tuple(tensor for tensor, _ in found), " and ".join(words)


def _baseline(tensor: Tensor, wish: Any, kind: Kind) -> tuple[Tensor | None, str]:
    whole = not tensor.is_floating_point()
    if wish is None and not whole:
        wish = "mean" if kind == "table" and len(tensor) >= ENOUGH_FOR_A_MEAN else "zero"
    if wish is None or (whole and wish in ("zero", "mean")):
        return None, "zero vectors where whole numbers enter"
    if isinstance(wish, Tensor | int | float):
        made = torch.as_tensor(wish, dtype=tensor.dtype, device=tensor.device)
        try:
            made = made.expand(1, *tensor.shape[1:]) if made.dim() < tensor.dim() else made.expand(
                len(made), *tensor.shape[1:])  # fmt: skip
        except RuntimeError:
            made = tensor[:0]
        if len(made) not in (1, len(tensor)):
            shape = tuple(torch.as_tensor(wish).shape)
            raise ModelError(f"baseline: {shape} does not spread over inputs {tuple(tensor.shape)}.",
                             next="give one example, one an example, or a number")  # fmt: skip
        return made, "the baseline given" if isinstance(wish, Tensor) else f"{wish:g} everywhere"
    if wish == "zero":
        return torch.zeros_like(tensor[:1]), "zeros"
    if wish == "mean":
        return tensor.mean(0, keepdim=True), "the mean of the examples"
    if wish == "blur" and tensor.dim() == 4:
        return blurred(tensor), "the picture blurred"
    raise ModelError(f"baseline: {wish!r} is not one for inputs {tuple(tensor.shape)}.",
                     next="zero, mean, blur (for pictures), a number or a tensor")  # fmt: skip


def blurred(pictures: Tensor, share: float = BLUR_SHARE, *, least: float = 1.0) -> Tensor:
    """Pictures [m, c, h, w] under a Gaussian whose spread is a share of the side, in pixels at least `least`.

    >>> bool(blurred(torch.ones(1, 1, 4, 4)).allclose(torch.ones(1, 1, 4, 4)))
    True
    """
    for axis in (2, 3):
        side = pictures.shape[axis]
        spread = max(least, share * side)
        reach = max(1, round(3 * spread))
        far = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
        weight = torch.exp(-(far**2) / (2 * spread**2))
        upright = axis == 2
        kernel = (weight / weight.sum()).reshape((1, 1, -1, 1) if upright else (1, 1, 1, -1))
        pad = (0, 0, reach, reach) if upright else (reach, reach, 0, 0)
        flat = pictures.reshape(-1, 1, *pictures.shape[2:])
        pictures = functional.conv2d(functional.pad(flat, pad, mode="replicate"), kernel).reshape(pictures.shape)
    return pictures
