"""What a layer looks for and what it finds (V5): filters as pictures, and the maps they make of one example, by depth.

The first filters of a net that learned to see are edges and colors (Krizhevsky, Sutskever & Hinton 2012, figure 3);
deeper maps answer to parts and then to objects (Zeiler & Fergus 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.explaining.attributing import every_row, everywhere
from deepglass.explaining.given import Inputs, blend_of
from deepglass.explaining.mosaic import Mosaic, Row, Tile, as_pixels
from deepglass.explaining.unharmed import module_at, opened, tapped, unharmed

MOST_FILTERS, MOST_MAPS, MOST_LAYERS = 64, 8, 12
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Filters:
    """A layer's weights as pictures. `weight` [filters, channels, height, width]; `picture` shows the first 64."""

    layer: str
    weight: Tensor = field(repr=False)
    picture: Mosaic = field(repr=False)


@dataclass(frozen=True)
class FeatureMaps:
    """One example by depth: `maps[path]` [channels, height, width], from the first layer to the last."""

    maps: dict[str, Tensor] = field(repr=False)
    picture: Mosaic = field(repr=False)


def filters(thing: Any, layer: str | None = None, *, shape: Sequence[int] | None = None) -> Filters:
    """The filters of a layer: of the first convolution, or of the dense layer that is given a picture of `shape`.

    Three input channels are shown as colors around gray, one as blue (positive) and orange (negative), all filters to
    one scale; of any other number, the channel that weighs most.
    Raises ModelError where there is no such layer, or its weights make no picture.

    >>> filters(nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU())).picture.description
    '8 filters of 3 × 5 × 5 numbers each, of layer 0 (Conv2d).'
    """
    _, module, name = opened(thing)
    if layer is not None:
        found = module_at(module, layer, name)
    else:
        kinds = (*CONVOLUTIONS, nn.Linear) if shape is not None else CONVOLUTIONS
        named = [] if module is None else list(module.named_modules())
        layer, found = next(((path, part) for path, part in named if isinstance(part, kinds)), ("", nn.Identity()))
    weight = getattr(found, "weight", None)
    if not isinstance(weight, Tensor) or isinstance(weight, nn.UninitializedParameter) or weight.dim() < 2:
        raise ModelError(f"{name} has no convolution whose filters could be shown{f' at {layer!r}' * bool(layer)}.",
                         next="name a layer=…, or the shape=(channels, h, w) of a dense one's picture")  # fmt: skip
    weight = _as_pictures(weight.detach().float().cpu(), layer, shape)
    count, *sides = weight.shape
    kind = f"{type(found).__name__}" if not layer else f"layer {layer} ({type(found).__name__})"
    about = f"{count} filters of {' × '.join(map(str, sides))} numbers each, of {kind}."
    most = float(weight[:MOST_FILTERS].abs().max()) or 1.0
    tiles = tuple(_filter(weight[place], place, most) for place in range(min(count, MOST_FILTERS)))
    notes = (f"The first {MOST_FILTERS} of {count} filters.",) if count > MOST_FILTERS else ()
    return Filters(layer, weight, Mosaic(f"Filters of {kind}", about, (Row("", tiles),), 56.0, 8, notes))


def _as_pictures(weight: Tensor, layer: str, shape: Sequence[int] | None) -> Tensor:
    if weight.dim() == 2 and shape is not None:
        if weight[0].numel() != torch.Size(shape).numel() or len(shape) != 3:
            raise ModelError(f"{layer}: {weight.shape[1]} weights a unit make no picture of {tuple(shape)}.",
                             next="give shape=(channels, height, width) of what the layer is given")  # fmt: skip
        return weight.reshape(-1, *shape)
    if weight.dim() == 3:
        return weight[:, None]  # one dimension: channels down, time across
    if weight.dim() != 4:
        raise ModelError(f"{layer}: weights {tuple(weight.shape)} make no pictures.",
                         next="name a convolution, or for a dense layer shape=(channels, height, width)")  # fmt: skip
    return weight


def _filter(weight: Tensor, place: int, most: float) -> Tile:
    if len(weight) == 3:
        return Tile(0.5 + weight / (2 * most), str(place), "picture")
    return Tile(weight[int(weight.square().flatten(1).sum(1).argmax())], str(place), "signed", most)


def feature_maps(thing: Any, inputs: Inputs, example: int = 0, *, layers: Sequence[str] | None = None) -> FeatureMaps:
    """The maps that each layer makes of one example, the eight channels that vary most of each.

    layers   paths; by default every convolution and pooling, and what follows it to the next (at most 12, spread over
             the depth)
    Raises ModelError for a layer that is not there or a net without maps.

    >>> maps = feature_maps(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), torch.rand(1, 1, 8, 8))
    >>> {path: tuple(found.shape) for path, found in maps.maps.items()}
    {'1': (4, 6, 6)}
    """
    _, module, name = opened(thing)
    with unharmed(module):
        blend, _, _ = blend_of(thing, inputs)
        if not 0 <= example < len(blend):
            raise ModelError(f"example {example} of {len(blend)}.", next=f"name one from 0 to {len(blend) - 1}")
        named = {path: part for path, part in module.named_modules() if path} if module is not None else {}
        wanted = {path: module_at(module, path, name) for path in layers} if layers is not None else named
        with tapped(wanted, cloned=True) as caught, torch.no_grad():
            next(blend.passes(every_row(blend)[example : example + 1], everywhere(blend, 1.0)))
        found = {path: maps[0].detach().float().cpu() for path, maps in caught.items() if maps.dim() == 4}
        if layers is None:
            found = _stages(found, named)
        if not found:
            raise ModelError(f"{name} makes no maps [m, channels, height, width].", next="look at it with dg.probe")
        given = next((blend.of(k)[example] for k in range(len(blend.explained)) if blend.of(k).dim() == 4), None)
    rows = [] if given is None else [Row("input", (Tile(as_pixels(given), "", "picture"),))]
    rows += [_map_row(path, maps, named) for path, maps in found.items()]
    about = f"Example {example} seen by {len(found)} layers of {name}, the channels that vary most of each."
    return FeatureMaps(found, Mosaic("Feature maps, by depth", about, tuple(rows), 72.0, MOST_MAPS))


def _stages(found: dict[str, Tensor], named: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Of each run of layers from one convolution or pooling to the next, the last: normalized and activated."""
    leaves = [path for path in found if not any(True for _ in named[path].children())]
    ends: list[str] = []
    for path in leaves:
        begins = isinstance(named[path], nn.Conv2d | nn.ConvTranspose2d) or "Pool" in type(named[path]).__name__
        if begins or not ends:
            ends.append(path)
        else:
            ends[-1] = path
    kept = [path for path in ends if min(found[path].shape[1:]) > 1]
    if len(kept) > MOST_LAYERS:
        places = torch.linspace(0, len(kept) - 1, MOST_LAYERS).round().long().tolist()
        kept = [kept[place] for place in places]
    return {path: found[path] for path in kept}


def _map_row(path: str, maps: Tensor, named: dict[str, nn.Module]) -> Row:
    spread = maps.flatten(1).std(1, correction=0)
    chosen = spread.argsort(descending=True, stable=True)[:MOST_MAPS].sort().values.tolist()
    signed = bool((maps[chosen] < 0).any())
    tiles = tuple(
        Tile(maps[channel], str(channel), "signed" if signed else "gray", float(maps[channel].abs().max()) or 1.0)
        for channel in chosen
    )
    shape = "×".join(map(str, maps.shape))
    return Row(f"{path} · {type(named[path]).__name__} · {shape}", tiles)
