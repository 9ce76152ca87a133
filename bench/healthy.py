"""Sound runs: public data as they are, networks that suit them, default recipes.

Whatever is found here is a false alarm. Large sets are cut to a few thousand rows and repeated rows left out, so that a
run takes seconds; nothing else is changed.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from PIL import Image

from deepglass.data.packed import read_idx
from deepglass.data.schema import Data, Wishes
from deepglass.data.sources import read
from grounds import GROUNDS, Arrays, Half, shelf
from planting import Planted


@dataclass(frozen=True)
class Healthy:
    """A sound run: where the data come from, the family's name (or a ground's own module), a seed."""

    name: str
    half: Half
    source: Callable[[], Any]
    model: str
    target: str | None = None
    seed: int = 0
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """A name fit for a folder."""
        return f"healthy-{self.name}-{self.model.replace(' ', '_')}-{self.seed}"

    def planted(self) -> Planted:
        """As a case in which nothing is to be found."""
        source = self.source()
        data = source if isinstance(source, Data) else read(source, Wishes(target=self.target, seed=self.seed))
        return Planted(data, self.model, (), fields={"seed": self.seed} | self.fields)


@dataclass(frozen=True)
class HealthyModule:
    """A module of a user's own on sound data, as it stands in `grounds`."""

    kind: str
    half: Half
    epochs: int

    @property
    def folder(self) -> str:
        """A name fit for a folder."""
        return f"healthy-{self.kind.replace(chr(39), '').replace(' ', '_')}-{self.half}"

    def planted(self) -> Planted:
        """As a case in which nothing is to be found."""
        ground = next(ground for ground in GROUNDS if (ground.kind, ground.half) == (self.kind, self.half))
        data = ground.data()
        return Planted(data, ground.network(data.schema), (), fields={"seed": ground.seed, "epochs": self.epochs})


def table(name: str, most: int) -> Callable[[], pa.Table]:
    """Rows of a public table, none twice."""

    @cache
    def found() -> pa.Table:
        whole = pyarrow.csv.read_csv(shelf() / "tables" / name)
        whole = whole.group_by(whole.column_names).aggregate([])
        order = np.random.default_rng(0).permutation(whole.num_rows)[:most]
        return whole.take(pa.array(np.sort(order)))

    return found


def mnist_rows(first: int, count: int) -> Callable[[], Arrays]:
    """So many of MNIST's training pictures."""

    def found() -> Arrays:
        pictures = read_idx(shelf() / "mnist" / "train-images-idx3-ubyte.gz")[first : first + count]
        answers = read_idx(shelf() / "mnist" / "train-labels-idx1-ubyte.gz")[first : first + count]
        return pictures, answers.astype(np.int64)

    return found


@cache
def cifar() -> Arrays:
    """CIFAR-10: 250 pictures of each class."""
    pictures: list[np.ndarray] = []
    answers: list[str] = []
    with tarfile.open(shelf() / "cifar10" / "cifar10-jpeg.tar") as archive:
        for entry in archive:
            parts = entry.name.split("/")
            if len(parts) == 4 and parts[1] == "test" and int(parts[3].split(".")[0]) < 250:
                stream = archive.extractfile(entry)
                assert stream is not None
                pictures.append(np.asarray(Image.open(io.BytesIO(stream.read()))))
                answers.append(parts[2])
    return np.stack(pictures), np.array(answers)


def named(name: str) -> Callable[[], str]:
    """A set that deepglass knows by name."""
    return lambda: name


TITANIC, PENGUINS, CARS = (table(f"{name}.csv", 10_000) for name in ("titanic", "penguins", "auto_mpg"))
ADULT, CREDIT, HOUSES, DIAMONDS = (
    table(f"{name}.csv.gz", 2_500) for name in ("adult_train", "credit_default", "california_housing", "diamonds")
)

HEALTHY: tuple[Healthy | HealthyModule, ...] = (
    Healthy("iris", "tune", named("iris"), "mlp"),
    Healthy("iris", "tune", named("iris"), "neuron"),
    Healthy("breast_cancer", "tune", named("breast_cancer"), "mlp"),
    Healthy("breast_cancer", "tune", named("breast_cancer"), "neuron", seed=2),
    Healthy("digits", "tune", named("digits"), "mlp"),
    Healthy("digits", "tune", named("digits"), "convolution"),
    Healthy("digits", "tune", named("digits"), "neuron", seed=2),
    Healthy("titanic", "tune", TITANIC, "mlp", "Survived"),
    Healthy("titanic", "tune", TITANIC, "neuron", "Survived"),
    Healthy("auto_mpg", "tune", CARS, "mlp", "mpg"),
    Healthy("auto_mpg", "tune", CARS, "neuron", "mpg", seed=2),
    Healthy("california", "tune", HOUSES, "mlp", "median_house_value"),
    Healthy("california", "tune", HOUSES, "neuron", "median_house_value"),
    Healthy("mnist", "tune", mnist_rows(0, 1500), "convolution"),
    HealthyModule("user's module", "tune", 25),
    HealthyModule("transformer", "tune", 10),
    Healthy("iris", "held", named("iris"), "mlp", seed=1),
    Healthy("wine", "held", named("wine"), "mlp", seed=1),
    Healthy("wine", "held", named("wine"), "neuron", seed=1),
    Healthy("diabetes", "held", named("diabetes"), "mlp", seed=1),
    Healthy("diabetes", "held", named("diabetes"), "neuron", seed=1),
    Healthy("penguins", "held", PENGUINS, "mlp", "species", seed=1),
    Healthy("penguins", "held", PENGUINS, "neuron", "species", seed=1),
    Healthy("adult", "held", ADULT, "mlp", "income", seed=1),
    Healthy("adult", "held", ADULT, "neuron", "income", seed=1),
    Healthy("credit_default", "held", CREDIT, "mlp", "default_next_month", seed=1),
    Healthy("diamonds", "held", DIAMONDS, "mlp", "price", seed=1),
    Healthy("mnist", "held", mnist_rows(10_000, 4000), "mlp", seed=1),
    Healthy("mnist", "held", mnist_rows(10_000, 1500), "convolution", seed=1),
    Healthy("digits", "held", named("digits"), "convolution", seed=1),
    Healthy("cifar10", "held", cifar, "convolution", seed=1),
    HealthyModule("user's module", "held", 25),
    HealthyModule("transformer", "held", 8),
)
