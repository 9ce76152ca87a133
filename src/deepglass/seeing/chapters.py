"""The chapters of a report, each from `run.json`'s plain values; one that has nothing to show is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepglass.seeing import charts
from deepglass.seeing.curves import learning_curves
from deepglass.seeing.page import Content, Markup, code, facts, figure, join, picture, section, table, tag
from deepglass.training.wording import around, decimals, duration, label, quoted, signed, tidy, valued, words_for

Summary = Mapping[str, Any]
PARTS = {"train": "training", "valid": "validation", "test": "test"}
TASKS = {"binary": "one of two classes", "multiclass": "one of several classes", "regression": "numbers"}
MOST_OPEN_CLASSES = 20


def opening(summary: Summary, name: str) -> Markup:
    """The title, the verdict, and the figures that a person came for."""
    target, source = summary.get("target"), summary.get("source")
    title = f"Predicting {target} from {source}" if target and source else name
    started = str(summary.get("started", ""))[:10]
    eyebrow = " · ".join(word for word in ("deepglass", str(summary.get("model") or ""), started) if word)
    unjudged = "This run has not been judged: it is still going on, or it was stopped before its end."
    return tag(
        "header",
        tag("p", eyebrow, class_="eyebrow"),
        tag("h1", title),
        tag("p", summary.get("verdict") or unjudged, class_="verdict"),
        _warning(summary),
    )


def _warning(summary: Summary) -> Markup | None:
    count = sum(note.get("level") == "trouble" for note in summary.get("data", {}).get("notes", ()))
    if not count:
        return None
    words = (
        "One thing in the data may spoil this result" if count == 1 else f"{count} things in the data may spoil this"
    )
    return tag("p", tag("a", f"{words}: see below", href="#the-data"), class_="warning")


def key_figures(summary: Summary) -> Markup | None:
    """The judged figure, the baselines beside it, the time and the size."""
    metric, value = summary.get("metric"), _judged(summary)
    if metric is None or value is None:
        return None
    digits = decimals(_interval(summary) or (value, value))
    part = PARTS[summary.get("judged_on", "test")]
    cells = [(f"{words_for(metric)}, {part}", value, around(_interval(summary), digits))]
    for name, one in reversed(list(summary.get("baselines", {}).items())):
        if metric in one["metrics"]:
            cells.append((label(name), one["metrics"][metric], _against(summary, one)))
    shown = [
        (term, join(f"{figure_:,.{digits}f}", tag("small", small) if small else None)) for term, figure_, small in cells
    ]
    seconds, epochs = summary.get("seconds", {}), summary.get("epochs")
    if "total" in seconds:
        shown.append(("time", join(duration(seconds["total"]), tag("small", f"{epochs:,} epochs" if epochs else None))))
    if summary.get("parameters"):
        model = str(summary.get("model") or "network")
        shown.append(("weights", join(charts.readable(summary["parameters"], 3), tag("small", model))))
    return facts(shown, class_="figures")


def compared(summary: Summary) -> Markup | None:
    """The chart of scores and what each baseline is."""
    metric, value, baselines = summary.get("metric"), _judged(summary), summary.get("baselines", {})
    if metric is None or value is None:
        return None
    if not baselines:
        return section("Beside the baselines", tag("p", "Baselines were not asked for.", class_="note"))
    digits = decimals(_interval(summary) or (value, value))
    named = {label(name): one for name, one in reversed(list(baselines.items()))}
    drawing = charts.scores(words_for(metric), metric, value, _interval(summary), named, digits=digits)
    ours = join("this network", tag("small", _made_of(summary)))
    took = duration(summary.get("seconds", {}).get("total", 0))
    around_ours = around(_interval(summary), digits) or "–"
    rows: list[Sequence[Content]] = [(ours, f"{value:,.{digits}f}", around_ours, "", took)]
    rows += [
        (join(called, tag("small", one["what"])), _figure(one["metrics"].get(metric), digits),
         around(one.get("interval"), digits) or "–", signed(one.get("difference")),
         duration(one.get("seconds", 0)))
        for called, one in named.items()
    ]  # fmt: skip
    heads = ("model", words_for(metric), "95 % interval", "ours minus theirs", "time")
    better = "higher" if summary.get("higher_is_better", True) else "lower"
    note = (f"The same training rows, the same {PARTS[summary.get('judged_on', 'test')]} rows; {better} is better. "
            "Bars are 95 % bootstrap intervals: where ours minus theirs spans zero, it is a tie.")  # fmt: skip
    scores = table(heads, rows, caption="Scores of the network and its baselines", numbers=4)
    return section("Beside the baselines", figure(drawing), scores, note=note)


def _made_of(summary: Summary) -> str:
    """The family and its size."""
    weights = summary.get("parameters")
    return ", ".join([str(summary.get("model") or "network"), *([f"{weights:,} weights"] if weights else [])])


def learning(summary: Summary, history: Sequence[Mapping[str, Any]]) -> Markup | None:
    """The curves, and why training ended."""
    metric = summary.get("metric") or next(iter(history[-1].get("valid", {})), "loss") if history else "loss"
    drawn = learning_curves(history, metric, summary.get("best_epoch"), words=words_for(metric))
    stopped, best = summary.get("stopped"), summary.get("best_epoch")
    ended = f"Training ended: {str(stopped).rstrip('.')}. " if stopped else ""
    note = ended + (f"The weights kept are those of epoch {best:,}." if best else "")
    figures = tag("div", *(figure(drawing) for drawing in drawn.values()), class_="grid") if drawn else None
    return section("How it learned", figures, note=note or None)


def mistakes(summary: Summary) -> Markup | None:
    """Confusion and calibration, or predictions and residuals; and the worst examples."""
    found = summary.get("mistakes", {})
    drawn: list[Markup | None] = []
    if found.get("confusion"):
        confusion = found["confusion"]
        drawn.append(figure(charts.confusion(confusion["classes"], confusion["counts"]), _folded(confusion)))
    if found.get("calibration"):
        said = "A dot above the dashed line: right more often than it is sure. The larger, the more rows."
        drawn.append(figure(charts.calibration(found["calibration"]), said))
    for place, one in enumerate(found.get("numbers", ())):
        if one["points"]:
            ends = one["residuals"]["quantiles"]
            said = f"Half of the errors lie between {valued(ends['0.25'])} and {valued(ends['0.75'])}."
            residuals = charts.residuals(one["residuals"]["edges"], one["residuals"]["counts"], one["name"],
                                         name=f"chart-residuals-{place}")  # fmt: skip
            points = charts.predicted_vs_true(one["points"], one["name"], name=f"chart-predicted-{place}")
            drawn += [figure(points), figure(residuals, said)]
    note = None
    if "wrong" in found:
        note = f"{found['wrong']:,} of {found['rows']:,} {PARTS[found['part']]} rows are wrong."
    grid = tag("div", *drawn, class_="grid") if drawn else None
    return section("Where it errs", grid, _worst(found), note=note)


def _folded(confusion: Mapping[str, Any]) -> str | None:
    if not confusion.get("others"):
        return None
    return (
        f"The {len(confusion['classes']) - 1} classes most often mistaken; {confusion['others']:,} others are one row."
    )


def _worst(found: Mapping[str, Any]) -> Markup | None:
    worst = found.get("worst")
    if not worst:
        return None
    pictures = all("picture" in one for one in worst)
    none_wrong = found.get("wrong") == 0
    title = "Least sure, though right" if none_wrong else "Worst mistakes"
    listed = tag(
        "ul", *(tag("li", _mistake(one)) for one in worst), class_="mistakes pictures" if pictures else "mistakes"
    )
    return join(tag("h3", title), listed)


def _mistake(one: Mapping[str, Any]) -> Markup:
    """What was there, what was said, how sure it was, and what it was given."""
    expected, predicted = valued(one["expected"]), valued(one["predicted"])
    image = picture(one["picture"], f"{expected}, taken for {predicted}") if "picture" in one else None
    if "probability" in one:
        said = f"{expected}, taken for {predicted}" if expected != predicted else expected
        sure = f"{one['probability']:.1%} sure"
    else:
        said, sure = f"{expected}, predicted {predicted}", f"off by {valued(one['error'])}"
    where = tag("p", f"{sure}, row\u00a0{one['row'] + 1:,}", class_="sure")
    return join(image, tag("p", said, class_="said"), where, facts(one.get("inputs", {}).items()))


def per_class(summary: Summary) -> Markup | None:
    """Precision, recall and F1 of each class, folded away where there are many."""
    rows = summary.get("per_class") or ()
    if not rows:
        return None
    heads = ("class", "precision", "recall", "F1", "rows")
    lines = [(one["class"], *(f"{one[key]:.3f}" for key in ("precision", "recall", "f1")), f"{one['support']:,}")
             for one in rows]  # fmt: skip
    made = table(heads, lines, caption="Figures of each class", numbers=4)
    if len(lines) > MOST_OPEN_CLASSES:
        made = tag("details", tag("summary", f"All {len(lines):,} classes"), made)
    return section("Each class", made)


def all_figures(summary: Summary) -> Markup | None:
    """Every figure on every part."""
    metrics = {part: found for part, found in summary.get("metrics", {}).items() if found}
    names = list(dict.fromkeys(name for found in metrics.values() for name in found))
    if not names:
        return None
    rows = [(words_for(name), *(tidy(found.get(name)) for found in metrics.values())) for name in names]
    heads = ["figure", *(PARTS.get(part) or part for part in metrics)]
    return section("Every figure", table(heads, rows, caption="Every figure on every part", numbers=len(metrics)))


def the_data(summary: Summary) -> Markup | None:
    """Rows, split, columns; troubles first, then what was guessed."""
    found = summary.get("data", {})
    rows = found.get("rows", {})
    counts = ", ".join(f"{count:,} {PARTS.get(part, part)}" for part, count in rows.items())
    listed = facts([
        ("source", summary.get("source")), ("to predict", summary.get("target")),
        ("task", TASKS.get(summary.get("task", ""))),
        ("rows", f"{sum(rows.values()):,}: {counts}" if rows else None), ("split", found.get("split")),
        ("columns", f"{found['columns']:,}" if found.get("columns") else None),
    ])  # fmt: skip
    notes = sorted(found.get("notes", ()), key=lambda note: note.get("level") != "trouble")
    said = [tag("li", tag("b", "Trouble: ") if note.get("level") == "trouble" else None, note.get("text", ""),
                class_=note.get("level")) for note in notes]  # fmt: skip
    return section("The data", listed, tag("ul", *said, class_="notes") if said else None)


def how_it_was_made(summary: Summary, recipe: str | None) -> Markup | None:
    """The plan with its reasons, and the recipe word for word."""
    plan = summary.get("plan", {})
    why = plan.get("why", {})
    chosen = {key: value for key, value in plan.items() if key not in ("why", "memory_bytes") and value is not None}
    shown: list[tuple[str, Content]] = [
        (key.replace("_", " "), _planned(value, why.get(key))) for key, value in chosen.items()
    ]
    if plan.get("memory_bytes"):
        shown.append(("memory", f"{plan['memory_bytes'] / 2**20:,.0f} MiB of data"))
    folded = tag("details", tag("summary", "The whole recipe"), code(recipe)) if recipe else None
    return section("How it was made", facts(shown), folded)


def _planned(value: Any, reason: str | None) -> Markup:
    text = f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return join(text, tag("span", f" – {reason}", class_="note") if reason else None)


def onward(summary: Summary, name: str) -> Markup | None:
    """How to have it again, and how to use it."""
    run = str(summary.get("run") or name)
    again = summary.get("command") or f"deepglass train DATA --set recipe={quoted(run + '/recipe.toml')}"
    use = f"deepglass predict {quoted(run)} NEW_DATA --out predictions.csv\ndeepglass evaluate {quoted(run)} NEW_DATA"
    lines = (
        "import deepglass as dg",
        "",
        f"run = dg.load({run!r})",
        "run.predict(new_data)    # a file, a frame, arrays",
        "run.evaluate(new_data)   # the same figures on other rows",
        "run.model                # the torch module",
    )
    called = (tag("h3", "The same once more"), code(str(again)), tag("h3", "Use it"), code(use), code("\n".join(lines)))
    return section("Again, and onward", *called)


def _judged(summary: Summary) -> float | None:
    return summary.get("metrics", {}).get(summary.get("judged_on", "test"), {}).get(summary.get("metric"))


def _figure(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _interval(summary: Summary) -> tuple[float, float] | None:
    ends = summary.get("interval")
    return (ends[0], ends[1]) if ends and None not in ends else None


def _against(summary: Summary, one: Mapping[str, Any]) -> str | None:
    """Who is ahead of a baseline, by the paired interval."""
    ends = one.get("difference")
    if not ends or None in ends:
        return None
    if ends[0] <= 0 <= ends[1]:
        return "a tie"
    return "ours is better" if (ends[0] > 0) == summary.get("higher_is_better", True) else "theirs is better"
