"""Two runs on one page: what was changed, what came of it, how each learned, what ails each.

Like the report it reads the two folders alone, and is one file that needs neither network nor script.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepglass.seeing import inner_chapters
from deepglass.seeing.curves import compared_curves
from deepglass.seeing.page import Content, Markup, document, figure, join, section, table, tag
from deepglass.seeing.report import read_seen, read_summary
from deepglass.training.checkpoint import write_text
from deepglass.training.saving import read_history
from deepglass.training.wording import around, decimals, duration, tidy, words_for

NEVER_COMPARED = ("checkpoint_every",)


@dataclass(frozen=True)
class Side:
    """What one run's folder holds."""

    name: str
    summary: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    seen: Mapping[str, Any]
    recipe: Mapping[str, Any]


def write_comparison(first: Path, second: Path) -> Path:
    """Write the page into the second run's folder, `beside-FIRST.html`, and say where it is.

    Raises RunError where a folder is no run's, StorageError where the page cannot be written.
    """
    one, other = _side(Path(first)), _side(Path(second))
    if one.name == other.name:
        one, other = _side(Path(first), long=True), _side(Path(second), long=True)
    sides = (one, other)
    path = Path(second) / f"beside-{Path(first).resolve().name}.html"
    title = f"{one.name} beside {other.name}"
    body = (_opening(sides), _changes(sides), _scores(sides), _learning(sides), *_ailments(sides), *_networks(sides))
    write_text(path, document(f"{title} · deepglass", *body))
    return path


def _side(folder: Path, *, long: bool = False) -> Side:
    summary = read_summary(folder)
    recipe = folder / "recipe.toml"
    settled = tomllib.loads(recipe.read_text(encoding="utf-8")) if recipe.exists() else {}
    resolved = folder.resolve()
    name = f"{resolved.parent.name}/{resolved.name}" if long else resolved.name
    return Side(name, summary, read_history(folder), read_seen(folder), settled)


def _opening(sides: tuple[Side, Side]) -> Markup:
    head = tag("h1", f"{sides[0].name} beside {sides[1].name}")
    return tag(
        "header", tag("p", "deepglass · two runs", class_="eyebrow"), head, tag("p", verdict(*sides), class_="verdict")
    )


def verdict(first: Side, second: Side) -> str:
    """Which of the two is better, in one sentence, and how sure that is."""
    metric = second.summary.get("metric")
    ours, theirs = _judged(second, metric), _judged(first, metric)
    if metric is None or ours is None or theirs is None:
        return "These runs have no figure in common: one was not judged, or they are judged by different figures."
    digits = decimals((ours, theirs))
    words = words_for(metric)
    figures = f"{words} {theirs:.{digits}f} for {first.name}, {ours:.{digits}f} for {second.name}"
    higher = second.summary.get("higher_is_better", True)
    if first.summary.get("data", {}).get("rows") != second.summary.get("data", {}).get("rows"):
        return f"{figures[0].upper()}{figures[1:]}: not judged on the same rows, so the two figures cannot be compared."
    if ours == theirs:
        return f"{figures[0].upper()}{figures[1:]}: the same."
    better = second.name if (ours > theirs) == higher else first.name
    apart = _apart(first.summary.get("interval"), second.summary.get("interval"))
    sure = "beyond both 95\u00a0% intervals" if apart else "but the 95\u00a0% intervals overlap: it may be chance"
    return f"{figures[0].upper()}{figures[1:]}: {better} is better, {sure}."


def _apart(one: Sequence[float] | None, other: Sequence[float] | None) -> bool:
    return bool(one and other and None not in (*one, *other) and (one[1] < other[0] or other[1] < one[0]))


def _judged(side: Side, metric: str | None) -> float | None:
    return side.summary.get("metrics", {}).get(side.summary.get("judged_on", "test"), {}).get(metric)


def _scores(sides: tuple[Side, Side]) -> Markup | None:
    """Every figure of the judged part, and what each run cost."""
    found = [side.summary.get("metrics", {}).get(side.summary.get("judged_on", "test"), {}) for side in sides]
    names = list(dict.fromkeys(name for figures in found for name in figures))
    rows: list[Sequence[Content]] = [
        (
            words_for(name),
            *(_with_interval(side, name, figures.get(name)) for side, figures in zip(sides, found, strict=True)),
        )
        for name in names
    ]
    costs = (("weights", "parameters"), ("epochs", "epochs"), ("best epoch", "best_epoch"))
    rows += [(word, *(_whole(side.summary.get(key)) for side in sides)) for word, key in costs]
    rows.append(("time", *(duration(side.summary.get("seconds", {}).get("total", 0)) for side in sides)))
    heads = ("", *(side.name for side in sides))
    return section("What came of it", table(heads, rows, caption="Figures of the two runs", numbers=2))


def _whole(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def _with_interval(side: Side, name: str, value: float | None) -> Content:
    ends = side.summary.get("interval")
    if name != side.summary.get("metric") or not ends or None in ends:
        return tidy(value)
    return join(tidy(value), tag("small", around((ends[0], ends[1]), decimals((ends[0], ends[1])))))


def _changes(sides: tuple[Side, Side]) -> Markup | None:
    """The fields of the two recipes that differ, options of the family among them."""
    flat = [{**side.recipe, **side.recipe.get("options", {})} for side in sides]
    names = [name for name in dict.fromkeys((*flat[0], *flat[1])) if name not in ("options", *NEVER_COMPARED)]
    rows = [
        (name, *(_shown(one.get(name)) for one in flat)) for name in names if flat[0].get(name) != flat[1].get(name)
    ]
    if not rows:
        return section("What was changed", tag("p", "The two recipes are the same word for word.", class_="note"))
    heads = ("field", *(side.name for side in sides))
    return section("What was changed", table(heads, rows, caption="Fields of the recipes that differ", numbers=2))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _learning(sides: tuple[Side, Side]) -> Markup | None:
    metric = sides[1].summary.get("metric") or "loss"
    drawn = compared_curves({side.name: side.history for side in sides}, metric, words=words_for(metric))
    if not drawn:
        return None
    return section("How each learned", tag("div", *(figure(drawing) for drawing in drawn.values()), class_="grid"))


def _ailments(sides: tuple[Side, Side]) -> list[Markup | None]:
    return [
        inner_chapters.findings(side.seen, str(side.summary.get("run") or side.name), title=f"Findings in {side.name}")
        for side in sides
    ]


def _networks(sides: tuple[Side, Side]) -> list[Markup | None]:
    """Both networks where they differ, else the one."""
    drawn = [inner_chapters.architecture(side.seen, title=f"The network of {side.name}") for side in sides]
    words = [(side.seen.get("architecture") or {}).get("lines") for side in sides]
    return [inner_chapters.architecture(sides[0].seen, title="The network of both")] if words[0] == words[1] else drawn
