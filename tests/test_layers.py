"""The layers view: every layer once, links as the network has them, in words too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from deepglass.drawing import portraits
from deepglass.drawing.captions import captions_of
from deepglass.drawing.flow import Flow
from deepglass.drawing.layers import layers_scene
from deepglass.drawing.portraits import portray
from deepglass.drawing.scene import Box, Dot, Group, Label, Line, Polygon, Scene
from deepglass.drawing.walking import flow_of
from deepglass.tracing.graph import Graph
from deepglass.tracing.record import record
from networks import ResNetV2, UNet
from portraits_nets import NETS, flat, recorded


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


@pytest.mark.parametrize(
    ("module", "shape", "caption", "given"),
    [
        (nn.MaxPool2d(3, 2, 1), (1, 4, 8, 8), "max pool 3×3", (4, 4, 4)),
        (nn.AvgPool1d(2), (1, 4, 8), "average pool 2", (4, 4)),
        (nn.AdaptiveAvgPool2d(2), (1, 4, 8, 8), "average pool to 2×2", (4, 2, 2)),
        (nn.Upsample(scale_factor=2), (1, 4, 8, 8), "upsample ×2", (4, 16, 16)),
        (nn.Conv2d(6, 6, (3, 5), groups=6), (1, 6, 8, 8), "depthwise conv 3×5, 6", (6, 6, 4)),
        (nn.Conv3d(1, 2, 3), (1, 1, 5, 5, 5), "conv 3×3×3, 2", (2, 3, 3, 3)),
        (nn.LSTM(4, 5, 2, bidirectional=True), (7, 2, 4), "LSTM 5, 2 layers, both ways", (7, 10)),
        (nn.GRU(4, 5, batch_first=True), (2, 7, 4), "GRU 5", (7, 5)),
    ],
)
def test_captions_and_shapes_of_single_layers(
    module: nn.Module, shape: tuple[int, ...], caption: str, given: tuple[int, ...]
) -> None:
    layer = flow_of(record(module, torch.zeros(shape))).layers[1]
    assert (layer.portrait.caption, layer.shape) == (caption, given)


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
