"""Diagnosis: of modules as they stand, of evidence, of whole runs; and that looking changes nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import deepglass as dg
from deepglass.diagnosing.diagnose import FINDINGS, Disease, diagnose, judged
from deepglass.diagnosing.evidence import Evidence
from deepglass.diagnosing.finding import Finding
from deepglass.errors import DeepglassError, DivergedError, ModelError, RunError
from samples import points

CROSS = nn.CrossEntropyLoss()


def batch(rows: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 10, generator=generator), torch.arange(rows) % 3


def dense(*activations: nn.Module, width: int = 24) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 10
    for activation in activations:
        layers += [nn.Linear(before, width), activation]
        before = width
    return nn.Sequential(*layers, nn.Linear(before, 3))


def found(module: nn.Module, inputs: Tensor | None = None, loss: Any = CROSS) -> list[tuple[str, str]]:
    examples, target = batch()
    diagnosis = diagnose(module, examples if inputs is None else inputs, target=target, loss=loss)
    assert not [text for text in diagnosis.unsure if "?" in text]
    return [(finding.name, finding.layer) for finding in diagnosis.findings]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU])
def test_nothing_is_found_in_a_sound_module(activation: type[nn.Module]) -> None:
    assert found(dense(activation(), activation(), activation())) == []


def test_the_layer_before_a_function_is_found_dead() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.last = nn.Linear(10, 24), nn.Linear(24, 24), nn.Linear(24, 3)
            nn.init.constant_(self.second.bias, -30.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.second(torch.relu(self.first(x)))))

    assert found(Functional()) == [("dead_relus", "second")]


def test_saturated_units_are_found_where_they_begin() -> None:
    net = dense(nn.Tanh(), nn.Tanh(), nn.Tanh())
    with torch.no_grad():
        net[2].get_parameter("bias").copy_(30.0 * torch.tensor([1.0, -1.0]).repeat(12))
    assert found(net) == [("saturated_units", "3")]


def test_a_deep_stack_of_sigmoids_loses_the_gradient_at_its_first_layer() -> None:
    net = dense(*(nn.Sigmoid() for _ in range(8)))
    assert found(net) == [("vanishing_gradients", "0")]
    examples, target = batch()
    CROSS(net(examples), target).backward()
    first, last = (net[place].get_parameter("weight").grad for place in (0, 16))
    assert first is not None and last is not None
    assert float(first.norm()) < 1e-4 * float(last.norm())


def test_weights_that_multiply_the_signal_are_called_large_or_exploding() -> None:
    large, many = dense(nn.ReLU(), nn.ReLU()), dense(*(nn.ReLU() for _ in range(10)))
    nn.init.normal_(large[2].get_parameter("weight"), std=8.0)
    for layer in list(many)[:-1]:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=2.2 * math.sqrt(2 / layer.in_features))
    assert found(large) == [("large_initialization", "2")]
    assert found(many) == [("exploding_gradients", "0")]


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_units_that_begin_alike_are_found_but_not_a_last_layer_that_does(value: float) -> None:
    hidden, last = dense(nn.ReLU(), nn.ReLU()), dense(nn.ReLU(), nn.ReLU())
    nn.init.constant_(hidden[2].get_parameter("weight"), value)
    nn.init.zeros_(last[4].get_parameter("weight"))
    assert found(hidden) == [("zero_initialization", "2")]
    assert found(last) == []


def test_what_no_gradient_reaches_is_named_by_its_last_layer() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.last = dense(nn.ReLU(), nn.ReLU()), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.body(x).detach())

    class Holder(nn.Module):
        """Its own weight is cut off with its layers', and it ends after them."""

        def __init__(self) -> None:
            super().__init__()
            self.shift, self.body = nn.Parameter(torch.zeros(10)), dense(nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x + self.shift).detach()

    assert found(nn.Sequential(Holder(), nn.Linear(3, 3))) == [("unreached_layer", "0.body.2")]

    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.extra = dense(nn.ReLU(), nn.ReLU()), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    assert found(Cut()) == [("unreached_layer", "body.4")]
    assert found(Left()) == [("unreached_layer", "extra")]
    frozen = dense(nn.ReLU())
    frozen[0].requires_grad_(False)
    assert found(frozen) == []


def test_a_batch_norm_left_in_evaluation_mode_and_one_on_two_examples() -> None:
    net = dense(nn.BatchNorm1d(24), nn.ReLU())
    net[1].eval()
    examples, target = batch()
    assert found(net) == [("batch_norm_evaluation_mode", "1")]
    net.train()
    assert found(net) == []
    few = diagnose(net, examples[:2], target=target[:2], loss=CROSS)
    assert [finding.name for finding in few.findings] == ["batch_norm_tiny_batches"]
    assert diagnose(net.eval(), examples, target=target, loss=CROSS).healthy


@pytest.mark.parametrize(("ending", "layer"), [(nn.Softmax(1), "4"), (nn.Identity(), "")])
def test_a_softmax_before_cross_entropy_is_found_as_a_module_and_as_a_function(ending: nn.Module, layer: str) -> None:
    net = nn.Sequential(*dense(nn.ReLU()), *([ending] if layer else []))

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = net

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).softmax(1)

    module = net if layer else Functional()
    assert [name for name, _ in found(module)] == ["double_softmax"]
    assert found(net, loss=nn.MultiMarginLoss()) == []


