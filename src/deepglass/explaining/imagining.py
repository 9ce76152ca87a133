"""The input that would excite a unit more than any example does (V5), found by climbing the unit's gradient.

        max over x of  mean over places of a_unit(x) − λ · mean((x − x̄)² / σ²)

At every step the picture is shifted a little and now and then blurred, so that no fine pattern wins that no picture
has. Sources: Erhan et al. (2009), "Visualizing Higher-Layer Features of a Deep Network"; Olah, Mordvintsev & Schubert
(2017), "Feature Visualization".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from deepglass.errors import ModelError
from deepglass.explaining.blending import Blend
from deepglass.explaining.excitation import MOST_UNITS, peaks, units_of
from deepglass.explaining.given import blend_of, blurred
from deepglass.explaining.mosaic import Mosaic, Row, Tile, as_pixels
from deepglass.explaining.unharmed import home_of, module_at, opened, tapped, unharmed

STEPS, RATE, DECAY = 200, 0.05, 0.25
JITTER, BLUR_EVERY, BLUR = 1 / 14, 8, 0.018


@dataclass(frozen=True)
class Imagined:
    """Inputs made to excite units [units, …].

    values, begun   how much each excites its unit, and how much the noise it began as did;  best   the most that any of
                    the examples given does: real pictures are less than that, or the search ended early
    """

    layer: str
    units: tuple[int, ...]
    inputs: Tensor = field(repr=False)
    values: tuple[float, ...]
    begun: tuple[float, ...]
    best: tuple[float, ...]
    picture: Mosaic | None = field(default=None, repr=False)


def imagined(thing: Any, layer: str, like: Tensor, *, units: Sequence[int] | None = None, steps: int = STEPS,
             seed: int = 0) -> Imagined:  # fmt: skip
    """For each unit of a layer (by default the first eight), an input that excites it; a unit of maps, on their mean.

    like   examples [m, …]: where the search begins, how large a step is, and what entries stay within
    Raises ModelError for a layer or a unit that is not there, or examples that are whole numbers.

    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False))
    >>> _ = torch.nn.init.ones_(net[0].weight)
    >>> imagined(net, "0", torch.tensor([[0.0, 1.0], [1.0, 0.0]])).inputs.round(decimals=1).tolist()
    [[1.0, 1.0]]
    """
    _, module, name = opened(thing)
    found = module_at(module, layer, name)
    if not like.is_floating_point() or like.dim() < 2:
        shape = f"{str(like.dtype)[6:]} {tuple(like.shape)}"
        raise ModelError(f"{name} is given {shape}, which cannot be moved bit by bit.",
                         next="give examples of real numbers, [m, …]")  # fmt: skip
    device, dtype = home_of(module)
    like = like.detach().to(device, dtype)
    with unharmed(module), tapped({layer: found}, cloned=True) as caught:
        blend, _, _ = blend_of(thing, like)
        with torch.no_grad():
            blend.run([like[:1]])
        chosen = units_of(units, peaks(caught, layer, name)[0].shape[1], layer)
        climb = _Climb(blend, caught, layer, torch.tensor(chosen, device=device), like)
        made, begun = climb.made(steps, torch.Generator().manual_seed(seed))
        values, best = climb.excited(made), climb.best()
    picture = None
    if like.dim() == 4:
        tiles = tuple(Tile(as_pixels(one), f"unit {unit}", "picture") for one, unit in zip(made, chosen, strict=True))
        about = f"For {len(chosen)} units of layer {layer}, an input found by gradient ascent that excites it."
        picture = Mosaic(f"What layer {layer} would like to see", about, (Row("", tiles),), 72.0, MOST_UNITS)
    return Imagined(layer, chosen, made.cpu(), values, begun, best, picture)


@dataclass(frozen=True)
class _Climb:
    """The search for all units at once, an input a unit, by Adam."""

    blend: Blend
    caught: dict[str, Tensor]
    layer: str
    units: Tensor
    like: Tensor

    def made(self, steps: int, draw: torch.Generator) -> tuple[Tensor, tuple[float, ...]]:
        """The inputs, and how much what they began as excited the units."""
        like, shape = self.like, (len(self.units), *self.like.shape[1:])
        middle, spread = like.mean(0, keepdim=True), float(like.std(correction=0)) or 1.0
        low, high = _bounds(like)
        point = middle + 0.3 * spread * torch.randn(shape, generator=draw).to(like)
        point = point.clamp(low, high).requires_grad_()
        begun = self.excited(point.detach())
        mover = torch.optim.Adam([point], lr=RATE * spread)
        for step in range(steps):
            away = ((point - middle) / spread).square().flatten(1).mean(1)
            scale = self._answers(point.detach()).detach().abs().clamp_min(1e-3)
            goal = self._answers(_shifted(point, draw)) / scale - DECAY * away
            (slope,) = torch.autograd.grad(-goal.sum(), point)
            point.grad = slope
            mover.step()
            with torch.no_grad():
                if like.dim() == 4 and step % BLUR_EVERY == 0 and step < 0.8 * steps:
                    point.copy_(blurred(point, BLUR, least=0.4))
                point.copy_(point.clamp(low, high))
        return point.detach(), begun

    def excited(self, inputs: Tensor) -> tuple[float, ...]:
        """How much each input excites its unit."""
        with torch.no_grad():
            return tuple(self._answers(inputs).tolist())

    def best(self) -> tuple[float, ...]:
        """The most that any of the examples excites each unit."""
        most = torch.full((len(self.units),), -torch.inf, device=self.like.device)
        with torch.no_grad():
            for part in self.like.split(self.blend.chunk):
                most = torch.maximum(most, self._all(part)[:, self.units].amax(0))
        return tuple(most.tolist())

    def _answers(self, inputs: Tensor) -> Tensor:
        found = [
            self._all(part).gather(1, units[:, None]).squeeze(1)
            for part, units in zip(inputs.split(self.blend.chunk), self.units.split(self.blend.chunk), strict=True)
        ]
        return torch.cat(found)

    def _all(self, inputs: Tensor) -> Tensor:
        """Every unit's answer [n, units], the mean over the places of a map or a sequence."""
        self.blend.run([inputs])
        answer = self.caught.pop(self.layer)
        if answer.dim() == 3:
            return answer.mean(1)
        return answer.flatten(2).mean(2) if answer.dim() > 2 else answer.reshape(len(answer), -1)


def _bounds(like: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest entry: of a picture's channel, of a column, over the examples."""
    kept = 1 if like.dim() == 4 else like.dim() - 1
    flat = like.transpose(0, kept).flatten(1) if like.dim() > 1 else like[None]
    shape = [1] * like.dim()
    shape[kept] = like.shape[kept]
    return flat.amin(1).reshape(shape), flat.amax(1).reshape(shape)


def _shifted(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Pictures rolled by up to a fourteenth of their sides; anything else as it is."""
    if pictures.dim() != 4:
        return pictures
    reach = [max(1, round(side * JITTER)) for side in pictures.shape[2:]]
    moved = [int(torch.randint(-most, most + 1, (), generator=draw)) for most in reach]
    return pictures.roll(moved, (2, 3))
