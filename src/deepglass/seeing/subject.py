"""What `deepglass see` looks at: a run folder, or a Python file of the user's own that defines a module.

A file of weights (.pt, .pth) holds no network, and a pickled module would run whatever code it carries: neither is
opened. A Python file is run, as `python FILE` would run it, because the user says so.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.errors import ModelError, RunError, nearest
from deepglass.training.run import Run, load

EXAMPLES = 8
PICKLED = {".pt", ".pth", ".pkl", ".bin", ".ckpt", ".joblib"}


@dataclass(frozen=True)
class Subject:
    """A module with inputs to run it on, and the loss of those examples where they have a target.

    inputs   () where nothing is known of them
    """

    title: str
    module: nn.Module
    inputs: tuple[Any, ...] = ()
    loss: Callable[[Any], Tensor] | None = None
    run: Run | None = None


def open_subject(named: str) -> Subject:
    """The subject of a name: RUN, FILE.py, or FILE.py:NAME for one of several modules.

    In the file, a variable `inputs` is what the module is run on: a tensor, a tuple of them, or a dict of such by the
    names of the modules. Raises RunError or ModelError where there is nothing to look at.
    """
    path = Path(named).expanduser()
    if path.is_dir():
        return of_run(load(path))
    file, colon, name = named.rpartition(":") if ".py:" in named else (named, "", "")
    path = Path(file).expanduser()
    if path.suffix.casefold() in PICKLED:
        raise ModelError(
            f"{path}: not opened: such a file holds weights without their network, or code that would run unasked.",
            next="give the .py file that defines the module, or a run folder",
        )
    if not path.exists():
        raise RunError(f"{path}: there is no such run folder or file.")
    if path.suffix != ".py":
        raise ModelError(f"{path}: neither a run folder nor a .py file.", next="give the .py file of the module")
    return _of_code(path, name if colon else "")


def of_run(run: Run, count: int = EXAMPLES) -> Subject:
    """A run's network, on the first examples of its own test part (stand-ins, where the data are gone)."""
    batch = run.batch(count=count)
    known = batch.target.dim() == 1 or batch.target.shape[1] > 0

    def loss(outputs: Any) -> Tensor:
        return run.objective.loss(outputs, batch.target)

    return Subject(str(run.path), run.model, batch.inputs, loss if known else None, run)


def _of_code(path: Path, name: str) -> Subject:
    code = _executed(path)
    modules = {key: value for key, value in vars(code).items() if not key.startswith("_") and _is_module(value, code)}
    if name and name not in modules:
        raise ModelError(f"{path}: defines no module {name!r}.", next=f"try {nearest(name, modules)}")
    # An instance is what its author wants seen; a class is next best.
    chosen = name or next((key for key, value in modules.items() if isinstance(value, nn.Module)), "")
    if not chosen and len(modules) != 1:
        found = f"several modules ({', '.join(modules)})" if modules else "no torch.nn.Module"
        raise ModelError(f"{path}: defines {found}.", next=f"name one: {path}:NAME")
    chosen = chosen or next(iter(modules))
    given = getattr(code, "inputs", ())
    given = given.get(chosen, ()) if isinstance(given, dict) else given
    inputs = tuple(given) if isinstance(given, tuple | list) else (given,)
    return Subject(f"{path.name}:{chosen}", _built(modules[chosen], path, chosen), inputs)


def _is_module(value: Any, code: ModuleType) -> bool:
    own_class = isinstance(value, type) and issubclass(value, nn.Module) and value.__module__ == code.__name__
    return isinstance(value, nn.Module) or own_class


def _built(found: Any, path: Path, name: str) -> nn.Module:
    if isinstance(found, nn.Module):
        return found
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return found()
    except TypeError as error:
        raise ModelError(
            f"{path}: {name} cannot be made without arguments: {error}.",
            next=f"make one in the file, `model = {name}(…)`, and name it: {path}:model",
        ) from None


def _executed(path: Path) -> ModuleType:
    """The user's file, run under a name of its own, with its folder first in the way of imports as Python has it."""
    name = f"deepglass_subject_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: cannot be read as Python.", next="give a .py file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(code)
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f", line {lines[-1]}" if lines else ""
        raise ModelError(
            f"{path}{place}: {type(error).__name__}: {error}.", next="mend the file; python runs it too"
        ) from None
    finally:
        sys.path.remove(str(path.resolve().parent))
    return code
