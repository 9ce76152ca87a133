"""The loop: trains, stops for a reason, brings the best back, goes on to the same bits, and names what diverged."""

from __future__ import annotations

import dataclasses
import os
import signal
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

import deepglass as dg
from deepglass.errors import DivergedError, RunError
from deepglass.training.events import EpochEnded, Event, Started, Stepped, Stopped
from deepglass.training.saving import read_history
from samples import line, parted, pictures, points
from test_stepping import TwoPlayers

QUIET: dict[str, Any] = {"baselines": False, "report": False}


def weights(run) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


class Breaker:
    """A listener that ends the run the way a person would: an interrupt after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


def test_it_learns_and_says_what_happened(tmp_path):
    heard: list[Event] = []
    run = dg.train(points(96), "mlp", epochs=12, out=tmp_path / "run", listeners=(heard.append,), **QUIET)
    assert run.metrics["test"]["accuracy"] > 0.9
    assert isinstance(heard[0], Started) and isinstance(heard[-1], Stopped)
    lines = [event.line for event in heard if isinstance(event, EpochEnded)]
    assert [line["epoch"] for line in lines] == list(range(1, 13)) == [line["epoch"] for line in run.history]
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    assert run.summary["stopped"] == "all 12 epochs done"


def test_the_best_weights_come_back_and_patience_stops(tmp_path):
    run = dg.train(points(60), "mlp", epochs=80, patience=3, learning_rate=0.05, out=tmp_path / "run", **QUIET)
    assert run.summary["epochs"] < 80 and "patience" in run.summary["stopped"]
    best = max(line["valid"]["accuracy"] for line in run.history)
    assert run.metrics["valid"]["accuracy"] == pytest.approx(best)
    saved = dg.load(tmp_path / "run").model.state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in weights(run).items())


CASES = {
    "adamw, dropout, ema": (lambda: points(96), "mlp", {"dropout": 0.3, "average": "ema", "clip": 0.5}),
    "pictures, mix-up, batch norm": (lambda: pictures(60), "convolution", {"mixup": 0.3, "augment": ("shift",)}),
    "numbers, plateau, momentum": (lambda: line(60), "mlp", {"optimizer": "momentum", "schedule": "plateau"}),
    "muon, swa, accumulation": (lambda: points(96), "mlp", {"optimizer": "muon", "average": "swa", "accumulate": 2}),
}


@pytest.mark.parametrize("steps", [1, 7, 13])
@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_resumes_to_the_same_bits(tmp_path, case, steps):
    make, family, options = CASES[case]
    common = {"epochs": 5, "batch_size": 16, "seed": 4, **QUIET, **options}
    straight = dg.train(make(), family, out=tmp_path / "straight", **common)
    with pytest.raises(KeyboardInterrupt):
        dg.train(make(), family, out=tmp_path / "broken", listeners=(Breaker(steps),), **common)
    resumed = dg.train(make(), family, out=tmp_path / "broken", resume=True, **common)
    assert all(torch.equal(weights(resumed)[name], tensor) for name, tensor in weights(straight).items())
    without_time = [
        [{name: value for name, value in line.items() if name != "seconds"} for line in read_history(run.path)]
        for run in (straight, resumed)
    ]
    assert without_time[0] == without_time[1]


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    first = dg.train(points(60), "mlp", epochs=3, out=tmp_path / "run", **QUIET)
    again = dg.train(points(60), "mlp", epochs=3, out=tmp_path / "run", resume=True, **QUIET)
    assert all(torch.equal(weights(first)[name], tensor) for name, tensor in weights(again).items())
    assert len(again.history) == 3


def test_resuming_with_other_wishes_or_other_data_is_refused(tmp_path):
    dg.train(points(60), "mlp", epochs=2, out=tmp_path / "run", **QUIET)
    with pytest.raises(RunError, match="learning_rate"):
        dg.train(points(60), "mlp", epochs=2, learning_rate=0.5, out=tmp_path / "run", resume=True, **QUIET)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with pytest.raises(RunError, match="data"):
        dg.train(points(60, seed=9, classes=2), "mlp", epochs=2, out=tmp_path / "run", resume=True, **QUIET)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}


def test_training_leaves_the_users_generator_alone(tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    dg.train(points(60), "mlp", epochs=1, dropout=0.5, out=tmp_path / "run", **QUIET)
    assert torch.equal(torch.rand(3), expected)


def test_two_players_train_in_the_same_loop_and_resume_to_the_same_bits(tmp_path):
    common = {"epochs": 3, "batch_size": 16, "optimizer": "adam", "learning_rate": 1e-2, **QUIET}
    data = points(96, classes=2)
    start = TwoPlayers().state_dict()
    straight = dg.train(data, TwoPlayers(), out=tmp_path / "straight", **common)
    with pytest.raises(KeyboardInterrupt):
        dg.train(data, TwoPlayers(), out=tmp_path / "broken", listeners=(Breaker(6),), **common)
    resumed = dg.train(data, TwoPlayers(), out=tmp_path / "broken", resume=True, **common)
    last = read_history(tmp_path / "straight")[-1]
    assert set(last["players"]) == {"critic", "generator"}
    for name, tensor in weights(straight).items():
        assert torch.equal(weights(resumed)[name], tensor)
        assert not torch.equal(start[name], tensor)


class Exploding(nn.Module):
    """A net whose second layer gives infinity once a feature grows beyond what the first rows have."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, inputs):
        hidden = self.second(self.first(inputs))
        return hidden / (inputs[:, :1] < 100).float()


