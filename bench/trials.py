"""A planted or a sound run: trained once into a folder, and opened again from there.

A run that diverges leaves a folder without figures, which is all that a person then has, too.
"""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

from torch import nn

import deepglass as dg
from deepglass.errors import DivergedError
from deepglass.models import CATALOGUE
from deepglass.training.recipe import read_recipe
from grounds import QUIET
from planting import Planted

DONE = "trial.json"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Trial:
    """What a training left: a run, or of one that diverged its folder alone."""

    planted: Planted
    folder: Path
    run: dg.Run | None

    @property
    def module(self) -> nn.Module | None:
        """The user's module, where it was none of the families'."""
        return self.planted.model if isinstance(self.planted.model, nn.Module) else None


def checksum(paths: list[Path]) -> int:
    """Of what is written in these files."""
    mark = 0
    for path in sorted(paths):
        mark = zlib.crc32(path.read_bytes(), mark)
    return mark


def tried(planted: Planted, folder: Path, mark: int = 0) -> Trial:
    """The run in the folder, trained now unless it was before, under the same mark."""
    done = folder / DONE
    if not done.exists() or json.loads(done.read_text(encoding="utf-8")).get("mark", 0) != mark:
        shutil.rmtree(folder, ignore_errors=True)
        diverged = False
        try:
            dg.train(planted.data, planted.model, loss=planted.loss, out=folder, **QUIET, **planted.fields)
        except DivergedError:
            diverged = True
        done.write_text(json.dumps({"diverged": diverged, "mark": mark}), encoding="utf-8")
    if json.loads(done.read_text(encoding="utf-8"))["diverged"]:
        return Trial(planted, folder, None)
    family = read_recipe(folder / "recipe.toml").model in CATALOGUE
    run = dg.load(folder, planted.model if isinstance(planted.model, nn.Module) and not family else None)
    run.data = planted.data
    return Trial(planted, folder, run)
