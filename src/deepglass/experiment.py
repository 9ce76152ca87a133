"""One experiment from data to verdict: read, plan, train, judge, compare, report."""

from __future__ import annotations

import dataclasses
import platform
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepglass.data.batches import Batches, Variation
from deepglass.data.schema import Data
from deepglass.data.sources import read, source_name
from deepglass.diagnosing.watch import Watcher
from deepglass.errors import DivergedError, Interrupted, ModelError, nearest
from deepglass.models import CATALOGUE, family_for
from deepglass.models.family import Family
from deepglass.seeing.judging import judge_run
from deepglass.training.averaging import Averager
from deepglass.training.checkpoint import snapshot, storage_errors, write_json, write_text, write_weights
from deepglass.training.evaluating import judge, outputs_of
from deepglass.training.events import Event, Listener
from deepglass.training.folder import run_folder, same_recipe
from deepglass.training.loop import WITHIN_A_STEP, Learner, learn
from deepglass.training.metrics import METRICS, choose_metric
from deepglass.training.objective import Objective, ends_in, objective_for
from deepglass.training.optimize import Plateau
from deepglass.training.plan import Plan, choose_device, plan_run
from deepglass.training.recipe import Recipe, fitted_options, read_recipe, written_recipe
from deepglass.training.refusals import refuse_inapplicable
from deepglass.training.run import Run
from deepglass.training.saving import CHECKPOINT, WEIGHTS, Saver, read_history, resume
from deepglass.training.stepping import players
from deepglass.training.stopping import Stopper

Say = Callable[[str], None]


@dataclass(frozen=True)
class Experiment:
    """Everything settled before the first step."""

    data: Data
    model: nn.Module
    recipe: Recipe
    objective: Objective
    metric: str
    device: torch.device
    why: dict[str, str]


def train(data: Any, model: str | nn.Module | None = None, *, target: str | None = None, loss: Any = None,
          out: str | Path | None = None, resume: bool = False, listeners: tuple[Listener, ...] = (),
          say: Say = lambda text: None, recipe: Recipe | str | Path | None = None,
          **fields: Any) -> Run:  # fmt: skip
    """Train a network on data, judge it on rows it never saw, compare it with baselines, and keep it in a folder.

    data       a named set ("digits"), a file, a folder, a frame, (X, y) arrays or tensors, a torch Dataset, a `Data`.
    model      a family's name, or any torch.nn.Module, which is trained as it stands and is `run.model` afterwards.
    loss       for a module of your own: a torch loss or any function(outputs, target) -> scalar. Else guessed.
    out        the run folder; `resume` goes on with the run that was begun there, to the same bits.
    listeners  are posted the notices of `training.events`; `say` is told in words what was guessed and planned.
    recipe     what the fields start from: a Recipe, or the file of one, such as `recipe.toml` of another run.
    fields     of the recipe, and options of the family: epochs=5, widths=(256, 128).

    Raises one of the errors of `deepglass.errors`. KeyboardInterrupt leaves a folder that `resume` goes on from.

    >>> import tempfile, pathlib
    >>> run = train("iris", "neuron", epochs=2, out=pathlib.Path(tempfile.mkdtemp()) / "iris")
    >>> sorted(run.metrics)
    ['test', 'train', 'valid']
    """
    begun = time.perf_counter()
    start = recipe if isinstance(recipe, Recipe) else read_recipe(Path(recipe)) if recipe else Recipe()
    asked = start.changed(**fields, **({} if target is None else {"target": target}))
    folder = run_folder(source_name(data), out, resume)
    resuming = resume and (folder / "recipe.toml").exists()
    if resuming:
        asked = same_recipe(asked, read_recipe(folder / "recipe.toml"), folder)
    experiment = settle(data, model, asked, loss, checked=not resuming)
    for note in experiment.data.notes:
        say(f"{note.level}: {note.text}")
    try:
        return carry_out(experiment, folder, resuming, listeners, say, begun, data)
    except KeyboardInterrupt:
        if not (folder / CHECKPOINT).exists():
            raise
        raise Interrupted(str(folder)) from None


