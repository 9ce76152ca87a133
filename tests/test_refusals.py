"""Every row of REFUSALS refuses one recipe, and lets the nearest sound one through."""

from __future__ import annotations

from typing import Any

import pytest

from deepglass.data.schema import Input, Schema, Target
from deepglass.errors import RecipeError
from deepglass.training.recipe import FALLBACKS, Recipe
from deepglass.training.refusals import REFUSALS, Case, refuse_inapplicable

CLASSES = Target("kind", "multiclass", ("a", "b", "c"), (5, 5, 5))
NUMBERS = Target("price", "regression", mean=(0.0,), std=(1.0,))
TABLE = Schema("table", (Input("numbers", "numbers", (4,)),), CLASSES)
PRICES = Schema("table", (Input("numbers", "numbers", (4,)),), NUMBERS)
PICTURES = Schema("picture", (Input("pixels", "pixels", (3, 32, 32)),), CLASSES)

ROWS: list[tuple[str, Schema, dict[str, Any], dict[str, Any], str]] = [
    # row, data, what is refused, the nearest sound change of it, what is said
    ("two lengths", TABLE, {"epochs": 3, "minutes": 2}, {"epochs": None}, "both say how long"),
    ("options of a module", TABLE, {"widhts": 3, "foreign": True}, {"foreign": False}, "trained as it stands"),
    ("two losses", PRICES, {"loss": "mae", "custom_loss": True}, {"loss": "auto"}, "beside a loss of your own"),
    ("class field for numbers", PRICES, {"label_smoothing": 0.1}, {"label_smoothing": 0.0}, "label_smoothing = 0.1"),
    ("class field for numbers", PRICES, {"class_weights": "balanced"}, {"class_weights": "none"}, "holds numbers"),
    ("class field for numbers", PRICES, {"mixup": 0.2}, {"mixup": 0}, "mixup = 0.2"),
    ("class field with own loss", PICTURES, {"cutmix": 1.0, "custom_loss": True}, {"custom_loss": False}, "reach into"),
    (
        "class field for the perceptron",
        TABLE,
        {"class_weights": "balanced", "activation": "step"},
        {"class_weights": "none"},
        "by its own rule",
    ),
    ("class loss for numbers", PRICES, {"loss": "cross_entropy"}, {"loss": "huber"}, "judges classes"),
    ("number loss for classes", TABLE, {"loss": "huber"}, {"loss": "cross_entropy"}, "judges numbers"),
    (
        "wrong number of class weights",
        TABLE,
        {"class_weights": (1, 2)},
        {"class_weights": (1, 2, 3)},
        "2 class_weights",
    ),
    ("class weight not positive", TABLE, {"class_weights": (1, 0, 3)}, {"class_weights": "balanced"}, "above 0"),
    ("picture field without pictures", TABLE, {"augment": ("flip",)}, {"augment": ()}, "for pictures"),
    ("picture field without pictures", TABLE, {"size": 32}, {"size": None}, "size = 32"),
    ("picture field without pictures", TABLE, {"mixup": 0.2}, {"mixup": 0.0}, "mixup = 0.2"),
    ("unknown augmentation", PICTURES, {"augment": ("flpi",)}, {"augment": ("flip",)}, "nearest: 'flip'"),
    ("momentum without use", TABLE, {"momentum": 0.5}, {"optimizer": "nesterov"}, "'adamw'"),
    ("momentum without use", TABLE, {"momentum": 0.5, "optimizer": "sgd"}, {"optimizer": "momentum"}, "'sgd'"),
    ("nesterov without momentum", TABLE, {"momentum": 0, "optimizer": "nesterov"}, {"momentum": 0.5}, "looks ahead"),
    ("decay_all without decay", TABLE, {"decay_all": True}, {"weight_decay": 0.1}, "nothing decays"),
    ("final rate without an end", TABLE, {"final_rate": 0.1}, {"schedule": "cosine"}, "'constant'"),
    ("warm-up on a plateau", TABLE, {"warmup": 0.1, "schedule": "plateau"}, {"schedule": "linear"}, "warmup = 0.1"),
    ("decay of no average", TABLE, {"average_decay": 0.9}, {"average": "ema"}, "average = 'none'"),
    ("decay of no average", TABLE, {"average_decay": 0.9, "average": "swa"}, {"average": "ema"}, "average = 'swa'"),
    ("micro-batches of nothing", TABLE, {"accumulate": 65}, {"batch_size": 65}, "65 pieces of a batch of 64"),
    ("columns of pictures", PICTURES, {"ignore": ("id",)}, {"ignore": ()}, "names a column"),
    ("group against split", TABLE, {"group": "id", "split": "random"}, {"split": "group"}, "keeps groups together"),
    ("time against split", TABLE, {"time": "day", "split": "stratified"}, {"split": "time"}, "came last"),
    ("group and time", TABLE, {"group": "id", "time": "day"}, {"time": None}, "cannot obey both"),
    ("split without its column", TABLE, {"split": "time"}, {"time": "day"}, "no column is named"),
    ("stratified numbers", PRICES, {"split": "stratified"}, {"split": "random"}, "shares of classes"),
    ("patience without validation", TABLE, {"patience": 3, "valid": 0.0}, {"valid": 0.1}, "valid = 0"),
]


