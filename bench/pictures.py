"""The picture acceptance runs: MNIST by the reference recipe and by default, CIFAR-10 as a folder of JPEGs.

    python bench/pictures.py [NAME ...]     # writes bench/results/pictures.json

Each is the command a person would type, from process start to finish.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from recording import RESULTS, record

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)


def trained(*arguments: str) -> dict[str, Any]:
    """One command in a process of its own: its JSON object and the wall seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "deepglass", "train", *arguments, "--out", f"{folder}/run", "--json"]
        begun = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        wall = time.perf_counter() - begun
    found = json.loads(done.stdout.splitlines()[-1])
    kept = {"accuracy": found["metrics"]["test"]["accuracy"], "train_loss": found["metrics"]["train"]["loss"]}
    return kept | {"wall_seconds": wall, "epochs": found["epochs"], "verdict": found["verdict"]}


def row(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean accuracy and the median time of some runs, and the runs."""
    return {
        "accuracy": statistics.mean(run["accuracy"] for run in runs),
        "seconds": statistics.median(run["wall_seconds"] for run in runs),
        "epochs": runs[0]["epochs"],
        "seeds": len(runs),
        "runs": runs,
    }


def main() -> None:
    """Run what is named, or everything, and keep the other figures."""
    tar = Path(os.environ["DEEPGLASS_DATA"]) / "cifar10" / "cifar10-jpeg.tar"
    reference = ("mnist", "--set", f"recipe={HERE.parent / 'examples' / 'mnist_reference.toml'}", "--seed")
    jobs = {
        "MNIST, the reference recipe": lambda: [trained(*reference, str(seed)) for seed in SEEDS],
        "MNIST, nothing said": lambda: [trained("mnist")],
        "CIFAR-10 JPEGs, nothing said": lambda: [trained(str(tar))],
    }
    path = RESULTS / "pictures.json"
    kept = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}
    for name in sys.argv[1:] or list(jobs):
        kept[name] = row(jobs[name]())
        print(name, json.dumps(kept[name], indent=1), flush=True)
        record("pictures", kept)


if __name__ == "__main__":
    main()
