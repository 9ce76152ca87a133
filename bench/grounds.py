"""What faults are planted in: small data and a network that learns them well, six kinds of each, in two halves.

The halves differ in the data, in what the user's module is, and in the seed: "tune" is open to whoever sets thresholds,
"held" is looked at only to count.
"""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn import datasets
from torch import nn

from deepglass.data.packed import read_idx
from deepglass.data.schema import Data, Schema, Wishes
from deepglass.data.sources import read
from deepglass.models import CATALOGUE
from foreign import PictureNet, RowReader, WordReader

Half = Literal["tune", "held"]
Arrays = tuple[np.ndarray, np.ndarray]
QUIET: dict[str, Any] = {"baselines": False, "report": False, "device": "cpu"}


@dataclass(frozen=True)
class Ground:
    """A data set and a network that suits it.

    load      (X, y) anew;  plain   whether the tensors go to the network as they stand
    options   of the family, by (depth, activation, normalization, width);  build   the same as a module
    fields    the recipe of a healthy run
    """

    kind: str
    half: Half
    load: Callable[[], Arrays]
    model: str | None
    build: Callable[..., nn.Module]
    options: Callable[..., dict[str, Any]]
    fields: dict[str, Any] = field(default_factory=dict)
    epochs: int = 12

    @property
    def seed(self) -> int:
        """Of the split, the weights and whatever is drawn."""
        return 0 if self.half == "tune" else 1

    def read(self, examples: np.ndarray, answers: np.ndarray) -> Data:
        """The arrays as data, as the family or the user's module is given them."""
        task = "numbers" if self.kind == "numbers" else "classes"
        wishes = Wishes(seed=self.seed, plain=self.model is None, task=task)
        return read((examples, answers), wishes)

    @property
    def tabular(self) -> bool:
        """Whether the data are rows of a table."""
        return self.kind in ("table", "numbers")

    def data(self) -> Data:
        """The data as they should be."""
        return self.read(*self.load())

    def network(self, schema: Schema, **style: Any) -> nn.Module:
        """The network as a module, with weights of this ground's seed."""
        torch.manual_seed(self.seed)
        return self.build(schema, **style)

    def draw(self) -> np.random.Generator:
        """For what is shuffled or drawn."""
        return np.random.default_rng(self.seed + 17)


