"""Every look at every foreign architecture of the tests, and what came of it: writes docs/architectures.md.

python bench/architectures.py [NAME ...]        # with names: printed, and nothing written
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from deepglass.drawing.draw import draw
from deepglass.drawing.summary import summarize
from deepglass.errors import ModelError
from deepglass.explaining.probe import probe
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from zoo import ZOO, Animal, scalar

PAGE = Path(__file__).parent.parent / "docs" / "architectures.md"
LOOKS: tuple[str, ...] = ("record", "check", "gradients", "layers", "graph", "nodes", "summary", "probe")
HEAD = """# Architectures nobody here wrote

Classes of `transformers` {transformers} and `torch.nn` (PyTorch {torch}), built from tiny configurations with random
weights: nothing in deepglass knows any of them. For each: recorded forward and backward, replayed (*check*: every value
computed again from the recorded inputs equals the recorded one), every weight's gradient compared with autograd's
(*gradients*: the same bits), drawn in every view, summed up and probed.

| | |
| --- | --- |
| ✓ | succeeded; for *summary*: parameters equal `sum(p.numel())`, tied weights once |
| – | refused in words: a recurrent or attention layer alone has no neurons that the nodes view can draw |
| ✗ | failed; the reason stands below |

{count} architectures, {looks} looks, {failed} failed. Made by `python bench/architectures.py`.

"""


@dataclass(frozen=True)
class Outcome:
    """What came of looking at one architecture; `words` says why a look failed."""

    animal: Animal
    marks: dict[str, str]
    words: dict[str, str]
    operations: int = 0
    parameters: int = 0
    layers: int = 0
    seconds: float = 0.0


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def looked_at(animal: Animal) -> Outcome:
    """Every look in turn; one that fails leaves the others alone."""
    module, inputs = animal.made(), animal.inputs()
    marks: dict[str, str] = dict.fromkeys(LOOKS, "✗")
    words: dict[str, str] = {}
    start = time.perf_counter()
    graph: Graph | None = None
    try:
        graph = record(module, options=inputs, loss=scalar)
        marks["record"] = "✗" if graph.failure else "✓"
    except Exception as error:
        words["record"] = repr(error)
    if graph is None:
        return Outcome(animal, marks, words, parameters=parameters(module))
    found: dict[str, Any] = {}
    for look, act in acts(graph, module, inputs).items():
        try:
            found[look], marks[look] = act()
        except ModelError as error:
            # The nodes view says what has no neurons; any other refusal is a failure.
            marks[look] = "–" if look == "nodes" else "✗"
            words[look] = str(error)
        except Exception as error:
            words[look] = f"{type(error).__name__}: {error}"
    layers = len(found["probe"].layers) if "probe" in found else 0
    seconds = time.perf_counter() - start
    return Outcome(animal, marks, words, len(graph.operations), parameters(module), layers, seconds)


def acts(graph: Graph, module: nn.Module, inputs: dict[str, Any]) -> dict[str, Callable[[], tuple[Any, str]]]:
    """What is done to a graph, by the look's name: each gives what it made, and its mark."""

    def checked() -> tuple[Any, str]:
        check = graph.check()
        return check, "✓" if check.agrees else "✗"

    def summed() -> tuple[Any, str]:
        summary = summarize(graph)
        return summary, "✓" if str(summary) and summary.parameters == parameters(module) else "✗"

    def probed() -> tuple[Any, str]:
        found = probe(graph)
        return found, "✓" if str(found) and found.layers else "✗"

    def drawn(view: str) -> Callable[[], tuple[Any, str]]:
        def act() -> tuple[Any, str]:
            drawing = draw(graph, view=view)
            return drawing, "✓" if drawing.svg.startswith("<") and str(drawing) else "✗"

        return act

    looks = {view: drawn(view) for view in ("layers", "graph", "nodes")}
    return {"check": checked, "gradients": lambda: (None, graded(graph, module, inputs)), **looks,
            "summary": summed, "probe": probed}  # fmt: skip


def graded(graph: Graph, module: nn.Module, inputs: dict[str, Any]) -> str:
    """Whether every weight's recorded gradient is autograd's to the bit; the module is used up by it."""
    scalar(module(**inputs)).backward()
    compared = 0
    for name, weight in module.named_parameters():
        kept = graph.value(name).gradient
        if kept is None or weight.grad is None:
            if (kept is None) != (weight.grad is None):
                raise ValueError(f"{name}: a gradient on one side alone")
            continue
        if kept.tensor is None or not torch.equal(kept.tensor, weight.grad):
            raise ValueError(f"{name}: not the same")
        compared += 1
    return "✓" if compared else "✗"


def main() -> None:
    """Look at those named on the command line, or at all and write the page."""
    names = sys.argv[1:] or list(ZOO)
    outcomes = []
    for name in names:
        outcome = looked_at(ZOO[name])
        outcomes.append(outcome)
        print(
            f"{name:<24} {' '.join(outcome.marks.values())} {outcome.seconds:6.2f} s  {outcome.words or ''}", flush=True
        )
    if len(names) == len(ZOO):
        PAGE.write_text(page(outcomes), encoding="utf-8")
        print(f"written: {PAGE}")


def page(outcomes: list[Outcome]) -> str:
    failed = [(outcome, look) for outcome in outcomes for look, mark in outcome.marks.items() if mark == "✗"]
    lines = [HEAD.format(transformers=version("transformers"), torch=version("torch").partition("+")[0],
                         count=len(outcomes), looks=len(outcomes) * len(LOOKS), failed=len(failed))]  # fmt: skip
    lines.append(f"| class | operations | parameters | layers probed | {' | '.join(LOOKS)} |\n")
    lines.append("| --- | ---: | ---: | ---: |" + " :-: |" * len(LOOKS) + "\n")
    for outcome in outcomes:
        figures = f"{outcome.operations:,} | {outcome.parameters:,} | {outcome.layers:,}"
        origin = "" if outcome.animal.config else "nn."
        lines.append(f"| {origin}{outcome.animal.type} | {figures} | {' | '.join(outcome.marks.values())} |\n")
    lines += ["\n", *(f"- {outcome.animal.type}, {look}: {outcome.words.get(look, '')}\n" for outcome, look in failed)]
    return "".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
