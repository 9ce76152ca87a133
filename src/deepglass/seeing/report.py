"""One self-contained page for a run: what came out, beside what, how it learned, where it errs, how to have it again.

Only the run folder is read (run.json, history.jsonl, recipe.toml), so the page can be written again at any time and
anywhere. It needs no network and no script, and shows whatever a data set is called as text, never as markup.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepglass.diagnosing.watch import read_inside
from deepglass.errors import RunError
from deepglass.seeing import chapters, inner_chapters
from deepglass.seeing.page import document, tag
from deepglass.training.checkpoint import write_text
from deepglass.training.saving import read_history

PAGE, SEEN = "report.html", "seen.json"


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder and say where it is.

    What the folder does not hold yet (an interrupted run, baselines that were not asked for) is left out. Raises
    RunError where the folder is no run's, StorageError where the page cannot be written.
    """
    folder = Path(folder)
    recipe = folder / "recipe.toml"
    summary, seen = read_summary(folder), read_seen(folder)
    name = folder.resolve().name
    words = recipe.read_text(encoding="utf-8", errors="replace") if recipe.exists() else None
    body = (
        chapters.opening(summary, name),
        chapters.key_figures(summary),
        chapters.compared(summary),
        inner_chapters.architecture(seen),
        chapters.learning(summary, read_history(folder)),
        inner_chapters.findings(seen, str(summary.get("run") or name)),
        inner_chapters.inside(read_inside(folder)),
        chapters.mistakes(summary),
        inner_chapters.attribution(seen),
        chapters.per_class(summary),
        chapters.all_figures(summary),
        chapters.the_data(summary),
        chapters.how_it_was_made(summary, words),
        chapters.onward(summary, name),
        tag("footer", _made_by(summary)),
    )
    path = folder / PAGE
    write_text(path, document(f"{summary.get('target') or name} · deepglass", *body))
    return path


def read_summary(folder: Path) -> dict[str, Any]:
    """run.json, or nothing where the run was not judged yet. Raises RunError where the folder is no run's."""
    if not (folder / "recipe.toml").exists() and not (folder / "run.json").exists():
        raise RunError(f"{folder}: not a run folder: it holds neither recipe.toml nor run.json.")
    return _read_object(folder / "run.json")


def read_seen(folder: Path) -> dict[str, Any]:
    """What was seen inside at the end of the run: architecture, diagnosis, attributions; or nothing."""
    return _read_object(folder / SEEN)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, OSError) as error:
        raise RunError(f"{path}: cannot be read: {error}.", next="train again, or take a copy of the run") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: found a {type(found).__name__}, expected an object.", next="train again")
    return found


def _made_by(summary: dict[str, Any]) -> str:
    versions = [f"{name} {summary[name]}" for name in ("deepglass", "torch", "python") if summary.get(name)]
    return f"Made from this run's folder alone{': ' if versions else ''}{', '.join(versions)}."
