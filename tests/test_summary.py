"""The table of a network: exact counts beside torchinfo's, tied weights once, unused ones too, nothing left behind."""

from __future__ import annotations

import html.parser
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.drawing.scene import Box, Label
from deepglass.drawing.summary import summarize, summary_scene
from deepglass.tracing.record import record
from nets import Deep


class Tied(nn.Module):
    """A tiny language model whose last layer is its table of words, with a pooler that is never asked."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(6, 6), nn.GELU()) for _ in range(3))
        self.last = nn.Linear(6, 11, bias=False)
        self.last.weight = self.table.weight
        self.pooler = nn.Linear(6, 5)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, words: Tensor) -> Tensor:
        x = self.table(words) * self.scale
        for block in self.blocks:
            x = x + block(x)
        return self.last(x)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(functional.relu(self.shared(x)))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


WORDS = torch.tensor([[1, 2, 3], [4, 5, 6]])


def test_parameters_are_those_of_the_module_tied_ones_once_and_unused_ones_too():
    net = Tied()
    net.blocks[0].requires_grad_(False)
    summary = summarize(net, WORDS)
    assert summary.parameters == parameters(net) == summary.rows[0].parameters
    assert summary.trainable == parameters(net) - 42
    assert summary.unused == parameters(net.pooler) == 35
    by_path = {row.path: row for row in summary.rows}
    assert by_path["table"].parameters == 66
    assert by_path["last"].parameters == 0 and by_path["last"].note == "weight tied with table.weight"
    assert by_path["last"].multiply_adds == 2 * 3 * 6 * 11, "tied weights do their work a second time"
    assert (by_path["pooler"].parameters, by_path["pooler"].note) == (35, "nothing reads it")


def test_lines_beneath_a_line_add_up_to_it():
    net = Tied()
    rows = summarize(net, WORDS, fold=False).rows
    whole = rows[0]
    leaves = [row for row, after in zip(rows, [*rows[1:], whole], strict=True) if after.depth <= row.depth]
    for count in ("parameters", "trainable", "multiply_adds"):
        assert sum(getattr(row, count) for row in leaves) == getattr(whole, count), count
    assert [row.type for row in rows if row.name == "(itself)"] == ["scale"]


def test_modules_that_are_alike_stand_on_one_line():
    folded, plain = summarize(Tied(), WORDS), summarize(Tied(), WORDS, fold=False)
    (row,) = [row for row in folded.rows if row.repeats > 1]
    assert (row.name, row.repeats, row.parameters) == ("blocks.0 … 2", 3, 3 * 42)
    assert row.multiply_adds == 3 * 6 * 36
    assert len(plain.rows) == len(folded.rows) + 2 * 3
    assert folded.parameters == plain.parameters


def test_a_module_called_twice_has_its_weights_once_and_its_work_twice():
    summary = summarize(Twice(), torch.randn(5, 4))
    (row,) = [row for row in summary.rows if row.path == "shared"]
    assert (row.parameters, row.multiply_adds, row.calls, row.note) == (20, 2 * 5 * 16, 2, "2 calls")


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "deep": (Deep, lambda: torch.randn(3, 1, 6, 6)),
    "dense": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), lambda: torch.randn(5, 4)),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4)), nn.Flatten(), nn.Linear(64, 7)),
        lambda: torch.randn(2, 3, 9, 9),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_figures_agree_with_those_of_torchinfo(name):
    torchinfo = pytest.importorskip("torchinfo")
    make, draw = NETS[name]
    net, inputs = make(), draw()
    net(inputs)
    theirs = torchinfo.summary(net, input_data=inputs, verbose=0)
    ours = summarize(net, inputs, fold=False)
    assert (ours.parameters, ours.trainable) == (theirs.total_params, theirs.trainable_params)
    assert ours.weight_bytes == theirs.total_param_bytes
    layers = {entry.var_name: entry for entry in theirs.summary_list if entry.is_leaf_layer}
    rows = {row.path.rpartition(".")[2]: row for row in ours.rows}
    for path, layer in layers.items():
        assert rows[path].output == tuple(layer.output_size), path
        assert rows[path].parameters == layer.num_params, path


def test_multiply_adds_are_torchinfos_where_a_bias_is_not_counted():
    torchinfo = pytest.importorskip("torchinfo")
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(4 * 25, 6, bias=False))
    inputs = torch.randn(2, 3, 5, 5)
    assert summarize(net, inputs).multiply_adds == torchinfo.summary(net, input_data=inputs, verbose=0).total_mult_adds


def test_activations_are_counted_without_views_and_changes_in_place():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Flatten(), nn.Unflatten(1, (2, 4)))
    assert summarize(net, torch.randn(5, 4)).activation_bytes == 5 * 8 * 4


def test_time_is_taken_of_every_module_and_nothing_is_left_behind():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2)).train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    state = torch.get_rng_state()
    summary = summarize(net, torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), timed=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    assert net.training and all(weight.grad is None for weight in net.parameters())
    children = [row for row in summary.rows if row.depth == 1]
    assert all(row.seconds is not None and row.seconds > 0 for row in summary.rows)
    assert summary.seconds is not None and 0 < sum(row.seconds or 0 for row in children) <= summary.seconds
    assert "share" in str(summary) and "a forward pass" in str(summary)


def test_a_graph_a_function_and_a_net_without_parameters_are_summed_up_as_well():
    net = Tied()
    assert summarize(record(net, WORDS)).rows == summarize(net, WORDS).rows
    summary = summarize(lambda x, w: torch.tanh(x @ w), torch.randn(3, 4), torch.randn(4, 2))
    assert (summary.parameters, summary.multiply_adds) == (0, 24)
    assert [row.type for row in summary.rows[1:]] == ["matmul", "tanh"]
    assert summarize(nn.Flatten(), torch.randn(2, 3, 4)).parameters == 0


def test_scripted_compiled_and_quantized_modules_keep_their_count():
    def net() -> nn.Sequential:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))

    with warnings.catch_warnings():
        # Two of the three are on their way out of PyTorch, and say so; they are still met.
        warnings.simplefilter("ignore")
        modules: list[Any] = [torch.jit.script(net()), torch.compile(net())]
        modules.append(torch.ao.quantization.quantize_dynamic(net(), {nn.Linear}, dtype=torch.qint8))
    for module in modules:
        summary = summarize(module, torch.randn(2, 4), timed=True)
        assert summary.parameters == parameters(module)
        assert summary.unused == 0 and summary.seconds is not None


def test_half_a_run_is_half_a_table():
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(7, 2))
    summary = summarize(net, torch.randn(5, 4))
    assert summary.parameters == parameters(net)
    assert any("half-way" in note for note in summary.notes)


def test_columns_stand_under_their_headings():
    lines = str(summarize(Tied(), WORDS)).splitlines()
    head = next(line for line in lines if line.startswith("layer"))
    right = head.index("parameters") + len("parameters")
    body = lines[lines.index(head) + 2 :]
    table = body[: next(place for place, line in enumerate(body) if set(line) == {"─"})]
    figures = [line[right - 6 : right].strip() for line in table]
    assert figures[0] == f"{parameters(Tied()):,}"
    assert all(line[right : right + 2].strip() == "" for line in table)
    assert "total" not in head and "3 alike, the first is shown" in "\n".join(table)


def test_a_table_that_would_be_too_long_is_cut_and_says_so():
    def long(x: Tensor) -> Tensor:
        for _ in range(700):
            x = torch.tanh(x) + 1
        return x

    summary = summarize(long, torch.randn(3))
    assert len(summary.rows) == 1401
    assert len(str(summary).splitlines()) < 270
    assert "1,151 lines are left out" in str(summary)


def test_the_picture_holds_every_line_within_its_bounds():
    summary = summarize(Tied(), WORDS)
    scene = summary_scene(summary)
    labels = [shape for shape in scene.shapes if isinstance(shape, Label)]
    assert {row.name for row in summary.rows} <= {label.text for label in labels}
    assert all(0 < label.x < scene.width and 0 < label.y < scene.height for label in labels)
    boxes = [shape for shape in scene.shapes if isinstance(shape, Box)]
    assert len({box.id for box in boxes}) == len(boxes) and all(box.words for box in boxes)
    assert scene.lines == tuple(str(summary).splitlines()[1:])


def test_html_is_whole_and_escapes_hostile_names():
    net = nn.Module()
    net.register_module("<script>", nn.Linear(2, 2))
    net.forward = lambda x: net.get_submodule("<script>")(x)  # type: ignore[method-assign]
    page = summarize(net, torch.randn(1, 2))._repr_html_()
    tags: list[str] = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(page)
    assert "script" not in tags and "&lt;script&gt;" in page
