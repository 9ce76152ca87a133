"""A recipe from flags, keywords and TOML, and back; wrong words refused with the nearest right one."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepglass.data.schema import Wishes
from deepglass.errors import RecipeError
from deepglass.training.recipe import (
    FALLBACKS,
    RANGES,
    Recipe,
    converted,
    fitted_options,
    read_recipe,
    written_recipe,
)


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("epochs", "5", 5),
        ("epochs", "5.0", 5),
        ("learning_rate", "3e-4", 3e-4),
        ("learning_rate", "auto", None),
        ("patience", "none", None),
        ("decay_all", "yes", True),
        ("baselines", "off", False),
        ("optimizer", "nesterov", "nesterov"),
        ("class_weights", "balanced", "balanced"),
        ("class_weights", "1,2.5", (1.0, 2.5)),
        ("class_weights", "none", "none"),
        ("augment", "flip, shift", ("flip", "shift")),
        ("augment", "(flip)", ("flip",)),
        ("ignore", ["id", "name"], ("id", "name")),
        ("target", "price", "price"),
        ("target", ("price", "size"), ("price", "size")),
    ],
)
def test_words_of_a_command_line_become_values(name, text, value):
    found = getattr(Recipe().changed(**{name: text}), name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "name, text, said",
    [
        ("epochs", "2.5", "not a whole number"),
        ("epochs", "many", "not a whole number"),
        ("epochs", True, "not a whole number"),
        ("epochs", "0", "out of range: 1 to"),
        ("learning_rate", "nan", "not a number"),
        ("learning_rate", -1, "out of range"),
        ("optimizer", "adamv", "with 'adam"),
        ("decay_all", "perhaps", "true or false"),
        ("class_weights", "1,two", "class_weights = '1,two'"),
        ("valid", "1.5", "0 to 0.9"),
    ],
)
def test_what_is_no_value_of_a_field_is_refused(name, text, said):
    with pytest.raises(RecipeError, match=said):
        Recipe().changed(**{name: text})


def test_names_that_are_no_field_are_options_of_the_family():
    def build(schema: object, *, widths: tuple[int, ...] = (64,), dropout: float = 0.0) -> None: ...

    options = {k: v for k, v in inspect.signature(build, eval_str=True).parameters.items() if k != "schema"}
    recipe = Recipe().changed(widths="64,32", dropout="0.5", epochs=2)
    assert fitted_options(recipe, options, "mlp") == {"widths": (64, 32), "dropout": 0.5}
    with pytest.raises(RecipeError, match="nearest: 'widths'"):
        fitted_options(Recipe().changed(widhts=3), options, "mlp")
    with pytest.raises(RecipeError, match="nearest: 'epochs'"):
        fitted_options(Recipe().changed(epoch=3), options, "mlp")
    with pytest.raises(RecipeError, match="dropout = 'high' is not a number"):
        fitted_options(Recipe().changed(dropout="high"), options, "mlp")


def test_the_persons_word_goes_before_the_familys_and_that_before_the_fallback():
    family = {"epochs": 7, "optimizer": "sgd", "weight_decay": None}
    settled = Recipe(epochs=3).settled(family)
    assert (settled.epochs, settled.optimizer, settled.weight_decay) == (3, "sgd", FALLBACKS["weight_decay"])
    assert all(getattr(settled, name) is not None for name in FALLBACKS)
    assert settled.settled({"epochs": 9, "learning_rate": 5.0}) == settled


def test_every_range_and_fallback_names_a_field_and_holds_its_value():
    names = {entry.name for entry in dataclasses.fields(Recipe)}
    assert set(RANGES) <= names and set(FALLBACKS) <= names
    for name, (low, high) in RANGES.items():
        default = getattr(Recipe().settled({}), name)
        assert default is None or low <= default <= high


def test_the_wishes_are_the_recipes_own_fields():
    recipe = Recipe(target="price", valid=0.1, test=0.3, split="time", time="day", ignore=("id",), size=64, seed=3)
    for entry in dataclasses.fields(Wishes):
        assert entry.name == "plain" or getattr(recipe.wishes, entry.name) == getattr(recipe, entry.name)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    epochs=st.none() | st.integers(1, 10**6),
    learning_rate=st.none() | st.floats(0, 1e5),
    target=st.none() | TEXT | st.lists(TEXT, max_size=3).map(tuple),
    ignore=st.lists(TEXT, max_size=3).map(tuple),
    weights=st.sampled_from(["none", "balanced"]) | st.lists(st.floats(0, 10), min_size=1, max_size=4).map(tuple),
    widths=st.lists(st.integers(1, 999), max_size=3).map(tuple),
    name=TEXT,
)
def test_a_written_recipe_is_plain_toml(epochs, learning_rate, target, ignore, weights, widths, name):
    recipe = Recipe(
        epochs=epochs, learning_rate=learning_rate, target=target, ignore=ignore, class_weights=weights,
        options={"widths": widths, "activation": name},
    )  # fmt: skip
    plain = tomllib.loads(written_recipe(recipe))
    assert plain.get("epochs") == epochs and plain.get("learning_rate") == learning_rate
    assert plain.get("target") == (list(target) if isinstance(target, tuple) else target)
    assert tuple(plain["options"]["widths"]) == widths and plain["options"]["activation"] == name


def test_a_written_recipe_is_read_back_whole(tmp_path):
    recipe = Recipe(
        target=("price", 'si"ze\n'), epochs=5, learning_rate=1e-3, class_weights=(1.0, 2.0), augment=("flip",),
        decay_all=True, options={"widths": (256, 128), "dropout": 0.2, "activation": "gelu"},
    )  # fmt: skip
    for written in (recipe, recipe.settled({}), Recipe()):
        path = tmp_path / "recipe.toml"
        path.write_text(written_recipe(written), encoding="utf-8")
        assert read_recipe(path) == written


def test_a_recipe_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such recipe file"):
        read_recipe(tmp_path / "absent.toml")
    (tmp_path / "broken.toml").write_text("epochs 5", encoding="utf-8")
    with pytest.raises(RecipeError, match="not a recipe in TOML"):
        read_recipe(tmp_path / "broken.toml")
    (tmp_path / "wrong.toml").write_text("optimizer = 'adamm'", encoding="utf-8")
    with pytest.raises(RecipeError, match="'adam'"):
        read_recipe(tmp_path / "wrong.toml")


def test_a_recipe_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3  # type: ignore[misc]
    assert converted("widths", 3, tuple[int, ...]) == (3,)
