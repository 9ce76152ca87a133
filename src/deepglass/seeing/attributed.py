"""What mattered to a run's network on its test part (V7), as plain JSON for the report: bounded in time and in size.

For a table, how far the run's own metric falls when a column is shuffled (Breiman 2001), with the interval of the
bootstrap; a column that was encoded as several numbers is shuffled as one. For pictures, maps of a few examples.
"""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from deepglass.data.batches import in_order
from deepglass.data.encoding import Encoding
from deepglass.data.schema import Part, Schema
from deepglass.errors import DeepglassError
from deepglass.explaining.attribution import WORDS, Attribution, attribute
from deepglass.explaining.attribution_checks import Check
from deepglass.explaining.heatmap import drawn, full_value
from deepglass.explaining.mosaic import Tile, as_pixels
from deepglass.seeing.inputs import SIDE, shown_inputs
from deepglass.training.metrics import METRICS, bootstrap_difference, default_metric, measure
from deepglass.training.run import Run

COUNT = 8
MOST_ROWS, MOST_COLUMNS = 1000, 40
SECONDS = 5.0
SHARE_OF_COLUMNS = 0.6  # of the time; what is left is for the checks
REPEATS, ROUNDS = 3, 200
CHECKED_ROWS = 64


def attributions(run: Run, count: int = COUNT, *, seconds: float = SECONDS) -> dict[str, Any]:
    """{"kind", "method", "why", "checks", "verdict", "trusted"} of examples of the test part, and

    pictures   "examples": [{"row", "predicted", "expected", "picture", "map" (PNG in base64, both), "score"}]
    tables     "metric", "base", "rows", "columns": [{"name", "importance", "interval"}], the weightiest first;
               "skipped": columns that the time was too short for
    anything else   "svg" of the first example

    Empty where the run has no data left, or the network cannot be explained: then {"note"} says why.
    """
    own = run.own_data()
    if own is None:
        return {}
    part = own.test if len(own.test) else own.train
    if not len(part):
        return {}
    try:
        if all(len(entry.shape) == 1 for entry in run.schema.inputs):
            return _of_table(run, part, seconds)
        return _of_examples(run, part, count)
    except (DeepglassError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        # The report goes on without its map: what could not be seen is said in its place.
        return {"note": f"? {error}"}


def _of_examples(run: Run, part: Part, count: int) -> dict[str, Any]:
    chosen = part.select(torch.arange(min(count, len(part))))
    batch = next(in_order(chosen, run.schema, run.device))
    found = attribute(run, batch.inputs)
    if found.kind != "picture":
        names = tuple(name for entry in run.schema.inputs for name in entry.columns)
        return _told(found) | {"svg": drawn(found, example=0, words=names, standalone=False)}
    read = run.read(chosen)
    answers, classes = run.decided(read).tolist(), run.schema.target.classes
    return _told(found) | {"examples": [
        {
            "row": int(chosen.rows[place]), "predicted": _word(answers[place]),
            "expected": classes[int(chosen.target[place])] if classes else _word(_own(run, chosen.target[place])),
            **shown_inputs(run.schema, chosen, place), "map": _map(found, place),
        }
        for place in range(len(chosen))
    ]}  # fmt: skip


def _own(run: Run, target: Tensor) -> Any:
    """A target of numbers in its own unit."""
    mean, std = (torch.tensor(values or (default,)) for values, default in (
        (run.schema.target.mean, 0.0), (run.schema.target.std, 1.0)))  # fmt: skip
    return (target.cpu().reshape(-1) * std + mean).tolist()


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value))
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _map(found: Attribution, place: int) -> str:
    """The map over its picture, as large as the picture is shown."""
    at = next(k for k, entry in enumerate(found.inputs) if entry.dim() == 4)
    values = found.values[at][place].detach().float().cpu().sum(0)
    tile = Tile(values, "", "signed", full_value(values), as_pixels(found.inputs[at][place]))
    return base64.b64encode(tile.png(least=SIDE)).decode("ascii")


def _told(found: Attribution) -> dict[str, Any]:
    return {
        "kind": found.kind, "method": WORDS.get(found.method, found.method), "layer": found.layer, "why": found.why,
        "checks": [_check(check) for check in found.checks], "verdict": found.verdict, "trusted": found.trusted,
    }  # fmt: skip


