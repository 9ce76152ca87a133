"""Findings of the data: leaks, scale, rare classes, wrong labels."""

from __future__ import annotations

import math

from deepglass.diagnosing.evidence import Evidence, finite, number, root_mean_square
from deepglass.diagnosing.finding import Finding
from deepglass.diagnosing.findings_learning import FEW_ROWS

# LeCun et al. (1998), Efficient BackProp: inputs of mean 0 and spread 1; ten times off is beyond any reader's rounding.
FAR = 10.0
NORMS = ("BatchNorm1d", "BatchNorm2d", "LayerNorm", "GroupNorm", "InstanceNorm2d", "RMSNorm")
RARE, MISSED = 0.1, 0.5
SHARED, AGREED = 0.05, 0.97
SURE_ERROR, EVEN = 0.14, 0.65


def leak(e: Evidence) -> Finding | None:
    """The answer stands among the inputs, or rows to judge by stand among those learned from."""
    copied = e.survey.copied if e.survey is not None else ""
    note = next((text for text in e.notes if "tells the target" in text), "")
    if copied or note:
        return Finding(
            "leak", "The target stands among the inputs",
            evidence=f"{copied!r} tells the target alone: the two are copies, or one is made of the other." if copied
            else note[0].upper() + note[1:] + ".",
            cause="A column that is only known once the answer is known was left among the inputs.",
            remedy=f"Leave it out{f': --set ignore={copied}' if copied else ''}, unless it is known when predicting.",
        )  # fmt: skip
    if e.survey is None or not (e.survey.shared >= SHARED and e.survey.agreed >= AGREED):
        return None
    rows = sum(e.survey.rows[1:])
    return Finding(
        "leak", "Rows to judge by stand among those learned from",
        evidence=f"{e.survey.shared:.0%} of the {rows:,} rows of validation and test also stand in the training part, "
                 f"{e.survey.agreed:.0%} of them with the same answer.",
        cause="Rows were there twice before the split, or were copied after it. The figures then tell memory.",
        remedy="Remove repeated rows before the split, or keep them together: --set group=COLUMN.",
    )  # fmt: skip


def unnormalized_inputs(e: Evidence) -> Finding | None:
    """Inputs ten times or more off the scale that weights are made for."""
    if _normalizes(e):
        return None
    entries = [entry for line in e.inside[:1] for entry in line.get("input", ()) if "float" in entry.get("type", "")]
    scales = [root_mean_square(number(entry.get("mean")), number(entry.get("spread"))) for entry in entries]
    if e.survey is not None:
        scales += [e.survey.location, e.survey.spread]
    if e.anatomy is not None:
        scales.append(e.anatomy.input_scale)
    scale = max(finite(scales), default=1.0)
    small = 0 < scale < 1 / 100
    if not (scale > FAR or small):
        return None
    uneven = e.survey.uneven if e.survey is not None and e.survey.uneven > FAR else math.nan
    return Finding(
        "unnormalized_inputs", "The inputs are not normalized", layer=_first_matrix(e),
        evidence=f"The inputs have a size of up to {scale:,.3g} (root mean square of one of them, or its mean)"
        + (f", and their spreads differ {uneven:,.0f} times." if uneven > FAR else "."),
        cause="Weights begin at a size made for inputs of mean 0 and spread 1 (LeCun et al. 1998); the largest input "
              "drowns the others, and one rate cannot suit all.",
        remedy="Subtract each input's mean and divide by its spread, both of the training rows; or begin with a "
               "batch norm.",
        cure=e.offers(normalization="batch") if not e.foreign else {},
    )  # fmt: skip


def _first_matrix(e: Evidence) -> str:
    return next((path for path in e.paths if (layer := e.layer(path)) is not None and layer.fan_in), "")


def _normalizes(e: Evidence) -> bool:
    """Whether a norm or an embedding comes before the first matrix."""
    for path in e.paths:
        layer = e.layer(path)
        kind = e.kind(path) or (layer.type if layer is not None else "")
        if kind in NORMS or "Embedding" in kind:
            return True
        if layer is not None and layer.fan_in:
            return False
    return False


def class_imbalance(e: Evidence) -> Finding | None:
    """A rare class that is mostly missed, and weighs no more than its rows."""
    total = sum(e.counts)
    if e.task != "classes" or not total or e.recipe.get("class_weights", "none") != "none" or not e.trained:
        return None
    recalls = {str(row.get("class")): (number(row.get("recall")), number(row.get("support"))) for row in e.per_class}
    for place, (name, count) in enumerate(zip(e.classes, e.counts, strict=False)):
        recall, support = recalls.get(name, (math.nan, 0.0))
        others = finite(r for other, (r, n) in recalls.items() if other != name and n)
        rare = 0 < count / total < min(RARE, 0.5 / len(e.classes)) and support > 1
        # Where the others are hardly known either, something else is wrong first.
        if rare and recall < MISSED and others and sum(others) / len(others) > max(0.75, recall + 0.3):
            return _imbalance(e, name, count / total, recall, support, e.counts[place])
    return None


def _imbalance(e: Evidence, name: str, share: float, recall: float, support: float, count: int) -> Finding:
    return Finding(
        "class_imbalance", "A rare class is passed over",
        evidence=f"{name!r} is {share:.1%} of the training rows ({count:,}), and {recall:.0%} of its {support:.0f} "
                 "test rows are recognized.",
        cause="Every row weighs the same, so that missing a rare class costs hardly anything: accuracy hides it.",
        remedy="Weigh classes by their rarity (King & Zeng 2001), and choose by balanced accuracy.",
        cure=e.offers(class_weights="balanced", metric="balanced_accuracy"),
    )  # fmt: skip


def label_noise(e: Evidence) -> Finding | None:
    """Labels that are wrong as often where the data are clear as where they are not (Northcutt et al. 2021)."""
    s = e.survey
    if e.task != "classes" or s is None or not (s.sure_error > SURE_ERROR and s.sure_error > EVEN * s.error):
        return None
    half = max(1, min(s.rows[0], 1500) // 2)
    least = s.sure_error - 2 * math.sqrt(s.sure_error * (1 - s.sure_error) / half)
    # Where labels are wrong nobody is right more often than they are: a network that is proves the forest poor.
    missed = 1 - number(e.metrics.get(e.judged, {}).get("accuracy"))
    if (
        s.rows[0] < FEW_ROWS
        or not (s.skill > e.chance_error(2 * half) and least > SURE_ERROR / 2)
        or missed < 0.8 * s.sure_error
    ):
        return None
    return Finding(
        "label_noise", "Labels are wrong",
        evidence=f"Among the half of the training rows that a forest is surest of, {s.sure_error:.0%} bear another "
                 f"label than it says out of bag, nearly as many as among all ({s.error:.0%}).",
        cause="Where classes overlap, mistakes crowd at the border; mistakes spread evenly are mistakes of the labels.",
        remedy="Look through the worst mistakes and mend the labels; label smoothing helps meanwhile "
               "(Lukasik et al. 2020).",
        cure=e.offers(label_smoothing=0.1 if number(e.recipe.get("label_smoothing") or 0.0) < 0.1 else 0.2),
    )  # fmt: skip