def test_a_loss_that_is_no_number_names_step_layer_and_rows_and_keeps_good_weights(tmp_path):
    data = points(96)
    spoiled = data.train.inputs[0].clone()
    spoiled[17, 0] = 1000.0
    train = dataclasses.replace(data.train, inputs=(spoiled,))
    data = dataclasses.replace(data, train=train)
    with pytest.raises(DivergedError) as caught:
        dg.train(data, Exploding(), epochs=2, batch_size=16, out=tmp_path / "run", **QUIET)
    message = str(caught.value)
    assert "epoch 1, step" in message and "'model'" in message and "last good weights" in message
    rows = message.partition("rows ")[2].partition(" of the data")[0]
    assert "17" in rows or "…" in rows
    kept = dg.load(tmp_path / "run", model=Exploding()).model
    assert all(torch.isfinite(weight).all() for weight in kept.parameters())


def test_a_rate_far_too_high_ends_in_words(tmp_path):
    with pytest.raises(DivergedError, match="learning_rate"):
        dg.train(line(60), "mlp", epochs=50, optimizer="sgd", learning_rate=1e5, out=tmp_path / "run", **QUIET)


def test_nan_in_the_data_is_named_as_such(tmp_path):
    data = points(60)
    data.train.inputs[0][3, 2] = float("nan")
    with pytest.raises(DivergedError, match="input 0 of the batch"):
        dg.train(data, nn.Linear(4, 3), epochs=1, out=tmp_path / "run", **QUIET)


def test_one_example_a_class_and_a_batch_larger_than_the_data(tmp_path):
    data = parted(points(6).schema, (torch.randn(6, 4),), torch.arange(6) % 3)
    run = dg.train(data, "mlp", epochs=2, batch_size=1000, out=tmp_path / "run", **QUIET)
    assert run.summary["plan"]["batch_size"] == 4


def test_a_history_that_ran_ahead_of_the_checkpoint_is_cut_back_to_it(tmp_path):
    common = {"epochs": 4, "batch_size": 16, **QUIET}
    with pytest.raises(KeyboardInterrupt):
        dg.train(points(96), "mlp", out=tmp_path / "run", listeners=(Breaker(6),), **common)
    assert (tmp_path / "run" / "weights.safetensors").exists(), "the best weights of the epochs done are kept"
    with (tmp_path / "run" / "history.jsonl").open("a") as file:
        # What a kill leaves between the line of an epoch and its checkpoint: a line too many, and half of another.
        file.write('{"epoch": 2, "train_loss": 9.0}\n{"epoch": 3, "tra')
    dg.train(points(96), "mlp", out=tmp_path / "run", resume=True, **common)
    lines = read_history(tmp_path / "run")
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4] and all("valid_loss" in line for line in lines)


def test_a_second_interrupt_within_a_step_keeps_the_checkpoint_before_it(tmp_path):
    common = {"epochs": 12, "batch_size": 16, "checkpoint_every": 0.0, **QUIET}
    straight = dg.train(points(96), "mlp", out=tmp_path / "straight", **common)
    updates = 0

    def impatient(*_: object) -> None:
        nonlocal updates
        updates += 1
        if updates == 40:
            # The weights have moved, and the step is not counted yet.
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    hook = register_optimizer_step_post_hook(impatient)
    try:
        with pytest.raises(KeyboardInterrupt):
            dg.train(points(96), "mlp", out=tmp_path / "broken", **common)
    finally:
        hook.remove()
    resumed = dg.train(points(96), "mlp", out=tmp_path / "broken", resume=True, **common)
    assert all(torch.equal(weights(resumed)[name], tensor) for name, tensor in weights(straight).items())