def settle(source: Any, model: str | nn.Module | None, asked: Recipe, loss: Any = None, *,
           checked: bool = True) -> Experiment:  # fmt: skip
    """Read the data, build or take the model, and leave nothing in the recipe undecided.

    `checked` refuses what cannot apply; a recipe that was settled before is not to be checked again.
    """
    foreign = isinstance(model, nn.Module)
    device, reason = choose_device(asked.device)
    data = source if isinstance(source, Data) else read(source, dataclasses.replace(asked.wishes, plain=foreign))
    if isinstance(model, str):
        asked = dataclasses.replace(asked, model=model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(asked.seed)
        if isinstance(model, nn.Module):
            network, recipe = model, dataclasses.replace(asked.settled(FOREIGN), model=type(model).__name__)
            emits = ends_in(model, _some_outputs(model.to(device), data, device))
        else:
            name = asked.model or family_for(data.schema)
            family = _family(name)
            options = fitted_options(asked, family.options(), name)
            network, emits = family.from_schema(data.schema, **options), "logits"
            settled = asked.settled(family.recipe(data.schema, len(data.train)))
            recipe = dataclasses.replace(settled, model=name, options=_all_options(family, options))
    if checked:
        refuse_inapplicable(asked, data.schema, foreign=foreign, custom_loss=loss is not None, settled=recipe)
    objective = objective_for(recipe, data.schema.target, custom=loss, emits=emits)
    metric = choose_metric(recipe, data.schema.target)
    network.to(device)
    return Experiment(data, network, dataclasses.replace(recipe, metric=metric), objective, metric, device,
                      {"device": reason})  # fmt: skip


def _some_outputs(model: nn.Module, data: Data, device: torch.device) -> torch.Tensor | None:
    """A few outputs as evidence of what they are; none where the module cannot take the data, which the plan tells."""
    try:
        return outputs_of(model, data.train.select(torch.arange(min(64, len(data.train)))), data.schema, device)
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return None


FOREIGN: dict[str, Any] = {"epochs": 10, "batch_size": 64, "optimizer": "adam", "learning_rate": 1e-3}
"""What a module of the user's own is trained with, unless said otherwise: what its author would have typed."""


def carry_out(experiment: Experiment, folder: Path, resuming: bool, listeners: tuple[Listener, ...], say: Say,
              begun: float, source: Any) -> Run:  # fmt: skip
    """Train what was settled, judge it and keep it in the folder; `source` is where the data came from."""
    data, recipe, device = experiment.data, experiment.recipe, experiment.device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(recipe.seed)
        variation = Variation(recipe.augment or (), recipe.mixup or 0.0, recipe.cutmix or 0.0)
        batches = Batches(data, batch_size=recipe.batch_size or 64, device=device, seed=recipe.seed,
                          variation=variation)  # fmt: skip
        plan = plan_run(recipe, experiment.model, batches, experiment.objective, experiment.why)
        if recipe.minutes is not None and not resuming:
            recipe = dataclasses.replace(recipe, epochs=plan.epochs)
        else:
            plan = dataclasses.replace(plan, epochs=recipe.epochs or plan.epochs)
        say(f"plan: {plan}")
        learner = _learner(experiment, recipe, batches, folder, resuming, listeners)
        _learn(learner, experiment, folder, _given(source))
    model = experiment.model
    model.load_state_dict(learner.best or model.state_dict())
    model.eval()
    write_weights(folder / WEIGHTS, model.state_dict())
    run = Run(folder, model, recipe, data.schema, experiment.objective, {}, read_history(folder), data.notes, data)
    say("judging on rows the network never saw" + (", beside the baselines" if recipe.baselines else ""))
    facts = _facts(learner, plan, data) | {
        "source": source_name(source), "given": _given(source), "emits": experiment.objective.emits,
        "command": _again(source, recipe, folder),
    }  # fmt: skip
    judge_run(run, experiment.metric, facts, begun, say)
    return run


def _learner(experiment: Experiment, recipe: Recipe, batches: Batches, folder: Path, resuming: bool,
             listeners: tuple[Listener, ...]) -> Learner:  # fmt: skip
    model, data, metric = experiment.model, experiment.data, experiment.metric

    def judge_valid() -> tuple[float, float, dict[str, float]]:
        part = data.valid if len(data.valid) else data.train
        found = judge(model, part, data.schema, experiment.objective, experiment.device)
        return found.loss, found.figures.get(metric, float("nan")), found.figures

    hearing: list[Listener] = []

    def post(event: Event) -> None:
        for listener in hearing:
            listener(event)

    learner = Learner(
        model=model, team=players(model, experiment.objective, recipe), batches=batches, recipe=recipe,
        averager=Averager(model, recipe, batches.steps * (recipe.epochs or 1)), judge=judge_valid, post=post,
        stopper=Stopper(recipe, METRICS[metric].higher_is_better),
        plateau=Plateau(recipe) if recipe.schedule == "plateau" else None,
    )  # fmt: skip
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if resuming:
        # Before anything is written: other data are refused here, and the run must stay as it is.
        resume(folder, learner)
    # The epochs that the minutes were turned into are what makes the same experiment again; the clock is not.
    write_text(folder / "recipe.toml", written_recipe(dataclasses.replace(recipe, minutes=None)))
    write_json(folder / "schema.json", data.schema.to_json())
    watching = [Watcher(folder, learner)] if recipe.watch else []
    hearing += [*watching, Saver(folder, learner, recipe.checkpoint_every), *listeners]
    return learner


def _learn(learner: Learner, experiment: Experiment, folder: Path, given: str | None) -> None:
    initial = snapshot(learner.model)
    saver = Saver(folder, learner, 0.0)
    try:
        learn(learner)
    except KeyboardInterrupt as stopped:
        # Within a step the weights are neither the old nor the new ones: then the last checkpoint is the one to keep.
        if WITHIN_A_STEP not in stopped.args:
            saver.unsaved_best = bool(learner.best)
            saver.save()
        raise
    except DivergedError as error:
        good = learner.best or initial
        learner.model.load_state_dict(good)
        write_weights(folder / WEIGHTS, good)
        write_json(folder / "failure.json", {"error": error.facts, "given": given})
        raise DivergedError(f"{error.facts} The last good weights are in {folder / WEIGHTS}.") from None
    except torch.OutOfMemoryError:
        size = learner.batches.batch_size
        raise ModelError(f"{experiment.device}: out of memory with batches of {size}.",
                         next=f"--set batch_size={max(1, size // 2)} or --set accumulate=2") from None  # fmt: skip


def _given(source: Any) -> str | None:
    """Where the data can be read again: a named set as it is called, a path in full; None for what lay in memory."""
    if not isinstance(source, str | Path):
        return None
    return str(Path(source).expanduser().resolve()) if Path(source).expanduser().exists() else str(source)


def _again(source: Any, recipe: Recipe, folder: Path) -> str:
    """What to type to have the same experiment once more."""
    kept = folder / "recipe.toml"
    if isinstance(source, str | Path) and recipe.model in CATALOGUE:
        return f"deepglass train {shlex.quote(str(source))} --set recipe={shlex.quote(str(kept))}"
    model = "" if recipe.model in CATALOGUE else f", {recipe.model}(…)"
    given = repr(str(source)) if isinstance(source, str | Path) else "data"
    return f"dg.train({given}{model}, recipe={str(kept)!r})"


def _facts(learner: Learner, plan: Plan, data: Data) -> dict[str, Any]:
    return {
        "deepglass": version("deepglass"), "torch": torch.__version__, "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": sum(weight.numel() for weight in learner.model.parameters()),
        "epochs": learner.epoch, "best_epoch": learner.stopper.best_epoch, "stopped": learner.stopped,
        "plan": plan.to_json(), "training_seconds": learner.seconds,
        "data": {
            "rows": {"train": len(data.train), "valid": len(data.valid), "test": len(data.test)},
            "split": data.split, "columns": sum(len(entry.columns) for entry in data.schema.inputs),
            "notes": [dataclasses.asdict(note) for note in data.notes],
        },
    }  # fmt: skip


def _family(name: str) -> type[Family]:
    if name not in CATALOGUE:
        raise ModelError(f"model: there is no family {name!r}.", next=f"--model {nearest(name, CATALOGUE)}")
    return CATALOGUE[name]


def _all_options(family: type[Family], chosen: dict[str, Any]) -> dict[str, Any]:
    """Every option with the value in force, so that a run made today is built the same by a later version."""
    return {name: chosen.get(name, entry.default) for name, entry in family.options().items()}
