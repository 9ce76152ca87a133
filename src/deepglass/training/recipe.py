"""The whole experiment as one frozen value; flags, keyword arguments and TOML files are all made into it.

A field left at None is settled later: first by what the family learns best with, then by `FALLBACKS`. What was settled
is written to `recipe.toml` in the run folder, so that the same experiment can be had again word for word.
"""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from deepglass.data.schema import Wishes
from deepglass.errors import RecipeError, nearest

Loss = Literal["auto", "cross_entropy", "mse", "mae", "huber"]
Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "muon"]
Schedule = Literal["constant", "step", "cosine", "linear", "onecycle", "plateau"]
Average = Literal["none", "ema", "swa"]
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run besides the data itself.

    Data       target, task, valid, test, split, group, time, ignore, size: see `data.schema.Wishes`.
    Model      model (a family's name; None: the one for this kind of data); options, the family's own fields by name.
    Length     epochs or minutes; patience in epochs without a better validation figure (0: never stop early).
    Step       batch_size examples, seen in `accumulate` micro-batches; clip caps the global gradient norm (0: never).
    Update     optimizer, learning_rate, momentum, weight_decay (decoupled in AdamW and Muon; never on biases and norm
               gains unless decay_all), schedule, warmup (share of all steps), final_rate (share of the peak).
    Loss       label_smoothing in 0 … 1; class_weights: none, balanced (counts inverted), or one number a class.
    Pictures   augment: names of `data.augment.AUGMENTATIONS`; mixup, cutmix: alpha of their Beta distribution (0: off).
    Averaging  ema: an exponential moving average (average_decay a step); swa: the plain mean over the last quarter.
    Machine    device, precision, checkpoint_every (seconds between saves within an epoch).
    Looking    watch: one step in so many is watched inside, more at first and in a short run (0: never).
    Judgement  metric that decides which weights are best; baselines, report: whether to make them.

    >>> Recipe().changed(epochs="3", widths="64,32").options
    {'widths': '64,32'}
    """

    target: str | tuple[str, ...] | None = None
    task: Literal["classes", "numbers"] | None = None
    valid: float = 0.15
    test: float = 0.2
    split: Literal["auto", "random", "stratified", "group", "time"] = "auto"
    group: str | None = None
    time: str | None = None
    ignore: tuple[str, ...] = ()
    size: int | None = None

    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    seed: int = 0
    epochs: int | None = None
    minutes: float | None = None
    patience: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    clip: float | None = None

    optimizer: Optimizer | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    decay_all: bool = False
    schedule: Schedule | None = None
    warmup: float | None = None
    final_rate: float | None = None

    loss: Loss = "auto"
    label_smoothing: float | None = None
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"

    augment: tuple[str, ...] | None = None
    mixup: float | None = None
    cutmix: float | None = None

    average: Average | None = None
    average_decay: float = 0.998

    device: Device = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpoint_every: float = 20.0

    watch: int = 100
    metric: str | None = None
    baselines: bool = True
    report: bool = True

    @property
    def wishes(self) -> Wishes:
        """The part of the recipe that the readers of data obey."""
        names = {entry.name for entry in dataclasses.fields(Wishes)} - {"plain"}
        return Wishes(**{name: getattr(self, name) for name in names})

    def changed(self, **changes: Any) -> Recipe:
        """A copy with fields changed; a name that is no field here is kept as an option of the family.

        Values may be strings, as they come from a command line. Raises RecipeError for a value of the wrong type.
        """
        own, options = {}, dict(self.options)
        for name, value in changes.items():
            if name in KINDS:
                own[name] = converted(name, value, KINDS[name])
            else:
                options[name] = tuple(value) if isinstance(value, list) else value
        return dataclasses.replace(self, **own, options=options)

    def settled(self, family: dict[str, Any]) -> Recipe:
        """A copy in which no training field is None: the person's word first, then the family's, then FALLBACKS."""
        known = FALLBACKS | {name: value for name, value in family.items() if value is not None}
        return dataclasses.replace(self, **{k: v for k, v in known.items() if getattr(self, k) is None})


FALLBACKS: dict[str, Any] = {
    "epochs": 20,
    "patience": 0,
    "batch_size": 64,
    "clip": 0.0,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "final_rate": 0.0,
    "label_smoothing": 0.0,
    "augment": (),
    "mixup": 0.0,
    "cutmix": 0.0,
    "average": "none",
}

KINDS: dict[str, Any] = {
    name: kind for name, kind in typing.get_type_hints(Recipe).items() if name not in ("options", "wishes")
}

RANGES: dict[str, tuple[float, float]] = {
    "valid": (0.0, 0.9), "test": (0.0, 0.9), "size": (1, 4096), "epochs": (1, 10**9), "minutes": (1e-3, 10**6),
    "patience": (0, 10**9), "batch_size": (1, 10**9), "accumulate": (1, 10**6), "clip": (0.0, 1e30),
    "learning_rate": (0.0, 1e6), "momentum": (0.0, 1.0), "weight_decay": (0.0, 1e3), "warmup": (0.0, 1.0),
    "final_rate": (0.0, 1.0), "label_smoothing": (0.0, 1.0), "mixup": (0.0, 1e3), "cutmix": (0.0, 1e3),
    "average_decay": (0.0, 1.0), "checkpoint_every": (0.0, 1e9), "watch": (0, 10**9), "seed": (0, 2**63 - 1),
}  # fmt: skip


def converted(name: str, value: Any, kind: Any) -> Any:
    """A value as its field wants it; strings are read as on a command line ("256,128", "true", "none").

    >>> converted("widths", "256,128", tuple[int, ...])
    (256, 128)
    """
    if value == "auto" and type(None) in _alternatives(kind):
        return None
    for option in _alternatives(kind):
        found = _read(value, option)
        if found is not _UNREAD:
            low, high = RANGES.get(name, (None, None))
            numeric = isinstance(found, int | float) and not isinstance(found, bool)
            if low is not None and high is not None and numeric and not low <= found <= high:
                raise RecipeError(f"recipe: {name} = {value!r} is out of range: {low:g} to {high:g}.",
                                  next=f"--set {name}=VALUE within it")  # fmt: skip
            return found
    choices = [entry for option in _alternatives(kind) for entry in typing.get_args(option) if isinstance(entry, str)]
    hint = nearest(str(value), choices) if choices else _words(kind)
    raise RecipeError(f"recipe: {name} = {value!r} is not {_words(kind)}.", next=f"--set {name}=… with {hint}")


_UNREAD = object()


def _alternatives(kind: Any) -> tuple[Any, ...]:
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if union else (kind,)


def _read(value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if kind in (None, type(None)):
        return None if value is None or (isinstance(value, str) and value.casefold() == "none") else _UNREAD
    if origin is Literal:
        return value if value in typing.get_args(kind) and isinstance(value, str) else _UNREAD
    if origin is tuple:
        return _read_tuple(value, typing.get_args(kind)[0])
    if kind is bool:
        known = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        return value if isinstance(value, bool) else known.get(str(value).casefold(), _UNREAD)
    if kind is str:
        return value if isinstance(value, str) else _UNREAD
    if isinstance(value, bool):
        return _UNREAD
    try:
        number = float(value)
        if kind is int:
            return int(number) if number == int(number) else _UNREAD
    except (TypeError, ValueError, OverflowError):
        return _UNREAD
    return number if number == number else _UNREAD


def _read_tuple(value: Any, kind: Any) -> Any:
    if isinstance(value, str):
        text = value.strip().strip("()[]")
        # One bare word stays a string where a field takes either ("balanced"); names go by commas.
        parts: list[Any] = [part.strip() for part in text.split(",") if part.strip()]
        if kind is str and text.casefold() in ("none", ""):
            parts = []
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        parts = [value]
    else:
        return _UNREAD
    read = [_read(part, kind) for part in parts]
    return _UNREAD if any(entry is _UNREAD for entry in read) else tuple(read)


def _words(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "none"}
    parts = []
    for option in _alternatives(kind):
        if typing.get_origin(option) is Literal:
            parts.append("one of " + ", ".join(map(str, typing.get_args(option))))
        elif typing.get_origin(option) is tuple:
            inner = names.get(typing.get_args(option)[0], "values").removeprefix("a ")
            parts.append(f"{inner}s by commas")
        else:
            parts.append(names.get(option, str(option)))
    return " or ".join(part for part in parts if part != "none") or "none"


def fitted_options(recipe: Recipe, options: dict[str, inspect.Parameter], family: str) -> dict[str, Any]:
    """The recipe's options as keyword arguments of the family. Raises RecipeError for a name or type it lacks."""
    fitted = {}
    for name, value in recipe.options.items():
        if name not in options:
            known = [*options, *KINDS]
            raise RecipeError(f"recipe: {name!r} is neither a recipe field nor an option of {family}.",
                              next=f"the nearest: {nearest(name, known)}")  # fmt: skip
        kind = options[name].annotation
        fitted[name] = converted(name, value, kind)
    return fitted


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file: fields at the top, the family's options under [options]."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe file.", next="name a TOML file that is there") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path}: not a recipe in TOML: {error}.", next="write lines such as: epochs = 5") from None
    options = plain.pop("options", {})
    return Recipe().changed(**plain, **options)


def written_recipe(recipe: Recipe) -> str:
    """The recipe as TOML text; fields left at None are left out.

    >>> print(written_recipe(Recipe(epochs=5, options={"widths": (256, 128)})).splitlines()[-1])
    widths = [256, 128]
    """
    plain = {entry.name: getattr(recipe, entry.name) for entry in dataclasses.fields(recipe)}
    options = plain.pop("options")
    lines = [f"{name} = {_toml(value)}" for name, value in plain.items() if value is not None]
    chosen = [f"{name} = {_toml(value)}" for name, value in options.items() if value is not None]
    return "\n".join([*lines, "", "[options]", *chosen]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
