"""The record: what it says is what autograd says, and looking changes nothing."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.errors import ModelError
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from members import MEMBERS, loss_of
from record_nets import CASES, Tied, scalar, whole


def made(name: str) -> tuple[Any, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    return CASES[name].make(), CASES[name].inputs()


def autograd(module: nn.Module, loss: Any, *inputs: Tensor) -> dict[str, Tensor | None]:
    """What a plain backward pass leaves in `.grad`, of a copy, with the same random numbers."""
    twin = copy.deepcopy(module)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        loss(twin(*inputs)).backward()
    return {name: weight.grad for name, weight in twin.named_parameters()}


def gradient(graph: Graph, name: str) -> Tensor:
    return whole(graph.value(name).gradient)


@pytest.mark.parametrize("level", ["author", "aten"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_autograd_s_and_the_replay_agrees(name, level):
    thing, inputs = made(name)
    graph = record(thing, *inputs, loss=scalar, seed=1, level=level)
    assert not graph.failure and not [note for note in graph.notes if "not recorded" in note]
    check = graph.check()
    assert check.agrees and check.compared >= len(graph.operations) and not check.taken, check
    if isinstance(thing, nn.Module):
        for weight, wanted in autograd(thing, scalar, *inputs).items():
            assert wanted is not None
            torch.testing.assert_close(gradient(graph, weight), wanted, rtol=0, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_the_recorded_outputs_are_those_of_a_plain_run(name):
    thing, inputs = made(name)
    graph = record(thing, *inputs, seed=1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        plain = thing(*inputs)
    assert torch.equal(whole(graph.values[graph.outputs[0]].kept), plain)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_family_is_recorded_and_replays(name):
    member = MEMBERS[name]
    model, batch = member.made(stirred=True), member.batch(6)

    def loss(*_: Any) -> Tensor:
        return loss_of(member, model, batch)

    graph = record(loss, seed=1)
    assert not graph.failure and graph.check().agrees
    torch.manual_seed(1)
    loss().backward()
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            assert torch.equal(gradient(graph, f"model.{name}"), weight.grad), name


@pytest.mark.parametrize("name", [n for n in MEMBERS if "perceptron" not in n])
def test_gradients_are_the_slopes_of_the_loss(name):
    """F4: (L(w + h) - L(w - h)) / 2h in float64, along one random direction for all weights together."""
    member = MEMBERS[name]
    model, batch = member.made(stirred=True, dropout=False), member.batch(5)
    assert slope_error(model, lambda: loss_of(member, model, batch), "model.") < 1e-5


@pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if n not in ("function", "through a view", "in place")]
)
def test_gradients_are_the_slopes_of_odd_nets(name):
    module, inputs = made(name)
    module = module.double().eval()
    inputs = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    assert slope_error(module, lambda: scalar(module(*inputs)), "module.") < 1e-6


def slope_error(module: nn.Module, loss: Any, prefix: str) -> float:
    graph = record(loss)
    generator, h = torch.Generator().manual_seed(7), 1e-5
    ways = {n: torch.randn(w.shape, generator=generator, dtype=w.dtype) for n, w in module.named_parameters()}
    told = 0.0
    for name, way in ways.items():
        if graph.value(prefix + name).gradient is not None:
            told += float((gradient(graph, prefix + name) * way).sum())

    def moved(step: float) -> float:
        with torch.no_grad():
            for name, weight in module.named_parameters():
                weight += step * ways[name]
            value = float(loss())
            for name, weight in module.named_parameters():
                weight -= step * ways[name]
        return value

    slope = (moved(h) - moved(-h)) / (2 * h)
    assert abs(slope) > 1e-4
    return abs(told - slope) / abs(slope)


def test_gradients_of_a_function_are_slopes():
    x = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
    graph = record(lambda x: (x**3).sum() * x[0], x)
    assert torch.allclose(gradient(graph, "x"), torch.tensor([4 * 0.3**3 + (-1.2) ** 3, 3 * 1.44 * 0.3]).double())


class Harmed(nn.Module):
    """A net whose forward changes all that it can reach, and may raise at the end."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.norm, self.codes, self.raises, self.calls = nn.BatchNorm1d(4), nn.Embedding(5, 4, max_norm=0.1), raises, 0
        self.drop = nn.Dropout(0.5)
        self.register_buffer("average", torch.zeros(4))
        self.free = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        random.random()
        x.mul_(2)
        self.average = self.average * 0.9 + x.mean(0)
        self.free.data.add_(1)
        y = self.drop(self.norm(x) + self.codes(torch.tensor([4])) * self.free)
        if self.raises:
            raise ValueError("in the middle")
        return y


