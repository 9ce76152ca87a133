"""One step: every player in turn descends its loss on the same batch.

    for each player:  g = Σ_k share_k ∇ loss(micro-batch k);  clip;  w := optimizer(w, g, rate)

`share_k` is the micro-batch's measure over the whole batch's: k pieces of any sizes add up to the one big batch.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.data.schema import Batch
from deepglass.models.family import Criterion, Family, Turn, supervised
from deepglass.training.optimize import clip_gradients, make_optimizer, set_rate
from deepglass.training.recipe import Recipe


@dataclass(frozen=True)
class Player:
    """A turn with the optimizer that moves its weights."""

    turn: Turn
    optimizer: Any
    weights: tuple[nn.Parameter, ...]

    @cached_property
    def canary(self) -> nn.Parameter:
        """The weight whose gradient tells most cheaply that a backward pass went wrong.

        What is not finite anywhere in the chain rule reaches the first layers; of their weights, the bias is small.
        """
        return min(self.weights[:2], key=torch.numel)


@dataclass(frozen=True)
class Step:
    """What a step gave, on the device: each player's loss, and its gradient norm before clipping where it was taken."""

    losses: Tensor
    norms: Tensor | None


def turns_of(model: nn.Module, criterion: Criterion) -> tuple[Turn, ...]:
    """A family says who plays; any other module is one player."""
    return model.turns(criterion) if isinstance(model, Family) else supervised(model, criterion)


def players(model: nn.Module, criterion: Criterion, recipe: Recipe) -> tuple[Player, ...]:
    """The model's turns, each with its own optimizer over the weights that are free to move."""
    return tuple(
        Player(turn, make_optimizer(turn.player, recipe), tuple(w for w in turn.player.parameters() if w.requires_grad))
        for turn in turns_of(model, criterion)
    )


def take_step(team: tuple[Player, ...], batch: Batch, recipe: Recipe, rate: float, *, norms: bool = False) -> Step:
    """Play every turn once. `norms` asks for the gradient norms also where nothing is clipped."""
    results = [_play(player, batch, recipe, rate, norms) for player in team]
    losses = torch.stack([loss for loss, _ in results])
    measured = [norm for _, norm in results if norm is not None]
    return Step(losses, torch.stack(measured) if measured else None)


def _play(player: Player, batch: Batch, recipe: Recipe, rate: float, norms: bool) -> tuple[Tensor, Tensor | None]:
    turn, optimizer = player.turn, player.optimizer
    set_rate(optimizer, rate)
    optimizer.zero_grad(set_to_none=True)
    if recipe.accumulate == 1:
        with precision(recipe, batch.target.device):
            loss = turn.loss(batch)
        loss.backward()
        total = loss.detach()
    else:
        total = _accumulated(turn, batch, recipe)
    limit = recipe.clip or 0.0
    norm = clip_gradients(player.weights, limit) if limit or norms else None
    if _spoiled(player.canary):
        # No update: the weights stay as they were, and the loop finds a loss that is no number.
        return total * math.nan, norm
    optimizer.step()
    return total, norm


def _spoiled(canary: nn.Parameter) -> bool:
    """Whether the gradient is no longer finite; asked on the CPU alone, for elsewhere it would stop the device."""
    gradient = canary.grad
    return gradient is not None and gradient.device.type == "cpu" and not math.isfinite(float(gradient.sum()))


def _accumulated(turn: Turn, batch: Batch, recipe: Recipe) -> Tensor:
    whole = turn.measure(batch.target)
    total = torch.zeros((), device=batch.target.device)
    size = -(-len(batch) // recipe.accumulate)
    for low in range(0, len(batch), size):
        chosen = slice(low, low + size)
        piece = Batch(tuple(t[chosen] for t in batch.inputs), batch.target[chosen], batch.rows[chosen])
        with precision(recipe, batch.target.device):
            share = turn.loss(piece) * (turn.measure(piece.target) / whole)
        share.backward()
        total = total + share.detach()
    return total


def precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The context a forward pass runs in: bfloat16 autocast when the recipe asks for it, else nothing."""
    if recipe.precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()
