"""A look inside from the command line, and the look that is kept with every run.

Whatever cannot be seen is said and passed over: looking never costs a run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepglass.diagnosing.diagnose import diagnose
from deepglass.drawing.draw import draw
from deepglass.drawing.svg import as_svg
from deepglass.errors import DeepglassError
from deepglass.explaining.probe import probe
from deepglass.seeing.attributed import attributions
from deepglass.seeing.subject import Subject, of_run, open_subject
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from deepglass.training.checkpoint import write_json
from deepglass.training.run import Run

PAGE_WIDTH = 900
SEEN = "seen.json"


def look(named: str, view: str, at: str | None, step: int | None, out: Path | None) -> str:
    """What `deepglass see` prints: the picture in words, and where it was drawn.

    view   layers | nodes | graph | summary;  at   a layer: the picture is of it alone, and its figures follow
    step   one operation of the walk forward and backward, counted from 1
    """
    subject = open_subject(named)
    view = "graph" if step is not None and view == "layers" else view  # only the graph can be walked
    drawing = draw(_recorded(subject, step is not None), view=view, at=at, step=step, out=out)
    told = [drawing.text]
    if at is not None and subject.inputs:
        told.append(str(probe(subject.module, subject.inputs, at=(at,), loss=subject.loss)))
    told.append(f"drawn in {out}" if out else "to draw it: --out FILE.svg, .png or .html")
    return "\n\n".join(told)


def _recorded(subject: Subject, walked: bool) -> Graph:
    """What the subject computes; with gradients where it is to be walked."""
    loss = (subject.loss or _total) if walked else None
    return record(subject.module, *subject.inputs, loss=loss)


def _total(outputs: Any) -> Any:
    """The sum of the outputs, to differentiate where nothing says what is to be made small."""
    first = outputs[0] if isinstance(outputs, tuple | list) else outputs
    return first.sum()


def keep_seen(run: Run) -> dict[str, Any]:
    """Look inside a run that has just been judged, and write `seen.json`: architecture, diagnosis, attributions."""
    seen = {
        "architecture": _tried("the architecture", lambda: _architecture(run)),
        "diagnosis": _tried("the diagnosis", lambda: diagnose(run).to_json()),
        "attributions": _tried("what mattered", lambda: attributions(run)),
    }
    kept = {key: value for key, value in seen.items() if value}
    write_json(run.path / SEEN, kept)
    return kept


def _architecture(run: Run) -> dict[str, Any]:
    drawing = draw(_recorded(of_run(run, count=2), walked=False), view="layers", width=PAGE_WIDTH)
    svg = as_svg(drawing.scene, standalone=False, name=f"network-{run.path.name}")
    return {"svg": svg, "lines": list(drawing.scene.lines)}


def _tried(what: str, look_at: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is seen; where seeing fails, a word of it, and a warning once. Our own tests see the failure itself."""
    try:
        return look_at()
    except DeepglassError as error:
        return {"note": str(error)}
    except Exception as error:
        if "PYTEST_CURRENT_TEST" in os.environ:
            raise
        warnings.warn(f"{what} could not be seen: {type(error).__name__}: {error}", stacklevel=2)
        return {}
