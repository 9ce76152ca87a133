"""Eight public tables, three seeds, nothing given but the target: ours beside the linear model and boosted trees.

    python bench/tables.py [NAME ...]        # reads $DEEPGLASS_DATA/tables, writes bench/results/tables.json

All three learn from the same training rows and are judged on the same test rows of each seed. A standard error is that
of the mean over seeds of the paired difference; a tie is a mean difference within one standard error.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import deepglass as dg
from recording import RESULTS, record

TABLES = {
    "titanic": ("titanic.csv", "Survived"),
    "adult": ("adult_train.csv.gz", "income"),
    "credit_default": ("credit_default.csv.gz", "default_next_month"),
    "penguins": ("penguins.csv", "species"),
    "california_housing": ("california_housing.csv.gz", "median_house_value"),
    "diamonds": ("diamonds.csv.gz", "price"),
    "wine_quality": ("wine_quality.csv", "quality"),
    "auto_mpg": ("auto_mpg.csv", "mpg"),
}
SEEDS = (0, 1, 2)


def judged(name: str, seed: int) -> dict[str, Any]:
    """One run: each model's figure on the test part, so signed that more is better, and the seconds ours took."""
    file, target = TABLES[name]
    path = Path(os.environ["DEEPGLASS_DATA"]) / "tables" / file
    with tempfile.TemporaryDirectory() as folder:
        run = dg.train(path, target=target, seed=seed, out=Path(folder) / "run", report=False)
    summary = run.summary
    metric = summary["metric"]
    figures = {"ours": summary["metrics"]["test"][metric]}
    figures |= {rival: entry["metrics"][metric] for rival, entry in summary["baselines"].items()}
    return {"metric": metric, "higher_is_better": summary["higher_is_better"], "figures": figures,
            "seconds": summary["seconds"]["total"], "epochs": summary["epochs"]}  # fmt: skip


def compared(runs: list[dict[str, Any]], rival: str) -> dict[str, Any]:
    """Ours minus a rival's, paired over the seeds: mean, standard error, and the word for it."""
    sign = 1 if runs[0]["higher_is_better"] else -1
    gaps = [sign * (run["figures"]["ours"] - run["figures"][rival]) for run in runs]
    mean, error = statistics.mean(gaps), statistics.stdev(gaps) / len(gaps) ** 0.5
    word = "tie" if abs(mean) <= error else "win" if mean > 0 else "loss"
    return {"difference": mean, "standard_error": error, "word": word}


def kept() -> dict[str, Any]:
    """What earlier calls measured."""
    path = RESULTS / "tables.json"
    return json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}


def main() -> None:
    """Run the tables named on the command line, or all, and keep the figures of the others."""
    for name in sys.argv[1:] or list(TABLES):
        runs = [judged(name, seed) for seed in SEEDS]
        row = {
            "metric": runs[0]["metric"],
            "mean": {who: statistics.mean(run["figures"][who] for run in runs) for who in runs[0]["figures"]},
            "against": {rival: compared(runs, rival) for rival in ("linear", "trees")},
            "seconds": statistics.median(run["seconds"] for run in runs),
            "runs": runs,
        }
        means = "  ".join(f"{who} {value:.4g}" for who, value in row["mean"].items())
        words = {rival: entry["word"] for rival, entry in row["against"].items()}
        print(f"{name:<20} {row['metric']:<9} {means}  {words}  {row['seconds']:.0f} s", flush=True)
        rows = kept() | {name: row}
        record("tables", {known: rows[known] for known in TABLES if known in rows})


if __name__ == "__main__":
    main()
