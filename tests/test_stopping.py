"""When training stops, for which reason, and which epoch was best."""

from __future__ import annotations

import json
import math

import pytest

from deepglass.training.recipe import Recipe
from deepglass.training.stopping import Stopper


def best_by_hand(figures: list[float], higher: bool) -> int:
    return 1 + (figures.index(max(figures)) if higher else figures.index(min(figures)))


@pytest.mark.parametrize("higher", [True, False])
def test_the_best_epoch_is_the_first_with_the_best_figure(higher):
    figures = [0.5, 0.7, 0.6, 0.9, 0.1, 0.9, 0.1]
    stopper = Stopper(Recipe(), higher)
    improved = [stopper.saw(epoch, figure, 1.0) for epoch, figure in enumerate(figures, 1)]
    assert stopper.best_epoch == best_by_hand(figures, higher)
    running = [best_by_hand(figures[:epoch], higher) == epoch for epoch in range(1, 8)]
    assert improved == running


def test_a_tie_goes_to_the_lower_loss():
    stopper = Stopper(Recipe(patience=2), True)
    assert stopper.saw(1, 0.9, 0.5)
    assert not stopper.saw(2, 0.9, 0.5)
    assert stopper.saw(3, 0.9, 0.4)
    assert not stopper.saw(4, 0.8, 0.1)
    assert not stopper.saw(5, 0.9, math.nan)
    assert (stopper.best_epoch, stopper.best_figure) == (3, 0.9)
    assert Stopper(Recipe(), True).saw(1, 0.9, math.nan)


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_better(figure):
    stopper = Stopper(Recipe(patience=2, metric="roc_auc"), figure < 0)
    assert not stopper.saw(1, figure, 0.1)
    assert stopper.reason(1, 0.0) is None
    assert not stopper.saw(2, figure, 0.1)
    assert stopper.reason(2, 0.0) == "patience: no roc auc that is a number for 2 epochs"
    assert stopper.saw(3, 0.5, 0.1) and not stopper.saw(4, figure, 0.1)
    assert stopper.best_epoch == 3


def test_patience_counts_epochs_without_a_better_figure():
    stopper = Stopper(Recipe(patience=3, metric="accuracy"), True)
    reasons = []
    for epoch, figure in enumerate((0.9, 0.97, 0.96, 0.95, 0.94), 1):
        stopper.saw(epoch, figure, 1.0)
        reasons.append(stopper.reason(epoch, 1.0))
    assert reasons == [None] * 4 + ["patience: no better accuracy than 0.97 of epoch 2 for 3 epochs"]


@pytest.mark.parametrize("patience", [0, None])
def test_without_patience_it_never_stops_early(patience):
    stopper = Stopper(Recipe(patience=patience), True)
    for epoch in range(1, 50):
        stopper.saw(epoch, 1.0 - epoch / 100, 1.0)
        assert stopper.reason(epoch, 1e9) is None


def test_the_clock_stops_at_its_minutes():
    stopper = Stopper(Recipe(minutes=2.0), True)
    assert stopper.reason(1, 119.9) is None
    assert stopper.reason(1, 120.0) == "the time of 2 minutes is up"
    assert Stopper(Recipe(minutes=1.0), True).reason(1, 60.0) == "the time of 1 minute is up"


def test_a_stopper_taken_up_again_goes_on_as_if_never_left():
    figures = [math.nan, 0.5, 0.4, 0.5, 0.6, 0.6, 0.1, 0.2, 0.3]
    whole, broken = (Stopper(Recipe(patience=3), True) for _ in range(2))
    for epoch, figure in enumerate(figures, 1):
        loss = math.nan if epoch == 2 else 1.0 / epoch
        saw = whole.saw(epoch, figure, loss)
        state = json.loads(json.dumps(broken.state(), allow_nan=False))
        broken = Stopper(Recipe(patience=3), True)
        broken.load(state)
        assert broken.saw(epoch, figure, loss) == saw
        assert broken.reason(epoch, 0.0) == whole.reason(epoch, 0.0)
    assert whole.best_epoch == broken.best_epoch == 6


def test_weights_whose_loss_is_no_number_give_way_to_any_others():
    stopper = Stopper(Recipe(), True)
    assert stopper.saw(1, 0.9, math.nan)
    assert stopper.saw(2, 0.5, 1.0)
    assert not stopper.saw(3, 0.95, math.inf)
    assert stopper.best_epoch == 2
