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

KILLS = 10
COMMAND = (
    sys.executable, "-m", "deepglass", "train", "digits", "--model", "mlp", "--epochs", "40", "--seed", "3",
    "--set", "dropout=0.2", "--set", "batch_size=32", "--set", "checkpoint_every=0.05", "--set", "baselines=no",
    "--set", "report=no", "--set", "augment=shift",
)  # fmt: skip


def begun(folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*COMMAND, "--out", str(folder), "--resume"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)


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
    process = begun(straight)
    assert process.wait() == 0, process.stderr and process.stderr.read().decode()
    moments = random.Random(0)
    places = []
    for _ in range(KILLS):
        before = place(broken)
        process = begun(broken)
        while place(broken) == before and process.poll() is None:
            time.sleep(0.005)
        time.sleep(moments.uniform(0.0, 0.25))
        process.kill()
        process.wait()
        places.append(place(broken))
    assert len(set(places)) >= KILLS // 2, f"the kills came too late to break anything: {places}"
    process = begun(broken)
    assert process.wait() == 0, process.stderr and process.stderr.read().decode()
    first, second = (load_file(folder / "weights.safetensors") for folder in (straight, broken))
    assert all((first[name] == second[name]).all() for name in first)
    lines = [
        [json.loads(line) | {"seconds": 0} for line in (folder / "history.jsonl").read_text().splitlines()]
        for folder in (straight, broken)
    ]
    assert lines[0] == lines[1]
