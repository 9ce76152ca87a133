"""A run that ends half-way: what ran is there, and the message says layer, wanted, given and the next move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.errors import ModelError
from deepglass.tracing.record import record


class Narrow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.relu, self.fc2 = nn.Linear(32, 64), nn.ReLU(), nn.Linear(128, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.relu(self.fc1(x)))


def add(left: Tensor, right: Tensor) -> Tensor:
    return left + right


def multiply(left: Tensor, right: Tensor) -> Tensor:
    return left @ right


def fold(x: Tensor) -> Tensor:
    return x.view(7, -1)


def join(left: Tensor, right: Tensor) -> Tensor:
    return torch.cat([left, right])


ROWS, PICTURES = torch.ones(8, 32), torch.ones(2, 3, 8, 8)
REFUSED: tuple[tuple[Any, tuple[Tensor, ...], Callable[[Any], Tensor] | None, str], ...] = (
    (Narrow(), (ROWS,), None, "fc2 (Linear) wants 128 features, was given 64 by relu, shape (8, 64). Next: set in_fe"),
    (nn.Conv2d(3, 4, 3), (PICTURES.movedim(1, -1),), None, "wants 3 channels, was given 8 by the input 'input'"),
    (nn.Conv2d(3, 4, 3), (PICTURES[:, :, :2],), None, "at least (3, 3) to slide its filter over, was given (2, 8)"),
    (nn.Conv2d(3, 4, 3), (ROWS,), None, "wants 4 axes (batch, channels, height, width), was given 2"),
    (nn.ConvTranspose2d(4, 3, 3), (PICTURES,), None, "wants 4 channels, was given 3"),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(5)), (PICTURES,), None, "1 (BatchNorm2d) wants 5 channels, was"),
    (nn.BatchNorm1d(32), (ROWS[:1],), None, "more than one number a channel to learn from, was given one"),
    (nn.LayerNorm(3), (ROWS,), None, "wants last axes of (3,), was given (32,)"),
    (nn.MaxPool2d(9), (PICTURES,), None, "wants sides of at least (9, 9), was given (8, 8)"),
    (nn.Embedding(4, 3), (torch.tensor([1, 5]),), None, "wants codes from 0 to 3, was given 1 to 5"),
    (nn.Embedding(4, 3), (torch.ones(2),), None, "wants whole numbers (int64), was given float32"),
    (nn.Linear(32, 3), (ROWS.long(),), None, "wants float32, was given int64 by the input 'input'"),
    (nn.LSTM(3, 4), (ROWS,), None, "LSTM wants 3 features in each step, was given 32"),
    (multiply, (ROWS, ROWS), None, "matmul_1 in multiply wants 32 rows to multiply with the (8, 32)"),
    (add, (ROWS, ROWS[:3]), None, "add_1 in add wants a shape that fits (8, 32) from the input 'left', was given (3"),
    (fold, (ROWS,), None, "wants a multiple of 7 numbers, was given 256"),
    (join, (ROWS, ROWS.T), None, "wants shapes that fit (8, 32) from the input 'left', was given (32, 8)"),
    (nn.Linear(32, 3), (ROWS,), lambda y: functional.cross_entropy(y, torch.full((8,), 3)), "classes from 0 to 2"),
    (nn.Linear(32, 3), (ROWS,), lambda y: functional.cross_entropy(y, torch.zeros(5).long()), "8 targets, one"),
    (nn.Linear(32, 1), (ROWS,), lambda y: functional.binary_cross_entropy_with_logits(y, torch.ones(8)), "(8, 1), as"),
)  # fmt: skip


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_wrong_shapes_are_told(place):
    thing, inputs, loss, said = REFUSED[place]
    graph = record(thing, *inputs, loss=loss)
    assert said in graph.failure and ". Next: " in graph.failure and graph.wrong_shapes
    assert graph.failed is None or graph.operations[graph.failed].failure


def test_what_ran_before_is_there():
    graph = record(Narrow(), ROWS)
    assert [o.label for o in graph.operations] == ["linear_1", "relu_1", "linear_2"] and graph.failed == 2
    assert graph.operations[2].outputs == () and graph.values[graph.operations[2].inputs[0]].shape == (8, 64)
    assert graph.value("relu_1").kept is not None and not graph.outputs
    assert graph.check().agrees and [step.operation.label for step in graph.steps()] == ["linear_1", "relu_1"]
    assert "fc2" in str(graph) and [owner.path for owner in graph.owners] == ["", "fc1", "relu", "fc2"]


def test_a_module_that_raises_by_itself_is_named():
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("lost")

    graph = record(nn.Sequential(nn.Linear(32, 3), Broken()), ROWS)
    assert graph.failure == "1 (Broken): KeyError: 'lost'" and graph.failed is None and not graph.wrong_shapes
    assert len(graph.operations) == 1


def test_an_exception_that_the_author_caught_is_no_failure():
    def careful(x: Tensor) -> Tensor:
        try:
            return x @ x
        except RuntimeError:
            return x @ x.T

    graph = record(careful, ROWS)
    assert not graph.failure and [o.name for o in graph.operations] == ["T", "matmul"] and graph.check().agrees


def test_a_caught_exception_is_not_blamed_for_a_later_one():
    def careless(x: Tensor) -> Tensor:
        try:
            return x @ x
        except RuntimeError:
            pass
        raise ValueError("later")

    graph = record(careless, ROWS)
    assert graph.failure == "careless: ValueError: later" and graph.failed is None and not graph.operations


@pytest.mark.parametrize(
    ("loss", "said"),
    [(lambda y: y, "the loss gave a tensor of shape (8, 3), not one number"), (lambda y: 3.0, "the loss gave float")],
)
def test_a_loss_that_is_no_number_is_told(loss, said):
    graph = record(nn.Linear(32, 3), ROWS, loss=loss)
    assert said in graph.failure and graph.outputs


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (3, "neither a module nor a function"),
        (nn.LazyLinear(3), "no shape yet"),
        (nn.Linear(32, 3, device="meta"), "meta device"),
    ],
)
def test_what_cannot_run_is_refused(thing, said):
    with pytest.raises(ModelError, match=said):
        record(thing, ROWS)


@pytest.mark.parametrize("options", [{"budget": -1}, {"budget": 2.5}, {"level": "kernel"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ModelError):
        record(nn.Linear(32, 3), ROWS, **options)


def test_ctrl_c_is_not_swallowed():
    def stopped(x: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(stopped, ROWS)
    assert not torch.nn.modules.module._has_any_global_hook()