def _options(name: str, depth: int, activation: str, normalization: str, width: int) -> dict[str, Any]:
    if name == "convolution":
        return {"widths": (max(1, width // 4), max(1, width // 2)), "depth": max(1, depth // 2), "dense": width,
                "activation": activation, "normalization": normalization}  # fmt: skip
    return {"widths": (width,) * depth, "activation": activation, "normalization": normalization}


def _family(kind: str, name: str, half: Half, load: Callable[[], Arrays], epochs: int, **fields: Any) -> Ground:
    def options(*, depth: int = 2, activation: str = "relu", normalization: str = "none",
                width: int = 64) -> dict[str, Any]:  # fmt: skip
        return _options(name, depth, activation, normalization, width)

    def build(schema: Schema, **style: Any) -> nn.Module:
        # One plain network of known layers, in place of the ensemble that a table is given by default.
        plain = {"members": 1, "embedding": "none", "dropout": 0.0} if kind in ("table", "numbers") else {}
        return CATALOGUE[name].from_schema(schema, **options(**style), **plain)

    return Ground(kind, half, load, name, build, options, fields, epochs)


def _foreign(half: Half, load: Callable[[], Arrays], build: Callable[..., nn.Module], epochs: int,
             kind: str = "user's module") -> Ground:  # fmt: skip
    return Ground(kind, half, load, None, build, lambda **style: {}, {}, epochs)


def _some(examples: np.ndarray, answers: np.ndarray, count: int, seed: int) -> Arrays:
    """So many examples, none twice."""
    _, first = np.unique(examples.reshape(len(examples), -1), axis=0, return_index=True)
    chosen = np.random.default_rng(seed).permutation(np.sort(first))[:count]
    return examples[chosen], answers[chosen]


def shelf() -> Path:
    """Where the public data sets lie."""
    return Path(os.environ["DEEPGLASS_DATA"])


@cache
def breast_cancer() -> Arrays:
    bunch: Any = datasets.load_breast_cancer()
    return bunch.data, bunch.target


@cache
def wine_color() -> Arrays:
    """Red or white, from eleven measurements."""
    with (shelf() / "tables" / "wine_quality.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("color", "quality")]
    examples = np.array([[float(row[name]) for name in names] for row in rows])
    return _some(examples, np.array([int(row["color"] == "red") for row in rows]), 1200, 1)


def _measurements(file: str, names: tuple[str, ...], target: str) -> Arrays:
    """1,200 rows of a table's numbers, those with gaps left out."""
    with gzip.open(shelf() / "tables" / file, "rt", encoding="utf-8") as opened:
        rows = [row for row in csv.DictReader(opened) if all(row[name] for name in (*names, target))]
    examples = np.array([[float(row[name]) for name in names] for row in rows])
    return _some(examples, np.array([float(row[target]) for row in rows]), 1200, 0)


@cache
def houses() -> Arrays:
    """What a house is worth, by block group."""
    names = ("longitude", "latitude", "housing_median_age", "total_rooms", "total_bedrooms", "population",
             "households", "median_income")  # fmt: skip
    return _measurements("california_housing.csv.gz", names, "median_house_value")


@cache
def diamonds() -> Arrays:
    """What a diamond costs, by its measures."""
    return _measurements("diamonds.csv.gz", ("carat", "depth", "table", "x", "y", "z"), "price")


@cache
def digits() -> Arrays:
    bunch: Any = datasets.load_digits()
    return _some(np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target, 1200, 0)


@cache
def mnist() -> Arrays:
    """1,500 pictures at half their size, each 2 x 2 pixels averaged."""
    pictures = read_idx(shelf() / "mnist" / "t10k-images-idx3-ubyte.gz")
    answers = read_idx(shelf() / "mnist" / "t10k-labels-idx1-ubyte.gz")
    halved = pictures.reshape(-1, 14, 2, 14, 2).mean((2, 4)).round().astype(np.uint8)
    return _some(halved, answers.astype(np.int64), 1500, 1)


def floats(load: Callable[[], Arrays], *, channel: bool) -> Callable[[], Arrays]:
    """Pictures as a user's own script has them: floats of mean 0 and spread 1."""

    def found() -> Arrays:
        pictures, answers = load()
        values = (pictures.astype(np.float32) - pictures.mean()) / pictures.std()
        return values[:, None] if channel else values, answers

    return found


WORDS, LENGTH = 600, 16


@cache
def questions() -> Arrays:
    """TREC's questions as codes of their words, to six kinds of answer."""
    with (shelf() / "text" / "trec_questions" / "train.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = {name: code for code, name in enumerate(sorted({row["coarse"] for row in rows}))}
    return _coded([row["text"] for row in rows], np.array([kinds[row["coarse"]] for row in rows]), 1500)


@cache
def messages() -> Arrays:
    """SMS, as many of spam as of ham."""
    text = (shelf() / "text" / "sms_spam" / "SMSSpamCollection.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t", 1) for line in text.splitlines() if line]
    spam = [words for label, words in rows if label == "spam"]
    ham = [words for label, words in rows if label == "ham"][: len(spam)]
    return _coded(spam + ham, np.array([1] * len(spam) + [0] * len(ham)), 1200)


def _coded(texts: list[str], answers: np.ndarray, count: int) -> Arrays:
    split = [re.findall(r"\w+", text.casefold())[:LENGTH] for text in texts]
    common = Counter(word for words in split for word in words).most_common(WORDS - 2)
    codes = {word: code for code, (word, _) in enumerate(common, 2)}
    table = np.zeros((len(texts), LENGTH), np.int64)
    for row, words in zip(table, split, strict=True):
        row[: len(words)] = [codes.get(word, 1) for word in words]
    return _some(table, answers, count, 0)


def _picture_net(schema: Schema, **style: Any) -> nn.Module:
    return PictureNet(schema.inputs[0].shape[-1], schema.target.outputs, **style)


def _row_reader(schema: Schema, **style: Any) -> nn.Module:
    return RowReader(schema.inputs[0].shape[-1], schema.target.outputs, **style)


def _word_reader(schema: Schema, **style: Any) -> nn.Module:
    return WordReader(WORDS, LENGTH, schema.target.outputs, **style)


GROUNDS: tuple[Ground, ...] = (
    _family("table", "mlp", "tune", breast_cancer, 30),
    _family("table", "mlp", "held", wine_color, 20),
    _family("picture", "mlp", "tune", digits, 30),
    _family("picture", "mlp", "held", mnist, 30),
    _family("convolution", "convolution", "tune", digits, 16),
    _family("convolution", "convolution", "held", mnist, 12),
    _foreign("tune", floats(digits, channel=True), _picture_net, 25),
    _foreign("held", floats(mnist, channel=False), _row_reader, 40),
    _family("numbers", "mlp", "tune", houses, 25),
    _family("numbers", "mlp", "held", diamonds, 25),
    _foreign("tune", questions, _word_reader, 20, "transformer"),
    _foreign("held", messages, _word_reader, 16, "transformer"),
)
"""Four kinds carry every fault; numbers to predict and the transformer carry those that they can have."""
