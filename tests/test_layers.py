"""The layers view: every layer once, nothing on top of anything else, links as the network has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from deepglass.seeing import portraits
from deepglass.seeing.captions import captions_of
from deepglass.seeing.flow import Flow
from deepglass.seeing.layers import layers_scene
from deepglass.seeing.placing import Placed, placed
from deepglass.seeing.portraits import portray
from deepglass.seeing.scene import Box, Dot, Group, Label, Line, Polygon, Scene, Shape
from deepglass.seeing.walking import flow_of
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from portraits_nets import NETS, Language, ResNetV2, UNet

WIDTHS = (640, 1200)
Box4 = tuple[float, float, float, float]


def recorded(name: str) -> Graph:
    net, inputs = NETS[name]
    return record(net.eval(), *inputs)


def flat(shapes: tuple[Shape, ...]) -> Iterator[Any]:
    for shape in shapes:
        if isinstance(shape, Group):
            yield from flat(shape.shapes)
        else:
            yield shape


def bodies(places: Placed) -> list[Box4]:
    """Left, top, right and bottom of what each layer takes, with its caption apart."""
    found = []
    for spot in places.spots:
        found.append((spot.left, spot.middle - spot.body.ascent, spot.exit, spot.middle + spot.body.descent))
        if spot.caption.width:
            half = spot.caption.width / 2
            top = spot.caption_top - 10
            found.append((spot.center - half, top, spot.center + half, top + spot.caption.height))
    return found


def overlap(one: Box4, other: Box4) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_nothing_lies_on_anything_else(name: str, width: int) -> None:
    boxes = bodies(placed(flow_of(recorded(name)), width))
    crossing = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place] if overlap(one, other)]
    assert crossing == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_the_picture_stays_on_its_page(name: str, width: int) -> None:
    scene = layers_scene(recorded(name), width=width)
    assert scene.width <= width
    for shape in flat(scene.shapes):
        for x, y in corners(shape):
            assert 0 <= x <= scene.width, shape
            assert 0 <= y <= scene.height, shape


def corners(shape: Any) -> list[tuple[float, float]]:
    if isinstance(shape, Box):
        return [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
    if isinstance(shape, Dot):
        return [(shape.x - shape.radius, shape.y - shape.radius), (shape.x + shape.radius, shape.y + shape.radius)]
    return [(shape.x, shape.y)] if isinstance(shape, Label) else list(shape.points)


@pytest.mark.parametrize("name", ["classifier", "reader", "autoencoder", "unet", "towers"])
def test_every_layer_stands_there_once_with_all_its_weights(name: str) -> None:
    net, _ = NETS[name]
    graph, flow = recorded(name), flow_of(recorded(name))
    wanted = sorted(
        path for path, module in net.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding, nn.GRU))
    )  # fmt: skip
    assert sorted(layer.path for layer in flow.layers if layer.weights) == wanted
    assert sum(layer.weights for layer in flow.layers) == sum(p.numel() for p in net.parameters()) == graph.parameters


def test_folded_weights_count_once_for_each_repetition() -> None:
    net, inputs = NETS["language"]
    flow = flow_of(record(net.eval(), *inputs))
    (frame,) = flow.frames
    inside = sum(flow.layers[place].weights for place in frame.layers)
    outside = sum(layer.weights for layer in flow.layers) - inside
    assert (frame.label, frame.count) == ("Block", 6)
    assert outside + 6 * inside == sum(p.numel() for p in net.parameters())


class Leaves(fx.Tracer):
    """torch.fx as the reference: convolutions, linear layers and what joins them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d))


def edges_by_fx(net: nn.Module) -> set[tuple[str, str]]:
    """Which layer reads which, through all that is no layer."""
    graph = Leaves().trace(net)
    layers = {
        node: str(node.target)
        for node in graph.nodes
        if node.op == "call_module" and not isinstance(net.get_submodule(str(node.target)), nn.BatchNorm2d)
    }
    behind: dict[fx.Node, set[str]] = {}
    edges = set()
    for node in graph.nodes:
        sources = set().union(*(behind[one] for one in node.all_input_nodes)) if node.all_input_nodes else set()
        if node in layers:
            edges |= {(source, layers[node]) for source in sources}
            sources = {layers[node]}
        behind[node] = sources
    return edges


