"""What is wrong with a run or a module, where it begins, and what cures it: an ordered list of findings, read from the
top. A cause stands before what it brings about, and what it brings about is not reported beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from deepglass.data.schema import Data
from deepglass.diagnosing import findings_data, findings_learning, findings_shape, findings_signal
from deepglass.diagnosing.evidence import Evidence
from deepglass.diagnosing.finding import Diagnosis, Finding
from deepglass.diagnosing.gathering import of_module, of_run
from deepglass.errors import ModelError, RunError
from deepglass.training.run import Run, load

Look = Callable[[Evidence], Finding | None]
FEW_EPOCHS = 3


@dataclass(frozen=True)
class Disease:
    """One entry of `FINDINGS`: its name, how it is looked for, and the names of what it brings about."""

    name: str
    look: Look
    explains: tuple[str, ...] = ()


FIT = ("overfitting", "underfitting", "stuck_at_chance", "learning_rate_too_low", "learning_rate_too_high",
       "batch_too_large", "batch_too_small", "class_imbalance")  # fmt: skip
SIGNAL = ("dead_relus", "saturated_units", "vanishing_gradients", "exploding_gradients")
START = ("zero_initialization", "large_initialization")

FINDINGS: tuple[Disease, ...] = (
    Disease("nan_source", findings_shape.nan_source, (*START, *SIGNAL, *FIT)),
    Disease("leak", findings_data.leak, ("overfitting", "class_imbalance")),
    Disease("wrong_loss", findings_shape.wrong_loss, (*SIGNAL, *FIT)),
    Disease("double_softmax", findings_shape.double_softmax, (*SIGNAL, *FIT)),
    Disease("unreached_layer", findings_shape.unreached_layer, (*SIGNAL, *FIT)),
    Disease("unnormalized_inputs", findings_data.unnormalized_inputs, ("large_initialization", *SIGNAL, *FIT)),
    Disease("batch_norm_evaluation_mode", findings_shape.batch_norm_evaluation_mode, (*SIGNAL, *FIT)),
    Disease("batch_norm_tiny_batches", findings_shape.batch_norm_tiny_batches, (*SIGNAL, *FIT)),
    Disease("zero_initialization", findings_signal.zero_initialization, (*SIGNAL, *FIT)),
    Disease("large_initialization", findings_signal.large_initialization, (*SIGNAL, *FIT)),
    Disease("exploding_gradients", findings_signal.exploding_gradients, (*SIGNAL, *FIT)),
    Disease("dead_relus", findings_signal.dead_from_start, (*SIGNAL, *FIT)),
    Disease("saturated_units", findings_signal.saturated_from_start, (*SIGNAL, *FIT)),
    Disease("class_imbalance", findings_data.class_imbalance, FIT),
    Disease("stuck_at_chance", findings_learning.stuck_at_chance, ("label_noise", *SIGNAL, *FIT)),
    Disease("vanishing_gradients", findings_signal.vanishing_gradients, (*SIGNAL, *FIT)),
    Disease("batch_too_small", findings_learning.batch_too_small, (*SIGNAL, *FIT)),
    Disease("batch_too_large", findings_learning.batch_too_large, FIT),
    Disease("learning_rate_too_high", findings_learning.learning_rate_too_high, (*SIGNAL, *FIT)),
    Disease("dead_relus", findings_signal.dead_since, (*SIGNAL, *FIT)),
    Disease("saturated_units", findings_signal.saturated_since, (*SIGNAL, *FIT)),
    Disease("label_noise", findings_data.label_noise, FIT),
    Disease("learning_rate_too_low", findings_learning.learning_rate_too_low, FIT),
    Disease("overfitting", findings_learning.overfitting, ("underfitting",)),
    Disease("underfitting", findings_learning.underfitting),
)
"""Every disease known here, causes before effects."""


def diagnose(thing: Run | str | Path | nn.Module, *inputs: Any, target: Tensor | None = None, loss: Any = None,
             model: nn.Module | None = None, data: Data | None = None) -> Diagnosis:  # fmt: skip
    """What is wrong with a run or a module, with the layer in which it begins, evidence, cause, remedy and cure.

    thing         a run, its folder, or any module, which is looked at in one step on `inputs`
    target, loss  of a module: loss(outputs, target) gives one number; without them gradients are not judged.
                  `loss` also says with what a run was trained that is opened from its folder
    model, data   of a run of your own module, or on data handed over in memory, opened from its folder

    Nothing of the run or the module is changed. Sources are named where each finding is made.

    >>> import torch
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> _ = nn.init.constant_(net[0].bias, -50.0)
    >>> torch.manual_seed(0) and diagnose(net, torch.randn(32, 4)).findings[0].name
    'dead_relus'
    """
    if isinstance(thing, nn.Module):
        if not inputs:
            raise ModelError(f"{type(thing).__name__}: nothing to look at it with.",
                             next="give a batch: diagnose(module, x, target=y, loss=CrossEntropyLoss())")  # fmt: skip
        return judged(of_module(thing, inputs, target, loss))
    if not isinstance(thing, Run | str | Path):
        raise RunError(f"diagnose: a {type(thing).__name__} is neither a run, nor its folder, nor a module.")
    run = thing if isinstance(thing, Run) else load(thing, model)
    return judged(of_run(run, data, loss))


def judged(evidence: Evidence) -> Diagnosis:
    """The findings that this evidence bears out, in the order of `FINDINGS`, without what they explain."""
    found: list[Finding] = []
    explained: set[str] = set()
    unsure: list[str] = list(_missing(evidence))
    for disease in FINDINGS:
        if disease.name in explained:
            continue
        try:
            finding = disease.look(evidence)
        except Exception as error:  # one look that fails must not cost the others
            unsure.append(f"{disease.name}: ? ({type(error).__name__}: {' '.join(str(error).split())[:120]})")
            continue
        if finding is not None:
            found.append(finding)
            explained |= {*disease.explains}
    return Diagnosis(evidence.title, tuple(found), (*unsure, *evidence.failed))


def _missing(e: Evidence) -> list[str]:
    """What cannot be judged, and for want of what."""
    told = []
    if not e.trained:
        told.append("rate, batch, fit and data: insufficient evidence, one step; train it and diagnose the run.")
        if e.failure:
            told.append(f"what comes after: the module raised {e.failure!r}.")
        elif e.anatomy is not None and not e.anatomy.judged:
            told.append("the size of gradients: no loss was given; diagnose(module, x, target=y, loss=…).")
        return told
    if len(e.history) < FEW_EPOCHS and not e.failure:
        told.append(f"overfitting: insufficient evidence, {len(e.history)} epochs of {FEW_EPOCHS} or more.")
    if not e.inside:
        told.append("signals inside: nothing was watched; train with watch=100.")
    if e.survey is not None and e.survey.rows[0] < findings_learning.FEW_ROWS and e.task == "classes":
        told.append(f"wrong labels: insufficient evidence, {e.survey.rows[0]} training rows.")
    if e.survey is None and not e.failed:
        told.append("labels, leaks and what could be known: the data are not at hand; give data=….")
    if e.anatomy is None or e.anatomy.failure:
        why = e.anatomy.failure if e.anatomy is not None else "no examples"
        told.append(f"the layers on a batch: {why}")
    elif math.isnan(e.anatomy.loss) and not e.failure:
        told.append("gradients of the weights as they are now: no loss on the data that are at hand.")
    return told
