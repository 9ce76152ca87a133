"""Faults of the steps: rate, batch, length, size of the network."""

from __future__ import annotations

from dataclasses import replace

from torch import arange

from grounds import Ground
from planted_data import blurred
from planting import Planted, healthy

RATES = {"table": 4e-3, "numbers": 4e-3, "picture": 1e-3, "convolution": 4e-3}
"""What each is trained at in health; a module of a user's own at 1e-3."""


def rate_too_high(ground: Ground) -> Planted:
    """A hundred times what suits it; of a transformer, whose norms bear much, five hundred times."""
    data = ground.data()
    model, options = healthy(ground, data)
    rate = (500 if ground.kind == "transformer" else 100) * RATES.get(ground.kind, 1e-3)
    return Planted(data, model, ("learning_rate_too_high",), fields=options | {"learning_rate": rate, "clip": 0.0})


def rate_too_low(ground: Ground) -> Planted:
    """A five-hundredth of what suits it."""
    data = ground.data()
    model, options = healthy(ground, data)
    rate = RATES.get(ground.kind, 1e-3) / 500
    return Planted(data, model, ("learning_rate_too_low",), fields=options | {"learning_rate": rate})


def one_at_a_time(ground: Ground) -> Planted:
    """Batches of one example, at a rate and with a momentum that suit batches of 64."""
    data = ground.data()
    model, options = healthy(ground, data)
    rate = 0.2 if ground.kind == "table" else 0.05
    plain = {"optimizer": "momentum", "learning_rate": rate, "clip": 0.0, "weight_decay": 0.0}
    fields = {"batch_size": 1, "epochs": 4} | plain
    return Planted(data, model, ("batch_too_small", "learning_rate_too_high"), fields=options | fields)


def all_at_once(ground: Ground) -> Planted:
    """One batch of all examples: a single step an epoch."""
    data = ground.data()
    model, options = healthy(ground, data)
    size = len(data.train)
    return Planted(data, model, ("batch_too_large",), fields=options | {"batch_size": size, "epochs": 10})


def thirty_rows(ground: Ground) -> Planted:
    """A wide network learns thirty examples by heart."""
    # On these tables thirty rows are enough for a good network, unless they are blurred.
    examples, answers = ground.load()
    hard = blurred(examples, ground.draw(), 1.0) if ground.tabular else examples
    whole = ground.read(hard, answers)
    data = replace(whole, train=whole.train.select(arange(30)))
    model, options = healthy(ground, data, width=256) if ground.kind != "transformer" else healthy(ground, data)
    return Planted(data, model, ("overfitting",), fields=options | {"epochs": 80, "patience": 0})


SMALLEST = {"picture": 3, "convolution": 4, "transformer": 2, "user's module": 3}


def too_little_network(ground: Ground) -> Planted:
    """A unit or two in each layer; of a table, weights that decay as fast as they grow."""
    data = ground.data()
    if ground.tabular:
        model, options = healthy(ground, data)
        decay = 30.0 if ground.kind == "numbers" else 60.0
        return Planted(data, model, ("underfitting",), fields=options | {"weight_decay": decay})
    model, options = healthy(ground, data, width=SMALLEST[ground.kind])
    return Planted(data, model, ("underfitting",), fields=options)
