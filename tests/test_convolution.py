"""A3: the convolutional family on pictures of any size."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

from deepglass.data.schema import Input, Schema, Target
from deepglass.errors import ModelError, RecipeError
from deepglass.models.convolution import Convolution, default_widths

TEN = Target("digit", "multiclass", tuple("0123456789"))


def pictures(*shape: int) -> Schema:
    return Schema("picture", (Input("picture", "pixels", shape),), TEN)


@pytest.mark.parametrize(
    "shape", [(1, 4, 4), (1, 8, 8), (2, 4, 37), (1, 28, 28), (3, 32, 32), (3, 64, 48), (3, 224, 224), (1, 1, 1)]
)
def test_any_size_is_taken(shape: tuple[int, ...]) -> None:
    model = Convolution.from_schema(pictures(*shape))
    assert model.eval()(torch.randn(2, *shape)).shape == (2, 10)
    dense = next(layer for layer in model.head if isinstance(layer, nn.Linear))
    assert dense.in_features <= 256 * 8 * 8, "large pictures do not make large dense layers"


def test_the_two_block_network_is_the_one_in_the_books() -> None:
    torch.manual_seed(4)
    reference = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    torch.manual_seed(4)
    model = Convolution.from_schema(pictures(3, 32, 32), normalization="none")
    x = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(x), reference(x), rtol=1e-4, atol=1e-5)
    found = [type(m).__name__ for m in Convolution.from_schema(pictures(3, 32, 32)).modules() if not list(m.children())]
    block = ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert found == [*block, *block, "Flatten", "Linear", "ReLU", "Linear"]


def test_stages_grow_with_the_picture() -> None:
    assert default_widths(8) == default_widths(32) == (32, 64)
    assert [len(default_widths(side)) for side in (48, 49, 97, 98, 224)] == [2, 3, 3, 4, 5]
    deep = Convolution.from_schema(pictures(3, 32, 32), widths=(8, 16, 16), depth=2, kernel=5, dense=0)
    kernels = [tuple(m.weight.shape) for m in deep.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(8, 3, 5, 5), (8, 8, 5, 5), (16, 8, 5, 5), (16, 16, 5, 5), (16, 16, 5, 5), (16, 16, 5, 5)]


def test_a_shifted_picture_gives_shifted_maps() -> None:
    torch.manual_seed(0)
    first = Convolution.from_schema(pictures(1, 16, 16), normalization="none").stages[0]
    x = torch.zeros(1, 1, 16, 16)
    x[..., 4:8, 4:8] = torch.randn(4, 4)
    moved = first(x.roll((2, 4), (2, 3)))
    torch.testing.assert_close(first(x).roll((1, 2), (2, 3))[..., 2:-2, 2:-2], moved[..., 2:-2, 2:-2])


def test_digits_are_learned_in_a_second() -> None:
    """Far above a linear model's 0.96 is for the loop to show; here: the gradients of a real task lead somewhere."""
    features, y = load_digits(return_X_y=True)
    x = np.asarray(features) / 16 - 0.3
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)
    torch.manual_seed(0)
    model = Convolution.from_schema(pictures(1, 8, 8), widths=(8, 16), dense=32)
    inputs, target = torch.tensor(x_train).float().view(-1, 1, 8, 8), torch.tensor(y_train)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(4):
        for chosen in torch.randperm(len(target)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(model(inputs[chosen]), target[chosen]).backward()
            optimizer.step()
    with torch.no_grad():
        guesses = model.eval()(torch.tensor(x_test).float().view(-1, 1, 8, 8)).argmax(1)
    assert (guesses == torch.tensor(y_test)).float().mean() > 0.9


def test_recipes_mirror_only_colored_pictures() -> None:
    assert "flip" in Convolution.recipe(pictures(3, 32, 32), 40_000)["augment"]
    assert "flip" not in Convolution.recipe(pictures(1, 28, 28), 40_000)["augment"]
    numbers = Schema("picture", pictures(3, 32, 32).inputs, Target("age", "regression", mean=(0.0,), std=(1.0,)))
    assert not Convolution.recipe(numbers, 40_000).get("label_smoothing")


def test_bad_wishes_are_refused_in_words() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"kernel": 4}, "kernel: 4 has no middle"),
        ({"widths": ()}, "no stage at all"),
        ({"depth": 0}, "depth: 0 is not a whole number"),
        ({"activation": "step"}, "no layer below it would ever learn"),
        ({"normalization": "batchnorm"}, r"no choice 'batchnorm'.*'batch'"),
    ]
    for options, words in cases:
        with pytest.raises(RecipeError, match=words):
            Convolution.from_schema(pictures(1, 8, 8), **options)
    table = Schema("table", (Input("numbers", "numbers", (3,)),), TEN)
    for ask in (lambda: Convolution.from_schema(table), lambda: Convolution.recipe(table, 10)):
        with pytest.raises(ModelError, match=r"wants pictures \(channels, height, width\); these data are a table"):
            ask()
