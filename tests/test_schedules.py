"""Learning rates against torch's schedulers, before and while a run goes on."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from torch import nn

from deepglass.training.optimize import (
    SCHEDULES,
    Plateau,
    make_optimizer,
    rate_at,
    set_rate,
)
from deepglass.training.recipe import Recipe
from nets import Deep


def torchs_rates(schedule, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler, rates = schedule(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


S = torch.optim.lr_scheduler


@pytest.mark.parametrize(
    "recipe, schedule",
    [
        (Recipe(schedule="constant"), lambda o: S.ConstantLR(o, 1.0)),
        (Recipe(schedule="step"), lambda o: S.MultiStepLR(o, [50, 75], 0.1)),
        (Recipe(schedule="cosine", final_rate=0.1), lambda o: S.CosineAnnealingLR(o, 100, 0.04)),
        (Recipe(schedule="linear", final_rate=0.25), lambda o: S.LinearLR(o, 1.0, 0.25, 100)),
        (Recipe(schedule="onecycle"), lambda o: S.OneCycleLR(o, 0.4, 100, cycle_momentum=False)),
        (
            Recipe(schedule="onecycle", warmup=0.15, final_rate=0.001),
            lambda o: S.OneCycleLR(o, 0.4, 100, pct_start=0.15, final_div_factor=40, cycle_momentum=False),
        ),
        (
            Recipe(schedule="cosine", warmup=0.2),
            lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 20, 1, 19), S.CosineAnnealingLR(o, 80)], [20]),
        ),
        (
            Recipe(schedule="linear", warmup=0.1),
            lambda o: S.SequentialLR(o, [S.LinearLR(o, 1 / 10, 1, 9), S.LinearLR(o, 1, 0, 90)], [10]),
        ),
    ],
    ids=lambda value: f"{value.schedule}-{value.warmup or 0}" if isinstance(value, Recipe) else "",
)
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step:UserWarning")  # torch's own SequentialLR
def test_rates_are_those_of_torchs_schedulers(recipe, schedule):
    recipe = recipe.changed(learning_rate=0.4)
    found = [rate_at(recipe, step, 100) for step in range(100)]
    assert found == pytest.approx(torchs_rates(schedule, 100), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("schedule", [*SCHEDULES, "onecycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.3, 1.0])
def test_rates_stay_between_zero_and_the_peak_for_runs_of_any_length(schedule, steps, warmup):
    recipe = Recipe(schedule=schedule, learning_rate=0.4, warmup=warmup)
    rates = [rate_at(recipe, step, steps) for step in range(steps + 2)]
    assert all(0 <= rate <= 0.4 * (1 + 1e-12) for rate in rates)
    if schedule != "onecycle" and round(warmup * steps) > 1:
        warm = rates[: round(warmup * steps)]
        assert all(earlier < later for earlier, later in itertools.pairwise(warm)) and warm[-1] == pytest.approx(0.4)


def test_a_set_rate_reaches_every_group():
    for name in ("adamw", "muon"):
        optimizer = make_optimizer(Deep(), Recipe(optimizer=name, weight_decay=0.1))
        set_rate(optimizer, 0.123)
        assert {group["lr"] for group in optimizer.param_groups} == {0.123}


def test_the_plateau_halves_the_rate_when_torchs_does():
    losses = [5, 4, 4, 4.5, 4, 4, 4, 3.9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, math.nan, 3.0, 3.5]
    plateau = Plateau(Recipe(learning_rate=0.4))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=4, threshold=0.0)
    rates = []
    for loss in losses:
        scheduler.step(loss)
        plateau.saw(loss)
        plateau, former = Plateau(Recipe(learning_rate=0.4)), plateau
        plateau.load_state_dict(json.loads(json.dumps(former.state_dict())))
        assert plateau.rate == optimizer.param_groups[0]["lr"]
        rates.append(plateau.rate)
    assert len(set(rates)) > 2


def test_the_plateau_has_a_floor_and_a_direction():
    plateau = Plateau(Recipe(learning_rate=1.0, final_rate=0.3), higher_is_better=True)
    for figure in [0.9] + [0.8] * 30:
        plateau.saw(figure)
    assert plateau.rate == 0.3