def _check(check: Check) -> dict[str, Any]:
    figure = check.figure if math.isfinite(check.figure) else None
    return {"name": check.name, "passed": check.passed, "figure": figure, "words": check.words}


def _of_table(run: Run, part: Part, seconds: float) -> dict[str, Any]:
    begun = time.monotonic()
    few = part.select(torch.arange(min(len(part), MOST_ROWS)))
    described = run.schema.target
    metric = run.summary.get("metric") or run.recipe.metric or default_metric(described)
    ours = run.read(few)
    base = measure(few.target, ours, described, names=(metric,)).get(metric)
    if base is None:
        return {"note": f"? {metric} is not defined on these {len(few)} rows."}
    found, skipped = [], []
    for name, places in columns_of(run.schema).items():
        if time.monotonic() - begun > seconds * SHARE_OF_COLUMNS:
            skipped.append(name)
            continue
        found.append({"name": name, **_importance(run, few, places, metric, base, ours)})
    found.sort(key=lambda one: -one["importance"])
    told = {
        "kind": "table", "method": WORDS["permutation"], "metric": metric, "base": base, "rows": len(few),
        "why": f"How much worse {metric} gets when a column is shuffled among {len(few):,} rows of the test part.",
        "columns": found[:MOST_COLUMNS], "skipped": skipped,
    }  # fmt: skip
    if skipped or time.monotonic() - begun > seconds / 2 or len(found) > MOST_COLUMNS:
        return told | {"checks": [], "verdict": "not checked, for want of time", "trusted": True}
    batch = next(in_order(few.select(torch.arange(min(len(few), CHECKED_ROWS))), run.schema, run.device))
    checked = attribute(run, batch.inputs, kind="table", method="permutation")
    return told | {name: _told(checked)[name] for name in ("checks", "verdict", "trusted")}


def _importance(run: Run, part: Part, places: Sequence[tuple[int, int]], metric: str, base: float,
                ours: Tensor) -> dict[str, Any]:  # fmt: skip
    """How much worse the metric gets, the mean over shuffles, and the mean bounds of its bootstrap interval."""
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    drops, bounds = [], []
    for seed in range(REPEATS):
        order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))
        inputs = [tensor.clone() for tensor in part.inputs]
        for place, column in places:
            inputs[place][:, column] = part.inputs[place][order, column]
        theirs = run.read(Part(tuple(inputs), part.target, part.rows))
        figure = measure(part.target, theirs, run.schema.target, names=(metric,)).get(metric, math.nan)
        drops.append(sign * (base - figure))
        interval = bootstrap_difference(part.target, ours, theirs, run.schema.target, metric, seed=seed, rounds=ROUNDS)
        bounds.append(sorted(sign * bound for bound in interval))
    low, high = (sum(values) / REPEATS for values in zip(*bounds, strict=True))
    mean = sum(drops) / REPEATS
    return {"importance": _finite(mean) or 0.0, "interval": [_finite(low), _finite(high)]}


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def columns_of(schema: Schema) -> dict[str, list[tuple[int, int]]]:
    """Where each column of the source stands in the tensors: pairs of input and column, several where a column was
    encoded as several numbers.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    if "encoding" in schema.reader:
        encoding = Encoding.from_json(schema.reader["encoding"])
        codes = next((place for place, entry in enumerate(schema.inputs) if entry.kind == "codes"), None)
        for column, feature in enumerate(encoding.numbers):
            found.setdefault(feature.column, []).append((0, column))
        hot = len(encoding.numbers)
        for column, feature in enumerate(encoding.codes):
            # A table read plain has its codes one-hot, behind its numbers.
            own = [(0, hot + k) for k in range(feature.size - 1)] if codes is None else [(codes, column)]
            found.setdefault(feature.column, []).extend(own)
            hot += feature.size - 1
        return found
    for number, entry in enumerate(schema.inputs):
        for column in range(math.prod(entry.shape)):
            name = entry.columns[column] if column < len(entry.columns) else f"{entry.name}[{column}]"
            found.setdefault(name, []).append((number, column))
    return found