def test_a_squared_error_on_classes_is_a_wrong_loss() -> None:
    def squared(outputs: Tensor, target: Tensor) -> Tensor:
        return nn.functional.mse_loss(outputs, nn.functional.one_hot(target, 3).float())

    squared.__name__ = "mse_loss"
    assert [name for name, _ in found(dense(nn.ReLU()), loss=squared)] == ["wrong_loss"]


def test_inputs_far_from_unit_size_are_found_unless_a_norm_comes_first() -> None:
    examples, _ = batch()
    assert found(dense(nn.ReLU()), 500 * examples) == [("unnormalized_inputs", "0")]
    assert found(dense(nn.ReLU()), examples / 500) == [("unnormalized_inputs", "0")]
    assert found(nn.Sequential(nn.BatchNorm1d(10), *dense(nn.ReLU())), 500 * examples) == []


def test_the_layer_that_makes_nan_is_found_and_not_those_it_is_handed_on_to() -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    net = nn.Sequential(nn.Linear(10, 24), Log(), nn.Linear(24, 3))
    assert found(net) == [("nan_source", "1")]


def test_looking_changes_neither_weights_nor_statistics_nor_modes_nor_chance() -> None:
    net = nn.Sequential(nn.Linear(10, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.5), nn.Linear(24, 3))
    examples, target = batch()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    diagnose(net, examples, target=target, loss=CROSS)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())
    assert all(module.training and not module._forward_hooks for module in net.modules())


def test_a_module_that_raises_is_told_as_not_judged() -> None:
    told = diagnose(dense(nn.ReLU()), torch.zeros(4, 7), target=torch.zeros(4).long(), loss=CROSS)
    assert told.healthy
    assert any("mat1 and mat2" in text for text in told.unsure)


def test_without_a_batch_or_with_no_run_the_next_move_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="give a batch"):
        diagnose(nn.Linear(2, 2))
    with pytest.raises(RunError, match="no such run folder"):
        diagnose(tmp_path / "none")
    with pytest.raises(DeepglassError):
        diagnose(3)  # type: ignore[arg-type]


def test_what_is_explained_is_left_out_and_a_look_that_fails_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(name: str) -> Disease:
        return Disease(name, lambda e: Finding(name, name, "", "", ""), ("second",) if name == "first" else ())

    def broken(e: Evidence) -> Finding | None:
        raise ValueError("no figure")

    rows = (told("first"), Disease("broken", broken), told("second"), told("third"))
    monkeypatch.setattr("deepglass.diagnosing.diagnose.FINDINGS", rows)
    diagnosis = judged(Evidence("a run"))
    assert [finding.name for finding in diagnosis.findings] == ["first", "third"]
    assert any(text.startswith("broken: ? (ValueError: no figure") for text in diagnosis.unsure)


def test_a_diagnosis_reads_as_text_and_as_json() -> None:
    net = dense(nn.ReLU(), nn.ReLU())
    nn.init.constant_(net[0].get_parameter("bias"), -40.0)
    examples, target = batch()
    diagnosis = diagnose(net, examples, target=target, loss=CROSS)
    text = str(diagnosis)
    assert text.startswith("Sequential: 1 finding.\n\n1. Rectified units are dead, in layer '0'")
    assert max(map(len, text.splitlines())) <= 120 and "Not judged:" in text
    assert json.loads(json.dumps(diagnosis.to_json()))["findings"][0]["layer"] == "0"


def test_a_run_is_diagnosed_from_its_folder_and_not_changed(tmp_path: Path) -> None:
    run = dg.train(points(), nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), out=tmp_path / "run",
                   epochs=8, batch_size=8, report=False, baselines=False)  # fmt: skip
    files = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    whole = diagnose(run)
    assert whole.healthy and whole.unsure == ()
    alone = diagnose(tmp_path / "run", model=run.model)
    assert alone.healthy and any("the data are not at hand" in text for text in alone.unsure)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == files
    assert not run.model.training


def test_a_run_that_diverged_is_diagnosed_from_what_it_left(tmp_path: Path) -> None:
    class Log(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.log()

    net = nn.Sequential(nn.Linear(4, 8), Log(), nn.Linear(8, 3))
    with pytest.raises(DivergedError):
        dg.train(points(), net, epochs=2, out=tmp_path / "run", report=False, baselines=False)
    diagnosis = diagnose(tmp_path / "run", model=net, data=points())
    assert [(finding.name, finding.layer) for finding in diagnosis.findings] == [("nan_source", "1")]


def test_the_list_of_diseases_holds_all_that_are_promised() -> None:
    names = {disease.name for disease in FINDINGS}
    assert len(names) >= 22
    assert all(set(disease.explains) <= names for disease in FINDINGS)


def test_branches_that_begin_at_zero_and_come_to_life_are_not_dead(tmp_path: Path):
    fields = {"epochs": 2, "widths": (8, 8), "batch_size": 32, "baselines": False, "report": False}
    run = dg.train("digits", "residual", out=tmp_path / "run", **fields)
    assert "dead_relus" not in {finding.name for finding in diagnose(run).findings}
