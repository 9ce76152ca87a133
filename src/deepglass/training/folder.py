"""The folder of a run: where it lies, and whether a run may be begun or gone on with there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from deepglass.errors import RunError
from deepglass.training.checkpoint import storage_errors
from deepglass.training.recipe import Recipe


def run_folder(name: str, out: str | Path | None, resuming: bool) -> Path:
    """The folder asked for, or runs/NAME-1, -2, … Raises RunError where it holds something else already."""
    if out is None:
        if resuming:
            raise RunError("--resume: which run?", next="name its folder with --out DIR")
        number = 1
        while (folder := Path("runs") / f"{name}-{number}").exists():
            number += 1
        return folder
    folder = Path(out).expanduser()
    with storage_errors(folder):
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not resuming:
        what = "already holds a run" if (folder / "recipe.toml").exists() else "is there already and is not empty"
        raise RunError(f"{folder}: {what}; nothing was overwritten.",
                       next="choose another --out, or go on with --resume")  # fmt: skip
    return folder


def same_recipe(asked: Recipe, saved: Recipe, folder: Path) -> Recipe:
    """The saved recipe, provided that nothing asked for now differs from it. Raises RunError where something does."""
    for entry in dataclasses.fields(Recipe):
        wish, kept = getattr(asked, entry.name), getattr(saved, entry.name)
        if entry.name == "options":
            clash = any(_text(kept.get(name)) != _text(value) for name, value in wish.items())
        else:
            default = Recipe.__dataclass_fields__[entry.name].default
            clash = entry.name != "minutes" and wish is not None and wish != default and _text(wish) != _text(kept)
        if clash:
            raise RunError(f"{folder}: was begun with {entry.name} = {kept!r}, and {wish!r} is asked for now.",
                           next="--resume with the same recipe, or train anew in another --out")  # fmt: skip
    return dataclasses.replace(saved, minutes=asked.minutes)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
