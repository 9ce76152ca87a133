"""Averages of the weights along the path of training, often better than the last point of it.

    ema    a := d a + (1−d) w   after each step, d = min(average_decay, (1+t)/(10+t)), t = averages made so far
           (Polyak & Juditsky 1992; the small d at first keeps the random start from lingering)
    swa    a := mean of w after each step of the last quarter   (Izmailov et al. 2018)

The averaged weights are judged and kept; training goes on from the plain ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from deepglass.training.recipe import Recipe

SWA_BEGINS = 0.75


class Averager:
    """The running average of a model's weights; with average="none" it holds nothing and does nothing.

    Weights that do not learn, and buffers, are the model's own at all times.

    >>> model = nn.Linear(1, 1)
    >>> averager = Averager(model, Recipe(average="ema"), steps=10)
    >>> averager.update(0)
    >>> with averager.applied():
    ...     outputs = model(torch.zeros(2, 1))
    """

    def __init__(self, model: nn.Module, recipe: Recipe, steps: int) -> None:
        self.kind = recipe.average or "none"
        self.decay = recipe.average_decay
        self.steps = steps
        self.updates = 0
        self._model = model
        self._names: list[str] = []
        self._weights: list[Tensor] = []
        for name, weight in model.named_parameters():
            if self.kind != "none" and weight.requires_grad and weight.is_floating_point():
                self._names.append(name)
                self._weights.append(weight)
        with torch.no_grad():
            self._averages = [weight.detach().clone() for weight in self._weights]

    @property
    def ready(self) -> bool:
        """Whether there is an average yet: with swa not before the last quarter."""
        return self.updates > 0

    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0."""
        if self.kind == "none" or (self.kind == "swa" and step < SWA_BEGINS * self.steps):
            return
        with torch.no_grad():
            torch._foreach_lerp_(self._averages, [weight.detach() for weight in self._weights], self._share())
        self.updates += 1

    @contextmanager
    def applied(self, restate: Callable[[nn.Module], object] | None = None) -> Iterator[None]:
        """Inside the block the model has the averaged weights; after it, its own again, whatever happened.

        swa: batch-norm statistics belong to the weights they were taken with. `restate(model)` is called in training
        mode, without gradients, to run training examples through; the statistics become their plain mean. Without
        `restate` the statistics stay as they are.
        """
        if not self.ready:
            yield
            return
        weights = [weight.detach() for weight in self._weights]
        own = [weight.clone() for weight in weights]
        norms = _norms(self._model) if self.kind == "swa" and restate is not None else []
        kept = [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in norms]
        try:
            with torch.no_grad():
                torch._foreach_copy_(weights, self._averages)
            if norms and restate is not None:
                _restate(self._model, norms, restate)
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(weights, own)
                for norm, buffers in zip(norms, kept, strict=True):
                    for name, buffer in norm.named_buffers():
                        buffer.copy_(buffers[name])

    def tensors(self) -> dict[str, Tensor]:
        """What to keep for going on later: the averages by the weights' names, and how many were made."""
        if self.kind == "none":
            return {}
        return {"updates": torch.tensor(self.updates), **dict(zip(self._names, self._averages, strict=True))}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        if self.kind == "none":
            return
        self.updates = int(tensors["updates"])
        with torch.no_grad():
            for name, average in zip(self._names, self._averages, strict=True):
                average.copy_(tensors[name])

    def _share(self) -> float:
        """How far the average moves towards the weights now."""
        if self.kind == "swa":
            return 1.0 / (self.updates + 1)
        return 1.0 - min(self.decay, (1 + self.updates) / (10 + self.updates))


def _norms(model: nn.Module) -> list[_NormBase]:
    return [m for m in model.modules() if isinstance(m, _NormBase) and m.track_running_stats]


def _restate(model: nn.Module, norms: list[_NormBase], restate: Callable[[nn.Module], object]) -> None:
    """Take batch-norm statistics anew. With momentum None PyTorch keeps the plain mean over all that is run through."""
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        model.train()
        with torch.no_grad():
            restate(model)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
