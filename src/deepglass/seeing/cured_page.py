"""A cure on one page: what was found, what was changed, and both learning curves in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepglass.diagnosing.finding import Finding
from deepglass.seeing.curves import compared_curves
from deepglass.seeing.page import document, facts, figure, section, table, tag
from deepglass.training.checkpoint import write_text
from deepglass.training.wording import words_for

History = Sequence[Mapping[str, Any]]


def write_cured_page(path: Path, finding: Finding, verdict: str, start: str, changes: Sequence[tuple[str, str, str]],
                     histories: tuple[History, History], metric: str) -> None:  # fmt: skip
    """Write the page. `changes` is (field, before, after); `histories` the lines of both runs, their epochs counted
    from the first run's first.

    Raises StorageError where it cannot be written.
    """
    drawn = compared_curves(dict(zip(("before", "cured"), histories, strict=True)), metric, words=words_for(metric))
    place = finding.layer or None
    told = facts([("where", place), ("found", finding.evidence), ("because", finding.cause),
                  ("remedy", finding.remedy)])  # fmt: skip
    changed = table(("field", "before", "cured"), changes, caption="What was changed", numbers=2)
    head = tag("header", tag("p", "deepglass · a cure", class_="eyebrow"), tag("h1", finding.title),
               tag("p", verdict, class_="verdict"))  # fmt: skip
    body = (
        head,
        section("How each learned", tag("div", *(figure(drawing) for drawing in drawn.values()), class_="grid"),
                note=f"The cure began {start}."),
        section("What was changed", changed),
        section("The finding", told),
    )  # fmt: skip
    write_text(path, document(f"{finding.title}: {verdict} · deepglass", *body))
