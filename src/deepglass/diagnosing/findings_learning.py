"""Findings of the steps and of the fit: rate and batch, too much learned by heart, too little learned at all."""

from __future__ import annotations

import math

from deepglass.diagnosing.evidence import Evidence, Trial, finite, number
from deepglass.diagnosing.finding import Finding
from deepglass.diagnosing.findings_shape import grown

# Of the loss at the start of a trial, the difference at its end that is more than noise; of the skill of a forest, how
# much may be missing of what the network knows of its own training rows.
CLEAR = 0.15
# Updates of about 1e-3 of the weights a step are usual; half of them is a leap from which little of what was is left.
LEAP = 0.5
LAG = 0.2
FEW_ROWS = 60


def lags(e: Evidence, most: float = LAG) -> bool:
    """Whether the training rows are known less well than a forest knows them out of bag, or hardly at all."""
    skill = e.skill("train")
    if not math.isfinite(skill):
        return bool(e.failure)
    reference = e.survey.skill if e.survey is not None else math.nan
    return skill < 0.98 and (reference - skill > most or (not math.isfinite(reference) and skill < 0.2))


def learning_rate_too_high(e: Evidence) -> Finding | None:
    """Steps that overshoot: the same steps at a tenth or a hundredth of the rate get further."""
    leaps = _leap(e) > LEAP
    if not e.trained or not (lags(e) or _worse_than_chance(e) or leaps):
        return None
    rate = number(e.recipe.get("learning_rate"))
    trial = e.trial
    best = _best(trial, lower=True, clear=CLEAR / 4 if leaps else CLEAR)
    diverged = bool(e.failure) and grown(e)
    if best is None and not diverged:
        return None
    factor = best or 0.1
    told = _trial_told(trial, factor, rate) if best is not None and trial is not None else ""
    size = f" A step changed the weights of a layer by {_leap(e):.0%} of their size." if _leap(e) > 0.1 else ""
    return Finding(
        "learning_rate_too_high", "The learning rate is too high",
        evidence=(f"The run diverged. {told}{size}" if diverged else told + size).strip(),
        cause="Each step overshoots the valley it aims at; about a thousandth of a weight's size a step is usual.",
        remedy=f"Train at a rate of {rate * factor:.2g}" + (", with clipping." if diverged else "."),
        cure=e.offers(learning_rate=_round(rate * factor)) | (e.offers(clip=1.0) if diverged else {}),
        certainty="sure" if best is not None else "likely",
    )  # fmt: skip


