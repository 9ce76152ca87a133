"""Watching a run: the same to the bit, the same lines after a resume, and no hook left whatever happens."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import deepglass as dg
from deepglass.diagnosing.watch import INSIDE, is_watched, read_inside
from deepglass.errors import DivergedError
from deepglass.training.events import Event, Stepped, Stepping
from samples import parted, pictures, points
from test_stepping import TwoPlayers
from test_vitals import hooks

QUIET: dict[str, Any] = {"baselines": False, "report": False}


def test_the_steps_that_are_watched():
    assert [done for done in range(250) if is_watched(done, 100)] == [0, 1, 2, 4, 8, 16, 32, 64, 100, 200]
    assert [done for done in range(9) if is_watched(done, 3)] == [0, 1, 2, 3, 6]
    assert all(is_watched(done, 1) for done in range(9))


class Reader(nn.Module):
    """A recurrent net and a transformer layer over four tokens: what a person might bring."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.lift, self.rows = nn.Linear(1, 8), nn.LSTM(8, 8, batch_first=True, dropout=0.0)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.block(self.rows(self.lift(inputs[:, :, None]))[0])[:, -1])


FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "ensemble": (lambda: points(48), lambda: "mlp", {"widths": (8, 8), "members": 3, "dropout": 0.2}),
    "convolution": (
        lambda: pictures(24),
        lambda: "convolution",
        {"widths": (3, 4), "dense": 4, "dropout": 0.3, "augment": ("shift",)},
    ),
    "foreign": (lambda: points(48), Reader, {}),
    "two players": (lambda: points(48, classes=2), TwoPlayers, {}),
}


def trained(family: str, folder: Any, watch: int, **fields: Any) -> tuple[list[list[float]], Any]:
    """The losses of every step, and the run."""
    make, model, options = FAMILIES[family]
    losses: list[list[float]] = []

    def hear(event: Event) -> None:
        if isinstance(event, Stepped):
            losses.append(event.losses.tolist())

    chosen = {
        "epochs": 50,
        "batch_size": 8 if family != "convolution" else 4,
        "clip": 0.5,
        **QUIET,
        **options,
        **fields,
    }
    run = dg.train(make(), model(), watch=watch, out=folder / f"watch-{watch}", listeners=(hear,), **chosen)
    return losses, run


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_watched_run_is_the_same_to_the_bit(tmp_path, family, optimizer):
    plain, unwatched = trained(family, tmp_path, 0, optimizer=optimizer, learning_rate=1e-2)
    looked, watched = trained(family, tmp_path, 1, optimizer=optimizer, learning_rate=1e-2)
    assert len(plain) >= 200 and plain == looked
    weights = unwatched.model.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in watched.model.state_dict().items())
    assert len(read_inside(watched.path)) == len(plain) and not (unwatched.path / INSIDE).exists()
    assert hooks(watched.model) == 0
    found = read_inside(watched.path)[-1]
    assert found["loss"] == pytest.approx(plain[-1][0], rel=1e-5) and "notes" not in found and "bad" not in found
    learning = [told for told in found["layers"].values() if "weight" in told]
    assert all(told["weight_gradient"] is not None and told["update"] is not None for told in learning)
    assert all(told["gradient"] is not None for told in learning if told["mean"] is not None)


class Breaking(nn.Module):
    """Breaks in the middle of its seventh step."""

    def __init__(self, how: BaseException | int) -> None:
        super().__init__()
        self.line, self.how, self.due = nn.Linear(4, 3), how, False

    def hear(self, event: Event) -> None:
        self.due = isinstance(event, Stepping) and event.done == 6

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.line(inputs)
        if self.due and isinstance(self.how, BaseException):
            raise self.how
        for _ in range(self.how if self.due and isinstance(self.how, int) else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return outputs


@pytest.mark.parametrize("how", [RuntimeError("by itself"), KeyboardInterrupt(), 1, 2], ids=repr)
def test_no_hook_is_left_whatever_happens(tmp_path, how):
    model = Breaking(how)
    with pytest.raises((RuntimeError, KeyboardInterrupt)):
        dg.train(
            points(96), model, epochs=4, watch=1, listeners=(model.hear,), out=tmp_path / "run", batch_size=16, **QUIET
        )
    assert hooks(model) == 0 and model.line.weight.requires_grad
    assert [line["step"] for line in read_inside(tmp_path / "run")][:6] == [1, 2, 3, 4, 5, 6]


def test_an_interrupted_run_resumes_with_the_same_lines(tmp_path):
    common = {"epochs": 20, "batch_size": 16, "watch": 7, **QUIET}
    straight = dg.train(points(96), "mlp", out=tmp_path / "straight", **common)
    left = [18]

    def interrupt(event: Event) -> None:
        left[0] -= isinstance(event, Stepped)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        dg.train(points(96), "mlp", out=tmp_path / "broken", listeners=(interrupt,), **common)
    with (tmp_path / "broken" / INSIDE).open("a") as file:
        # What a kill leaves: a line of a step the checkpoint knows nothing of, and half of another.
        file.write('{"step": 999}\n{"step": 1000, "la')
    resumed = dg.train(points(96), "mlp", out=tmp_path / "broken", resume=True, **common)
    assert read_inside(resumed.path) == read_inside(straight.path)
    assert [line["step"] for line in read_inside(straight.path)][:5] == [1, 2, 3, 5, 9]


class Infinite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(self.first(inputs).exp())


def test_the_step_that_broke_the_run_is_told(tmp_path):
    data = points(96)
    data.train.inputs[0][:] *= 1e4
    with pytest.raises(DivergedError):
        dg.train(data, Infinite(), epochs=2, batch_size=16, out=tmp_path / "run", **QUIET)
    line = read_inside(tmp_path / "run")[-1]
    assert line["bad"] and line["loss"] is None and line["layers"]["second"]["bad"]
    assert line["layers"]["first"]["mean"] is not None and line["input"][0]["largest"] > 1e4


def test_a_run_without_steps_to_watch_has_no_lines(tmp_path):
    data = parted(points(6).schema, (torch.randn(6, 4),), torch.arange(6) % 3)
    run = dg.train(data, "mlp", epochs=2, watch=0, out=tmp_path / "run", **QUIET)
    assert read_inside(run.path) == []
