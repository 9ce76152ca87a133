"""`kill -9` at ten random moments, in the middle of epochs and of saves: `--resume` ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from deepglass.diagnosing.watch import read_inside

KILLS = 10
COMMAND = (
    sys.executable, "-m", "deepglass", "train", "digits", "--model", "mlp", "--epochs", "40", "--seed", "3",
    "--set", "dropout=0.2", "--set", "batch_size=32", "--set", "checkpoint_every=0.05", "--set", "baselines=no",
    "--set", "report=no", "--set", "augment=shift",
)  # fmt: skip


ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def words(folder: Path) -> list[str]:
    return [*COMMAND, "--out", str(folder), "--resume"]


def finished(folder: Path) -> None:
    done = subprocess.run(words(folder), capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


def killed(folder: Path, after: float) -> None:
    """Kill the command so many seconds after it has saved something new."""
    before = place(folder)
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words(folder), stdout=quiet, stderr=quiet, env=ENVIRONMENT) as process:
        while place(folder) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(after)
        process.kill()


def place(folder: Path) -> tuple[int, int]:
    """The epoch and step of the last checkpoint."""
    try:
        state = json.loads((folder / "checkpoint" / "state.json").read_text())
    except (OSError, ValueError):
        return (-1, -1)
    values = dict(state["tree"]["pairs"])
    return values["epoch"], values["step"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_ten_times_it_ends_with_the_same_bits(tmp_path):
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    finished(straight)
    moments = random.Random(0)
    places = []
    for _ in range(KILLS):
        killed(broken, moments.uniform(0.0, 0.25))
        places.append(place(broken))
    assert len(set(places)) >= KILLS // 2, f"the kills came too late to break anything: {places}"
    finished(broken)
    first, second = (load_file(folder / "weights.safetensors") for folder in (straight, broken))
    assert all((first[name] == second[name]).all() for name in first)
    lines = [
        [json.loads(line) | {"seconds": 0} for line in (folder / "history.jsonl").read_text().splitlines()]
        for folder in (straight, broken)
    ]
    assert lines[0] == lines[1]
    assert read_inside(straight) == read_inside(broken) != []
