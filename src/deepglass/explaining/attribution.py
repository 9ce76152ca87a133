"""Which inputs mattered for one prediction (V7): the method chosen by kind of data, said, and put to two questions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from deepglass.errors import ModelError, nearest
from deepglass.explaining.attributing import (
    GAP,
    Explainer,
    Values,
    completeness_gap,
    every_row,
    everywhere,
    grad_cam,
    gradient_times_input,
    integrated_gradients,
    last_maps,
    occlusion,
    permutation,
    scores,
)
from deepglass.explaining.attribution_checks import (
    CHECKED,
    Check,
    check_dependence,
    check_faithfulness,
    first_rows,
    verdict_of,
)
from deepglass.explaining.blending import Blend
from deepglass.explaining.given import BUDGET, Baseline, Inputs, Kind, blend_of
from deepglass.explaining.scoring import Score, Target, choose_score
from deepglass.explaining.unharmed import opened, unharmed

MethodName = Literal["gradient_times_input", "integrated_gradients", "occlusion", "grad_cam", "permutation"]

METHODS: Mapping[str, Explainer] = {
    "gradient_times_input": gradient_times_input,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "grad_cam": grad_cam,
    "permutation": permutation,
}
PREFERRED: Mapping[str, tuple[str, ...]] = {
    "picture": ("grad_cam", "integrated_gradients", "occlusion"),
    "table": ("permutation", "integrated_gradients", "occlusion"),
    "sequence": ("integrated_gradients", "occlusion"),
    "numbers": ("integrated_gradients", "occlusion"),
}
"""The methods that suit a kind, the first choice first. One that fails its checks gives way to the next."""

WORDS: Mapping[str, str] = {
    "gradient_times_input": "gradient × input",
    "integrated_gradients": "integrated gradients",
    "occlusion": "occlusion",
    "grad_cam": "Grad-CAM",
    "permutation": "permutation importance",
}
ENOUGH_TO_PERMUTE = 32
LEAST_MAPS = 3
MOST_PERMUTED, ROWS_OF_A_TABLE = 256, 32
STEPS_OF_A_COPY = 32


@dataclass(frozen=True)
class Attribution:
    """What mattered, and whether that can be trusted.

    values    one tensor an explained input, [m, …] as large as it (Grad-CAM: one channel). Positive: raises the score
    inputs    what was explained;  kind  picture, table, sequence, numbers
    method, layer, why   how, and why so;  target   what is explained, an example each
    score, reference     the score of each example, and of its baseline [m]
    gap       integrated gradients: the worst |Σ values − (score − reference)| / |score − reference|
    checks    see `attribution_checks`;  verdict   their sum in a sentence
    """

    values: Values = field(repr=False)
    inputs: tuple[Tensor, ...] = field(repr=False)
    kind: Kind
    method: str
    why: str
    target: tuple[str, ...]
    score: Tensor = field(repr=False)
    reference: Tensor = field(repr=False)
    baseline: str = ""
    layer: str | None = None
    gap: float | None = None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Both checks in a sentence."""
        return verdict_of(self.checks)

    @property
    def trusted(self) -> bool:
        """No check failed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def importance(self) -> tuple[Tensor, ...]:
        """How much each entry mattered whatever the direction, the mean of |value| over the examples."""
        return tuple(entry.abs().mean(0) for entry in self.values)

    def __str__(self) -> str:
        lines = [f"{WORDS.get(self.method, self.method)} of {', '.join(dict.fromkeys(self.target))}", self.why]
        return "\n".join([*lines, *map(str, self.checks), *self.notes, f"Verdict: {self.verdict}."])


def attribute(thing: Any, inputs: Inputs, target: Target = None, *, method: MethodName | Explainer | None = None,
              baseline: Baseline = None, kind: Kind | None = None, layer: str | None = None, budget: int = BUDGET,
              checks: int = CHECKED) -> Attribution:  # fmt: skip
    """Which entries of the inputs made the net answer as it did.

    thing    a torch module, a function of tensors, or an object with a `.model`
    inputs   a tensor, several in a tuple, or a dictionary by keyword; the examples first, as the net is given them
    target   None for the class each example is given (or the one output); a class, one an example, or a function of
             the outputs
    method   a name in METHODS, or a function of a `Blend` and a `Score`; by default the first of PREFERRED[kind] that
             passes its checks, as `why` tells
    baseline "zero", "mean", "blur" (pictures), a number or a tensor: what says nothing
    layer    where Grad-CAM looks;  budget  bytes that a pass may take
    checks   how many examples are put to the checks, 0 for none

    Raises ModelError for a method, layer, target or baseline that does not fit, naming what does.

    >>> net = torch.nn.Linear(3, 1, bias=False)
    >>> _ = torch.nn.init.constant_(net.weight, 2.0)
    >>> attribute(net, torch.tensor([[1.0, 0.0, -3.0]]), method="occlusion", checks=0).values[0].tolist()
    [[2.0, 0.0, -6.0]]
    """
    if isinstance(method, str) and method not in METHODS:
        raise ModelError(f"method: no {method!r}.", next=f"take {nearest(method, METHODS)}")
    _, module, _ = opened(thing)
    with unharmed(module):
        blend, found, base = blend_of(thing, inputs, baseline=baseline, kind=kind, budget=budget)
        score, tried = _score(blend, target), list[Attribution]()
        for name in (method,) if method is not None else _candidates(blend, found, layer):
            made = _explained(blend, score, name, layer, checks)
            given = tuple(blend.of(place) for place in range(len(blend.explained)))
            tried.append(Attribution(**made, inputs=given, kind=found, target=score.words, baseline=base))
            if tried[-1].trusted:
                break
        return _told(tried, blend, chosen=method is None)


def _score(blend: Blend, target: Target) -> Score:
    whole = blend.passes(every_row(blend), everywhere(blend, 1.0))
    outputs = torch.cat([one.outputs.detach() for one in whole])
    return choose_score(outputs, target)


def _candidates(blend: Blend, kind: Kind, layer: str | None) -> tuple[str, ...]:
    """The methods that suit the kind and can be had here."""
    found = list(PREFERRED[kind])
    if layer is not None:
        return ("grad_cam",)
    maps = last_maps(blend) if "grad_cam" in found else None
    if maps is None or min(maps[1]) < LEAST_MAPS:
        found = [name for name in found if name != "grad_cam"]
    if "permutation" in found and len(blend) < ENOUGH_TO_PERMUTE:
        found.remove("permutation")
    if blend.substituted:
        found = [name for name in found if name in ("occlusion", "permutation")]
    return tuple(found)


def _explained(blend: Blend, score: Score, method: str | Explainer, layer: str | None, checks: int) -> dict[str, Any]:
    """One method's map, put to the checks: the fields that depend on the method."""
    explain = METHODS[method] if isinstance(method, str) else method
    name = method if isinstance(method, str) else getattr(method, "__name__", "a method of yours")
    if name == "grad_cam":
        last = last_maps(blend)
        layer = layer or (last[0] if last else None)
        explain = functools.partial(grad_cam, layer=layer)
    values = tuple(entry.detach() for entry in explain(blend, score))
    rows, notes = every_row(blend), []
    gap = None
    if name == "integrated_gradients":
        gap = float(completeness_gap(blend, score, values).max())
        if gap >= GAP:
            notes.append(f"The values sum to the change of the score only within {gap:.1%}.")
    return {
        "values": values, "method": name, "layer": layer if name == "grad_cam" else None, "gap": gap,
        "score": scores(blend, score, rows, everywhere(blend, 1.0)), "notes": tuple(notes),
        "reference": scores(blend, score, rows, everywhere(blend, 0.0)), "why": "",
        "checks": _checked(blend, score, values, _rough(explain), name, checks) if checks else (),
    }  # fmt: skip


