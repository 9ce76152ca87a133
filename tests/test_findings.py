"""Findings of runs, on evidence written down: each with the disease, without it, and at the limit between."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch

from deepglass.data.schema import Data
from deepglass.diagnosing.anatomy import Anatomy, Layer
from deepglass.diagnosing.diagnose import judged
from deepglass.diagnosing.evidence import Evidence, Survey, Trial
from deepglass.diagnosing.finding import Finding
from deepglass.diagnosing.survey import survey
from samples import line, points

RECIPE = {
    "learning_rate": 1e-3, "batch_size": 32, "weight_decay": 0.0, "epochs": 10, "clip": 0.0, "class_weights": "none",
    "label_smoothing": 0.0, "metric": "accuracy", "optimizer": "adamw", "accumulate": 1,
}  # fmt: skip
ROWS = (400, 100, 100)
SOUND = Survey(ROWS, 0.0, math.nan, "", 0.1, 1.0, 1.0, 0.9, 0.01, 0.05, 0.69)
NET = Anatomy((Layer("0", "Linear", "relu", 10, 64, gain=1.0), Layer("2", "Linear", "", 64, 2, gain=1.0)), loss=0.1)


def told(step: int, **changes: Any) -> dict[str, Any]:
    """A watched step of a sound net."""
    layer = {"type": "Linear", "mean": 0.0, "spread": 1.0, "dead": 0.0, "saturated": 0.0, "gradient": 1e-3,
             "weight": 0.1, "weight_gradient": 1e-3, "update": 2e-3} | changes  # fmt: skip
    entry = {"type": "float32", "mean": 0.0, "spread": 1.0, "largest": 3.0}
    return {"step": step, "loss": 0.7, "input": [entry], "layers": {"0": layer, "2": layer}, "unused": []}


def history(train: list[float], valid: list[float]) -> tuple[dict[str, Any], ...]:
    return tuple(
        {"epoch": n, "step": 13 * n, "train_loss": a, "valid_loss": b, "valid": {}}
        for n, (a, b) in enumerate(zip(train, valid, strict=True), start=1)
    )


def evidence(train: float = 0.97, test: float = 0.95, seen: Survey = SOUND, trial: Trial | None = None,
             **changes: Any) -> Evidence:  # fmt: skip
    found = Evidence(
        "runs/a", foreign=False, recipe=RECIPE, task="classes", classes=("no", "yes"), counts=(200, 200),
        loss="cross_entropy", emits="logits", history=history([0.5, 0.3, 0.2, 0.15], [0.5, 0.3, 0.25, 0.22]),
        inside=(told(1), told(2), told(50)), metrics={"train": {"accuracy": train}, "test": {"accuracy": test}},
        anatomy=NET, rows=seen.rows, surveying=lambda: seen, trying=lambda: trial,
    )  # fmt: skip
    return dataclasses.replace(found, **changes)


def names(found: Evidence) -> list[str]:
    diagnosis = judged(found)
    assert not [text for text in diagnosis.unsure if "?" in text]
    return [finding.name for finding in diagnosis.findings]


def only(found: Evidence) -> Finding:
    (finding,) = judged(found).findings
    return finding


def seen(**changes: Any) -> Survey:
    return dataclasses.replace(SOUND, **changes)


def test_a_sound_run_is_healthy() -> None:
    assert names(evidence()) == []


def test_a_lower_rate_that_gets_further_tells_that_the_rate_is_too_high() -> None:
    trial = Trial(100, 0.7, {1.0: 0.65, 0.1: 0.3, 0.01: 0.4, 10.0: 3.0}, True)
    finding = only(evidence(train=0.6, test=0.6, trial=trial))
    assert finding.name == "learning_rate_too_high" and finding.cure == {"learning_rate": 1e-4}
    assert "at 0.0001 to 0.3" in finding.evidence


def test_a_higher_rate_that_gets_further_tells_that_the_rate_is_too_low() -> None:
    trial = Trial(100, 0.7, {1.0: 0.69, 0.1: 0.7, 10.0: 0.6, 100.0: 0.2}, True)
    finding = only(evidence(train=0.6, test=0.6, trial=trial))
    assert finding.name == "learning_rate_too_low" and finding.cure == {"learning_rate": 0.1}


def test_where_both_a_lower_and_a_higher_rate_get_further_the_best_decides() -> None:
    trial = Trial(100, 0.7, {1.0: 0.69, 0.1: 0.5, 10.0: 0.2}, True)
    assert names(evidence(train=0.6, test=0.6, trial=trial)) == ["learning_rate_too_low"]


def test_a_run_that_learned_is_not_told_of_better_rates() -> None:
    trial = Trial(100, 0.7, {1.0: 0.69, 0.1: 0.7, 10.0: 0.2}, True)
    assert names(evidence(trial=trial)) == []


@pytest.mark.parametrize("after", [0.64, math.inf])
def test_rates_that_get_no_further_leave_a_network_that_is_too_small(after: float) -> None:
    trial = Trial(100, 0.7, {1.0: 0.65, 0.1: 0.66, 10.0: after}, True)
    assert names(evidence(train=0.6, test=0.6, trial=trial)) == ["underfitting"]


def test_weights_that_decay_away_are_held_too_tight() -> None:
    finding = only(evidence(train=0.6, test=0.6, recipe=RECIPE | {"weight_decay": 60.0}))
    assert finding.name == "underfitting" and finding.cure == {"weight_decay": 1e-4}


def test_batches_of_one_and_of_all() -> None:
    one = evidence(train=0.6, test=0.6, recipe=RECIPE | {"batch_size": 1})
    steps = tuple(entry | {"step": n} for n, entry in enumerate(history([0.7, 0.6, 0.5], [0.7, 0.6, 0.5]), start=1))
    every = evidence(train=0.8, test=0.8, recipe=RECIPE | {"batch_size": 400}, history=steps)
    noisy = history([0.5, 0.2, 0.4, 0.3], [0.5, 0.2, 0.4, 0.3])
    assert names(evidence(recipe=RECIPE | {"batch_size": 1}, history=noisy)) == ["batch_too_small"]
    assert names(one) == ["batch_too_small"] and only(one).cure == {"batch_size": 64}
    assert names(every) == ["batch_too_large"] and only(every).cure == {"batch_size": 32}
    assert names(evidence(recipe=RECIPE | {"batch_size": 1})) == []


def test_what_is_known_by_heart_and_nowhere_else_is_overfitting() -> None:
    learned = history([0.5, 0.1, 0.01], [0.6, 0.7, 1.4])
    small = evidence(1.0, 0.7, seen(rows=(30, 100, 100), skill=0.3), history=learned)
    assert names(small) == ["overfitting"] and only(small).cure == {"label_smoothing": 0.1}
    # A forest does no better on other rows: then that is what these rows can tell, and memory did no harm.
    assert names(evidence(1.0, 0.7, seen(skill=0.42), history=learned)) == []


def test_too_few_epochs_are_not_judged() -> None:
    short = evidence(1.0, 0.6, history=history([0.1], [1.0]))
    assert "overfitting" not in names(short)
    assert any("insufficient evidence, 1 epochs" in text for text in judged(short).unsure)


def test_labels_wrong_everywhere_are_told_from_classes_that_overlap() -> None:
    wrong = evidence(0.75, 0.72, seen(skill=0.45, sure_error=0.25, error=0.28))
    overlap = evidence(0.75, 0.72, seen(skill=0.45, sure_error=0.08, error=0.28))
    better = evidence(0.97, 0.95, seen(skill=0.45, sure_error=0.25, error=0.28))
    assert names(wrong) == ["label_noise"]
    assert names(overlap) == [] and names(better) == []


def test_no_relation_is_chance_unless_a_forest_knows_better() -> None:
    nothing = evidence(0.55, 0.5, seen(skill=0.0, sure_error=0.5, error=0.5))
    assert names(nothing) == ["stuck_at_chance"]
    assert "stuck_at_chance" not in names(evidence(0.55, 0.5))


def test_a_rare_class_is_passed_over_only_if_the_others_are_known() -> None:
    def rows(rare: float, common: float) -> Evidence:
        recalls = ({"class": "no", "recall": common, "support": 95}, {"class": "yes", "recall": rare, "support": 5})
        figures = {"accuracy": 0.96, "balanced_accuracy": (rare + common) / 2}
        return evidence(seen=seen(skill=0.3), metrics={"train": figures, "test": figures}, counts=(380, 20),
                        per_class=recalls)  # fmt: skip

    assert names(rows(0.2, 0.99)) == ["class_imbalance"]
    assert only(rows(0.2, 0.99)).cure == {"class_weights": "balanced", "metric": "balanced_accuracy"}
    assert names(rows(0.8, 0.99)) == [] and "class_imbalance" not in names(rows(0.1, 0.4))
    weighed = dataclasses.replace(rows(0.2, 0.99), recipe=RECIPE | {"class_weights": "balanced"})
    assert "class_imbalance" not in names(weighed)


def test_a_cure_offers_only_what_the_run_has() -> None:
    wrong = evidence(0.75, 0.72, seen(skill=0.45, sure_error=0.25, error=0.28), own_loss=True)
    assert only(wrong).cure == {}
    flat = tuple(told(n, dead=0.97) for n in (1, 2, 50))
    family = evidence(inside=flat, options={"activation": "relu"})
    assert only(family).cure == {"activation": "leaky_relu"}
    assert only(dataclasses.replace(family, foreign=True, options={})).cure == {}


def test_units_that_die_on_the_way_are_laid_to_the_rate_where_a_lower_one_helps() -> None:
    dying = tuple(told(n, dead=share, update=2.0) for n, share in ((1, 0.0), (2, 0.5), (50, 0.97), (60, 0.97)))
    trial = Trial(100, 0.7, {1.0: 0.5, 0.1: 0.2}, True)
    assert names(evidence(0.9, 0.85, inside=dying, trial=trial)) == ["learning_rate_too_high"]
    assert names(evidence(0.9, 0.85, inside=dying)) == ["dead_relus"]


def test_a_last_layer_that_begins_at_zero_is_no_vanishing_gradient() -> None:
    layers = tuple(Layer(str(n), "Linear", "", 10, 10, gain=1.0) for n in range(4))

    def steps(sizes: tuple[float, ...]) -> tuple[dict[str, Any], ...]:
        one = {str(n): told(1)["layers"]["0"] | {"gradient": size} for n, size in enumerate(sizes)}
        return tuple(told(n) | {"layers": one} for n in (1, 2))

    net = Anatomy(layers, loss=0.1)
    assert names(evidence(anatomy=net, inside=steps((0.0, 0.0, 0.0, 1e-3)))) == []
    finding = only(evidence(anatomy=net, inside=steps((1e-9, 1e-7, 1e-5, 1e-3))))
    assert (finding.name, finding.layer) == ("vanishing_gradients", "0")


def test_nan_after_growth_is_the_rate_and_before_it_a_layer() -> None:
    failure = "epoch 1, step 3 of 9: the loss is no number; it begins in layer '2', the first. The batch holds rows 1."
    calm = evidence(history=(), metrics={}, failure=failure)
    wild = dataclasses.replace(calm, inside=(told(1), told(2, spread=1e9, update=40.0)))
    assert [(finding.name, finding.layer) for finding in judged(calm).findings] == [("nan_source", "2")]
    assert names(wild) == ["learning_rate_too_high"]
    assert only(wild).cure == {"learning_rate": 1e-4, "clip": 1.0}


def test_a_survey_finds_rows_in_two_parts_a_copied_target_and_the_scale() -> None:
    data = points(240)
    found = survey(data)
    assert found.shared == 0.0 and found.copied == "" and found.skill > 0.9
    train = data.train
    both = dataclasses.replace(data, test=train.select(torch.arange(40)))
    assert survey(both).shared == pytest.approx(0.5) and survey(both).agreed == 1.0
    assert survey(_with_the_answer(data)).copied == "column 4"
    far = dataclasses.replace(data, train=dataclasses.replace(train, inputs=(train.inputs[0] + 700,)))
    assert survey(far).location > 600


def test_the_chance_of_a_survey_is_entropy_or_variance() -> None:
    assert survey(points(240)).chance == pytest.approx(math.log(3), rel=1e-3)
    data = line(240)
    assert survey(data).chance == pytest.approx(float(data.train.target.var(correction=0)), rel=1e-6)


def _with_the_answer(data: Data) -> Data:
    """The answer as a fifth column, under another name and scale."""
    parts = {
        name: dataclasses.replace(part, inputs=(torch.cat([part.inputs[0], 2.0 * part.target[:, None] + 1], dim=1),))
        for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))
    }
    entry = dataclasses.replace(data.schema.inputs[0], shape=(5,))
    return dataclasses.replace(data, schema=dataclasses.replace(data.schema, inputs=(entry,)), **parts)
