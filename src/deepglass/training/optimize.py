"""Optimizers, schedules, parameter groups, gradient clipping.

With g = ∂L/∂w, rate α, weight decay λ, momentum μ (0.9 where not said; 0.95 for Muon):

    sgd        w := w − α (g + λw)                                            Robbins & Monro (1951)
    momentum   v := μv + g + λw;  w := w − αv                                 Polyak (1964)
    nesterov   v := μv + g + λw;  w := w − α (g + λw + μv)                    Nesterov (1983), Sutskever et al. (2013)
    rmsprop    s := 0.99 s + 0.01 g²;  w := w − α g / (√s + 1e-8)             Hinton (2012)
    adam       m, s: means of g, g² with β = 0.9, 0.999, freed of bias;
               w := w − α m̂ / (√ŝ + 1e-8), λw added to g                      Kingma & Ba (2015)
    adamw      as adam, but w := w − αλw apart from g                         Loshchilov & Hutter (2019)
    muon       hidden matrices: w := w − αλw − α 0.2 √max(rows, columns) orth(g + μv), v := μv + (1−μ)g;
               all else: adamw                                                Jordan (2024), Liu et al. (2025)

All are torch.optim's own. Weight decay spares biases, norm gains and embeddings unless `decay_all`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError
from deepglass.training.muon import EMBEDDINGS, NORMS, Flat, Together, hidden_matrices
from deepglass.training.recipe import Recipe

MOMENTUM = {"sgd": 0.0, "momentum": 0.9, "nesterov": 0.9, "muon": 0.95}
"""What momentum is where the recipe does not say; "sgd" has none whatever the recipe says."""

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = ONE_CYCLE_START * 1e-4

PLATEAU_FACTOR = 0.5
PLATEAU_EPOCHS = 5


def make_optimizer(player: nn.Module, recipe: Recipe) -> torch.optim.Optimizer | Together:
    """The recipe's optimizer over the weights of a player that are free to move.

    Raises ModelError when none is, and for Muon when there is no hidden matrix.

    >>> optimizer = make_optimizer(nn.Linear(3, 1), Recipe(optimizer="adamw", weight_decay=0.1))
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    free = [weight for weight in player.parameters() if weight.requires_grad]
    if not free:
        raise ModelError("the model has no weights that may move: nothing can be learned.",
                         next="set requires_grad on some, or choose a family with --model")  # fmt: skip
    name = recipe.optimizer or "adamw"
    if name == "muon":
        return _muon(player, recipe)
    return _single(name, decay_groups(player, recipe), recipe)


def decay_groups(
    player: nn.Module, recipe: Recipe, chosen: Iterable[nn.Parameter] | None = None
) -> list[dict[str, Any]]:
    """The free weights in two groups: those that decay, and those that never do.

    Never: biases and whatever else has one axis, gains (of norms, of an ensemble's members), embeddings (a rare
    category would shrink for not being seen). With `decay_all`, and where nothing decays, there is one group.
    """
    decay = recipe.weight_decay or 0.0
    wanted = None if chosen is None else {id(weight) for weight in chosen}
    spared = {
        id(w) for m in player.modules() if isinstance(m, (*NORMS, *EMBEDDINGS)) for w in m.parameters(recurse=False)
    }
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, weight in player.named_parameters():
        if not weight.requires_grad or (wanted is not None and id(weight) not in wanted):
            continue
        own = name.rpartition(".")[2]
        plain = weight.ndim <= 1 or id(weight) in spared or "bias" in own or "gain" in own
        groups[recipe.decay_all or not decay or not plain].append(weight)
    return [
        {"params": members, "weight_decay": decay if decays else 0.0} for decays, members in groups.items() if members
    ]


def _single(name: str, groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer:
    rate = recipe.learning_rate if recipe.learning_rate is not None else 1e-3
    momentum = 0.0 if name == "sgd" else _momentum(name, recipe)
    # One fused kernel in place of one a tensor: on a small network half the time of a step.
    fused = all(w.device.type in ("cpu", "cuda") and w.is_floating_point() for g in groups for w in g["params"])
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, alpha=0.99, eps=1e-8)
    if name in ("adam", "adamw"):
        made = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        return made(groups, lr=rate, betas=(0.9, 0.999), eps=1e-8, fused=fused)
    nesterov = name == "nesterov" and momentum > 0
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, nesterov=nesterov, fused=fused)


def _momentum(name: str, recipe: Recipe) -> float:
    return recipe.momentum if recipe.momentum is not None else MOMENTUM.get(name, 0.0)


def _muon(player: nn.Module, recipe: Recipe) -> Together:
    hidden = hidden_matrices(player)
    if not hidden:
        raise ModelError("muon moves hidden matrices, and this model has none between its first and its last layer.",
                         next="--set optimizer=adamw, or a deeper network")  # fmt: skip
    taken = {id(weight) for weight in hidden}
    flat = Flat([weight for weight in hidden if weight.ndim > 2])
    matrices = [weight for weight in hidden if weight.ndim == 2] + flat.matrices
    rate = recipe.learning_rate if recipe.learning_rate is not None else 1e-3
    parts: dict[str, torch.optim.Optimizer] = {
        "muon": torch.optim.Muon(matrices, lr=rate, weight_decay=recipe.weight_decay or 0.0,
                                 momentum=_momentum("muon", recipe), adjust_lr_fn="match_rms_adamw"),
    }  # fmt: skip
    rest = [weight for weight in player.parameters() if weight.requires_grad and id(weight) not in taken]
    if rest:
        parts["adamw"] = _single("adamw", decay_groups(player, recipe, rest), recipe)
    return Together(parts, flat)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate at a step, counted from 0, of so many: a pure function, so that the curve can be drawn before.

    With peak p, W = warmup · steps, share of the way u = (step − W) / (steps − W), end e = final_rate:

        warm-up (every schedule)   p (step+1) / W                              Goyal et al. (2017)
        constant, plateau          p
        step                       p, p/10 from u = 1/2, p/100 from u = 3/4    He et al. (2016)
        cosine                     p (e + (1−e) (1 + cos πu) / 2)              Loshchilov & Hutter (2017)
        linear                     p (1 − (1−e) u)
        onecycle                   p/25 up to p over the first `warmup` of all steps (0.3 where not said), then down to
                                   p·e (p/250,000 where not said), both as half a cosine     Smith (2018)

    >>> recipe = Recipe(learning_rate=1.0, schedule="cosine", warmup=0.2)
    >>> [round(rate_at(recipe, step, 10), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    peak = recipe.learning_rate if recipe.learning_rate is not None else 1e-3
    schedule, warmup, end = recipe.schedule or "constant", recipe.warmup or 0.0, recipe.final_rate or 0.0
    if schedule == "onecycle":
        return peak * _one_cycle(step, steps, warmup or ONE_CYCLE_RISE, end or ONE_CYCLE_END)
    warm = round(warmup * steps)
    if step < warm:
        return peak * (step + 1) / warm
    share = min(1.0, (step - warm) / max(1, steps - warm))
    return peak * SCHEDULES[schedule](share, end)


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda share, end: 1.0,
    "plateau": lambda share, end: 1.0,
    "step": lambda share, end: 1.0 if share < 0.5 else 0.1 if share < 0.75 else 0.01,
    "cosine": lambda share, end: end + (1 - end) * (1 + math.cos(math.pi * share)) / 2,
    "linear": lambda share, end: 1 - (1 - end) * share,
}
"""The share of the peak rate, given how far the run has come after warm-up, and where it is to end."""


def _one_cycle(step: int, steps: int, rise: float, end: float) -> float:
    top = rise * steps - 1  # the last step of the rise; before the first where a run is too short to have one
    fall = steps - 1 - top or 1.0
    low, high, share = (ONE_CYCLE_START, 1.0, step / top) if step < top else (1.0, end, (step - top) / fall)
    return high + (low - high) * (1 + math.cos(math.pi * min(1.0, share))) / 2


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


class Plateau:
    """The rate is halved when the loss has not become lower for 5 epochs; never below final_rate of the peak.

    `rate` is the rate now; `saw` takes note of an epoch's loss (or of a figure, with higher_is_better).

    >>> plateau = Plateau(Recipe(learning_rate=0.1))
    >>> for loss in (1.0, 2.0, 2.0, 2.0, 2.0, 2.0):
    ...     plateau.saw(loss)
    >>> plateau.rate
    0.05
    """

    def __init__(self, recipe: Recipe, higher_is_better: bool = False) -> None:
        self.peak = recipe.learning_rate if recipe.learning_rate is not None else 1e-3
        self.lowest = recipe.final_rate or 0.0
        self.higher_is_better = higher_is_better
        self.share = 1.0
        self.best: float | None = None
        self.waited = 0

    @property
    def rate(self) -> float:
        """The learning rate now."""
        return self.peak * self.share

    def saw(self, figure: float) -> None:
        """Take note of an epoch. What is no number is not better."""
        signed = figure if self.higher_is_better else -figure
        if math.isfinite(signed) and (self.best is None or signed > self.best):
            self.best, self.waited = signed, 0
            return
        self.waited += 1
        if self.waited >= PLATEAU_EPOCHS:
            self.share, self.waited = max(self.lowest, self.share * PLATEAU_FACTOR), 0

    def state_dict(self) -> dict[str, Any]:
        """What to keep for going on later, as plain JSON values."""
        return {"share": self.share, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.share, self.best, self.waited = state["share"], state["best"], state["waited"]


def clip_gradients(parameters: Iterable[Tensor], limit: float) -> Tensor:
    """Scale all gradients by min(1, limit / norm) and return the norm before, without waiting for the device.

    norm = √Σ g² over all parameters together (Pascanu et al. 2013); limit 0: only measured.
    """
    moved = [weight for weight in parameters if weight.grad is not None]
    norm = nn.utils.get_total_norm([weight.grad for weight in moved if weight.grad is not None])
    if limit > 0:
        nn.utils.clip_grads_with_norm_(moved, limit, norm)
    return norm
