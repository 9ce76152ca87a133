"""Evidence gathered: of a run from its folder, its weights and its data; of any module from one step on a batch."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.data.batches import in_order
from deepglass.data.schema import Data, Part
from deepglass.diagnosing.anatomy import Anatomy, examine
from deepglass.diagnosing.evidence import Evidence
from deepglass.diagnosing.survey import survey
from deepglass.diagnosing.trying import try_rates
from deepglass.diagnosing.watch import read_inside
from deepglass.errors import DeepglassError
from deepglass.models import CATALOGUE
from deepglass.training.evaluating import outputs_of
from deepglass.training.objective import ends_in, objective_for
from deepglass.training.run import Run
from deepglass.training.stepping import turns_of

FAILURE = "failure.json"
EXAMPLES = 128


def of_run(run: Run, data: Data | None = None, loss: Any = None) -> Evidence:
    """What is known of a run. `data` where they were given in memory and the run is opened from its folder."""
    data = data if data is not None else _own(run)
    if loss is not None:
        run = dataclasses.replace(run, objective=objective_for(run.recipe, run.schema.target, custom=loss,
                                                               emits=ends_in(run.model)))  # fmt: skip
    target = run.schema.target
    name, emits = _loss_taken(run, data)
    failed: list[str] = []
    anatomy = _anatomy(run, data)
    work = sum(layer.work for layer in anatomy.layers) // max(1, anatomy.examples)
    return Evidence(
        title=str(run.path), foreign=run.recipe.model not in CATALOGUE, options=run.recipe.options,
        recipe={entry.name: getattr(run.recipe, entry.name) for entry in dataclasses.fields(run.recipe)},
        task="numbers" if target.task == "regression" else "classes", classes=target.classes, counts=target.counts,
        loss=name, emits=emits, history=tuple(run.history), inside=tuple(read_inside(run.path)), metrics=run.metrics,
        per_class=tuple(run.summary.get("per_class", ())), notes=tuple(note.text for note in _notes(run, data)),
        anatomy=anatomy, failure="" if run.summary.get("epochs") else _failure(run.path), failed=failed,
        rows=_rows(run, data), own_loss=run.objective.custom is not None or emits == "shares",
        surveying=functools.partial(_careful, survey, data, "the data", failed),
        trying=functools.partial(_careful, functools.partial(try_rates, run, work), data, "other rates", failed),
    )  # fmt: skip


def of_module(module: nn.Module, inputs: tuple[Any, ...], target: Tensor | None, loss: Any) -> Evidence:
    """What one step on a batch tells of any module."""
    call: Callable[[nn.Module], Tensor] | None = None
    if loss is not None:
        call = lambda body: loss(body(*inputs), target) if target is not None else loss(body(*inputs))  # noqa: E731
    found = examine(module, inputs, call)
    classes = target is not None and not target.is_floating_point()
    counts = tuple(torch.bincount(target.flatten()).tolist()) if target is not None and classes else ()
    name = getattr(loss, "__name__", type(loss).__name__) if loss is not None else ""
    return Evidence(
        title=type(module).__name__, trained=False, anatomy=found, inside=(line_of(found),), loss=name,
        task="classes" if classes else "numbers" if target is not None else "", counts=counts,
        classes=tuple(map(str, range(len(counts)))), emits=_emits_of(name, classes), failure=found.failure,
    )  # fmt: skip


def line_of(found: Anatomy) -> dict[str, Any]:
    """An anatomy in the form of a line of `inside.jsonl`, so that findings read both alike."""
    names = ("type", "mean", "spread", "dead", "saturated", "gradient")
    layers = {}
    for layer in found.layers:
        if not layer.ran:
            continue
        told = {name: getattr(layer, name) for name in names}
        if layer.weighty:
            weight = layer.gain / math.sqrt(layer.fan_in) if layer.fan_in else None
            told |= {"weight": weight, "weight_gradient": layer.weight_gradient if found.shape else None}
        layers[layer.path] = told | ({} if layer.free or not layer.weighty else {"frozen": True})
    unused = [layer.path for layer in found.layers if layer.weighty and layer.free and not layer.ran]
    return {"loss": found.loss, "input": [], "layers": layers, "unused": unused}


def _emits_of(name: str, classes: bool) -> str:
    if name in ("CrossEntropyLoss", "cross_entropy", "BCEWithLogitsLoss", "binary_cross_entropy_with_logits"):
        return "logits"
    return "shares" if classes and name in ("MSELoss", "mse_loss", "L1Loss", "l1_loss") else ""


def _own(run: Run) -> Data | None:
    try:
        return run.own_data()
    except DeepglassError:
        return None


def _rows(run: Run, data: Data | None) -> tuple[int, int, int]:
    if data is not None:
        return len(data.train), len(data.valid), len(data.test)
    told = run.summary.get("data", {}).get("rows", {})
    return told.get("train", sum(run.schema.target.counts)), told.get("valid", 0), told.get("test", 0)


def _notes(run: Run, data: Data | None) -> tuple[Any, ...]:
    return data.notes if data is not None else run.notes


def _failure(folder: Path) -> str:
    try:
        return str(json.loads((folder / FAILURE).read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _careful(look: Callable[[Data], Any], data: Data | None, place: str, failed: list[str]) -> Any:
    """What a look at the data gives; one that fails is noted, and the diagnosis goes on without it."""
    if data is None or not len(data.train):
        return None
    try:
        return look(data)
    except Exception as error:  # data and modules of any making pass through here
        failed.append(f"{place}: ? ({type(error).__name__}: {' '.join(str(error).split())[:120]})")
        return None


def _anatomy(run: Run, data: Data | None) -> Anatomy:
    """The layers on some training examples, in training mode."""
    if data is None or not len(data.train):
        batch = run.batch(count=8)
        return examine(run.model, batch.inputs, training=True)
    chosen = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))[:EXAMPLES]
    batch = next(in_order(data.train.select(chosen), run.schema, run.device, EXAMPLES))
    return examine(run.model, batch.inputs, lambda body: turns_of(body, run.objective)[0].loss(batch), training=True)


def _loss_taken(run: Run, data: Data | None) -> tuple[str, str]:
    """The name of the loss and what it took the outputs for; where a loss was given by hand, by what it came to."""
    said = (run.objective.name, str(run.summary.get("emits", run.objective.emits)))
    if run.schema.target.task == "regression":
        few = None if data is None else data.train.select(torch.arange(min(64, len(data.train))))
        return said if few is None or _lowest_at_target(run, few) else (run.objective.name, "classes")
    recorded = run.metrics.get("valid", {}).get("loss")
    if data is None or recorded is None or not len(data.valid):
        return said
    if run.recipe.model in CATALOGUE and run.objective.custom is None:
        return said
    try:
        outputs = outputs_of(run.model, data.valid, run.schema, run.device)
    except (RuntimeError, TypeError, ValueError):
        return said
    for name, emits, value in _candidates(outputs, data.valid, len(run.schema.target.classes)):
        if abs(value - recorded) <= 1e-3 * abs(recorded) + 1e-6:
            return name, emits
    return said


def _lowest_at_target(run: Run, part: Part) -> bool:
    """Whether the loss of outputs equal to the target is no higher than that of outputs away from it."""
    if run.objective.custom is None or not len(part):
        return True
    target = part.target.to(run.device).float()
    try:
        at, *away = (float(run.objective.loss(target * scale, target)) for scale in (1.0, 0.5, 2.0, 10.0))
    except (RuntimeError, TypeError, ValueError, DeepglassError):
        return True
    return at <= min(away) + 1e-6


def _candidates(outputs: Tensor, part: Part, classes: int) -> list[tuple[str, str, float]]:
    """What the losses that people give come to on these outputs."""
    single = outputs.dim() == 1 or outputs.shape[1] == 1
    outputs = outputs.flatten() if single else outputs
    wanted = part.target.float() if single else functional.one_hot(part.target, classes).float()
    if not single and outputs.shape != wanted.shape:
        return []
    entropy = (functional.binary_cross_entropy_with_logits(outputs, wanted) if single
               else functional.cross_entropy(outputs, part.target))  # fmt: skip
    return [
        ("cross-entropy", "logits", float(entropy)),
        ("squared error", "shares", float(functional.mse_loss(outputs, wanted))),
        ("absolute error", "shares", float(functional.l1_loss(outputs, wanted))),
    ]
