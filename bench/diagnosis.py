"""The fault library measured: is each fault named, at its layer; what is found in sound runs; does the cure help.

    python bench/diagnosis.py [--half tune|held] [--seconds 50] [--folder DIR] [NAME ...]

Reads $DEEPGLASS_DATA, writes bench/results/diagnosis.json and docs/diagnosis.md. What was measured before is kept in
DIR, and measured again only when what judges it has changed: it may be stopped at any time, or run piece by piece.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from deepglass.curing import cure
from deepglass.diagnosing.diagnose import diagnose
from deepglass.diagnosing.finding import Diagnosis
from deepglass.errors import DeepglassError
from deepglass.training.run import load
from diagnosis_page import summed, write_page
from faults import CASES
from healthy import HEALTHY, Healthy, HealthyModule
from planting import Case
from recording import record
from trials import HERE, Trial, checksum, tried

PLANTS = [*HERE.glob("planted_*.py"), *(HERE / f"{name}.py" for name in ("grounds", "foreign", "planting", "faults"))]
SOURCES = HERE.parent / "src" / "deepglass"
JUDGES = [SOURCES / "curing.py", *SOURCES.glob("diagnosing/*.py")]


def measured(case: Case | Healthy | HealthyModule, folder: Path, marks: tuple[int, int]) -> dict[str, Any]:
    """One row: what was to be found, what was found, and what its cure did. Kept beside the run."""
    kept = folder / "measured.json"
    if kept.exists():
        row = json.loads(kept.read_text(encoding="utf-8"))
        if row["marks"] == list(marks):
            return row
    trial = tried(case.planted(), folder, marks[0])
    begun = time.perf_counter()
    found = examined(trial)
    seconds = time.perf_counter() - begun
    row = {**_about(case), **_judged(trial, found), "seconds": seconds, "unsure": list(found.unsure)}
    if isinstance(case, Case):
        row["cure"] = treated(case, trial, found)
    kept.write_text(json.dumps({**row, "marks": list(marks)}), encoding="utf-8")
    return row


def examined(trial: Trial) -> Diagnosis:
    """The diagnosis as a person has it: of a run, or of the folder that a diverged one left."""
    loss = trial.planted.loss
    if trial.run is not None:
        return diagnose(trial.run, loss=loss)
    return diagnose(trial.folder, model=trial.module, data=trial.planted.data, loss=loss)


def _about(case: Case | Healthy | HealthyModule) -> dict[str, Any]:
    if isinstance(case, Case):
        return {"name": case.name, "fault": case.fault, "kind": case.ground.kind, "half": case.ground.half}
    return {"name": case.folder, "fault": None, "kind": "sound", "half": case.half}


def _judged(trial: Trial, found: Diagnosis) -> dict[str, Any]:
    """Named: one of the right names at one of the right layers is among the findings. First: it leads them."""
    planted = trial.planted
    right = [
        entry.name in planted.names and (not planted.layers or entry.layer in planted.layers)
        for entry in found.findings
    ]
    return {
        "wanted": list(planted.names), "layers": list(planted.layers),
        "found": [[entry.name, entry.layer, entry.certainty, entry.evidence] for entry in found.findings],
        "named": any(right), "first": bool(right) and right[0],
        "elsewhere": not any(right) and any(entry.name in planted.names for entry in found.findings),
    }  # fmt: skip


def treated(case: Case, trial: Trial, found: Diagnosis) -> dict[str, Any] | None:
    """What `--cure` does: the first finding with a cure is cured, and the gain measured. None where none has one."""
    chosen = next((entry for entry in found.findings if entry.cure), None)
    if chosen is None:
        return None
    out = trial.folder.with_name(f"{trial.folder.name}-cured")
    thing = trial.run or load(trial.folder, trial.module)
    thing.data = trial.planted.data
    # A module is made again as its author makes it: drawn by PyTorch's own rules it might be well without the remedy.
    again = None if trial.module is None else case.planted().model
    shutil.rmtree(out, ignore_errors=True)
    try:
        cured = cure(thing, chosen, model=again, loss=trial.planted.loss, out=out)  # type: ignore[arg-type]
    except DeepglassError as error:
        return {
            "finding": chosen.name,
            "refused": str(error),
            "improved": False,
            "gone": False,
            "changes": dict(chosen.cure),
        }
    plain = cured.to_json()
    kept = ("measure", "before", "after", "improved", "start", "changes")
    left = {entry.name for entry in diagnose(cured.run, loss=trial.planted.loss).findings}
    return {"finding": chosen.name, "gone": chosen.name not in left} | {name: plain[name] for name in kept}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is kept for good: what was right needs no evidence."""
    kept = {name: value for name, value in row.items() if name not in ("unsure", "marks", "layers", "elsewhere")}
    alarm = bool(row["found"]) if row["fault"] is None else not row["named"]
    return kept | {"found": [entry if alarm else entry[:2] for entry in row["found"]]}


def main() -> None:
    """Measure what is not measured yet, then sum up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--half", choices=("tune", "held"))
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--folder", type=Path, default=Path("runs") / "faults")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    marks, begun = (checksum(PLANTS), checksum(JUDGES)), time.perf_counter()
    rows: list[dict[str, Any]] = []
    for case in (*CASES, *HEALTHY):
        about = _about(case)
        if asked.half not in (None, about["half"]) or not any(name in about["name"] for name in asked.names or [""]):
            continue
        if time.perf_counter() - begun > asked.seconds:
            raise SystemExit(f"{len(rows)} measured; the rest the next time")
        rows.append(measured(case, asked.folder / about["half"] / about["name"], marks))
        if not rows[-1]["named"] if about["fault"] else rows[-1]["found"]:
            told = [entry[:2] for entry in rows[-1]["found"]]
            print(f"{about['half']} {about['name']}: wanted {rows[-1]['wanted'][:1]}, found {told}", flush=True)
    figures = summed(rows)
    print(json.dumps(figures["halves"], indent=1))
    if asked.half is None and not asked.names:
        record("diagnosis", {**figures, "rows": [_short(row) for row in rows]})
        write_page(HERE.parent / "docs" / "diagnosis.md", figures, rows)


if __name__ == "__main__":
    main()
