"""The end of a diagnosis: train again with the remedy, on the same data, and measure what it did.

A cure goes on from the last good weights where they are worth it. It begins anew where the remedy makes another
network, where the weights have learned too little to be worth saving, or where too few epochs would be left. Both runs
are judged on the same validation rows by the same figure, each with its own best weights.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.data.schema import Data
from deepglass.data.sources import read
from deepglass.diagnosing.diagnose import diagnose
from deepglass.diagnosing.finding import Finding
from deepglass.errors import Interrupted, ModelError, RunError, nearest
from deepglass.experiment import Experiment, carry_out, settle
from deepglass.models import CATALOGUE
from deepglass.seeing.cured_page import write_cured_page
from deepglass.training.checkpoint import write_json
from deepglass.training.evaluating import judge
from deepglass.training.events import Listener
from deepglass.training.folder import run_folder
from deepglass.training.metrics import METRICS
from deepglass.training.recipe import KINDS
from deepglass.training.run import Run, load
from deepglass.training.wording import tidy, words_for

WORTH_SAVING = 0.5
"""Weights are gone on from where their loss is below this share of an untrained network's and this share of epochs is
left: a flaw that was there from the first step is in the weights too, and a new start is the better test."""


@dataclass(frozen=True)
class Cured:
    """What a remedy did.

    measure    what both runs were judged by on the validation rows: "loss", or a metric;  before, after   its figures
    start      what the new run began with, in words;  changes   recipe fields and options that were changed
    run        the new run;  page   both learning curves in one figure
    """

    finding: Finding
    measure: str
    before: float
    after: float
    start: str
    changes: dict[str, Any]
    run: Run
    page: Path
    part: str = "validation"

    @property
    def improved(self) -> bool:
        """Whether the new run is better on the validation rows; anything is better than what is no number."""
        if math.isnan(self.before):
            return not math.isnan(self.after)
        higher = self.measure != "loss" and METRICS[self.measure].higher_is_better
        return self.after > self.before if higher else self.after < self.before

    @property
    def sentence(self) -> str:
        """The outcome: "validation loss 0.61 -> 0.34"."""
        words = "loss" if self.measure == "loss" else words_for(self.measure)
        return f"{self.part} {words} {tidy(self.before)} -> {tidy(self.after)}"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "finding": dataclasses.asdict(self.finding), "measure": self.measure, "part": self.part,
            "before": self.before, "after": self.after, "improved": self.improved, "start": self.start,
            "changes": self.changes, "run": str(self.run.path),
        }  # fmt: skip

    def __str__(self) -> str:
        verdict = "" if self.improved else ", no better: keep the first run"
        return "\n".join([
            f"{self.finding.title}: {self.sentence}{verdict}.",
            f"   changed  {', '.join(f'{name} = {_shown(value)}' for name, value in self.changes.items())}",
            f"   began    {self.start}", f"   run      {self.run.path}", f"   curves   {self.page}",
        ])  # fmt: skip


def cure(thing: Run | str | Path, finding: Finding | str | None = None, *, model: nn.Module | None = None,
         data: Any = None, loss: Any = None, out: str | Path | None = None, listeners: tuple[Listener, ...] = (),
         say: Callable[[str], None] = lambda text: None) -> Cured:  # fmt: skip
    """Train a run again with the remedy of a finding: same data, same seed, same number of epochs.

    thing     a Run, or its folder
    finding   what to cure, or its name; by default the first in the diagnosis that fields of the recipe can cure
    model     for a module of your own, a new instance of it; else a copy of the run's is drawn anew
    data      what the run learned from, where it was handed over in memory;  loss   your own, where there was one
    out       the new folder; by default NAME-cured beside the old one

    Raises RunError where nothing is amiss, where code or data must change instead, or where data or loss are not at
    hand; ModelError where a copy of the module cannot be drawn anew.

    >>> import tempfile
    >>> from deepglass.experiment import train
    >>> slow = train("digits", "neuron", epochs=3, learning_rate=1e-6, report=False, out=tempfile.mkdtemp())
    >>> cure(slow, "learning_rate_too_low", out=tempfile.mkdtemp()).improved
    True
    """
    begun = time.perf_counter()
    run = thing if isinstance(thing, Run) else load(thing, copy.deepcopy(model))
    run = dataclasses.replace(run, data=_data_of(run, data))
    chosen = _chosen(run, finding, loss)
    own_loss, fresh = _loss_of(run, loss), _fresh(run, model)
    experiment = settle(run.data, fresh, run.recipe.changed(**chosen.cure), own_loss, checked=False)
    start, behind = _begin(run, chosen, experiment)
    if fresh is not None and fresh is not model and not behind:
        start += " (each layer's own rule drew them; give model=… to begin with yours)"
    if behind:
        experiment = _gone_on(experiment, run, 0 if "epochs" in chosen.cure else behind)
    folder = run_folder("cured", out or _beside(run.path), resuming=False)
    say(f"cure of {chosen.title.lower()}: {', '.join(f'{k} = {_shown(v)}' for k, v in chosen.cure.items())}; {start}")
    try:
        new = carry_out(experiment, folder, False, listeners, say, begun, run.summary.get("given") or run.data)
    except KeyboardInterrupt:
        raise Interrupted(str(folder)) from None
    return _compared(run, new, chosen, start, behind)


def _data_of(run: Run, given: Any) -> Data:
    """What the run learned from, split as it was then."""
    if given is None:
        own = run.own_data()
        if own is not None:
            return own
        failure = run.path / "failure.json"
        if failure.exists():
            given = json.loads(failure.read_text(encoding="utf-8")).get("given")
    if given is None:
        raise RunError(f"{run.path}: the data of this run were handed over in memory, and are gone.",
                       next=f"cure({str(run.path)!r}, data=…) with the same data")  # fmt: skip
    plain = run.recipe.model not in CATALOGUE
    return given if isinstance(given, Data) else read(given, dataclasses.replace(run.recipe.wishes, plain=plain))


def _chosen(run: Run, finding: Finding | str | None, loss: Any) -> Finding:
    """The finding to cure. Raises RunError where there is none, or none that a recipe can cure."""
    chosen = finding if isinstance(finding, Finding) else _found(run, finding, loss)
    if not chosen.cure:
        place = f" in layer {chosen.layer!r}" if chosen.layer else ""
        raise RunError(f"{run.path}: {chosen.title.lower()}{place}: no field of the recipe cures it.",
                       next=f"change your module or your data: {chosen.remedy}")  # fmt: skip
    return chosen


def _found(run: Run, name: str | None, loss: Any) -> Finding:
    """The finding of this name; without one the first that has a cure, else the first."""
    whole = diagnose(run, loss=loss) if run.summary else diagnose(run.path, model=run.model, data=run.data, loss=loss)
    if whole.healthy:
        raise RunError(f"{run.path}: nothing amiss was found, so there is nothing to cure.",
                       next=f"deepglass report {run.path}")  # fmt: skip
    by_name = {entry.name: entry for entry in reversed(whole.findings)}
    if name is None:
        return next((entry for entry in whole.findings if entry.cure), whole.findings[0])
    if name not in by_name:
        raise RunError(
            f"{run.path}: {name!r} is not among the findings.", next=f"name one of: {nearest(name, by_name)}"
        )
    return by_name[name]


def _loss_of(run: Run, given: Any) -> Any:
    """The person's own loss, if there was one. Raises RunError where there was one and it is not at hand."""
    if given is not None:
        return given
    if run.objective.custom is not None:
        return run.objective.custom.call
    recorded = run.metrics.get("valid", {}).get("loss")
    if recorded is not None and run.data is not None and len(run.data.valid):
        found = judge(run.model, run.data.valid, run.schema, run.objective, run.device).loss
        # Another machine adds in another order; a wholly other figure is another loss, or other data.
        if not math.isclose(found, recorded, rel_tol=0.05, abs_tol=1e-4):
            raise RunError(
                f"{run.path}: its validation loss was {recorded:.4g}; its weights have {found:.4g} by "
                f"{run.objective.name} on these data. It had a loss of its own, or other data.",
                next="cure(run, loss=YOUR_LOSS, data=THE_DATA)",
            )
    return None


