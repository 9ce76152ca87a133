"""The graph view: every operation stands for itself or is counted, streams are the record's, frames hold their own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.drawing.faces import shown_value
from deepglass.drawing.operations import graph_scene
from deepglass.drawing.scene import Box, Group, Label, Line, Scene, Shape
from deepglass.drawing.streams import leaves, streams, terminals
from deepglass.drawing.unfolding import Part, Unfolding, unfold
from deepglass.errors import ModelError
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(functional.gelu(self.up(self.norm(x))))


class Deep(nn.Module):
    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(4) for _ in range(blocks))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.shape[0], 4)
        for time in range(x.shape[1]):
            state = self.cell(x[:, time], state)
        return self.head(state)


def long(x: Tensor) -> Tensor:
    for turn in range(1250):
        x = torch.sin(x * turn) + torch.cos(x)
    return x


def mixed(x: Tensor) -> Tensor:
    """Four hundred operations in no order that repeats."""
    draw = torch.Generator().manual_seed(0)
    for kind in torch.randint(4, (400,), generator=draw).tolist():
        x = (torch.sin, torch.cos, torch.tanh, torch.neg)[kind](x)
    return x


GRAPHS = {
    "few blocks": lambda: record(Deep(3), torch.randn(2, 4), loss=lambda y: y.sum()),
    "many blocks": lambda: record(Deep(40), torch.randn(2, 4)),
    "a loop": lambda: record(Loop(), torch.randn(2, 6, 3), loss=lambda y: y.sum()),
    "attention": lambda: record(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(1, 3, 8)),
    "long": lambda: record(long, torch.randn(3)),
    "mixed": lambda: record(mixed, torch.randn(3)),
    "two towers": lambda: record(lambda x, y: torch.cat([x.relu(), y.tanh()]).sum(), torch.ones(2), torch.ones(2)),
}


@pytest.fixture(scope="module")
def graphs() -> dict[str, Graph]:
    torch.manual_seed(0)
    return {name: make() for name, make in GRAPHS.items()}


def flat(shapes: tuple[Shape, ...]) -> Iterator[Shape]:
    for shape in shapes:
        yield shape
        if isinstance(shape, Group):
            yield from flat(shape.shapes)


def of(scene: Scene, kind: type) -> list:  # type: ignore[type-arg]
    return [one for one in flat(scene.shapes) if isinstance(one, kind)]


def counted(part: Part) -> int:
    """How many operations a tree of parts stands for, repeats and all."""
    inside = sum(counted(inner) for inner in part.parts) if part.open else len(part.operations)
    return inside * part.times


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("rolled", [True, False])
@pytest.mark.parametrize("most", [5, 40, 120])
def test_every_operation_stands_for_itself_or_is_counted(
    graphs: dict[str, Graph], name: str, rolled: bool, most: int
) -> None:
    graph = graphs[name]
    unfolding = unfold(graph, rolled=rolled, most=most)
    assert counted(unfolding.root) == len(graph.operations)
    shown = {one for leaf in leaves(unfolding.root) for one in leaf.operations}
    assert {unfolding.resolve(operation.id)[0] for operation in graph.operations} == shown
    assert len(leaves(unfolding.root)) <= max(most, 40)


def _reachable(pairs: set[tuple[str, str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        node = waiting.pop()
        for source, target in pairs:
            if source == node and target not in found:
                found.add(target)
                waiting.append(target)
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_the_streams_are_those_of_the_record(graphs: dict[str, Graph], name: str) -> None:
    graph = graphs[name]
    unfolding = unfold(graph)
    ends = terminals(graph, unfolding, 0)
    flows = streams(graph, unfolding, ends)
    shown = {one: leaf.id for leaf in leaves(unfolding.root) for one in leaf.operations}
    expected = _expected(graph, unfolding, shown)
    drawn = {
        (flow.source, flow.target) for flow in flows if not flow.source.startswith("in-") and "out-" not in flow.target
    }
    assert drawn == expected
    given = {value for flow in flows if flow.source.startswith("in-") for value in flow.values}
    assert given == set(graph.inputs)
    forward = {(flow.source, flow.target) for flow in flows if not flow.back}
    assert any("out-" in target for target in _reachable(forward, f"in-{graph.values[graph.inputs[0]].name}"))


def _expected(graph: Graph, unfolding: Unfolding, shown: dict[int, str]) -> set[tuple[str, str]]:
    """Pairs of shown parts between which a value goes, but from one block of a stack to the next."""
    pairs = set()
    for operation in graph.operations:
        target, turns = unfolding.resolve(operation.id)
        for value in operation.inputs:
            maker = graph.values[value].maker
            if maker is None:
                continue
            source, others = unfolding.resolve(maker)
            apart = [repeat for repeat in turns if repeat in others and turns[repeat] != others[repeat]]
            stacked = any(not unfolding.folds[repeat].shared for repeat in apart)
            if not stacked and (shown[source] != shown[target] or apart):
                pairs.add((shown[source], shown[target]))
    return pairs


@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_overlaps_but_frames_and_what_they_hold(graphs: dict[str, Graph], name: str) -> None:
    scene = graph_scene(graphs[name])
    nodes = [box for box in of(scene, Box) if box.id.endswith("-box")]
    frames = {box.id: box for box in of(scene, Box) if box.id.startswith("frame-")}
    for place, one in enumerate(nodes):
        for other in [*nodes[place + 1 :], *frames.values()]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            apart = apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y
            inside = other.x <= one.x and one.x + one.width <= other.x + other.width
            inside = inside and other.y <= one.y and one.y + one.height <= other.y + other.height
            assert apart or (inside and other in frames.values())
    assert all(box.x >= 0 and box.x + box.width <= scene.width and box.y + box.height <= scene.height for box in nodes)


@pytest.mark.parametrize("name", GRAPHS)
def test_lines_go_on_where_they_cross_a_frame(graphs: dict[str, Graph], name: str) -> None:
    """Every end of a line lies on the edge of a node, or where another line goes on."""
    scene = graph_scene(graphs[name])
    boxes = [box for box in of(scene, Box) if box.id.endswith("-box")]
    lines = [line for line in of(scene, Line) if line.id.startswith("flow-")]
    starts, ends = [line.points[0] for line in lines], [line.points[-1] for line in lines]

    def touches(point: tuple[float, float], others: list[tuple[float, float]]) -> bool:
        on = any(abs(y - point[1]) < 0.6 and abs(x - point[0]) < 0.6 for x, y in others)
        return on or any(
            box.x - 0.6 <= point[0] <= box.x + box.width + 0.6 and box.y - 0.6 <= point[1] <= box.y + box.height + 0.6
            for box in boxes
        )

    assert lines
    assert all(touches(point, ends) for point in starts)
    assert all(touches(point, starts) for point in ends)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_same_record_gives_the_same_picture(graphs: dict[str, Graph], name: str) -> None:
    assert graph_scene(graphs[name]) == graph_scene(graphs[name])


def test_five_thousand_operations_fold_to_what_repeats(graphs: dict[str, Graph]) -> None:
    graph = graphs["long"]
    assert len(graph.operations) == 5000
    lines = graph_scene(graph).lines
    assert any("× 1250" in line for line in lines)
    assert len(lines) < 12


def test_a_loop_is_one_turn_with_an_arrow_back_or_all_of_them(graphs: dict[str, Graph]) -> None:
    rolled, unrolled = (graph_scene(graphs["a loop"], rolled=rolled) for rolled in (True, False))
    back = [line for line in of(rolled, Line) if line.words == "to the next turn"]
    assert len(back) == 1 and back[0].style.dash
    assert any("cell × 6 in a loop" in line for line in rolled.lines)
    assert sum("gru_cell" in line for line in unrolled.lines) == 6
    assert not [line for line in of(unrolled, Line) if line.words]


def test_blocks_are_shown_once_and_counted(graphs: dict[str, Graph]) -> None:
    lines = graph_scene(graphs["many blocks"]).lines
    assert "blocks.0 … 39  Block × 40" in lines
    assert sum("layer_norm" in line for line in lines) == 1


def test_values_and_gradients_stand_on_the_nodes() -> None:
    x = torch.tensor([[0.25, -1.5]], requires_grad=True)
    graph = record(lambda x: (x * x).sum(), x)
    shown = {label.text for label in of(graph_scene(graph, values=True), Label)}
    assert {"= 0.25  −1.50", "∂ 0.50  −3.00", "= 0.06  2.25", "= 2.31", "∂ 1.00"} <= shown


def test_of_large_tensors_mean_and_spread_are_shown() -> None:
    x = torch.randn(100, 7, generator=torch.Generator().manual_seed(0))
    graph = record(torch.neg, x)
    shown = shown_value(graph.value("neg_1").kept)
    mean, spread = (float(text.replace("−", "-")) for text in shown.split(" ± "))
    assert mean == pytest.approx(float(-x.mean()), abs=0.006)
    assert spread == pytest.approx(float(x.std(correction=0)), abs=0.006)


def test_a_step_is_marked_and_read_aloud(graphs: dict[str, Graph]) -> None:
    graph = graphs["few blocks"]
    steps = list(graph.steps())
    for number in (1, len(steps)):
        scene = graph_scene(graph, step=number)
        assert f"Step {number}. {steps[number - 1].say()}" in scene.lines
        (halo,) = [box for box in of(scene, Box) if box.style.role == "accent" and box.style.outline == 2.0]
        marked = [box for box in of(scene, Box) if box.style.outline == 2.6]
        assert len(marked) == 1 and (marked[0].x - halo.x, marked[0].y - halo.y) == (5, 5)
    for wrong in (0, len(steps) + 1):
        with pytest.raises(ModelError, match=f"no step {wrong}: there are {len(steps)}"):
            graph_scene(graph, step=wrong)


def test_what_failed_is_marked_with_its_message() -> None:
    graph = record(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2)), torch.randn(1, 3))
    assert graph.failure
    scene = graph_scene(graph)
    alarm = [box for box in of(scene, Box) if box.style.role == "warning"]
    assert [box.id for box in alarm] == ["module-2-box"]
    said = " ".join(label.text for label in of(scene, Label) if label.role == "warning")
    assert re.sub(r"\s+", " ", graph.failure) in said


@pytest.mark.parametrize("hostile", ["a b", "<script>", "0", "x" * 300, "日本"])
def test_modules_of_any_name_are_drawn(hostile: str) -> None:
    net = nn.Module()
    net.add_module(hostile, nn.Linear(2, 2))
    net.forward = lambda x: net.get_submodule(hostile)(x)  # type: ignore[method-assign]
    scene = graph_scene(record(net, torch.ones(1, 2)))
    widest = max(box.width for box in of(scene, Box))
    assert widest <= 230


def test_one_module_alone_is_drawn_with_what_enters_it(graphs: dict[str, Graph]) -> None:
    scene = graph_scene(graphs["few blocks"], at="blocks.1")
    names = [label.text for label in of(scene, Label)]
    assert {"norm", "up", "down", "gelu", "add"} <= set(names) and "head" not in names
    assert len([box for box in of(scene, Box) if box.id.startswith("in-")]) == 1
    with pytest.raises(ModelError, match=r"no module 'block\.1' ran\..*'blocks\.1'"):
        graph_scene(graphs["few blocks"], at="block.1")


def test_nothing_ran_is_a_picture_too() -> None:
    assert "No operation" in graph_scene(record(lambda x: x, torch.ones(2))).lines[0]
