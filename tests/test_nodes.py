"""Neurons and synapses: every number shown is a recorded one, thickness follows size, the dash follows the sign."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from deepglass.drawing.lettering import short_number
from deepglass.drawing.neurons import stack_of
from deepglass.drawing.nodes import nodes_scene
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Scene, Shape
from deepglass.errors import ModelError
from deepglass.tracing.record import record


def classic() -> tuple[nn.Sequential, Tensor]:
    """The 2-2-1 net of every first lesson, with the inputs 0.50 and -0.20."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1), nn.Sigmoid())
    with torch.no_grad():
        net.get_parameter("0.weight").copy_(torch.tensor([[0.8, -0.6], [-0.4, 0.9]]))
        net.get_parameter("0.bias").copy_(torch.tensor([0.1, -0.3]))
        net.get_parameter("2.weight").copy_(torch.tensor([[1.2, -0.7]]))
        net.get_parameter("2.bias").fill_(0.05)
    return net, torch.tensor([[0.5, -0.2]])


def flat(shapes: tuple[Shape, ...]) -> Iterator[Shape]:
    for shape in shapes:
        yield shape
        if isinstance(shape, Group):
            yield from flat(shape.shapes)


def synapses(scene: Scene) -> dict[str, Line]:
    return {one.id: one for one in flat(scene.shapes) if isinstance(one, Line) and one.id.startswith("synapse")}


def neurons(scene: Scene) -> dict[str, Dot]:
    return {one.id: one for one in flat(scene.shapes) if isinstance(one, Dot) and one.id}


def labels(scene: Scene) -> list[str]:
    return [one.text for one in flat(scene.shapes) if isinstance(one, Label)]


def test_every_number_of_the_classic_net_can_be_read() -> None:
    net, x = classic()
    shown = labels(nodes_scene(record(net, x)))
    net.requires_grad_(False)
    z = net[0](x)
    hidden = torch.tanh(z)
    numbers = [
        *x[0],
        *net.get_parameter("0.weight").flatten(),
        *hidden[0],
        *net.get_parameter("2.weight")[0],
        *net(x)[0],
    ]
    for number in numbers:
        assert short_number(float(number)) in shown
    for name, values in (
        ("z", [*z[0], *net[2](hidden)[0]]),
        ("b", [*net.get_parameter("0.bias"), *net.get_parameter("2.bias")]),
    ):
        assert all(f"{name} = {short_number(float(value))}" in shown for value in values)


def test_the_sums_written_out_are_the_net() -> None:
    net, x = classic()
    lines = [line for line in nodes_scene(record(net, x)).lines if " = " in line]
    assert lines == [
        "h₁ = tanh(0.80·0.50 + (−0.60)·(−0.20) + 0.10) = tanh(0.62) = 0.55",
        "h₂ = tanh((−0.40)·0.50 + 0.90·(−0.20) − 0.30) = tanh(−0.68) = −0.59",
        "y = sigmoid(1.20·0.55 + (−0.70)·(−0.59) + 0.05) = sigmoid(1.13) = 0.75",
    ]
    for line in lines:
        inner = line.split(" = ")[1].partition("(")[2][:-1].replace("·", "*").replace("−", "-")
        assert eval(inner) == pytest.approx(
            float(line.split(" = ")[2].partition("(")[2][:-1].replace("−", "-")), abs=0.02
        )


def test_no_two_numbers_cover_each_other_in_the_classic_net() -> None:
    scene = nodes_scene(record(*classic()))
    backs = [one for one in flat(scene.shapes) if isinstance(one, Box)]
    assert len(backs) >= 6
    for place, one in enumerate(backs):
        for other in backs[place + 1 :]:
            apart = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y


@pytest.mark.parametrize("sizes", [(2, 2, 1), (5, 12, 3), (20, 40, 10)])
def test_thickness_grows_with_the_weight_and_the_dash_is_its_sign(sizes: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    first, middle, last = sizes
    net = nn.Sequential(nn.Linear(first, middle), nn.ReLU(), nn.Linear(middle, last))
    drawn = synapses(nodes_scene(record(net, torch.randn(3, first))))
    weights = {}
    net.requires_grad_(False)
    for name, line in drawn.items():
        column, before, after = map(int, name.split("-")[1:])
        weights[name] = float(net.get_parameter(f"{2 * column}.weight")[after, before])
        assert bool(line.style.dash) == (weights[name] < 0) == (line.style.role == "negative")
    ordered = sorted(drawn, key=lambda name: abs(weights[name]))
    widths = [drawn[name].style.outline for name in ordered]
    assert widths == sorted(widths) and widths[0] < widths[-1]


def test_lines_run_from_circle_to_circle() -> None:
    scene = nodes_scene(record(*classic()))
    at = {name: (dot.x, dot.y) for name, dot in neurons(scene).items()}
    for name, line in synapses(scene).items():
        column, before, after = map(int, name.split("-")[1:])
        assert line.points == (at[f"neuron-{column}-{before}"], at[f"neuron-{column + 1}-{after}"])


def test_what_a_circle_says_is_what_was_recorded() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(5, 4)
    scene = nodes_scene(record(net, x), example=2)
    hidden, out = torch.relu(net[0](x))[2], net(x)[2]
    for column, values in enumerate((x[2], hidden, out)):
        for neuron, value in enumerate(values.tolist()):
            assert f"a = {value:.4g}" in neurons(scene)[f"neuron-{column}-{neuron}"].words


def test_a_bias_added_by_hand_and_a_weight_turned_over_are_understood() -> None:
    torch.manual_seed(0)
    weight, bias = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(2))
    x = torch.randn(1, 3)
    stack = stack_of(record(lambda x: torch.relu(x @ weight + bias), x))
    assert torch.equal(stack.weights[0], weight.detach().double().T)  # type: ignore[arg-type]
    column = stack.columns[1]
    assert column.functions == ("relu",)
    assert column.bias is not None and column.z is not None and column.a is not None
    assert torch.allclose(column.bias.float(), bias)
    assert torch.allclose(column.z.float(), (x @ weight + bias)[0])
    assert torch.allclose(column.a, column.z.relu())


