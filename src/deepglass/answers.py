"""What the commands print: results for a person on standard output, one JSON object for a program, notices apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from deepglass.plain import finite

if TYPE_CHECKING:
    from deepglass.training.run import Run


def print_run(run: Run, findings: Sequence[Mapping[str, Any]] = ()) -> None:
    """The judged figure beside the baselines, all figures, the verdict, what was found amiss, and where it all is."""
    metrics, metric, judged_on = run.summary["metrics"], run.summary["metric"], run.summary["judged_on"]
    rows = [("this network", metrics[judged_on].get(metric))]
    rows += [(entry["what"], entry["metrics"].get(metric)) for entry in run.summary["baselines"].values()]
    width = max(len(name) for name, _ in rows)
    typer.echo(f"\n{metric} on the {judged_on} part")
    for name, value in rows:
        typer.echo(f"  {name:<{width}}  " + ("–" if value is None else f"{value:.4g}"))
    print_figures("all figures of the network", metrics.get(judged_on, {}))
    typer.echo(f"\n{run.verdict}\n")
    for one in findings:
        place = f" in {one['layer']}" if one.get("layer") else ""
        typer.echo(f"found   {one['title']}{place}: {one['evidence']}")
    if findings:
        typer.echo(f"        why, and what to do: deepglass diagnose {run.path}")
    typer.echo(f"run     {run.path}")
    if (run.path / "report.html").exists():
        typer.echo(f"report  {run.path / 'report.html'}")


def print_figures(title: str, figures: Mapping[str, float]) -> None:
    """Figures in two columns under a title."""
    typer.echo(f"\n{title}")
    for name, value in figures.items():
        typer.echo(f"  {name:<18} {value:.4g}")


def print_json(plain: Any) -> None:
    """One object on one line; figures that are no numbers are null."""
    typer.echo(json.dumps(finite(plain), ensure_ascii=False))


def say(text: str) -> None:
    """A notice, on standard error, so that standard output stays for results."""
    typer.echo(text, err=True)
