"""Vital signs of any module: the figures are NumPy's and autograd's, odd modules are read as far as they go."""

from __future__ import annotations

import json
import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from deepglass.diagnosing.strata import layers_of
from deepglass.diagnosing.vitals import Vitals


def seen(model: nn.Module, *inputs: Any, rate: float = 0.1, loss=None) -> dict[str, Any]:
    """One step of plain gradient descent, watched."""
    optimizer = torch.optim.SGD([w for w in model.parameters() if w.requires_grad], rate)
    vitals = Vitals(model, ((optimizer, tuple(model.parameters())),))
    vitals.begin()
    outputs = model(*inputs)
    (loss(outputs) if loss else outputs.square().mean()).backward()
    optimizer.step()
    found = vitals.end()
    assert hooks(model) == 0
    return found


def hooks(model: nn.Module) -> int:
    """How many hooks there are on a module, its parts and its weights."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = sum(len(getattr(module, kind)) for module in model.modules() for kind in kinds)
    kwargs = sum(len(m._forward_pre_hooks_with_kwargs) + len(m._forward_hooks_with_kwargs) for m in model.modules())
    return own + kwargs + sum(len(weight._backward_hooks or ()) for weight in model.parameters())


def rms(tensor: Any) -> float:
    return float(np.sqrt(np.mean(np.square(np.asarray(tensor.detach(), dtype=np.float64)))))


def near(value: float) -> Any:
    return pytest.approx(value, rel=2e-5, abs=1e-9)


def test_the_figures_are_those_of_numpy_and_autograd():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5), nn.Tanh(), nn.Linear(5, 1))
    nn.init.constant_(model[0].bias[:2], -9.0)  # type: ignore[index]
    inputs = torch.randn(7, 1, 6, 6)
    outputs = [inputs]
    for layer in model:
        outputs.append(layer(outputs[-1]))
    loss = outputs[-1].square().mean()
    by_output = torch.autograd.grad(loss, outputs[1:], retain_graph=True)
    weights = list(model.parameters())
    by_weight = dict(zip(weights, torch.autograd.grad(loss, weights), strict=True))
    before = {weight: weight.detach().clone() for weight in weights}
    found = seen(model, inputs)
    (given,) = found["input"]
    assert (given["type"], given["largest"]) == ("float32", near(inputs.abs().max().item()))
    assert (given["mean"], given["spread"]) == (near(inputs.numpy().mean()), near(inputs.numpy().std()))
    assert found["outputs"]["largest"] == near(outputs[-1].abs().max().item())
    assert list(found["layers"]) == list("012345") and found["unused"] == []
    for place, layer in enumerate(model):
        told, output = found["layers"][str(place)], outputs[place + 1].detach().numpy()
        assert told["type"] == type(layer).__name__
        assert (told["mean"], told["spread"]) == (near(output.mean()), near(output.std()))
        axes = tuple(axis for axis in range(output.ndim) if axis != 1)
        assert told["dead"] == near((output.max(axis=axes) <= 0).mean())
        assert told["gradient"] == near(rms(by_output[place]))
        own = list(layer.parameters())
        if own:
            moved = math.sqrt(sum(float((w.detach() - before[w]).double().square().sum()) for w in own))
            assert told["update"] == near(moved / math.sqrt(sum(float(before[w].double().square().sum()) for w in own)))
            assert told["weight"] == near(rms(torch.cat([w.detach().flatten() for w in own])))
            assert told["weight_gradient"] == near(rms(torch.cat([by_weight[w].flatten() for w in own])))
    assert found["layers"]["1"]["dead"] == near(2 / 6)
    assert found["layers"]["4"]["saturated"] == near((outputs[5].detach().abs() > 0.97).double().mean().item())
    assert found["layers"]["3"]["saturated"] == near((outputs[4].detach().abs() > 4).double().mean().item())
    assert "saturated" not in found["layers"]["1"] and "weight" not in found["layers"]["1"]


class Odd(nn.Module):
    """All that modules written elsewhere may do: tuples, dicts, sharing, tying, in-place, frozen, unused."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.codes = nn.Embedding(9, 8, sparse=True)
        self.rows = nn.LSTM(8, 8, batch_first=True)
        self.shared = nn.Linear(8, 8)
        self.act = nn.ReLU(inplace=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.normed = parametrizations.weight_norm(nn.Linear(8, 8))
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.unused = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(8))
        self.spare = nn.ModuleList([nn.Linear(8, 2)])
        self.last = nn.Linear(8, 9, bias=False)

    def forward(self, codes: Tensor) -> dict[str, Any]:
        hidden, state = self.rows(self.codes(codes))
        hidden = self.act(self.shared(hidden)) + self.act(self.shared(hidden * 2))
        mixed, _ = self.attention(hidden, hidden, hidden)
        mixed = self.frozen(self.normed(mixed)) * self.scale
        return {"logits": self.last(mixed), "state": state}


