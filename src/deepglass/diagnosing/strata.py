"""A module taken apart into its layers: what runs, and what holds weights, each by its path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import is_lazy

WRAPPERS = ("_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module")
CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


@dataclass(frozen=True)
class Layer:
    """A module without children, or one that holds weights of its own; `weights` are those."""

    path: str
    module: nn.Module
    weights: tuple[nn.Parameter, ...]

    @property
    def trainable(self) -> bool:
        """Whether any of its weights is free to move."""
        return any(weight.requires_grad for weight in self.weights)


def layers_of(module: nn.Module) -> tuple[Layer, ...]:
    """The layers of a module, a shared one once, by the path it is first found at.

    The inside of a scripted module cannot be hooked, so it is one layer. A parametrized weight belongs to its layer.

    >>> [layer.path for layer in layers_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU()))]
    ['0', '1']
    """
    return tuple(_layers(bare(module), (), set()))


def _layers(module: nn.Module, path: tuple[str, ...], seen: set[int]) -> Iterator[Layer]:
    if id(module) in seen:
        return
    seen.add(id(module))
    scripted = isinstance(module, torch.jit.ScriptModule)
    parts = {} if scripted else dict(module.named_children())
    inside = parts.pop("parametrizations", None)
    own = [*module.parameters(recurse=scripted), *(inside.parameters() if inside else ())]
    own = [weight for weight in own if not is_lazy(weight)]
    if own or not (parts or isinstance(module, CONTAINERS)):
        yield Layer(".".join(name for name in path if name not in WRAPPERS), module, tuple(own))
    for name, part in parts.items():
        yield from _layers(part, (*path, name), seen)


def bare(module: nn.Module) -> nn.Module:
    """The module itself, out of the wrappers that compile it or spread it over devices."""
    while True:
        inner = module.module if isinstance(module, PARALLEL) else getattr(module, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner
