"""A few steps taken on a copy, at the run's own rate and at others: which gets further is seen, not guessed."""

from __future__ import annotations

import copy
import dataclasses
import math

import torch
from torch import nn

from deepglass.data.batches import Batches, Variation
from deepglass.data.schema import Data
from deepglass.diagnosing.evidence import Trial
from deepglass.models import CATALOGUE
from deepglass.training.recipe import Recipe, fitted_options
from deepglass.training.run import Run
from deepglass.training.stepping import players, take_step

FACTORS = (1.0, 0.1, 10.0, 0.01, 100.0, 1000.0)
FEWEST, MOST = 12, 100
WORK = 3e10
"""Multiply-adds that all trials together may take: about two seconds of one core. No clock is asked, so that the same
run is told the same on any machine."""


def try_rates(run: Run, work: int, data: Data) -> Trial | None:
    """Steps from new weights at several rates; from those of the run where its module cannot be made anew.

    work   multiply-adds of one example on its way forward

    The run's optimizer, batch and clipping; its schedule left out. Nothing of the run is changed. None where the
    module cannot be copied or trained, or where even a dozen steps would be too much work.
    """
    devices = [run.device] if run.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(run.recipe.seed)
        try:
            body, fresh = _fresh(run)
            recipe = dataclasses.replace(run.recipe, schedule="constant", warmup=0.0, average="none")
            # Forward, and twice as much backward.
            affordable = WORK / (3 * max(1, work) * min(recipe.batch_size or 64, len(data.train)))
            steps = int(min(MOST, affordable / len(FACTORS)))
            factors = FACTORS if steps >= FEWEST else FACTORS[:3]
            if affordable < FEWEST * len(factors):
                return None
            tried = {factor: _descend(body, run, recipe, data, factor, max(FEWEST, steps)) for factor in factors}
        except (RuntimeError, TypeError, ValueError, NotImplementedError):
            return None
    return Trial(max(FEWEST, steps), tried[1.0][0], {factor: after for factor, (_, after) in tried.items()}, fresh)


def _fresh(run: Run) -> tuple[nn.Module, bool]:
    """The network as it was made: anew from the schema, or a copy whose layers draw their weights again."""
    family = CATALOGUE.get(run.recipe.model or "")
    if family is not None and isinstance(run.model, family):
        options = fitted_options(run.recipe, family.options(), run.recipe.model or "")
        return family.from_schema(run.schema, **options).to(run.device), True
    body = copy.deepcopy(run.model)
    owners = [m for m in body.modules() if next(m.parameters(recurse=False), None) is not None]
    able = all(callable(getattr(m, "reset_parameters", None)) for m in owners)
    for module in owners if able else ():
        module.reset_parameters()  # type: ignore[operator]
    return body, able


def _batches(run: Run, recipe: Recipe, data: Data) -> Batches:
    variation = Variation(recipe.augment or (), recipe.mixup or 0.0, recipe.cutmix or 0.0)
    return Batches(data, batch_size=recipe.batch_size or 64, device=run.device, seed=recipe.seed, variation=variation)


def _descend(body: nn.Module, run: Run, recipe: Recipe, data: Data, factor: float, steps: int) -> tuple[float, float]:
    """The loss of the first step, and the mean of the last fifth; infinite where it is no number."""
    trial = copy.deepcopy(body).train()
    for weight, origin in zip(trial.parameters(), run.model.parameters(), strict=True):
        weight.requires_grad_(origin.requires_grad)
    team, batches = players(trial, run.objective, recipe), _batches(run, recipe, data)
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        for batch in batches.epoch(epoch):
            losses.append(float(take_step(team, batch, recipe, factor * (recipe.learning_rate or 1e-3)).losses[0]))
            if len(losses) >= steps or not math.isfinite(losses[-1]):
                break
        if not math.isfinite(losses[-1]):
            return losses[0], math.inf
        epoch += 1
    last = losses[-max(1, steps // 5) :]
    return losses[0], sum(last) / len(last)
