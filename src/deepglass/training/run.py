"""What comes back from training: weights, history, folder; predict, evaluate, load."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepglass.data.batches import in_order, stand_ins
from deepglass.data.schema import Batch, Data, Note, Part, Schema
from deepglass.data.sources import read, reread
from deepglass.errors import RunError, TargetError
from deepglass.models import CATALOGUE
from deepglass.training.checkpoint import read_weights
from deepglass.training.evaluating import judge, outputs_of
from deepglass.training.objective import Objective, objective_for
from deepglass.training.recipe import Recipe, fitted_options, read_recipe
from deepglass.training.saving import WEIGHTS, read_history


@dataclass
class Run:
    """A trained network with all that is needed to use it on new data and to know how good it is.

    path      the run folder;  model    the network with its best weights, in evaluation mode
    metrics   {"train": {}, "valid": {}, "test": {}};  history  one dict an epoch;  summary  all of run.json
    notes     what was guessed or found amiss in the data last read
    """

    path: Path
    model: nn.Module
    recipe: Recipe
    schema: Schema
    objective: Objective
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    notes: tuple[Note, ...] = ()
    data: Data | None = None

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """The figures on the three parts."""
        return self.summary.get("metrics", {})

    @property
    def outcome(self) -> dict[str, Any]:
        """The result in one object, as `deepglass train --json` prints it."""
        names = ("run", "task", "metrics", "baselines", "seconds", "epochs", "stopped", "plan", "verdict")
        return {name: self.summary.get(name) for name in names}

    @property
    def verdict(self) -> str:
        """Whether the network beats the baselines, in one sentence."""
        return self.summary.get("verdict", "")

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next((weight.device for weight in self.model.parameters()), torch.device("cpu"))

    def predict(self, data: Any) -> np.ndarray:
        """For every example of new data: the class [m], or the number(s) in the target's unit [m] or [m, width].

        Classes that are all whole numbers come back as integers. Raises the errors of reading for unfit data.
        """
        return self.decided(self.read(data))

    def probabilities(self, data: Any) -> np.ndarray:
        """The probability of each class for every example [m, classes], in the order of `schema.target.classes`.

        Raises TargetError where numbers are predicted.
        """
        if self.schema.target.task == "regression":
            raise TargetError("this run predicts numbers, which have no probabilities.", next="use run.predict")
        return self.read(data).numpy()

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """The figures, and the loss, on labelled data; on this run's own test part when none is given."""
        if data is None:
            if self.data is None:
                return dict(self.metrics.get("test", {}))
            part = self.data.test
        else:
            part = self.part(data, with_target=True)
        return judge(self.model, part, self.schema, self.objective, self.device).all_figures

    def own_data(self) -> Data | None:
        """The data this run learned from, split as they were then; None where they were handed over in memory.

        Read again from the file or the named set, where they are no longer at hand. Raises the errors of reading.
        """
        if self.data is None and (given := self.summary.get("given")):
            plain = self.recipe.model not in CATALOGUE
            self.data = read(given, dataclasses.replace(self.recipe.wishes, plain=plain))
        return self.data

    def batch(self, data: Any = None, count: int = 8) -> Batch:
        """The first examples of `data`, or of this run's own test part, as the model is given them.

        Where the run's data are gone, stand-ins of the same kinds and shapes, with a target of no columns.
        """
        if data is not None:
            part = self.part(data, with_target=False)
        else:
            own = self.own_data()
            if own is None:
                inputs = tuple(tensor.to(self.device) for tensor in stand_ins(self.schema, count))
                return Batch(inputs, torch.zeros(count, 0, device=self.device), torch.arange(count))
            part = own.test if len(own.test) else own.train
        return next(in_order(part, self.schema, self.device, count))

    def part(self, data: Any, *, with_target: bool) -> Part:
        """New data as tensors, read as the run's own were; what was found on the way is left in `notes`."""
        part, self.notes = reread(self.schema, data, with_target=with_target)
        return part

    def read(self, data: Any) -> Tensor:
        """What the outputs say of new data: probabilities [m, classes] or numbers [m, width]."""
        part = data if isinstance(data, Part) else self.part(data, with_target=False)
        outputs = outputs_of(self.model, part, self.schema, self.device)
        with torch.inference_mode():
            return self.objective.read(outputs)

    def decided(self, read: Tensor) -> np.ndarray:
        """Probabilities to classes, numbers as they are."""
        if self.schema.target.task == "regression":
            return read.squeeze(1).numpy() if read.shape[1] == 1 else read.numpy()
        classes = np.array(self.schema.target.classes)
        if all(name.lstrip("-").isdigit() for name in self.schema.target.classes):
            classes = classes.astype(np.int64)
        return classes[read.argmax(1).numpy()]

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}: {self.verdict or 'not judged'})"


def load(path: str | Path, model: nn.Module | None = None) -> Run:
    """The run in a folder, ready to predict. `model` is wanted for a run of a user's own module, whose class only the
    user has: an instance with fresh weights, which are filled in.

    Raises RunError when the folder holds no run or the weights do not fit the model.
    """
    folder = Path(path).expanduser()
    schema = read_schema(folder)
    recipe = read_recipe(folder / "recipe.toml")
    summary = _read_json(folder / "run.json", needed=False)
    network = model if model is not None else _built(folder, recipe, schema)
    weights = read_weights(folder / WEIGHTS)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        facts = " ".join(str(error).split())[:300]
        raise RunError(f"{folder}: the weights do not fit {type(network).__name__}: {facts}.",
                       next="give the module that was trained") from None  # fmt: skip
    network.eval()
    emits = summary.get("emits", "logits")
    objective = objective_for(recipe, schema.target, emits=emits)
    return Run(folder, network, recipe, schema, objective, summary, read_history(folder))


def read_schema(folder: Path) -> Schema:
    """The schema in a run folder. Raises RunError when there is none."""
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run folder.")
    plain = _read_json(folder / "schema.json", needed=True)
    try:
        return Schema.from_json(plain)
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder / 'schema.json'}: not a schema of this version: {error}.") from None


def _read_json(path: Path, *, needed: bool) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not needed:
            return {}
        raise RunError(f"{path.parent}: not a run folder: {path.name} is missing.") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path}: cannot be read: {error}.", next="train again, or take a copy of the run") from None


def _built(folder: Path, recipe: Recipe, schema: Schema) -> nn.Module:
    family = CATALOGUE.get(recipe.model or "")
    if family is None:
        raise RunError(f"{folder}: this run trained a module of yours ({recipe.model}), which only your code can make.",
                       next=f"dg.load({str(folder)!r}, model=YourModule())")  # fmt: skip
    return family.from_schema(schema, **fitted_options(recipe, family.options(), recipe.model or ""))