def _leap(e: Evidence) -> float:
    """The largest update of the middle layer, in the first looks, over the size of its weights."""
    most = [max(finite(e.course(layer.path, "update")[:5]), default=0.0) for layer in e.layers if layer.fan_in]
    return sorted(most)[len(most) // 2] if most else math.nan


def learning_rate_too_low(e: Evidence) -> Finding | None:
    """The loss falls, but so slowly that ten or a hundred times the rate gets much further in the same steps."""
    if not e.trained or e.failure or not lags(e) or _narrow(e):
        return None
    rate, trial = number(e.recipe.get("learning_rate")), e.trial
    best = _best(trial, lower=False, clear=CLEAR)
    if best is None or trial is None:
        return None
    updates = finite(value for path in e.paths for value in e.course(path, "update"))
    usual = sorted(updates)[len(updates) // 2] if updates else math.nan
    return Finding(
        "learning_rate_too_low", "The learning rate is too low",
        evidence=_trial_told(trial, best, rate)
        + (f" A step changed a layer's weights by {usual:.1g} of their size." if usual < 1e-3 else ""),
        cause="The steps are so short that the run ends long before the valley's floor.",
        remedy=f"Train at a rate of {rate * best:.2g}.",
        cure=e.offers(learning_rate=_round(rate * best)),
    )  # fmt: skip


def _worse_than_chance(e: Evidence) -> bool:
    return math.isfinite(e.chance) and min(finite(e.losses[-3:]), default=0.0) > 1.5 * e.chance


def _best(trial: Trial | None, *, lower: bool, clear: float) -> float | None:
    """The factor of the rate that gets clearly further than the rate itself, of the lower or the higher ones."""
    if trial is None or 1.0 not in trial.after:
        return None
    here = trial.after[1.0] if math.isfinite(trial.after[1.0]) else math.inf
    side = {f: loss for f, loss in trial.after.items() if (f < 1 if lower else f > 1) and math.isfinite(loss)}
    every = [loss for loss in trial.after.values() if math.isfinite(loss)]
    if not side:
        return None
    best = min(side, key=lambda factor: side[factor])
    scale = trial.before if math.isfinite(trial.before) else 1.0
    return best if side[best] <= min(every) and here - side[best] > clear * scale else None


def _trial_told(trial: Trial, factor: float, rate: float) -> str:
    start = "new weights" if trial.fresh else "the weights of this run"
    return (f"Tried from {start}: {trial.steps} steps at the rate {rate:.2g} take the training loss from "
            f"{trial.before:.3g} to {trial.after[1.0]:.3g}, at {rate * factor:.2g} to "
            f"{trial.after[factor]:.3g}.")  # fmt: skip


def _round(value: float) -> float:
    return float(f"{value:.2g}")


def batch_too_small(e: Evidence) -> Finding | None:
    """Steps after one example or two, at a rate that does not allow for their noise."""
    size, rows = number(e.recipe.get("batch_size")), e.rows[0]
    if not e.trained or not (size <= 3 and rows >= 20) or not (lags(e) or e.failure or _noisy(e)):
        return None
    rate = number(e.recipe.get("learning_rate"))
    return Finding(
        "batch_too_small", "The batches are too small",
        evidence=f"Each step follows {size:g} of {rows:,} examples, at a rate of {rate:.2g}; "
        + _course(e) + ".",
        cause="The gradient of so few examples is mostly noise: its spread falls with the root of the batch "
              "(Robbins & Monro 1951), so such steps want a small rate, and cost the most time an example.",
        remedy="Take batches of 32 to 128.",
        cure=e.offers(batch_size=int(min(64, max(8, rows // 4)))),
    )  # fmt: skip


def _noisy(e: Evidence) -> bool:
    """Whether an epoch's training loss lies half above one before it."""
    return any(after > 1.5 * min(e.losses[:n]) for n, after in enumerate(e.losses) if n)


def batch_too_large(e: Evidence) -> Finding | None:
    """One or two steps an epoch, and too few of them in all."""
    size, rows, steps = number(e.recipe.get("batch_size")), e.rows[0], e.steps
    if not e.trained or e.failure or rows < 64 or not e.losses:
        return None
    whole = size >= 0.9 * rows and steps < 50 and e.losses[-1] > 0.1 * (e.chance if e.chance > 0 else e.losses[0])
    if not (whole or (size >= 0.5 * rows and steps < 200 and lags(e))):
        return None
    smaller = 32 if rows < 4000 else 128
    return Finding(
        "batch_too_large", "The batches are too large",
        evidence=f"A batch of {min(size, rows):,.0f} of the {rows:,} examples makes {steps} steps in "
                 f"{len(e.history)} epochs, and the loss has come from {e.losses[0]:.3g} to {e.losses[-1]:.3g}.",
        cause="Learning takes steps; beyond some size a larger batch saves none of them (McCandlish et al. 2018).",
        remedy=f"Take batches of {smaller}: {math.ceil(rows / smaller)} steps an epoch.",
        cure=e.offers(batch_size=smaller),
    )  # fmt: skip


def overfitting(e: Evidence) -> Finding | None:
    """The training rows are known by heart, and others far less."""
    if not e.trained or e.failure or len(e.history) < 3:
        return None
    train, other = e.skill("train"), e.skill(e.judged)
    rise = e.valid_losses[-1] / max(1e-12, min(finite(e.valid_losses), default=math.nan))
    gap = e.valid_losses[-1] / max(1e-12, e.losses[-1])
    reference = e.survey.skill if e.survey is not None else math.nan
    small = e.rows[0] < sum(e.rows[1:])
    by_heart = e.losses[-1] < 0.2 * e.chance and gap > 5 and e.valid_losses[-1] > 0.5 * e.chance
    apart = by_heart or (train - other > (0.1 if small else 0.2) and (gap > 2 or rise > 1.2))
    as_good = reference > 0 and other > reference - 0.1 and not small
    if not apart or as_good:
        return None
    return Finding(
        "overfitting", "It learns by heart",
        evidence=f"On the {e.rows[0]:,} rows it learned from {e.told('train')}, on others {e.told(e.judged)}; the "
                 f"training loss ended at {e.losses[-1]:.3g}, the validation loss at {e.valid_losses[-1]:.3g}.",
        cause="There is more room in the weights than there are examples to fill it, so that accidents of these rows "
              "are learned.",
        remedy="More rows help most; then dropout, weight decay, a smaller network, augmentation, stopping early.",
        cure=_against_heart(e),
    )  # fmt: skip


def _against_heart(e: Evidence) -> dict[str, object]:
    """What helped most often where it was measured (`docs/diagnosis.md`): labels smoothed against overconfidence
    (Szegedy et al. 2016); for numbers a smaller network, or weights that decay. Where that is there already only more
    rows are left.
    """
    if e.task == "classes":
        return e.offers(label_smoothing=0.1) if not e.recipe.get("label_smoothing") else {}
    widths = [int(width) for width in e.options.get("widths") or ()]
    if not e.foreign and "widths" in e.options:
        return {"widths": tuple(max(16, width // 8) for width in widths) or (32,)}
    return e.offers(optimizer="adamw", weight_decay=1.0)


def underfitting(e: Evidence) -> Finding | None:
    """Not even the training rows are known, at a rate that suits: the network is too small, or held too tight."""
    decay = number(e.recipe.get("weight_decay") or 0.0)
    # What decays by a hundredth a step keeps no weight for longer than a hundred steps.
    held = decay >= 0.5 or decay * number(e.recipe.get("learning_rate")) > 0.01
    if not e.trained or e.failure or not lags(e, LAG / 2 if held else LAG):
        return None
    narrow = _narrow(e)
    widths = {"widths": (128, 128)} if "widths" in e.options and not held else {}
    return Finding(
        "underfitting", "It learns too little",
        evidence=f"On the rows it learned from {e.told('train')}" + (f"; {e.reference}." if e.reference else ".")
        + f" The training loss ended at {e.losses[-1]:.3g}."
        + (f" {narrow[0]!r} has {_units(e, narrow[0])} units." if narrow else "")
        + (f" The weight decay is {decay:g}." if held else ""),
        cause="The weights decay as fast as they grow." if held else
              "The network has too little room for what there is to learn, or too little time.",
        remedy="Lower the weight decay." if held else "Take wider or more layers, or train longer.",
        cure=e.offers(weight_decay=1e-4) if held else (
            widths if not e.foreign and widths else e.offers(epochs=3 * int(number(e.recipe.get("epochs"))))),
    )  # fmt: skip


def _narrow(e: Evidence) -> list[str]:
    """Hidden layers through which little can pass: no more units than half the classes, or than three."""
    most = max(3, len(e.classes) // 2)
    return [layer.path for layer in e.layers if 0 < _units(e, layer.path) <= most]


def _units(e: Evidence, path: str) -> int:
    layer = e.layer(path)
    return layer.units if layer is not None and layer.fan_in and path != e.paths[-1] else 0


def stuck_at_chance(e: Evidence) -> Finding | None:
    """No better on new rows than a constant guess, and nothing else is no better too."""
    if not e.trained or e.failure:
        return None
    reference = e.survey.skill if e.survey is not None else math.nan
    chance = e.at_chance(e.judged, e.rows[2 if e.judged == "test" else 1])
    # A few rows can be learned by heart whatever they hold, and tell neither network nor forest what there is to know.
    if e.rows[0] < FEW_ROWS and e.losses and e.losses[-1] < 0.5 * e.chance:
        return None
    # A forest that is judged on more rows may see what is hidden in the noise of fewer.
    if not chance or reference > e.chance_error(min(1500, e.rows[0])):
        return None
    return Finding(
        "stuck_at_chance", "It knows no more than a constant guess",
        evidence=f"On rows it did not learn from {e.told(e.judged)}{_guess(e)}, no more than chance allows"
        + (f", and {e.reference}." if e.reference else "."),
        cause="Nothing connects the inputs with the target: labels in another order than their rows, a wrong column, "
              "or a question these inputs cannot answer.",
        remedy="Look at some examples with their labels; check how rows and labels were joined.",
        certainty="sure" if math.isfinite(reference) else "likely",
    )  # fmt: skip


def _guess(e: Evidence) -> str:
    return f", where a constant guess has {max(e.counts) / sum(e.counts):.2f}" if any(e.counts) else ""


def _course(e: Evidence) -> str:
    return "it diverged" if not e.losses else f"the training loss went from {e.losses[0]:.3g} to {e.losses[-1]:.3g}"
