"""The end of a run: figures on three parts, baselines on the same rows, the verdict, the mistakes, and the page.

`run.json` is written here, whole; the report reads nothing but the folder, so it can be made again at any time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from deepglass.data.schema import PartName
from deepglass.seeing.baselines import judge_baselines, verdict
from deepglass.seeing.looking import keep_seen
from deepglass.seeing.mistakes import find_mistakes
from deepglass.seeing.report import write_report
from deepglass.training.checkpoint import write_json
from deepglass.training.evaluating import Judgement, judge
from deepglass.training.metrics import METRICS, bootstrap_difference, bootstrap_interval, per_class
from deepglass.training.run import Run


def judge_run(run: Run, metric: str, facts: dict[str, Any], begun: float, say: Callable[[str], None]) -> None:
    """Fill `run.summary`, write `run.json` and `report.html`. `begun` is when the whole experiment started."""
    found = _judge_parts(run)
    name: PartName = "test" if "test" in found else "valid" if "valid" in found else "train"
    judgement = found[name]
    if metric not in judgement.figures:
        # A ranking needs two classes, and a small test part may hold one: then the first figure that it has.
        metric = next(iter(judgement.figures))
    summary: dict[str, Any] = {
        **facts, "run": str(run.path), "model": run.recipe.model,
        "task": run.schema.target.task, "target": run.schema.target.name, "kind": run.schema.kind, "metric": metric,
        "higher_is_better": METRICS[metric].higher_is_better, "judged_on": name,
        "metrics": {part: entry.all_figures for part, entry in found.items()},
        **_compared(run, metric, name, judgement, say),
    }  # fmt: skip
    assert run.data is not None  # an experiment always hands its data on
    if run.schema.target.task != "regression":
        summary["per_class"] = per_class(run.data.part(name).target, judgement.read, run.schema.target)
    summary["mistakes"] = find_mistakes(run.data, name, judgement.read)
    epochs = max(1, facts["epochs"])
    summary["seconds"] = {"total": time.perf_counter() - begun, "per_epoch": facts["training_seconds"] / epochs}
    run.summary = summary
    write_json(run.path / "run.json", summary)
    if run.recipe.report:
        say("looking inside")
        keep_seen(run)
        write_report(run.path)


def _judge_parts(run: Run) -> dict[PartName, Judgement]:
    assert run.data is not None
    names: tuple[PartName, ...] = ("train", "valid", "test")
    found: dict[PartName, Judgement] = {}
    for name in names:
        if len(part := run.data.part(name)):
            found[name] = judge(run.model, part, run.schema, run.objective, run.device)
    return found


def _compared(run: Run, metric: str, name: PartName, ours: Judgement, say: Callable[[str], None]) -> dict[str, Any]:
    assert run.data is not None
    target, described, seed = run.data.part(name).target, run.schema.target, run.recipe.seed
    interval = bootstrap_interval(target, ours.read, described, metric, seed=seed)
    baselines = judge_baselines(run.data, metric, seed=seed) if run.recipe.baselines and name == "test" else {}
    differences = {
        rival: bootstrap_difference(target, ours.read, entry.read, described, metric, seed=seed)
        for rival, entry in baselines.items()
    }
    rows = len(run.data.part(name))
    sentence = verdict(metric, ours.figures[metric], interval, baselines, differences, rows=rows, part=name)
    return {
        "interval": list(interval), "verdict": sentence,
        "baselines": {
            rival: {"what": entry.what, "metrics": entry.metrics, "interval": list(entry.interval),
                    "difference": list(differences[rival]), "seconds": entry.seconds}
            for rival, entry in baselines.items()
        },
    }  # fmt: skip