def _checked(blend: Blend, score: Score, values: Values, explain: Explainer, name: str, most: int) -> tuple[Check, ...]:
    """Both questions, of the first few examples. What permutation says is of all examples together, so it is asked of
    the mean over more of them.
    """
    if name != "permutation":
        blend, score, values = first_rows(blend, score, values, most)
        return check_faithfulness(blend, score, values), check_dependence(blend, score, values, explain)
    blend, score, _ = first_rows(blend, score, values, MOST_PERMUTED)
    meaned = _meaned(explain)
    values = meaned(blend, score)
    # What is shuffled is put to the question as it was found: each row against another row, not against the mean.
    others = tuple(blend.of(place).roll(1, 0) for place in range(len(blend.explained)))
    shuffled = first_rows(dataclasses.replace(blend, baselines=others), score, values, max(most, ROWS_OF_A_TABLE))
    faithful = check_faithfulness(*shuffled, unsigned=True)
    return faithful, check_dependence(blend, score, values, meaned)


def _rough(explain: Explainer) -> Explainer:
    """The same method, quick enough for many copies of the net: ranks ask for no exact sums."""
    rough = functools.partial(integrated_gradients, steps=STEPS_OF_A_COPY)
    return rough if explain is METHODS["integrated_gradients"] else explain


def _meaned(explain: Explainer) -> Explainer:
    return lambda blend, score: tuple(entry.mean(0, keepdim=True) for entry in explain(blend, score))


def _told(tried: list[Attribution], blend: Blend, *, chosen: bool) -> Attribution:
    """The first that can be trusted, else the first; and why it was taken, in words."""
    kept = next((one for one in tried if one.trusted), tried[0])
    words = WORDS.get(kept.method, kept.method)
    where = f" at {kept.layer}" if kept.layer else ""
    if not chosen:
        why = f"{words}{where}, as asked."
    elif len(tried) == 1:
        why = f"{words}{where}: {_reason(kept, blend)}."
    else:
        others = ", ".join(WORDS[one.method] for one in tried if one is not kept)
        passed = "passes its checks" if kept.trusted else "is shown all the same"
        why = f"{words}{where} {passed}; {others} {'do' if ',' in others else 'does'} not pass."
    if kept.method not in ("grad_cam", "permutation"):
        why = f"{why[:-1]}; measured from {kept.baseline}."
    return dataclasses.replace(kept, why=why[0].upper() + why[1:])


def _reason(kept: Attribution, blend: Blend) -> str:
    """Why the first choice for this kind is that."""
    if kept.method == "grad_cam":
        return "a picture, and a net with maps of where things are"
    if kept.method == "permutation":
        return f"a table of {len(blend)} rows, whose columns can be shuffled"
    if blend.substituted:
        return "whole numbers whose way into the net cannot be followed, so that gradients do not reach them"
    kinds = {"picture": "a picture, and no convolution to point with", "table": "few rows of a table",
             "sequence": "a sequence, whose steps share what they say", "numbers": "plain numbers"}  # fmt: skip
    return kinds[kept.kind]
