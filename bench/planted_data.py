"""Faults of the data: scale, labels, balance, leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepglass.data.schema import Wishes
from deepglass.data.sources import read
from grounds import Ground
from planting import Planted, healthy


def unnormalized(ground: Ground) -> Planted:
    """Inputs as they were measured, of any unit and size; pictures as 0 … 255."""
    examples, answers = ground.load()
    style = {"normalization": "none"}
    if ground.tabular:
        # The target is scaled, as it should be: only the columns are left as they are.
        scaled = (answers - answers.mean()) / answers.std() if ground.kind == "numbers" else answers
        data = read((examples, scaled), Wishes(seed=ground.seed, plain=True))
        return Planted(data, ground.network(data.schema, **style), ("unnormalized_inputs",))
    if ground.model is None:
        span = examples.max() - examples.min()
        data = ground.read(255 * (examples - examples.min()) / span, answers)
        return Planted(data, ground.network(data.schema, **style), ("unnormalized_inputs",))
    data = ground.read(examples, answers)
    pixels = replace(data.schema.inputs[0], mean=(0.0,), std=(1 / 255,))
    data = replace(data, schema=replace(data.schema, inputs=(pixels,)))
    model, options = healthy(ground, data, **style)
    return Planted(data, model, ("unnormalized_inputs",), fields=options)


def wrong_labels(ground: Ground) -> Planted:
    """A third of the labels drawn anew, in every part, as careless raters leave them."""
    examples, answers = ground.load()
    draw, answers = ground.draw(), answers.copy()
    wrong = draw.permutation(len(answers))[: int(0.35 * len(answers))]
    classes = int(answers.max()) + 1
    answers[wrong] = (answers[wrong] + draw.integers(1, classes, len(wrong))) % classes
    data = ground.read(examples, answers)
    model, options = healthy(ground, data)
    return Planted(data, model, ("label_noise",), fields=options | {"patience": 0})


def no_relation(ground: Ground) -> Planted:
    """Every label on another example than its own: there is nothing to be learned."""
    examples, answers = ground.load()
    data = ground.read(examples, ground.draw().permutation(answers))
    model, options = healthy(ground, data)
    return Planted(data, model, ("stuck_at_chance", "label_noise"), fields=options)


def rare(ground: Ground) -> Planted:
    """One class in twenty, hard to tell from the others, and nothing done about it."""
    examples, answers = ground.load()
    draw = ground.draw()
    chosen = int(answers.max()) - (1 if answers.max() > 1 else 0)
    few, many = np.flatnonzero(answers == chosen), np.flatnonzero(answers != chosen)
    rows = draw.permutation(np.concatenate([many, few[: len(many) // 19]]))
    examples, answers = (
        blurred(examples[rows], draw, 2.0 if examples.ndim == 2 else 0.7),
        (answers[rows] == chosen).astype(np.int64),
    )
    data = ground.read(examples, answers)
    model, options = healthy(ground, data)
    return Planted(data, model, ("class_imbalance",), fields=options)


def blurred(examples: np.ndarray, draw: np.random.Generator, amount: float) -> np.ndarray:
    """Made hard: noise of so many spreads on numbers, of words two in five left out."""
    if examples.dtype.kind == "i":
        return np.where(draw.random(examples.shape) < 0.4, 1, examples)
    spread = examples.std(0) if examples.ndim == 2 else examples.std()
    noisy = examples + amount * spread * draw.normal(size=examples.shape)
    return noisy.clip(0, 255).astype(np.uint8) if examples.dtype == np.uint8 else noisy.astype(examples.dtype)


def rows_twice(ground: Ground) -> Planted:
    """A quarter of the rows stand twice before the split, as in many a collected set."""
    examples, answers = ground.load()
    again = ground.draw().permutation(len(answers))[: len(answers) // 4]
    data = ground.read(np.concatenate([examples, examples[again]]), np.concatenate([answers, answers[again]]))
    model, options = healthy(ground, data)
    return Planted(data, model, ("leak",), fields=options)


def target_among_columns(ground: Ground) -> Planted:
    """The answer stands among the columns, under another name."""
    examples, answers = ground.load()
    data = ground.read(np.column_stack([examples, 3.0 * answers + 1.0]), answers)
    model, options = healthy(ground, data)
    return Planted(data, model, ("leak",), fields=options)
