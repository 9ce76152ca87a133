"""What the data themselves say: their scale, rows in two parts, copies of the target, and what a forest makes of them.

The forest of extremely randomized trees (Geurts et al. 2006) needs no scaling and judges each training row by the trees
that did not learn from it (out of bag, Breiman 1996), so that it tells how much can be known from these rows.
"""

from __future__ import annotations

import math
import warnings
from hashlib import blake2b

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from torch import Tensor

from deepglass.data.batches import present
from deepglass.data.features import learning_rows, tree_features
from deepglass.data.schema import Data, Part
from deepglass.diagnosing.evidence import Survey

MOST_ROWS, TREES, LARGE = 1500, 60, 20_000
SAME = 0.9999
UNKNOWN = (math.nan, math.nan, math.nan)


def survey(data: Data, *, seed: int = 0) -> Survey:
    """The figures of a data set, from at most 1,500 rows where rows are learned from. Under a second on most data."""
    train = data.train
    rows = (len(train), len(data.valid), len(data.test))
    shared, agreed = _equal_rows(data)
    location, spread, uneven = _scales(data)
    skill, error, sure = _forest(data, seed) if len(train) >= 20 else UNKNOWN
    return Survey(rows, shared, agreed, _copied(data), location, spread, uneven, skill, sure, error, *_chance(data))


def _equal_rows(data: Data) -> tuple[float, float]:
    """How many rows of valid and test stand in train, and how many of those have the answer they have there."""
    if len(data.train) > LARGE:
        return 0.0, math.nan
    known: dict[bytes, set[bytes]] = {}
    for key, answer in _keys(data.train):
        known.setdefault(key, set()).add(answer)
    later = [*_keys(data.valid), *_keys(data.test)]
    met = [answer in known[key] and len(known[key]) == 1 for key, answer in later if key in known]
    return len(met) / max(1, len(later)), sum(met) / len(met) if met else math.nan


def _keys(part: Part) -> list[tuple[bytes, bytes]]:
    """Every row's inputs and answer, as bytes; of the inputs a digest."""
    flat = [tensor.flatten(1).contiguous().numpy() for tensor in part.inputs]
    answers = part.target.contiguous().numpy()
    rows = (b"".join(tensor[row].tobytes() for tensor in flat) for row in range(len(part)))
    return [
        (blake2b(row, digest_size=16).digest(), answer.tobytes()) for row, answer in zip(rows, answers, strict=True)
    ]


def _floats(data: Data) -> list[Tensor]:
    """The inputs that are floats, as the model is given them, of at most 1,500 training rows."""
    chosen = data.train.select(torch.arange(min(MOST_ROWS, len(data.train))))
    return [tensor.float() for tensor in present(chosen.inputs, data.schema) if tensor.is_floating_point()]


def _scales(data: Data) -> tuple[float, float, float]:
    """The largest |mean| and spread of an input, and how uneven the spreads of columns are."""
    locations, spreads = [], []
    for tensor in _floats(data):
        # Of pictures and sequences each channel is one scale; of a table each column.
        columns = tensor.flatten(2).transpose(1, 2).flatten(0, 1) if tensor.dim() > 2 else tensor.flatten(1)
        locations.append(columns.mean(0).abs())
        spreads.append(columns.std(0, correction=0))
    if not spreads or not sum(map(len, spreads)):
        return UNKNOWN
    location, spread = torch.cat(locations), torch.cat(spreads)
    varied = spread[spread > 0]
    uneven = float(varied.max() / varied.min()) if len(varied) else 1.0
    return float(location.max()), float(spread.max()), uneven


def _copied(data: Data) -> str:
    """The name of an input whose order is the target's, or that is the target again."""
    if data.schema.target.task == "multiclass" or len(data.train) < 20:
        return _copied_class(data)
    goal = _unit(data.train.target.double().reshape(len(data.train), -1)[:, 0])
    for entry, tensor in zip(data.schema.inputs, data.train.inputs, strict=True):
        if entry.kind != "numbers":
            continue
        for place, column in enumerate(tensor.double().flatten(1).T):
            if abs(float(_unit(column) @ goal)) > SAME:
                return _column(entry.columns, place)
    return ""


def _copied_class(data: Data) -> str:
    classes = data.train.target
    for entry, tensor in zip(data.schema.inputs, data.train.inputs, strict=True):
        if entry.kind == "pixels" or len(data.train) < 20:
            continue
        for place, column in enumerate(tensor.flatten(1).T):
            kinds, codes = torch.unique(column, return_inverse=True)
            pairs = len(torch.unique(codes * 10_000 + classes))
            if pairs == len(kinds) == len(torch.unique(classes)) > 1:
                return _column(entry.columns, place)
    return ""


def _column(names: tuple[str, ...], place: int) -> str:
    return names[place] if place < len(names) else f"column {place}"


def _unit(values: Tensor) -> Tensor:
    values = values - values.mean()
    length = values.norm()
    return values / length if float(length) > 1e-12 else torch.zeros_like(values)


def _forest(data: Data, seed: int) -> tuple[float, float, float]:
    """Skill, share of errors, and share of errors among the surer half; R² and NaN for numbers."""
    index = learning_rows(data, MOST_ROWS, seed)
    inputs = np.nan_to_num(tree_features(data)[0][index])
    target = data.train.target[index].numpy()
    settings = {"n_estimators": TREES, "bootstrap": True, "oob_score": True, "random_state": seed, "n_jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a row that every tree has learned from has no out-of-bag answer
        if data.schema.target.task == "regression":
            target = target.reshape(len(target), -1)
            grown = ExtraTreesRegressor(min_samples_leaf=2, **settings).fit(inputs, target.squeeze())
            return float(grown.oob_score_), math.nan, math.nan
        if len(np.unique(target)) < 2:
            return UNKNOWN
        forest = ExtraTreesClassifier(min_samples_leaf=2, **settings).fit(inputs, target)
    votes = np.nan_to_num(forest.oob_decision_function_)
    wrong = forest.classes_[votes.argmax(1)] != target
    most = np.bincount(target).max() / len(target)
    surest = np.argsort(-votes.max(1), kind="stable")[: max(1, len(target) // 2)]
    return float((1 - wrong.mean() - most) / max(1e-9, 1 - most)), float(wrong.mean()), float(wrong[surest].mean())


def _chance(data: Data) -> tuple[float, float]:
    """Entropy of the classes; or variance and mean absolute deviation of the target."""
    target = data.train.target
    if data.schema.target.task != "regression":
        shares = torch.bincount(target).double() / max(1, len(target))
        shares = shares[shares > 0]
        return float(-(shares * shares.log()).sum()), math.nan
    values = target.double().reshape(len(target), -1)
    return float(values.var(0, correction=0).mean()), float((values - values.median(0).values).abs().mean())
