"""What a recipe asks for that cannot apply: refused with the reason and the next move, never silently ignored.

`REFUSALS` is read from the top; the first row that applies speaks. A row looks at what the person said: a field that is
None, or stands at the value it would have had anyway, was not said.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepglass.data.augment import AUGMENTATIONS
from deepglass.data.schema import Schema
from deepglass.errors import RecipeError, nearest
from deepglass.training.recipe import FALLBACKS, Recipe

DEFAULTS: dict[str, Any] = {
    entry.name: FALLBACKS.get(entry.name, entry.default)
    for entry in dataclasses.fields(Recipe)
    if entry.default is not dataclasses.MISSING
}


@dataclass(frozen=True)
class Case:
    """A recipe as the person gave it, the same settled, and what it is to be applied to."""

    recipe: Recipe
    settled: Recipe
    schema: Schema
    foreign: bool
    custom_loss: bool

    def said(self, *names: str) -> str:
        """The first of these fields that the person set to something of consequence, or an empty text."""
        return next((name for name in names if self._said(name)), "")

    def _said(self, name: str) -> bool:
        value = getattr(self.recipe, name)
        return value is not None and value != DEFAULTS[name]

    @property
    def numbers(self) -> bool:
        """Whether numbers are predicted, not classes."""
        return self.schema.target.task == "regression"

    @property
    def pictures(self) -> bool:
        """Whether there are pictures among the inputs."""
        return self.schema.input("pixels") is not None

    @property
    def unknown_augment(self) -> str:
        """The first augmentation asked for that there is none of."""
        return next((name for name in self.recipe.augment or () if name not in AUGMENTATIONS), "")

    @property
    def wrong_weight(self) -> bool:
        """Whether a class weight is not a positive finite number."""
        weights = self.recipe.class_weights
        return isinstance(weights, tuple) and not all(0 < weight < float("inf") for weight in weights)


@dataclass(frozen=True)
class Refusal:
    """When a recipe is refused, what is said then, and what to do. The texts may be made of the case."""

    name: str
    applies: Callable[[Case], Any]
    facts: Callable[[Case], str]
    next: Callable[[Case], str]


def refuse_inapplicable(recipe: Recipe, schema: Schema, *, foreign: bool, custom_loss: bool,
                        settled: Recipe | None = None) -> None:  # fmt: skip
    """Raise RecipeError for the first thing asked for that cannot apply.

    recipe        as the person gave it, before settling
    settled       the same after settling, to know the optimizer and the schedule where the person did not choose them;
                  without it, what was left to be chosen is taken to fit
    foreign       the model is a module written elsewhere; custom_loss: so is the loss
    """
    case = Case(recipe, settled or recipe, schema, foreign, custom_loss)
    row = next((row for row in REFUSALS if row.applies(case)), None)
    if row is not None:
        raise RecipeError(f"recipe: {row.facts(case)}", next=row.next(case))


def _value(case: Case, name: str) -> str:
    value = getattr(case.recipe, name)
    return f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value!r}"


def _without(name: str) -> str:
    return f"leave {name} out"


CLASS_FIELDS = ("label_smoothing", "class_weights", "mixup", "cutmix")
PICTURE_FIELDS = ("augment", "mixup", "cutmix", "size")
WITH_MOMENTUM = ("momentum", "nesterov", "muon")
NUMBER_LOSSES = ("mse", "mae", "huber")

REFUSALS: tuple[Refusal, ...] = (
    Refusal("two lengths", lambda c: c.recipe.epochs is not None and c.recipe.minutes is not None,
            lambda c: f"epochs = {c.recipe.epochs} and minutes = {c.recipe.minutes:g} both say how long to train.",
            lambda c: "give one of the two"),
    Refusal("options of a module", lambda c: c.foreign and c.recipe.options,
            lambda c: f"{', '.join(c.recipe.options)}: a module of your own is trained as it stands.",
            lambda c: f"leave {next(iter(c.recipe.options))} out, or mend the name: "
                      f"{nearest(next(iter(c.recipe.options)), DEFAULTS)}"),
    Refusal("two losses", lambda c: c.custom_loss and c.recipe.loss != "auto",
            lambda c: f"loss = {c.recipe.loss!r} beside a loss of your own.", lambda c: "give one of the two"),
    Refusal("class field for numbers", lambda c: c.numbers and c.said(*CLASS_FIELDS),
            lambda c: f"{_value(c, c.said(*CLASS_FIELDS))} is for classes, and {c.schema.target.name!r} holds numbers.",
            lambda c: f"{_without(c.said(*CLASS_FIELDS))}, or --set task=classes"),
    Refusal("class field with own loss", lambda c: c.custom_loss and c.said(*CLASS_FIELDS),
            lambda c: f"{_value(c, c.said(*CLASS_FIELDS))} cannot reach into a loss of your own.",
            lambda c: f"leave the loss out, or set {c.said(*CLASS_FIELDS)} inside it"),
    Refusal("class field for the perceptron",
            lambda c: c.settled.options.get("activation") == "step" and c.said(*CLASS_FIELDS),
            lambda c: f"{_value(c, c.said(*CLASS_FIELDS))}: the perceptron learns by its own rule, from its mistakes.",
            lambda c: f"{_without(c.said(*CLASS_FIELDS))}, or --set activation=identity"),
    Refusal("class loss for numbers", lambda c: c.numbers and c.recipe.loss == "cross_entropy",
            lambda c: f"loss = 'cross_entropy' judges classes, and {c.schema.target.name!r} holds numbers.",
            lambda c: "--set loss=mse, mae or huber, or --set task=classes"),
    Refusal("number loss for classes", lambda c: not c.numbers and c.recipe.loss in NUMBER_LOSSES,
            lambda c: f"loss = {c.recipe.loss!r} judges numbers, and {c.schema.target.name!r} holds classes.",
            lambda c: "--set loss=cross_entropy, or --set task=numbers"),
    Refusal("wrong number of class weights",
            lambda c: isinstance(c.recipe.class_weights, tuple)
                      and len(c.recipe.class_weights) != len(c.schema.target.classes),
            lambda c: f"{len(c.recipe.class_weights)} class_weights for the {len(c.schema.target.classes)} classes "
                      f"of {c.schema.target.name!r}.",
            lambda c: f"give one a class, in the order {', '.join(c.schema.target.classes[:12])}"),
    Refusal("class weight not positive", lambda c: c.wrong_weight,
            lambda c: f"class_weights = {c.recipe.class_weights} are not all above 0 and finite.",
            lambda c: "give positive numbers, or --set class_weights=balanced"),
    Refusal("picture field without pictures", lambda c: not c.pictures and c.said(*PICTURE_FIELDS),
            lambda c: f"{_value(c, c.said(*PICTURE_FIELDS))} is for pictures, and there are none in this data.",
            lambda c: _without(c.said(*PICTURE_FIELDS))),
    Refusal("unknown augmentation", lambda c: c.unknown_augment,
            lambda c: f"augment: no {c.unknown_augment!r}.",
            lambda c: f"the nearest: {nearest(c.unknown_augment, AUGMENTATIONS)}"),
    Refusal("momentum without use", lambda c: c.said("momentum") and c.settled.optimizer not in (*WITH_MOMENTUM, None),
            lambda c: f"{_value(c, 'momentum')} has no place in the optimizer {c.settled.optimizer!r}.",
            lambda c: "--set optimizer=momentum, nesterov or muon, or leave momentum out"),
    Refusal("nesterov without momentum", lambda c: c.settled.optimizer == "nesterov" and c.settled.momentum == 0,
            lambda c: "optimizer = 'nesterov' looks ahead along its momentum, and momentum = 0.",
            lambda c: "--set momentum=0.9, or --set optimizer=sgd"),
    Refusal("decay_all without decay", lambda c: c.recipe.decay_all and c.settled.weight_decay == 0,
            lambda c: "decay_all = True, and weight_decay = 0: nothing decays.",
            lambda c: "--set weight_decay=0.01, or leave decay_all out"),
    Refusal("final rate without an end", lambda c: c.said("final_rate") and c.settled.schedule in ("constant", "step"),
            lambda c: f"{_value(c, 'final_rate')}: the schedule {c.settled.schedule!r} does not lead to a final rate.",
            lambda c: "--set schedule=cosine, linear, onecycle or plateau, or leave final_rate out"),
    Refusal("warm-up on a plateau", lambda c: c.said("warmup") and c.settled.schedule == "plateau",
            lambda c: f"{_value(c, 'warmup')}: the schedule 'plateau' follows the validation loss from its peak on.",
            lambda c: "--set schedule=cosine, or leave warmup out"),
    Refusal("decay of no average", lambda c: c.said("average_decay") and c.settled.average in ("none", "swa"),
            lambda c: f"{_value(c, 'average_decay')} belongs to average = 'ema', and average = {c.settled.average!r}.",
            lambda c: "--set average=ema, or leave average_decay out"),
    Refusal("micro-batches of nothing", lambda c: c.recipe.accumulate > (c.settled.batch_size or math.inf),
            lambda c: f"accumulate = {c.recipe.accumulate} pieces of a batch of {c.settled.batch_size} examples.",
            lambda c: f"--set accumulate={c.settled.batch_size} or less"),
    Refusal("columns of pictures", lambda c: c.schema.kind == "picture" and c.said("group", "time", "ignore"),
            lambda c: f"{_value(c, c.said('group', 'time', 'ignore'))} names a column, and pictures have none.",
            lambda c: _without(c.said("group", "time", "ignore"))),
    Refusal("group against split", lambda c: c.recipe.group is not None and c.recipe.split not in ("auto", "group"),
            lambda c: f"group = {c.recipe.group!r} keeps groups together, and split = {c.recipe.split!r} does not.",
            lambda c: "--set split=group, or leave group out"),
    Refusal("time against split", lambda c: c.recipe.time is not None and c.recipe.split not in ("auto", "time"),
            lambda c: f"time = {c.recipe.time!r} tests on what came last, and split = {c.recipe.split!r} does not.",
            lambda c: "--set split=time, or leave time out"),
    Refusal("group and time", lambda c: c.recipe.group is not None and c.recipe.time is not None,
            lambda c: f"group = {c.recipe.group!r} and time = {c.recipe.time!r}: one split cannot obey both.",
            lambda c: "give one of the two"),
    Refusal("split without its column",
            lambda c: c.recipe.split in ("group", "time") and getattr(c.recipe, c.recipe.split) is None,
            lambda c: f"split = {c.recipe.split!r}, and no column is named for it.",
            lambda c: f"--set {c.recipe.split}=COLUMN"),
    Refusal("stratified numbers", lambda c: c.numbers and c.recipe.split == "stratified",
            lambda c: f"split = 'stratified' keeps shares of classes, and {c.schema.target.name!r} holds numbers.",
            lambda c: "--set split=random"),
    Refusal("patience without validation", lambda c: c.recipe.valid == 0 and c.said("patience"),
            lambda c: f"patience = {c.recipe.patience} waits for a better validation figure, and valid = 0.",
            lambda c: "--set valid=0.15, or leave patience out"),
)  # fmt: skip
