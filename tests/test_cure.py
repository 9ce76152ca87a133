"""A cure is the same experiment with the remedy in it: held to `train` itself, to scikit-learn, and to what it says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, log_loss
from torch import nn

import deepglass as dg
from deepglass import curing
from deepglass.curing import cure
from deepglass.diagnosing.finding import Diagnosis, Finding
from deepglass.errors import DivergedError, ModelError, RunError
from deepglass.training.recipe import Recipe
from samples import points

QUIET: dict[str, Any] = {"baselines": False, "report": False, "device": "cpu"}


def found(name: str = "learning_rate_too_low", **fields: Any) -> Finding:
    return Finding(name, name.replace("_", " ").capitalize(), "the evidence", "the cause", "do this", cure=fields)


def slow(folder: Path, **fields: Any) -> dg.Run:
    """A run whose rate is far too low."""
    return dg.train("iris", "mlp", out=folder / "iris", epochs=4, learning_rate=1e-7, members=1, embedding="none",
                    **QUIET, **fields)  # fmt: skip


def losses(run: dg.Run) -> list[float]:
    return [line["valid_loss"] for line in run.history]


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def own(folder: Path, model: nn.Module | None = None, **fields: Any) -> dg.Run:
    torch.manual_seed(0)
    fields = {"epochs": 3, "learning_rate": 1e-7} | fields
    return dg.train(points(), model or net(), out=folder / "own", **QUIET, **fields)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_cure_is_the_training_that_the_changed_recipe_asks_for(tmp_path: Path):
    run = slow(tmp_path)
    cured = cure(run, found(learning_rate=0.01))
    again = dg.train("iris", recipe=dataclasses.replace(run.recipe, learning_rate=0.01), out=tmp_path / "again")
    assert losses(cured.run) == losses(again)
    assert cured.before == pytest.approx(run.metrics["valid"]["loss"])
    assert cured.after == pytest.approx(again.metrics["valid"]["loss"])
    assert cured.improved and cured.start.startswith("from new weights: the trained ones are not worth saving")
    assert cured.run.path == tmp_path / "iris-cured"


def test_the_first_run_is_left_as_it_was(tmp_path: Path):
    run = own(tmp_path)
    weights = {name: value.clone() for name, value in run.model.state_dict().items()}
    gradients = [weight.grad.clone() for weight in run.model.parameters() if weight.grad is not None]
    kept, mode = files(run.path), run.model.training
    state = torch.get_rng_state()
    cure(run, found(learning_rate=0.01))
    assert torch.equal(torch.get_rng_state(), state)
    assert run.model.training == mode and files(run.path) == kept
    assert all(torch.equal(value, weights[name]) for name, value in run.model.state_dict().items())
    after = [weight.grad for weight in run.model.parameters() if weight.grad is not None]
    assert all(map(torch.equal, after, gradients)) and len(after) == len(gradients)


def test_good_weights_are_gone_on_from_and_the_epochs_add_up(tmp_path: Path):
    run = dg.train("breast_cancer", "mlp", out=tmp_path / "a", epochs=16, learning_rate=0.01, schedule="constant",
                   members=1, embedding="none", metric="log_loss", patience=0, **QUIET)  # fmt: skip
    best = run.summary["best_epoch"]
    assert best <= 8, "this test wants a run that is best early"
    # A rate of zero keeps the weights: what is then judged are those that the cure began with.
    cured = cure(run, found("overfitting", learning_rate=0.0))
    assert cured.after == cured.before and not cured.improved
    assert len(cured.run.history) == 16 - best and f"from the weights of epoch {best}" in cured.start
    assert "no better: keep the first run" in str(cured)


def test_another_network_begins_with_new_weights(tmp_path: Path):
    run = slow(tmp_path)
    cured = cure(run, found("underfitting", widths=(8,), learning_rate=0.01))
    assert cured.start == "from new weights: widths makes another network"
    assert cured.run.recipe.options["widths"] == (8,) and len(cured.run.history) == 4


def test_a_module_of_ones_own_is_drawn_anew_as_its_author_would(tmp_path: Path):
    run = own(tmp_path)
    cured = cure(run, found(learning_rate=0.01))
    torch.manual_seed(0)
    fresh = dg.train(points(), net(), out=tmp_path / "fresh", epochs=3, learning_rate=0.01, **QUIET)
    assert losses(cured.run) == losses(fresh)
    assert cured.run.model is not run.model


def test_a_new_instance_is_taken_as_it_is(tmp_path: Path):
    run = own(tmp_path)
    torch.manual_seed(5)
    instance = net()
    before = {name: value.clone() for name, value in instance.state_dict().items()}
    cured = cure(run.path, found(learning_rate=0.0), model=instance, data=points())
    assert all(torch.equal(weight, before[name]) for name, weight in cured.run.model.named_parameters())


class Places(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.places, self.out = nn.Parameter(torch.zeros(4)), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x + self.places)


def test_weights_that_nothing_draws_anew_are_refused_by_name(tmp_path: Path):
    with pytest.raises(ModelError, match=r"Places: nothing here draws 'places' anew\. Next: cure\(run, model=Places"):
        cure(own(tmp_path, Places()), found(learning_rate=0.01))


def test_a_loss_of_ones_own_must_be_at_hand(tmp_path: Path):
    run = own(tmp_path)
    torch.manual_seed(0)
    other = dg.train(points(), net(), loss=nn.MultiMarginLoss(), out=tmp_path / "other", epochs=2, **QUIET)
    assert cure(other, found(learning_rate=0.01)).run.objective.name == "MultiMarginLoss"
    with pytest.raises(RunError, match="It had a loss of its own"):
        cure(other.path, found(learning_rate=0.01), model=net(), data=points())
    given = cure(other.path, found(learning_rate=0.01), model=net(), data=points(), loss=nn.MultiMarginLoss())
    assert given.measure == "loss" and given.run.path.name == "other-cured-2"
    assert run.path.exists()


def test_classes_weighed_are_judged_by_balanced_accuracy(tmp_path: Path):
    run = own(tmp_path)
    cured = cure(run, found("class_imbalance", class_weights="balanced"))
    assert run.data is not None
    for figure, entry in ((cured.before, run), (cured.after, cured.run)):
        read = entry.read(run.data.valid).argmax(1)
        assert figure == pytest.approx(balanced_accuracy_score(run.data.valid.target, read))
    assert cured.sentence.startswith("validation balanced accuracy")


def test_a_remedy_that_changes_the_loss_is_judged_by_the_first(tmp_path: Path):
    run = own(tmp_path, learning_rate=0.01)
    cured = cure(run, found("label_noise", label_smoothing=0.6))
    assert run.data is not None
    for figure, entry in ((cured.before, run), (cured.after, cured.run)):
        shares = entry.read(run.data.valid).double()
        shares /= shares.sum(1, keepdim=True)  # scikit-learn wants a sum of one in float64
        assert figure == pytest.approx(log_loss(run.data.valid.target, shares), rel=1e-5)


def test_what_is_kept_of_a_cure(tmp_path: Path):
    cured = cure(slow(tmp_path), found(learning_rate=0.01))
    plain = json.loads((cured.run.path / "cured.json").read_text(encoding="utf-8"))
    assert plain["improved"] and plain["finding"]["name"] == "learning_rate_too_low"
    page = cured.page.read_text(encoding="utf-8")
    assert page.count("<svg") == 2 and "1e-07" in page and "0.01" in page and "the evidence" in page
    assert dg.load(cured.run.path).recipe.learning_rate == 0.01
    second = cure(dg.load(tmp_path / "iris"), found(learning_rate=0.02))
    assert second.run.path.name == "iris-cured-2"


def test_a_diverged_run_is_cured_from_its_folder_alone(tmp_path: Path):
    folder = tmp_path / "wild"
    with pytest.raises(DivergedError):
        dg.train("iris", "mlp", out=folder, epochs=12, optimizer="sgd", learning_rate=1e6, clip=0.0, **QUIET)
    cured = cure(folder, found("learning_rate_too_high", optimizer="adamw", learning_rate=0.004))
    assert cured.improved and cured.after < 1.0


@pytest.mark.parametrize(
    ("findings", "asked", "said"),
    [
        ((), None, r"nothing amiss was found, so there is nothing to cure\. Next: deepglass report"),
        ((found("nan_source"),), None, r"nan source: no field of the recipe cures it\. Next: change your m.*do this"),
        ((found(learning_rate=1.0),), "learning_rate", r"not among the findings\. Next: name one of: 'learning_r"),
    ],
)  # fmt: skip
def test_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, findings: tuple[Finding, ...], asked: Any, said: str
):
    monkeypatch.setattr(curing, "diagnose", lambda *args, **names: Diagnosis("x", findings))
    run = slow(tmp_path)
    with pytest.raises(RunError, match=said):
        cure(run, asked)
    assert not (tmp_path / "iris-cured").exists()


def test_the_first_finding_that_a_recipe_can_cure_is_cured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    findings = (found("leak"), found(learning_rate=0.01))
    monkeypatch.setattr(curing, "diagnose", lambda *args, **names: Diagnosis("x", findings))
    run = slow(tmp_path)
    assert cure(run).finding is findings[1]
    assert cure(run, "learning_rate_too_low").finding is findings[1]


def test_data_handed_over_in_memory_are_asked_for(tmp_path: Path):
    run = dg.train(points(), "neuron", out=tmp_path / "memory", epochs=2, **QUIET)
    with pytest.raises(RunError, match="handed over in memory, and are gone"):
        cure(run.path, found(learning_rate=0.01))
    assert cure(run.path, found(learning_rate=0.1), data=points()).run.path.name == "memory-cured"


def test_a_cure_of_a_real_diagnosis(tmp_path: Path):
    run = dg.train("digits", "mlp", out=tmp_path / "digits", epochs=6, learning_rate=2e-6, widths=(32,), **QUIET)
    cured = cure(run, "learning_rate_too_low")
    assert cured.improved and cured.after < 0.5 * cured.before
    assert "learning_rate" in cured.changes and isinstance(cured.run.recipe, Recipe)