def _fresh(run: Run, model: nn.Module | None) -> nn.Module | None:
    """The user's module with weights that have not learned; None for a family, which is made from the recipe."""
    if run.recipe.model in CATALOGUE:
        return None
    if model is not None and model is not run.model and not _same(model.state_dict(), run.model.state_dict()):
        return model
    fresh = copy.deepcopy(run.model)
    drawn: set[int] = set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.recipe.seed)
        for module in fresh.modules():
            redraw = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(redraw):
                redraw()
                drawn |= {id(weight) for weight in module.parameters()}
    left = [name for name, weight in fresh.named_parameters() if id(weight) not in drawn]
    if left:
        raise ModelError(f"{type(fresh).__name__}: nothing here draws {left[0]!r} anew.",
                         next=f"cure(run, model={type(fresh).__name__}(…)) with a new instance")  # fmt: skip
    return fresh


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name].cpu(), other[name].cpu()) for name in one)


def _begin(run: Run, finding: Finding, experiment: Experiment) -> tuple[str, int]:
    """What the cure begins with, in words; and the epochs that trained weights have behind them, 0 for new ones."""
    another = [name for name in finding.cure if name not in KINDS or name == "model"]
    if another:
        return f"from new weights: {', '.join(another)} makes another network", 0
    if run.recipe.model not in CATALOGUE and not _fits(experiment.model, run.model):
        return "from new weights: the module is another", 0
    part = experiment.data.valid if len(experiment.data.valid) else experiment.data.train
    untrained = judge(experiment.model, part, run.schema, run.objective, experiment.device).loss
    trained = judge(run.model, part, run.schema, run.objective, run.device).loss
    if not trained < WORTH_SAVING * untrained:
        return f"from new weights: the trained ones are not worth saving (loss {trained:.3g}, untrained " \
                      f"{untrained:.3g})", 0  # fmt: skip
    epochs, best = run.recipe.epochs or 1, _best_epoch(run)
    if epochs - best < WORTH_SAVING * epochs:
        return f"from new weights: the best came in epoch {best} of {epochs}, and few would be left", 0
    return f"from the weights of epoch {best}, the best, with {epochs - best} epochs to go", best


