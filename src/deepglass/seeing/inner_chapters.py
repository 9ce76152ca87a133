"""The chapters of a report that look inside: the architecture, the doctor's findings, the layers as they learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepglass.seeing.importance import MOST_ROWS, importance_chart
from deepglass.seeing.inside import inside_charts
from deepglass.seeing.page import Markup, code, facts, figure, join, picture, section, tag
from deepglass.training.wording import quoted, words_for

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


def attribution(seen: Seen) -> Markup | None:
    """What mattered: columns or pictures, and whether the method stood its two tests; one that failed is said to."""
    found = seen.get("attributions") or {}
    if not found.get("method"):
        return None
    failed = None if found.get("trusted") else "Not to be trusted: the method failed a test below."
    warned = tag("p", failed, class_="warning") if failed else None
    columns = found.get("columns") or ()
    chart = figure(importance_chart(columns, words_for(found["metric"])), _left_out(found)) if columns else None
    drawn = figure(found["svg"]) if found.get("svg") else None
    maps = [tag("li", _explained(one)) for one in found.get("examples") or ()]
    listed = tag("ul", *maps, class_="mistakes pictures") if maps else None
    checks = [tag("li", f"{check['name']}: {check['words']}") for check in found.get("checks") or ()]
    tested = tag("details", tag("summary", f"Tested: {found.get('verdict')}"), tag("ul", *checks)) if checks else None
    note = found.get("why") or found["method"]
    return section("What mattered", warned, chart, drawn, listed, tested, note=note)


def _left_out(found: Mapping[str, Any]) -> str | None:
    rest = len(found.get("columns") or ()) - MOST_ROWS
    said = [f"{rest:,} columns that mattered less are not shown"] if rest > 0 else []
    said += [f"{len(found['skipped']):,} were not tried, for want of time"] if found.get("skipped") else []
    return "; ".join(said).capitalize() + "." if said else None


def _explained(one: Mapping[str, Any]) -> Markup:
    """An example beside the map of what mattered in it."""
    expected, answer = one.get("expected"), one.get("predicted")
    words = f"{expected}" if expected == answer else f"{expected}, taken for {answer}"
    image = picture(one["picture"], f"{words}") if one.get("picture") else None
    pair = tag("div", image, picture(one["map"], f"what mattered in {words}"), class_="pair")
    return join(pair, tag("p", words, class_="said"), tag("p", f"row\u00a0{one['row'] + 1:,}", class_="sure"))
