"""What excites a unit (V5): of many examples, those it answers to most, cut to what it sees of them.

Source: Zeiler & Fergus (2014), figure 2. What comes with a pattern is shown along with it; `imagining` tells the two
apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deepglass.errors import ModelError
from deepglass.explaining.given import BUDGET, blend_of
from deepglass.explaining.mosaic import Mosaic, Row, Tile, as_pixels
from deepglass.explaining.unharmed import module_at, opened, tapped, unharmed

MOST_UNITS = 8
Batches = Tensor | Iterable[Tensor]


@dataclass(frozen=True)
class Exciting:
    """The examples that excite each unit most.

    values, rows   [units, count]: how strongly, and which examples, counted over all that were given
    boxes          for maps, where in the picture: (top, left, bottom, right), all the unit sees; else None
    """

    layer: str
    units: tuple[int, ...]
    values: Tensor = field(repr=False)
    rows: Tensor = field(repr=False)
    boxes: tuple[tuple[tuple[int, int, int, int] | None, ...], ...] = field(repr=False)
    picture: Mosaic | None = field(default=None, repr=False)


def exciting(thing: Any, layer: str, examples: Batches, *, units: Sequence[int] | None = None, count: int = 8,
             budget: int = BUDGET) -> Exciting:  # fmt: skip
    """The `count` examples that excite each unit of a layer most; a unit of maps is as excited as its best place.

    examples   a tensor, or batches of it one after another: only the best are held. By default the first eight units.
    Raises ModelError for a layer or a unit that is not there.

    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False))
    >>> _ = torch.nn.init.eye_(net[0].weight)
    >>> exciting(net, "0", torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 1.0]]), count=2).rows.tolist()
    [[2, 0], [1, 2]]
    """
    _, module, name = opened(thing)
    found = module_at(module, layer, name)
    best: tuple[Tensor, Tensor, Tensor] | None = None
    held: dict[int, Tensor] = {}
    boxes: dict[tuple[int, int], tuple[int, int, int, int] | None] = {}
    seen = 0
    with unharmed(module), tapped({layer: found}, cloned=True) as caught:
        for batch in [examples] if isinstance(examples, Tensor) else examples:
            blend, _, _ = blend_of(thing, batch, budget=budget)
            for rows in torch.arange(len(blend), device=blend.of(0).device).split(blend.chunk):
                given = blend.of(0)[rows]
                with torch.no_grad():
                    blend.run([tensor[rows] if tensor.dim() else tensor for tensor in blend.inputs])
                value, place = peaks(caught, layer, name)
                units = units_of(units, value.shape[1], layer)
                best = _merged(best, value[:, list(units)], place[:, list(units)], rows.cpu() + seen, count)
                held |= {seen + int(row): tensor.cpu() for row, tensor in zip(rows, given, strict=True)}
                held = {row: held[row] for row in best[1].unique().tolist()}
            seen += len(blend)
        if best is None or units is None:
            raise ModelError("there are no examples to look through.", next="give a tensor, or batches of one")
        values, rows, places = (part.T for part in best)
        for number, unit in enumerate(units):
            for row, place in zip(rows[number].tolist(), places[number].tolist(), strict=True):
                boxes[unit, row] = _seen_by(thing, caught, layer, held[row], unit, place)
    where = tuple(tuple(boxes[unit, row] for row in rows[k].tolist()) for k, unit in enumerate(units))
    return Exciting(layer, tuple(units), values, rows, where, _shown(layer, units, values, rows, where, held))


def peaks(caught: dict[str, Tensor], layer: str, name: str) -> tuple[Tensor, Tensor]:
    """Each unit's largest answer [n, units] and the place of it in its map (0 for a unit without one)."""
    answer = caught.pop(layer, None)
    if answer is None:
        raise ModelError(f"{name}: layer {layer!r} did not run.", next="name a layer that does")
    answer = answer.detach().float()
    if answer.dim() == 3:
        answer = answer.transpose(1, 2)  # a sequence [n, time, width]: units last
    if answer.dim() < 2:
        answer = answer[:, None]
    value, place = answer.flatten(2).max(2) if answer.dim() > 2 else (answer, torch.zeros_like(answer).long())
    return value.cpu(), place.cpu()


def units_of(wished: Sequence[int] | None, known: int, layer: str) -> tuple[int, ...]:
    units = tuple(range(min(known, MOST_UNITS))) if wished is None else tuple(wished)
    wrong = [unit for unit in units if not 0 <= unit < known]
    if wrong:
        raise ModelError(f"layer {layer!r} has no unit {wrong[0]}.", next=f"name one from 0 to {known - 1}")
    return units


def _merged(best: tuple[Tensor, Tensor, Tensor] | None, value: Tensor, place: Tensor, rows: Tensor,
            count: int) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The best so far and a chunk, [k, units] each, cut to the best again; of equals, the earlier example first."""
    every = rows[:, None].expand_as(value)
    if best is not None:
        value, every, place = (torch.cat(pair) for pair in zip(best, (value, every, place), strict=True))
    order = value.nan_to_num(-torch.inf).argsort(dim=0, descending=True, stable=True)[:count]
    return value.gather(0, order), every.gather(0, order), place.gather(0, order)


def _seen_by(thing: Any, caught: dict[str, Tensor], layer: str, example: Tensor, unit: int,
             place: int) -> tuple[int, int, int, int] | None:  # fmt: skip
    """The box of pixels that this place of a map answers to: where its gradient is not zero."""
    if example.dim() != 3 or not example.is_floating_point():
        return None
    blend, _, _ = blend_of(thing, example[None])
    mixes: Callable[[slice], list[float]] = lambda _: [1.0]  # noqa: E731
    (only,) = blend.passes(torch.zeros(1, dtype=torch.int64, device=blend.of(0).device), mixes, gradients=True)
    answer = caught.pop(layer)
    if answer.dim() != 4 or not answer.requires_grad:
        return None
    (slope,) = torch.autograd.grad(answer[0, unit].reshape(-1)[place], only.moved[0].tensor, allow_unused=True)
    if slope is None or not bool(slope.any()):
        return None
    reached = slope[0].abs().sum(0) > 0
    high, wide = (reached.any(axis).nonzero().squeeze(1) for axis in (1, 0))
    return int(high[0]), int(wide[0]), int(high[-1]) + 1, int(wide[-1]) + 1


def _shown(layer: str, units: Sequence[int], values: Tensor, rows: Tensor, boxes: Any,
           held: dict[int, Tensor]) -> Mosaic | None:  # fmt: skip
    """Each unit's examples, cut to what it sees; None for examples that are no pictures."""
    if any(example.dim() != 3 for example in held.values()):
        return None
    drawn = []
    for number, unit in enumerate(units):
        tiles = []
        for value, row, box in zip(values[number].tolist(), rows[number].tolist(), boxes[number], strict=True):
            pixels = as_pixels(held[row])
            top, left, bottom, right = box or (0, 0, *pixels.shape[-2:])
            tiles.append(Tile(pixels[..., top:bottom, left:right], f"{value:.3g}", "picture"))
        drawn.append(Row(f"unit {unit}", tuple(tiles)))
    about = f"For {len(units)} units of layer {layer}, the examples that excite each most, cut to what it sees of them."
    return Mosaic(f"What excites layer {layer}", about, tuple(drawn), 56.0, max(map(len, (row.tiles for row in drawn))))
