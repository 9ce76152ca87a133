"""The chain rule read aloud: every step computed anew, and equal to autograd."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepglass.tracing.chain import Step
from deepglass.tracing.formulas import ELEMENTWISE, FORMULAS
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from record_nets import CASES, scalar, whole


def close(found: Tensor | None, wanted: Tensor) -> bool:
    return found is not None and found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-6)


def steps_back(graph: Graph) -> list[Step]:
    return [step for step in graph.steps() if step.phase == "backward"]


@pytest.mark.parametrize("name", CASES)
def test_sums_of_contributions_are_autograd_s_gradients(name):
    torch.manual_seed(0)
    graph = record(CASES[name].make(), *CASES[name].inputs(), loss=scalar, seed=1)
    compared = {}
    for step in steps_back(graph):
        assert step.say()
        for path in step.paths:
            if path.difference is not None:
                compared[path.value.id] = path.difference
    wanted = {value.id for value in graph.values if value.gradient is not None} - {graph.loss}
    assert set(compared) == wanted and max(compared.values()) == 0


def test_the_forward_half_comes_first_in_the_order_it_ran():
    torch.manual_seed(0)
    graph = record(
        nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1)), torch.ones(1, 2), loss=lambda y: y.sum()
    )
    walked = [(step.phase, step.operation.label) for step in graph.steps()]
    names = ["linear_1", "sigmoid_1", "linear_2", "sum_1"]
    assert walked == [("forward", name) for name in names] + [("backward", name) for name in reversed(names)]


def test_a_step_is_read_aloud():
    x, w = torch.tensor(3.0, requires_grad=True), torch.tensor(-2.0, requires_grad=True)
    graph = record(lambda x, w: torch.relu(x * w) + x * x, x, w)
    said = [step.say() for step in graph.steps()]
    assert said[0] == "mul_1 = mul(x, w). z = x · y, entry by entry: -6."
    assert said[1] == "relu_1 = relu(mul_1). z = max(0, x): 0."
    assert said[4].startswith("Back through add_1, with g = dL/d[add_1] = 1.")
    assert "To dL/d[x] comes g · y = 6, 1 of 2 paths" in said[5]
    assert "dL/d[mul_1] = g · (1 where x > 0, else 0) = 0" in said[6]
    assert "2 of 2 paths; together = 6" in said[7]


OTHERS = "where clone detach lerp addcmul addcdiv masked_fill dropout alpha_dropout threshold clamp clamp_min clamp_max"
ALONE = sorted(n for n in ELEMENTWISE if callable(getattr(torch, n, None)) and n not in (*OTHERS.split(), "logit"))


@pytest.mark.parametrize("name", ALONE)
def test_elementwise_derivatives_are_finite_differences(name):
    function = getattr(torch, name)
    x = torch.tensor([0.3, 0.7, 0.45], dtype=torch.float64, requires_grad=True)
    y = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    two = name in ("pow", "add", "sub", "rsub", "mul", "div", "true_divide", "maximum", "minimum")

    def value(left: Tensor, right: Tensor) -> Tensor:
        return function(left, right) if two else function(left)

    graph = record(value, x, y, loss=lambda z: z.sum())
    (path, *rest) = steps_back(graph)[-1].paths
    h, left, right = 1e-6, x.detach(), y.detach()
    assert path.elementwise and len(rest) == two
    assert close(path.local, (value(left + h, right) - value(left - h, right)) / (2 * h))
    for second in rest:
        assert close(second.local, ((value(left, right + h) - value(left, right - h)) / (2 * h)).expand(3))


def test_small_jacobians_are_autograd_s_and_large_ones_are_left_out():
    weight = torch.linspace(-1, 1, 6).reshape(2, 3)
    graph = record(
        lambda x: (x @ weight).softmax(0), torch.tensor([0.2, -0.4], requires_grad=True), loss=lambda y: y[0]
    )
    paths = [step.paths[0] for step in steps_back(graph) if step.operation.name in ("softmax", "matmul")]
    z = whole(graph.value("matmul_1").kept)
    assert close(paths[0].local, torch.func.jacrev(lambda z: z.softmax(0))(z))
    assert close(paths[1].local, weight.T)
    large = record(lambda x: x.softmax(0), torch.ones(65, requires_grad=True), loss=lambda y: y[0])
    assert next(step for step in steps_back(large) if step.operation.name == "softmax").paths[0].local is None


def test_formulas_say_a_way_back_for_each_input():
    for name, formula in FORMULAS.items():
        assert formula.forward.startswith(("z =", "L =", "h_t =")), name
        assert 1 <= len(formula.backward) <= len(formula.symbols), name


def test_what_was_not_kept_is_not_made_up():
    torch.manual_seed(0)
    graph = record(nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 1)), torch.ones(4, 300), loss=scalar, budget=4000)
    assert graph.kept_bytes <= 4000
    back = steps_back(graph)
    assert back and all(path.difference in (None, 0) for step in back for path in step.paths)
    assert any(path.contribution is None for step in back for path in step.paths)