def test_of_a_large_net_the_strongest_are_shown_and_it_is_said() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(256, 100), nn.ReLU(), nn.Linear(100, 3))
    with torch.no_grad():
        net.get_parameter("2.weight")[:, 7] = 9.0
        net.get_parameter("0.weight")[7, 200] = -8.0
    scene = nodes_scene(record(net, torch.randn(1, 256)))
    shown = neurons(scene)
    assert {"neuron-1-7", "neuron-0-200"} <= shown.keys()
    assert [sum(name.startswith(f"neuron-{column}-") for name in shown) for column in range(3)] == [16, 16, 3]
    assert any("16 of 256 shown" in text for text in labels(scene))
    assert any("16 of 256 shown" in line for line in scene.lines)


def test_neurons_left_out_make_the_lines_left_out_counted() -> None:
    scene = nodes_scene(record(nn.Sequential(nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 4)), torch.randn(1, 40)))
    assert len(synapses(scene)) == 600
    assert "the strongest 600 synapses are drawn, 1,160 are not" in scene.lines


def test_channels_are_neurons_of_a_convolution() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 2)).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64)
    stack = stack_of(record(net, x))
    kernels = net.get_parameter("0.weight").detach()
    assert stack.weights[0] is not None and stack.weights[1] is not None
    torch.testing.assert_close(stack.weights[0].abs(), kernels.flatten(2).norm(dim=2))
    torch.testing.assert_close(stack.weights[0].sign(), kernels.sum((2, 3)).sign())
    torch.testing.assert_close(
        stack.weights[1].abs(), net.get_parameter("3.weight").detach().reshape(2, 3, 4).norm(dim=2)
    )
    torch.testing.assert_close(stack.columns[1].a, net[1](net[0](x))[0].mean((1, 2)))


def test_grouped_and_transposed_convolutions_keep_their_directions() -> None:
    grouped = stack_of(record(nn.Conv1d(4, 6, 1, groups=2).double(), torch.randn(1, 4, 3, dtype=torch.float64)))
    assert grouped.weights[0] is not None
    assert grouped.weights[0].shape == (6, 4)
    assert not grouped.weights[0][:3, 2:].any() and not grouped.weights[0][3:, :2].any()
    turned = nn.ConvTranspose2d(2, 5, 1).double()
    stack = stack_of(record(turned, torch.randn(1, 2, 3, 3, dtype=torch.float64)))
    torch.testing.assert_close(stack.weights[0], turned.weight.detach().squeeze().T)


def test_what_it_leaves_out_is_said() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x + torch.relu(self.first(x)))

    scene = nodes_scene(record(Skip(), torch.randn(1, 3)))
    assert "add_1 joins another path, which is not drawn" in scene.lines


def test_weights_that_were_not_kept_are_drawn_as_unknown() -> None:
    graph = record(nn.Sequential(nn.Linear(3, 2)), torch.randn(1, 3), budget=0)
    scene = nodes_scene(graph)
    assert {line.style.role for line in synapses(scene).values()} == {"muted"}
    assert "?" in labels(scene)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_are_drawn_too(bad: float) -> None:
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.weight[0, 0] = bad
    scene = nodes_scene(record(net, torch.ones(1, 2)))
    assert ("NaN" if math.isnan(bad) else "∞") in labels(scene)
    assert "warning" in {dot.style.role for dot in neurons(scene).values()}


def test_it_refuses_what_has_no_neurons_with_the_next_move() -> None:
    with pytest.raises(ModelError, match=r"no neurons to draw.*--view layers"):
        nodes_scene(record(lambda x: x.exp(), torch.ones(2)))
    with pytest.raises(ModelError, match="no module 'fc'"):
        nodes_scene(record(nn.Sequential(nn.Linear(2, 2)), torch.ones(1, 2)), at="fc")
    with pytest.raises(ModelError, match="no neurons"):
        nodes_scene(record(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.ones(1, 2)), at="1")