def edges_by_flow(flow: Flow) -> set[tuple[str, str]]:
    behind: dict[int, set[str]] = {}
    edges = set()
    for place, layer in enumerate(flow.layers):
        sources = set().union(*(behind[one] for one, other in flow.links if other == place))
        if layer.weights and layer.role == "layer":
            edges |= {(source, layer.path) for source in sources}
            sources = {layer.path}
        behind[place] = sources
    return edges


@pytest.mark.parametrize("net", [UNet(), ResNetV2(depth=1), ResNetV2((4, 8), depth=1)])
def test_links_are_those_that_torch_fx_finds(net: nn.Module) -> None:
    channels = next(net.parameters()).shape[1]
    flow = flow_of(record(net.eval(), torch.zeros(2, channels, 16, 16)))
    assert not flow.frames
    assert edges_by_flow(flow) == edges_by_fx(net)
    assert len(edges_by_fx(net)) > 5


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", NETS)
def test_links_lead_to_the_right_or_to_a_lower_row(name: str, width: int) -> None:
    places = placed(flow_of(recorded(name)), width)
    for one, other in places.flow.links:
        start, end = places.spots[one], places.spots[other]
        assert (start.row, start.exit) < (end.row, end.left)
        assert start.column < end.column


def test_each_residual_join_has_an_arc_over_what_it_skips() -> None:
    places = placed(flow_of(recorded("block")), 1200)
    joins = [place for place, layer in enumerate(places.flow.layers) if layer.role == "join"]
    assert len(joins) == 2
    assert sorted(other for _, other in places.arcs) == joins
    for (one, other), height in places.arcs.items():
        spanned = places.spots[one + 1 : other]
        assert all(height < spot.middle - spot.body.ascent for spot in spanned)


def test_a_skip_into_a_frame_starts_inside_it() -> None:
    places = placed(flow_of(recorded("language")), 1200)
    (room,) = places.rooms
    inside = set(room.frame.layers)
    entering = [link for link in places.arcs if link[0] not in inside and link[1] in inside]
    assert entering
    for link in entering:
        assert places.carriers[link] in inside
        assert room.left < places.spots[places.carriers[link]].left
        assert room.top < places.arcs[link] < room.bottom


def test_attention_and_slivers_of_a_block() -> None:
    flow = flow_of(recorded("block"))
    said = [layer.portrait.caption for layer in flow.layers]
    assert said == ["x", "attention, 8 heads", "add", "dense 256", "dense 64", "add"]
    assert [[one.portrait.caption for one in layer.before] for layer in flow.layers][1] == ["layer norm"]
    assert [one.portrait.caption for one in flow.layers[3].after] == ["GELU"]


def test_captions_say_what_papers_say() -> None:
    names = {layer.portrait.caption for net in NETS for layer in flow_of(recorded(net)).layers}
    assert {"conv 3×3, 32", "conv 5, 64", "max pool 2×2", "global max pool", "embedding 5,000×32", "dense 10",
            "transposed conv 3×3, 16", "GRU 24", "global average pool"} <= names  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_every_shape_has_words_and_its_own_name(name: str) -> None:
    scene = layers_scene(recorded(name))
    shapes = [shape for shape in flat(scene.shapes) if not isinstance(shape, Label)]
    assert all(shape.words for shape in shapes)
    names = [shape.id for shape in shapes]
    assert len(names) == len(set(names))
    assert scene == layers_scene(recorded(name))


def test_ids_of_layers_come_from_module_paths() -> None:
    groups = [shape.id for shape in layers_scene(recorded("reader")).shapes if isinstance(shape, Group)]
    assert groups[1:] == [
        "layer embedding.embedding",
        "layer convolution.conv1d",
        "layer amax",
        "layer hidden.linear",
        "layer out.linear",
    ]


def test_the_words_tell_the_whole_picture() -> None:
    lines = layers_scene(recorded("autoencoder")).lines
    assert lines[1] == "1×28×28 → conv 3×3, 16 → ReLU → 16×14×14   160 weights"
    assert len(lines) == 8
    told = layers_scene(recorded("language")).lines
    assert "Block, 6 times in a row:" in told
    assert any(line.startswith("  ") and "attention, 8 heads" in line for line in told)


def test_larger_sides_make_larger_bodies() -> None:
    places = placed(flow_of(recorded("autoencoder")), 1200)
    heights = [spot.body.solids[spot.body.main].height for spot in places.spots[:5]]
    assert heights[:4] == sorted(heights[:4], reverse=True)
    assert len(set(heights[:4])) == 4
    widths = [spot.body.solids[spot.body.main].width for spot in places.spots[1:4]]
    assert widths == sorted(widths)


