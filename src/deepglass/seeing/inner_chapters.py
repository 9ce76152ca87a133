"""The chapters of a report that look inside: the architecture, the doctor's findings, the layers as they learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepglass.seeing.inside import inside_charts
from deepglass.seeing.page import Markup, code, facts, figure, join, section, tag
from deepglass.seeing.wording import quoted

Seen = Mapping[str, Any]
SURE = {"sure": None, "likely": "likely"}


def architecture(seen: Seen, title: str = "The network") -> Markup | None:
    """The network layer by layer, drawn, and in words for who cannot see it."""
    drawn = seen.get("architecture") or {}
    lines = drawn.get("lines") or ()
    words = tag("details", tag("summary", "The same in words"), code("\n".join(lines))) if lines else None
    return section(title, figure(drawn.get("svg")), words, note=drawn.get("note"))


def findings(seen: Seen, run: str, title: str = "Findings") -> Markup | None:
    """What is wrong, where, why, and what to do; or that nothing was found; and what could not be judged."""
    diagnosis = seen.get("diagnosis")
    if not diagnosis:
        return None
    found = diagnosis.get("findings") or ()
    told = tag("ol", *(tag("li", _finding(one)) for one in found), class_="findings") if found else None
    curable = any(one.get("cure") for one in found)
    cure = code(f"deepglass diagnose {quoted(run)} --cure") if curable else None
    doubts = diagnosis.get("unsure") or ()
    listed = join(tag("h3", "Not judged"), tag("ul", *(tag("li", text) for text in doubts))) if doubts else None
    note = None if found else "Nothing amiss was found in how this network learned."
    return section(title, told, cure, listed, tag("p", note) if note else None)


def _finding(one: Mapping[str, Any]) -> Markup:
    place = join(" in ", tag("code", one["layer"])) if one.get("layer") else None
    doubt = SURE.get(one.get("certainty", "sure"))
    fields = " ".join(f"--set {name}={_value(value)}" for name, value in (one.get("cure") or {}).items())
    return join(
        tag("h3", one["title"], place, tag("span", f" {doubt}", class_="note") if doubt else None),
        facts([
            ("evidence", one.get("evidence")), ("cause", one.get("cause")), ("remedy", one.get("remedy")),
            ("to try", tag("code", fields) if fields else None),
        ]),
    )  # fmt: skip


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def inside(lines: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Every layer's signal, gradient, update and dead units, at the steps that were watched."""
    charts = inside_charts(lines)
    if not charts:
        return None
    drawn = tag("div", *(figure(svg, meaning) for svg, meaning in charts.values()), class_="grid")
    note = (f"A row a layer, from the first to the last; a column a watched step ({len(lines):,} of them); "
            "the darker, the larger. At the right, the last figure.")  # fmt: skip
    return section("Inside, while it learned", drawn, note=note)