def test_odd_modules_are_read_as_far_as_they_go():
    model = Odd()
    found = seen(model, torch.randint(0, 9, (4, 5)), loss=lambda outputs: outputs["logits"].square().mean())
    layers = found["layers"]
    assert found["unused"] == ["unused", "spare.0"]
    assert found["input"][0]["type"] == "int64" and found["outputs"]["largest"] > 0 and "notes" not in found
    assert list(layers)[:4] == ["codes", "rows", "shared", "act"]
    assert layers["frozen"]["frozen"] and layers["frozen"]["weight_gradient"] is None
    assert layers["frozen"]["update"] is None and layers["frozen"]["gradient"] > 0
    # Called in pieces by its parent, the last layer of attention never runs as a module; its weights learn.
    assert layers["attention.out_proj"]["mean"] is None and layers["attention.out_proj"]["weight_gradient"] > 0
    assert layers["attention"]["gradient"] > 0 and layers["rows"]["gradient"] > 0
    assert layers["codes"]["weight_gradient"] == near(rms(model.codes.weight.grad.to_dense()))  # type: ignore[union-attr]
    assert layers["normed"]["weight_gradient"] > 0 and not any("parametrizations" in path for path in layers)
    assert layers[""]["type"] == "Odd" and layers[""]["weight"] == near(rms(model.scale))
    assert all(math.isfinite(value) for told in layers.values() for value in told.values() if isinstance(value, float))


def test_in_place_layers_do_not_spoil_the_layer_before_and_shared_calls_are_averaged():
    inputs = torch.randn(6, 4)
    torch.manual_seed(2)
    line = nn.Linear(4, 4)
    model = nn.Sequential(line, nn.ReLU(inplace=True), line)
    first = line(inputs)
    second = line(first.relu())
    by_first, by_second = torch.autograd.grad(second.square().mean(), [first, second])
    found = seen(model, inputs)["layers"]
    assert list(found) == ["0", "1"]
    assert found["0"]["mean"] == near((first.mean() + second.mean()).item() / 2)
    assert found["0"]["gradient"] == near((rms(by_first) + rms(by_second)) / 2)


def test_half_precision_scripted_parts_and_numbers_that_are_none():
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Linear(4, 4))
    model = nn.Sequential(nn.Linear(4, 4), scripted, nn.Linear(4, 2))
    with torch.autocast("cpu", torch.bfloat16):
        found = seen(model, torch.randn(8, 4))
    assert found["layers"]["0"]["spread"] > 0 and found["layers"]["1"]["weight_gradient"] > 0
    halved = seen(nn.Sequential(nn.Linear(4, 4)).bfloat16(), torch.randn(8, 4).bfloat16())
    assert halved["layers"]["0"]["update"] > 0
    with torch.no_grad():
        model[2].weight[0, 0] = math.nan  # type: ignore[index]
    spoiled = seen(model, torch.randn(8, 4))
    assert spoiled["bad"] and spoiled["layers"]["2"]["bad"] and spoiled["layers"]["2"]["mean"] is None
    assert "mean" in spoiled["layers"]["0"] and spoiled["layers"]["0"]["mean"] is not None
    json.dumps(spoiled, allow_nan=False)


class Stubborn(Tensor):
    """A tensor that will not be measured."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function in (Tensor.mean, torch.mean):
            raise RuntimeError("no mean of me")
        return super().__torch_function__(function, types, args, kwargs or {})


class Wrapping(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.as_subclass(Stubborn)


def test_what_cannot_be_read_is_noted_and_the_step_goes_on():
    model = nn.Sequential(nn.Linear(3, 3), Wrapping())
    with pytest.warns(UserWarning, match="no mean of me"):
        found = seen(model, torch.randn(2, 3), loss=lambda outputs: outputs.sum())
    assert found["layers"]["1"]["mean"] is None and found["layers"]["0"]["gradient"] == near(1.0)
    assert "no mean of me" in found["notes"][0]


def test_large_weights_are_sampled_over_every_column():
    model = nn.Linear(2048, 1024, bias=False)
    inputs = torch.randn(2, 2048)
    inputs[:, ::2] = 0.0
    before = rms(model.weight)
    found = seen(model, inputs, rate=100.0)["layers"][""]
    assert found["update"] == pytest.approx(100 * found["weight_gradient"] / before, rel=0.02)


def test_of_micro_batches_the_first_is_watched():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    vitals = Vitals(model, ((optimizer, tuple(model.parameters())),))
    pieces = [torch.randn(5, 4), 100 + torch.randn(5, 4)]
    vitals.begin()
    for piece in pieces:
        model(piece).square().mean().backward()
    optimizer.step()
    told = vitals.end()
    assert abs(told["input"][0]["mean"]) < 2 and told["layers"]["0"]["spread"] < 3
    gradients = torch.cat([weight.grad.flatten() for weight in model.parameters()])  # type: ignore[union-attr]
    assert told["layers"]["0"]["weight_gradient"] == near(rms(gradients))


def test_a_compiled_module_is_watched_as_it_was_written():
    torch.manual_seed(0)
    calls: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(len(inputs))
        return graph.forward

    inner = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    model = torch.compile(inner, backend=backend)
    inputs = torch.randn(6, 4)
    expected = model(inputs)
    before = len(calls)
    assert list(seen(model, inputs)["layers"]) == ["0", "1", "2"]  # type: ignore[arg-type]
    after = model(inputs)
    assert len(calls) == before > 0, "hooks on and off make nothing compile anew"
    assert not torch.equal(after, expected) and torch.equal(after, inner(inputs))


def test_layers_are_found_once_and_by_plain_paths():
    inner = nn.Linear(2, 2)
    model = nn.ModuleDict({"a": inner, "b": nn.Sequential(inner, nn.ReLU())})
    assert [layer.path for layer in layers_of(model)] == ["a", "b.1"]
    assert [layer.path for layer in layers_of(nn.Linear(1, 1))] == [""]
