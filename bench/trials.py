"""A planted or a healthy run: trained once into a folder, and opened again from there.

A run that diverges leaves a folder without figures, which is all that a person then has, too.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import nn

import deepglass as dg
from deepglass.errors import DivergedError
from deepglass.models import CATALOGUE
from grounds import QUIET
from planting import Planted

DONE = "trial.json"


@dataclass(frozen=True)
class Trial:
    """What a training left: a run, or of one that diverged its folder alone."""

    planted: Planted
    folder: Path
    run: dg.Run | None


def tried(planted: Planted, folder: Path) -> Trial:
    """The run in the folder, trained now unless it was before."""
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        diverged = False
        try:
            dg.train(planted.data, planted.model, loss=planted.loss, out=folder, **QUIET, **planted.fields)
        except DivergedError:
            diverged = True
        (folder / DONE).write_text(json.dumps({"diverged": diverged}), encoding="utf-8")
    if json.loads((folder / DONE).read_text(encoding="utf-8"))["diverged"]:
        return Trial(planted, folder, None)
    own = isinstance(planted.model, nn.Module) and not _built_by_name(folder)
    run = dg.load(folder, planted.model if own and isinstance(planted.model, nn.Module) else None)
    run.data = planted.data
    return Trial(planted, folder, run)


def _built_by_name(folder: Path) -> bool:
    """Whether the recipe names a family: then the folder is enough."""
    return any(f'model = "{name}"' in (folder / "recipe.toml").read_text(encoding="utf-8") for name in CATALOGUE)
