"""Where the network errs (V9): confusion, the worst mistakes with their inputs, calibration, residuals. Plain JSON.

Everything is bounded, whatever the size of the data: twenty classes, twelve mistakes, eight hundred points.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepglass.data.schema import Data, Part, PartName, Schema, Target
from deepglass.seeing.inputs import shown_inputs

MOST_CLASSES = 20
MOST_WORST = 12
MOST_POINTS = 800
MOST_NUMBERS = 4
CALIBRATION_BINS = 15
RESIDUAL_BINS = 40
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def find_mistakes(data: Data, part_name: PartName, read: Tensor) -> dict[str, Any]:
    """What goes wrong on a part, as plain JSON values.

    read: what the network says of each example of the part, in its order: probabilities [m, classes], or numbers
    [m, width] in the target's own unit.

    Both tasks   {"part", "rows", "worst": [{"row", "expected", "predicted", …, "inputs" or "picture"}]}
    classes      and "wrong", "confusion": {"classes", "counts", "others"}, "calibration": [{"confidence", "accuracy",
                 "count"}] over 15 bins (Guo et al. 2017)
    numbers      and "numbers": [{"name", "points": [[true, predicted]], "residuals": {"edges", "counts", "outside",
                 "quantiles"}}], residual = predicted - true

    "row" is the place in the source, from 0.
    """
    part, target = data.part(part_name), data.schema.target
    found: dict[str, Any] = {"part": part_name, "rows": len(part)}
    if not len(part):
        return found
    if target.task == "regression":
        return found | _of_numbers(data.schema, part, read.double().reshape(len(part), -1))
    return found | _of_classes(data.schema, part, torch.nan_to_num(read.double()))


def _of_classes(schema: Schema, part: Part, read: Tensor) -> dict[str, Any]:
    expected, predicted = part.target.long(), read.argmax(dim=1)
    chance = read.gather(1, expected[:, None]).squeeze(1)
    confidence = read.gather(1, predicted[:, None]).squeeze(1)
    wrong = predicted != expected
    # Ranked by loss, -log of the chance given to the truth; right answers only where hardly any is wrong.
    order = torch.argsort(chance, stable=True)
    order = (order[wrong[order]] if bool(wrong.any()) else order)[:MOST_WORST]
    classes = schema.target.classes
    worst = [
        {
            "row": int(part.rows[place]),
            "expected": classes[int(expected[place])],
            "predicted": classes[int(predicted[place])],
            "probability": _short(float(confidence[place])),
            "expected_probability": _short(float(chance[place])),
            **shown_inputs(schema, part, place),
        }
        for place in order.tolist()
    ]
    return {
        "wrong": int(wrong.sum()),
        "confusion": _confusion(expected, predicted, schema.target),
        "calibration": _calibration(confidence, ~wrong),
        "worst": worst,
    }


def _confusion(expected: Tensor, predicted: Tensor, target: Target) -> dict[str, Any]:
    """Counts by true and predicted class; of many classes the 20 most mistaken, the others put together as one."""
    size = len(target.classes)
    counts = torch.bincount(expected * size + predicted, minlength=size * size).reshape(size, size)
    if size <= MOST_CLASSES:
        return {"classes": list(target.classes), "counts": counts.tolist(), "others": 0}
    wrong = counts.sum(0) + counts.sum(1) - 2 * counts.diagonal()
    kept = wrong.argsort(descending=True, stable=True)[:MOST_CLASSES].sort().values
    place = torch.full((size,), MOST_CLASSES)
    place[kept] = torch.arange(MOST_CLASSES)
    width = MOST_CLASSES + 1
    folded = torch.bincount(place[expected] * width + place[predicted], minlength=width * width).reshape(width, width)
    others = size - MOST_CLASSES
    names = [target.classes[k] for k in kept.tolist()] + [f"{others:,} others"]
    return {"classes": names, "counts": folded.tolist(), "others": others}


def _calibration(confidence: Tensor, right: Tensor) -> list[dict[str, Any]]:
    """Mean confidence and accuracy of the examples in each bin of equal width; empty bins are left out."""
    bins = (confidence * CALIBRATION_BINS).ceil().long().sub(1).clamp(0, CALIBRATION_BINS - 1)
    counts, sure, true = (
        torch.bincount(bins, weights=weights, minlength=CALIBRATION_BINS).tolist()
        for weights in (torch.ones_like(confidence), confidence, right.double())
    )
    return [
        {"confidence": _short(total / count), "accuracy": _short(hits / count), "count": int(count)}
        for count, total, hits in zip(counts, sure, true, strict=True)
        if count
    ]


def _of_numbers(schema: Schema, part: Part, read: Tensor) -> dict[str, Any]:
    target = schema.target
    std, mean = (torch.tensor(values, dtype=torch.float64) for values in (target.std, target.mean))
    true = part.target.double().reshape(len(part), -1) * std + mean
    errors = torch.nan_to_num(read - true)
    # Columns in different units weigh alike: each by its own spread.
    size = (errors / true.std(0, correction=0).clamp_min(1e-12)).abs().mean(1)
    worst = [
        {
            "row": int(part.rows[place]),
            "expected": _one_or_all(true[place]),
            "predicted": _one_or_all(read[place]),
            "error": _one_or_all(errors[place]),
            **shown_inputs(schema, part, place),
        }
        for place in torch.argsort(size, descending=True, stable=True)[:MOST_WORST].tolist()
    ]
    names = _names(target, true.shape[1])
    numbers = [
        {"name": name, **_residuals(true[:, place].numpy(), read[:, place].numpy())}
        for place, name in enumerate(names[:MOST_NUMBERS])
    ]
    return {"numbers": numbers, "worst": worst}


def _residuals(true: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """A sample of [true, predicted]; and how the errors lie, the outermost half percent at each end only counted."""
    both = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[both], predicted[both]
    errors = predicted - true
    if not len(errors):
        return {"points": [], "residuals": {"edges": [], "counts": [], "outside": 0, "quantiles": {}}}
    chosen = np.sort(np.random.default_rng(0).permutation(len(true))[:MOST_POINTS])
    points = [[_short(a), _short(b)] for a, b in zip(true[chosen].tolist(), predicted[chosen].tolist(), strict=True)]
    low, high = np.quantile(errors, (0.005, 0.995)) if len(errors) >= 200 else (errors.min(), errors.max())
    counts, edges = np.histogram(errors, bins=min(RESIDUAL_BINS, max(5, len(errors) // 8)), range=(low, high))
    return {
        "points": points,
        "residuals": {
            "edges": [_short(edge) for edge in edges.tolist()],
            "counts": counts.tolist(),
            "outside": int(len(errors) - counts.sum()),
            "quantiles": {f"{share:g}": _short(float(np.quantile(errors, share))) for share in QUANTILES},
        },
    }


def _names(target: Target, width: int) -> list[str]:
    """The name of each number that is predicted."""
    names = target.name.split(", ")
    return (
        names
        if len(names) == width
        else [f"{target.name}[{place}]" if width > 1 else target.name for place in range(width)]
    )


def _one_or_all(values: Tensor) -> float | list[float]:
    plain = [_short(value) for value in torch.nan_to_num(values).tolist()]
    return plain[0] if len(plain) == 1 else plain


def _short(value: float) -> float:
    """Six significant digits: what a page can show."""
    return float(f"{value:.6g}")
