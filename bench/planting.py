"""What a planted case is, and the tools to plant with: layers found in order, a module put between two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from deepglass.data.schema import Data
from grounds import Ground

WEIGHTED = (nn.Linear, nn.Conv2d, nn.LSTM)


@dataclass(frozen=True)
class Planted:
    """What `deepglass.train` is called with, and the truth about it.

    names    what may rightly be found, the expected one first
    layers   where, as paths of modules; empty where the whole run is ill and no place is judged
    """

    data: Data
    model: str | nn.Module
    names: tuple[str, ...]
    layers: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    loss: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Case:
    """A fault in one ground. `planted` makes it anew each time, to the same bits."""

    fault: str
    ground: Ground
    plant: Callable[[Ground], Planted]

    @property
    def name(self) -> str:
        """Fit for a folder."""
        return f"{self.fault}-{self.ground.kind.replace(chr(39), '').replace(' ', '_')}"

    def planted(self) -> Planted:
        """The case ready to train, with the recipe of its ground where the fault says nothing else."""
        found = self.plant(self.ground)
        return replace(found, fields={"epochs": self.ground.epochs, "seed": self.ground.seed} | found.fields)


def healthy(ground: Ground, data: Data, **style: Any) -> tuple[str | nn.Module, dict[str, Any]]:
    """The model that suits the ground, by name where it is a family's, and the options that make it."""
    if ground.model is None:
        return ground.network(data.schema, **style), {}
    return ground.model, ground.options(**style)


def weighted(network: nn.Module) -> list[str]:
    """The paths of the layers that hold matrices or filters, in the order they were made."""
    return [path for path, module in network.named_modules() if isinstance(module, WEIGHTED)]


def around(network: nn.Module, *paths: str) -> tuple[str, ...]:
    """Each layer, and what follows it up to the next one: its normalization and its activation."""
    leaves = [path for path, module in network.named_modules() if path and next(module.children(), None) is None]
    starts = set(weighted(network))
    found: list[str] = []
    for path in paths:
        place = leaves.index(path)
        found.append(path)
        for after in leaves[place + 1 :]:
            if after in starts:
                break
            found.append(after)
    return tuple(found)


def put_after(network: nn.Module, path: str, module: nn.Module) -> tuple[str, str]:
    """Let a module follow the layer at `path`; the new paths of the layer and of the module."""
    name, _, last = path.rpartition(".")
    owner = network.get_submodule(name)
    setattr(owner, last, nn.Sequential(network.get_submodule(path), module))
    return f"{path}.0", f"{path}.1"