def test_a_portrait_that_fails_is_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Graph, thing: Any) -> None:
        if getattr(thing, "name", "") == "conv2d":
            raise ValueError("no idea")

    monkeypatch.setattr(portraits, "PORTRAITS", (broken, *portraits.PORTRAITS))
    scene = layers_scene(recorded("unet"))
    assert any(isinstance(shape, Label) and shape.text == "?" for shape in flat(scene.shapes))
    assert any("ValueError: no idea" in line for line in scene.lines)
    assert any(layer.portrait.caption == "max pool 2×2" for layer in flow_of(recorded("unet")).layers)


def test_a_network_that_crashed_is_drawn_as_far_as_it_came() -> None:
    graph = record(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(9, 2)), torch.zeros(2, 4))
    assert graph.failure
    scene = layers_scene(graph)
    assert any("dense 8" in line for line in scene.lines)
    assert any(isinstance(shape, Label) and shape.text == "failed" for shape in flat(scene.shapes))
    assert graph.failure[:20] in scene.description


class Wide(nn.Module):
    """Sixty different layers in twenty modules."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(*(nn.Linear(3 * k + j + 2, 3 * k + j + 3) for j in range(3))) for k in range(20)
        )

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


def test_modules_are_closed_until_few_enough_are_left() -> None:
    net = Wide()
    graph = record(net, torch.zeros(1, 2))
    assert len([one for one in flow_of(graph, most=100).layers if one.role == "layer"]) == 60
    closed = flow_of(graph, most=30)
    assert [one.portrait.caption for one in closed.layers if one.role == "layer"] == ["Sequential"] * 20
    assert sum(layer.weights for layer in closed.layers) == sum(p.numel() for p in net.parameters())


def test_what_cannot_be_closed_is_counted_in_its_middle() -> None:
    weights = [torch.ones(k % 5 + 2, (k - 1) % 5 + 2, requires_grad=True) for k in range(1, 60)]

    def chain(x: Tensor) -> Tensor:
        for weight in weights:
            x = torch.tanh(functional.linear(x, weight) * 2)
        return x

    flow = flow_of(record(chain, torch.zeros(1, 2)), most=4)
    assert len(flow.layers) <= 12


def test_five_thousand_operations_become_one_frame() -> None:
    graph = record(
        Language(words=20, width=8, heads=2, depth=240, length=4).eval(), torch.zeros(1, 4, dtype=torch.int64)
    )
    assert len(graph.operations) > 4500
    scene = layers_scene(graph)
    assert scene.width <= 1000
    assert "Block, 240 times in a row:" in scene.lines


@pytest.mark.parametrize("thing", [lambda x: x, lambda x: x * 2 + 1, lambda x: x.sum(), nn.Identity()])
def test_things_without_layers_are_drawn_too(thing: Any) -> None:
    scene = layers_scene(record(thing, torch.ones(2, 3)))
    assert scene.width > 0
    assert scene.lines[0] == "input input: 3" or scene.lines[0].startswith("input ")


def test_names_that_would_break_a_picture_are_shown_plain() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    Odd.__name__ = "<script>" + chr(7)
    scene: Scene = layers_scene(record(nn.Sequential(nn.Linear(2, 2), Odd()), torch.ones(1, 2)))
    assert chr(7) not in "".join((scene.title, scene.description, *scene.lines))


def test_portraits_decline_until_one_speaks() -> None:
    graph = recorded("classifier")
    assert portray(graph, graph.owners[0]) is None
    linear = next(one for one in graph.operations if one.name == "linear")
    said = portray(graph, linear)
    assert said is not None
    assert (said.part, said.kind, said.form, said.caption) == ("layer", "linear", "bar", "dense 256")


def test_rare_slivers_are_named_and_usual_ones_left_to_the_legend() -> None:
    flow = flow_of(recorded("autoencoder"))
    details = [caption.details for caption in captions_of(flow)]
    assert details[1] == ("16×14×14",)
    assert details[6] == ("1×28×28", "sigmoid")


def test_lines_and_faces_are_what_the_renderers_know() -> None:
    kinds = {type(shape) for name in NETS for shape in flat(layers_scene(recorded(name)).shapes)}
    assert kinds == {Box, Dot, Label, Line, Polygon}