def refuse(schema: Schema, fields: dict[str, Any], *, settled: bool = True) -> None:
    fields = dict(fields)
    foreign, custom = fields.pop("foreign", False), fields.pop("custom_loss", False)
    recipe = Recipe().changed(**fields)
    refuse_inapplicable(recipe, schema, foreign=foreign, custom_loss=custom,
                        settled=recipe.settled({}) if settled else None)  # fmt: skip


@pytest.mark.parametrize("row, schema, fields, sound, said", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_refuses_and_its_sound_neighbor_passes(row, schema, fields, sound, said):
    with pytest.raises(RecipeError, match=said) as caught:
        refuse(schema, fields)
    assert str(caught.value).startswith("recipe: ") and "Next: " in str(caught.value)
    refuse(schema, fields | sound)


def test_the_row_that_speaks_is_the_one_meant():
    for name, schema, fields, _, _ in ROWS:
        fields = dict(fields)
        foreign, custom = fields.pop("foreign", False), fields.pop("custom_loss", False)
        recipe = Recipe().changed(**fields)
        case = Case(recipe, recipe.settled({}), schema, foreign, custom)
        assert next(entry.name for entry in REFUSALS if entry.applies(case)) == name
    assert {row[0] for row in ROWS} == {entry.name for entry in REFUSALS}


@pytest.mark.parametrize("schema", [TABLE, PRICES, PICTURES])
@pytest.mark.parametrize("foreign", [False, True])
def test_a_plain_recipe_and_a_settled_one_pass(schema, foreign):
    refuse_inapplicable(Recipe(), schema, foreign=foreign, custom_loss=False)
    settled = Recipe().settled({})
    assert all(getattr(settled, name) == value for name, value in FALLBACKS.items())
    refuse_inapplicable(settled, schema, foreign=foreign, custom_loss=foreign, settled=settled)


def test_what_a_family_will_choose_is_taken_to_fit_until_it_has_chosen():
    fields = {"final_rate": 0.1, "momentum": 0.5, "average_decay": 0.9, "decay_all": True}
    refuse(TABLE, fields, settled=False)
    family = {"schedule": "cosine", "optimizer": "momentum", "average": "ema", "weight_decay": 0.1}
    recipe = Recipe().changed(**fields)
    refuse_inapplicable(recipe, TABLE, foreign=False, custom_loss=False, settled=recipe.settled(family))
    with pytest.raises(RecipeError, match="decay_all"):
        refuse_inapplicable(recipe, TABLE, foreign=False, custom_loss=False,
                            settled=recipe.settled(family | {"weight_decay": 0.0}))  # fmt: skip
