"""Read columns as the tensors a model is given, and those tensors as the plain matrix that trees are given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from deepglass.data.aims import Aim
from deepglass.data.columns import Column
from deepglass.data.encoding import BINS, Encoding, encode, quantile_edges
from deepglass.data.schema import Input, Part, Schema

MOST_COLUMNS_WITH_EDGES = 500
ROWS_A_BIN = 50  # a small table gets fewer bins: with 48 of a few rows each, networks learn the rows by heart
MOST_EDGE_ROWS = 100_000
MOST_CODES_FOR_TREES = 255  # scikit-learn's boosted trees take no category with more


def part_of(schema: Schema, columns: Mapping[str, Column], aim: Aim | None, rows: np.ndarray) -> Part:
    """The inputs and target of these rows, as the schema's reader and target say."""
    encoding = Encoding.from_json(schema.reader["encoding"])
    taken = {name: column.take(rows) for name, column in columns.items()}
    numbers, codes = encode(encoding, taken, len(rows))
    inputs = (torch.from_numpy(numbers), torch.from_numpy(codes))
    if schema.reader["plain"]:
        inputs = (_one_hot(numbers, codes, encoding),)
    if aim is None:
        target = torch.zeros(len(rows), 0)
    elif aim.task == "classes":
        target = torch.from_numpy(aim.values[rows].astype(np.int64))
    else:
        scaled = (aim.values[rows] - np.array(schema.target.mean)) / np.array(schema.target.std)
        target = torch.from_numpy(scaled.astype(np.float32))
    return Part(inputs, target, torch.from_numpy(rows.astype(np.int64)))


def inputs_of(encoding: Encoding, train: Part, plain: bool) -> tuple[Input, ...]:
    names = tuple(feature.name for feature in encoding.numbers)
    if plain:
        for feature in encoding.codes:
            words = (*feature.words, "another") if feature.rare else feature.words
            names += tuple(f"{feature.column}={word}" for word in words)
        return (Input("features", "numbers", (len(names),), names),)
    edges: tuple[tuple[float, ...], ...] = ()
    if len(names) <= MOST_COLUMNS_WITH_EDGES:
        sample = train.inputs[0][:: max(1, len(train) // MOST_EDGE_ROWS)].numpy()
        bins = min(BINS, max(2, len(train) // ROWS_A_BIN))
        edges = tuple(quantile_edges(column, bins) for column in sample.T)
    sizes = tuple(feature.size for feature in encoding.codes)
    columns = tuple(feature.column for feature in encoding.codes)
    return (
        Input("numbers", "numbers", (len(names),), names, quantiles=edges),
        Input("codes", "codes", (len(sizes),), columns, sizes),
    )


def raw_features(schema: Schema, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """For trees: float64 [m, n+c] with NaN where a number or a category is missing, and which columns are categories.

    Numbers stay in encoded units, which keep their order. A category of more than 255 codes counts as a number, as
    scikit-learn's boosted trees take no larger one. Bool [n+c].
    """
    numbers = part.inputs[0].double().numpy().copy()
    if schema.reader["plain"]:
        return numbers, np.zeros(numbers.shape[1], bool)
    features = Encoding.from_json(schema.reader["encoding"]).numbers
    for place, mark in enumerate(features):
        if mark.part == "missing":
            owned = [k for k, feature in enumerate(features) if feature.column == mark.column and k != place]
            absent = numbers[:, place] == 1
            numbers[np.ix_(absent, owned)] = np.nan
    codes = part.inputs[1].double().numpy().copy()
    codes[codes == 0] = np.nan
    sizes = schema.inputs[1].sizes
    mask = [False] * numbers.shape[1] + [size <= MOST_CODES_FOR_TREES for size in sizes]
    return np.concatenate((numbers, codes), axis=1), np.array(mask, bool)


def _one_hot(numbers: np.ndarray, codes: np.ndarray, encoding: Encoding) -> torch.Tensor:
    """Numbers, then a 0-or-1 column for each code but 0."""
    hot = [codes[:, [k]] == np.arange(1, feature.size) for k, feature in enumerate(encoding.codes)]
    return torch.from_numpy(np.concatenate([numbers, *hot], axis=1).astype(np.float32))
