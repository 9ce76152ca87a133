"""Modules written elsewhere train as they stand, with the loss they were written for, and come back as given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import deepglass as dg
from deepglass.errors import ModelError, RunError, ShapeError

QUIET: dict[str, Any] = {"baselines": False, "report": False}


class TwoConvolutions(nn.Module):
    """The two-convolution net of many a tutorial, for pictures of 3 x 32 x 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.fc2 = nn.Linear(16 * 8 * 8, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        return self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))


def one_logit() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1)
    )


def probabilities() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())


def digits_net() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def halves(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(count, 6)).astype(np.float32)
    return inputs, (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)


def blobs(shape: tuple[int, ...], count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(count) % 10
    centers = torch.randn(10, *shape, generator=generator)
    return centers[target] + 0.3 * torch.randn(count, *shape, generator=generator), target


CASES = {
    "one logit": (one_logit, halves, None),
    "sigmoid with BCELoss": (probabilities, halves, nn.BCELoss()),
    "sigmoid, loss guessed": (probabilities, halves, None),
    "two convolutions": (TwoConvolutions, lambda: blobs((3, 32, 32)), None),
    "784-256-128-10": (digits_net, lambda: blobs((784,)), nn.CrossEntropyLoss()),
}


@pytest.mark.parametrize("case", CASES)
def test_it_trains_unmodified_and_comes_back_the_same(case, tmp_path):
    torch.manual_seed(0)
    make, data, loss = CASES[case]
    model = make()
    names = [(name, type(module)) for name, module in model.named_modules()]
    run = dg.train(
        data(), model, loss=loss, epochs=10, batch_size=16, learning_rate=3e-3, out=tmp_path / "run", **QUIET
    )
    assert run.model is model and [(name, type(module)) for name, module in run.model.named_modules()] == names
    assert not any(module._forward_hooks for module in model.modules())
    assert run.metrics["test"]["accuracy"] > 0.85
    inputs, target = data()
    found = run.predict(inputs)
    assert found.shape == (300,) and (found == np.asarray(target)).mean() > 0.85
    again = dg.load(tmp_path / "run", model=make())
    assert (again.predict(inputs) == found).all()
    np.testing.assert_allclose(run.probabilities(inputs).sum(1), 1, atol=1e-5)


def test_arrays_reach_the_module_exactly_as_given(tmp_path):
    seen: list[torch.Tensor] = []

    class Spy(nn.Linear):
        def forward(self, input: torch.Tensor) -> torch.Tensor:  # torch's own name
            seen.append(input.detach().clone())
            return super().forward(input)

    inputs = 1000 + 50 * np.random.default_rng(1).normal(size=(80, 3)).astype(np.float32)
    target = inputs @ np.array([1.0, -2.0, 0.5], dtype=np.float32)
    run = dg.train((inputs, target), Spy(3, 1), epochs=1, out=tmp_path / "run", **QUIET)
    rows = {tuple(row) for row in inputs.tolist()}
    assert all(tuple(row) in rows for tensor in seen for row in tensor.tolist())
    with torch.no_grad():
        by_hand = run.model.cpu()(torch.from_numpy(inputs)).squeeze(1)
    np.testing.assert_allclose(run.predict(inputs), by_hand, rtol=1e-5)


def test_a_torch_dataset_trains(tmp_path):
    dataset = torch.utils.data.TensorDataset(*map(torch.as_tensor, halves()))
    run = dg.train(dataset, one_logit(), epochs=10, batch_size=16, learning_rate=3e-3, out=tmp_path / "run", **QUIET)
    assert run.metrics["test"]["accuracy"] > 0.8


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_frame_with_a_module_is_made_into_one_tensor(kind, tmp_path):
    library = pytest.importorskip(kind)
    inputs, target = halves()
    frame = library.DataFrame({"a": inputs[:, 0], "b": inputs[:, 1], "c": ["x", "y", "z"] * 100, "label": target})
    run = dg.train(frame, nn.Linear(2 + 3, 1), target="label", epochs=20,
                   learning_rate=3e-2, out=tmp_path / "run", **QUIET)  # fmt: skip
    assert run.metrics["test"]["accuracy"] > 0.85
    assert len(run.predict(frame)) == 300


def test_a_module_that_cannot_take_the_data_is_told_so_and_nothing_is_left(tmp_path):
    with pytest.raises(ModelError, match=r"cannot take a batch of shape \(64, 6\)"):
        dg.train(halves(), nn.Linear(7, 1), epochs=1, out=tmp_path / "run", **QUIET)
    with pytest.raises(ShapeError, match="10"):
        dg.train(blobs((784,)), nn.Linear(784, 3), epochs=1, out=tmp_path / "run", **QUIET)
    assert not (tmp_path / "run").exists()


def test_a_module_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelError):
        dg.train(halves(), nn.Flatten(), epochs=1, out=tmp_path / "run", **QUIET)


def test_loading_without_the_module_says_what_is_wanted(tmp_path):
    dg.train(halves(), one_logit(), epochs=1, out=tmp_path / "run", **QUIET)
    with pytest.raises(RunError, match="model=YourModule"):
        dg.load(tmp_path / "run")
    with pytest.raises(RunError, match="do not fit"):
        dg.load(tmp_path / "run", model=nn.Linear(6, 1))


def test_frozen_weights_stay(tmp_path):
    model = one_logit()
    first = model.get_parameter("0.weight").requires_grad_(False)
    before = first.clone()
    dg.train(halves(), model, epochs=1, out=tmp_path / "run", **QUIET)
    assert torch.equal(first, before)