@pytest.mark.parametrize("raises", [False, True])
def test_nothing_is_left_behind(raises):
    torch.manual_seed(0)
    module, x = Harmed(raises=raises), torch.randn(6, 4)
    module.free.grad = torch.full((4,), 7.0)
    module.drop.eval()
    module.register_forward_hook(lambda *_: None)
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    hooks = len(module._forward_hooks)
    before, given, dice, numbers = random.getstate(), x.clone(), torch.get_rng_state(), module.average
    graph = record(module, x, loss=lambda y: y.sum(), seed=3)
    assert bool(graph.failure) == raises and (raises or graph.check().agrees)
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    assert torch.equal(x, given) and torch.equal(torch.get_rng_state(), dice) and random.getstate() == before
    assert module.free.grad is not None and torch.equal(module.free.grad, torch.full((4,), 7.0))
    assert module.norm.weight.grad is None and module.average is numbers and module.calls == 0
    assert module.training and not module.drop.training and torch.is_grad_enabled()
    assert len(module._forward_hooks) == hooks and not torch.nn.modules.module._has_any_global_hook()
    assert not any(weight._backward_hooks for weight in module.parameters())
    assert torch.overrides._get_current_function_mode() is None


def test_in_place_changes_through_data_are_new_values():
    module = Harmed(raises=False).eval()
    graph = record(module, torch.randn(6, 4))
    product = next(o for o in graph.operations if o.name == "mul" and len(o.inputs) == 2)
    weight = graph.values[product.inputs[1]]
    assert weight.alias_of is not None and torch.equal(whole(weight.kept), torch.full((4,), 2.0))


def test_owners_follow_the_modules():
    graph = record(Tied(), torch.tensor([[1, 2]]), loss=scalar)
    ran = [("", "Tied", 1), ("words", "Embedding", 1), ("shared", "Linear", 1), ("shared", "Linear", 2)]
    assert [(owner.path, owner.type, owner.call) for owner in graph.owners] == [*ran, ("out", "Linear", 1)]
    first, second = graph.calls("shared")
    assert first.weights == second.weights and first.outputs != second.outputs
    tied = graph.value("words.weight")
    assert tied.names == ("words.weight", "out.weight") and tied.trainable and graph.value("out.weight") is tied
    assert graph.parameters == 7 * 4 + 4 * 4 + 4
    assert len(graph.users[tied.id]) == 2


def test_weights_that_nothing_reads_are_named():
    module = nn.ModuleDict({"used": nn.Linear(2, 2), "idle": nn.Linear(2, 3)})
    graph = record(lambda x: module["used"](x), torch.ones(1, 2), loss=scalar)
    assert graph.unused == ("module.idle.weight", "module.idle.bias")
    assert graph.value("module.idle.weight").shape == (3, 2) and graph.parameters == 6


@pytest.mark.parametrize("grad", [torch.no_grad, torch.inference_mode])
def test_gradients_come_under_callers_that_want_none(grad):
    module = nn.Linear(3, 2)
    with grad():
        x = torch.ones(2, 3) * 2
        graph = record(module, x, loss=lambda y: y.sum())
        assert record(module, x).value("linear_1").tracked is False
        assert not torch.is_grad_enabled()
    assert torch.equal(gradient(graph, "weight"), torch.full((2, 3), 4.0))


def test_settings_have_names():
    graph = record(nn.Conv2d(1, 2, 3, stride=2, padding=1), torch.ones(1, 1, 8, 8))
    assert dict(graph.operations[0].settings)["stride"] == (2, 2)
    graph = record(lambda x: functional.softmax(x, dim=1).clamp(0.1, 0.4).sum(1), torch.ones(2, 3))
    assert [dict(o.settings) for o in graph.operations][1:] == [{"min": 0.1, "max": 0.4}, {"dim": 1}]


def test_a_backward_pass_that_raises_is_told():
    def spoiled(x: Tensor) -> Tensor:
        y = x * 1
        z = y.abs()
        y += 1
        return (y + z).sum()

    graph = record(spoiled, torch.ones(2, requires_grad=True))
    assert graph.failure.startswith("the backward pass: RuntimeError") and len(graph.operations) == 5
    with pytest.raises(RuntimeError):
        spoiled(torch.ones(2, requires_grad=True)).backward()


def test_what_the_optimizer_does_later_does_not_change_the_record():
    module, x = nn.Linear(3, 2), torch.ones(2, 3)
    graph = record(lambda x: (module(x) @ module.weight.T[:, :2].T).sum(), x)
    with torch.no_grad():
        module.weight.add_(1)
    x.zero_()
    assert graph.check().agrees and graph.kept_bytes < 600


def test_the_error_of_a_name_that_is_not_there_offers_the_nearest():
    graph = record(nn.Linear(2, 2), torch.ones(1, 2))
    with pytest.raises(ModelError, match="weight"):
        graph.value("weihgt")


def test_kernels_are_nested_in_the_calls_that_ran_them():
    graph = record(nn.Sequential(nn.Linear(3, 2)), torch.ones(1, 3), level="aten")
    assert [o.name for o in graph.operations] == ["t", "addmm"]
    owner = graph.owners[graph.operations[1].owner]
    assert owner.type == "linear" and graph.owners[owner.parent or 0].path == "0"