def _gone_on(experiment: Experiment, run: Run, behind: int) -> Experiment:
    """With the trained weights, and so many epochs fewer."""
    experiment.model.load_state_dict(run.model.state_dict())
    left = dataclasses.replace(experiment.recipe, epochs=(experiment.recipe.epochs or 1) - behind)
    return dataclasses.replace(experiment, recipe=left)


def _fits(fresh: nn.Module, trained: nn.Module) -> bool:
    shapes, others = ({k: v.shape for k, v in module.state_dict().items()} for module in (fresh, trained))
    return shapes == others


def _best_epoch(run: Run) -> int:
    """The epoch whose weights were kept; of a run that diverged, the one of least validation loss."""
    if known := run.summary.get("best_epoch"):
        return int(known)
    seen = [line for line in run.history if isinstance(line.get("valid_loss"), float)]
    return int(min(seen, key=lambda line: line["valid_loss"])["epoch"]) if seen else 0


def _beside(path: Path) -> Path:
    number, folder = 2, path.with_name(f"{path.name}-cured")
    while folder.exists():
        folder, number = path.with_name(f"{path.name}-cured-{number}"), number + 1
    return folder


def _compared(run: Run, new: Run, finding: Finding, start: str, behind: int) -> Cured:
    """Both judged by the first run's objective: a remedy that changes the loss must not be its own judge."""
    assert run.data is not None
    part, word = (run.data.valid, "validation") if len(run.data.valid) else (run.data.train, "training")
    measure = "balanced_accuracy" if "class_weights" in finding.cure else "loss"
    figures = [
        judge(entry.model, part, run.schema, run.objective, entry.device).all_figures[measure] for entry in (run, new)
    ]
    page = new.path / "cured.html"
    cured = Cured(finding, measure, figures[0], figures[1], start, dict(finding.cure), new, page, word)
    write_json(new.path / "cured.json", cured.to_json())
    later = [{**line, "epoch": line["epoch"] + behind} for line in new.history]
    was = {name: getattr(run.recipe, name, run.recipe.options.get(name)) for name in finding.cure}
    changes = [(name, _shown(was[name]), _shown(value)) for name, value in finding.cure.items()]
    said = cured.sentence.replace("->", "→")
    verdict = f"{said[0].upper()}{said[1:]}{'' if cured.improved else ', no better'}."
    write_cured_page(page, finding, verdict, start, changes, (run.history, later), new.recipe.metric or "loss")
    return cured


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else ", ".join(map(str, value)) if isinstance(
        value, list | tuple) else str(value)  # fmt: skip
