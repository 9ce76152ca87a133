"""Work counted by formula, beside PyTorch's own count of what its kernels do."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from deepglass.tracing.cost import cost_of, costed
from deepglass.tracing.record import record


def work(thing: Callable[..., object], *inputs: Tensor) -> int:
    return sum(operation.cost.multiply_adds for operation in costed(record(thing, *inputs)).operations)


def counted(thing: Callable[..., object], *inputs: Tensor) -> int:
    """Half of PyTorch's flops. Attention by its plain kernel: those of the fast ones on a CPU it does not count."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        thing(*inputs)
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return flops // 2


class Mixed(nn.Module):
    """Convolutions in groups, strides and dilations, a transposed one, norms, pooling, a dense end."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Conv2d(8, 6, (1, 3), dilation=2, bias=False)
        self.back = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, output_padding=1)
        self.last = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.first(x)))
        x = self.back(self.wide(x))
        return self.last(functional.adaptive_avg_pool2d(x, 1).flatten(1))


NETS: dict[str, tuple[Callable[..., object], tuple[Tensor, ...]]] = {
    "mixed": (Mixed(), (torch.randn(2, 4, 12, 12),)),
    "line of sound": (
        nn.Sequential(nn.Conv1d(3, 8, 5), nn.GELU(), nn.ConvTranspose1d(8, 2, 4)), (torch.randn(2, 3, 20),)),
    "volume": (nn.Sequential(nn.Conv3d(1, 4, 3), nn.ConvTranspose3d(4, 2, 2)), (torch.randn(2, 1, 6, 6, 6),)),
    "without a batch": (nn.Conv2d(3, 4, 3), (torch.randn(3, 8, 8),)),
    "same padding": (nn.Conv2d(3, 4, 3, padding="same"), (torch.randn(2, 3, 8, 8),)),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), (torch.randn(2, 5, 8), *[torch.randn(2, 6, 8)] * 2)),
    "attention, other widths": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=4),
        (torch.randn(5, 2, 8), torch.randn(7, 2, 6), torch.randn(7, 2, 4))),
    "attention with a bias": (
        nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True), (torch.randn(5, 2, 8),) * 3),
    "encoder": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (torch.randn(2, 5, 8),)),
    "whole transformer": (
        nn.Transformer(8, 2, 1, 2, 16, batch_first=True), (torch.randn(2, 5, 8), torch.randn(2, 4, 8))),
    "gru": (nn.GRU(8, 6), (torch.randn(5, 2, 8),)),
    "gru, both ways": (nn.GRU(8, 6, 2, bidirectional=True, batch_first=True), (torch.randn(3, 5, 8),)),
    "plain rnn": (nn.RNN(8, 6), (torch.randn(5, 2, 8),)),
    "lstm cell": (nn.LSTMCell(8, 6), (torch.randn(2, 8),)),
    "gru cell": (nn.GRUCell(8, 6), (torch.randn(2, 8),)),
    "embedding": (nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 3)), (torch.arange(6).view(2, 3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_a_net_is_counted_as_pytorch_counts_it(name):
    net, inputs = NETS[name]
    assert work(net, *inputs) == counted(net, *inputs) > 0


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_a_long_short_term_memory_costs_its_matrices_at_every_moment():
    """PyTorch's counter knows no fused LSTM: the sum of its cells stands in."""
    layer, cell = nn.LSTM(8, 6), nn.LSTMCell(8, 6)
    assert work(layer, draw(5, 2, 8)) == 5 * counted(cell, draw(2, 8))
    with pytest.warns(UserWarning, match="projections"):
        assert work(nn.LSTM(8, 6, proj_size=3), draw(5, 2, 8)) == 5 * 2 * (24 * 8 + 24 * 3 + 3 * 6)


PRODUCTS: dict[str, tuple[Callable[..., Tensor], tuple[tuple[int, ...], ...]]] = {
    "matmul": (torch.matmul, ((2, 3, 4), (2, 4, 5))),
    "matmul, broadcast": (torch.matmul, ((3, 4), (2, 4, 5))),
    "operator": (lambda a, b: a @ b, ((3, 4), (4, 5))),
    "vector first": (torch.matmul, ((4,), (2, 4, 5))),
    "mm": (torch.mm, ((3, 4), (4, 5))),
    "bmm": (torch.bmm, ((2, 3, 4), (2, 4, 5))),
    "addmm": (torch.addmm, ((5,), (3, 4), (4, 5))),
    "baddbmm": (torch.baddbmm, ((2, 3, 5), (2, 3, 4), (2, 4, 5))),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=2), ((3, 4, 5), (4, 5, 6))),
    "linear": (functional.linear, ((2, 3, 4), (5, 4))),
    "linear, one row": (functional.linear, ((4,), (5, 4))),
    "chain": (lambda *parts: torch.linalg.multi_dot(parts), ((2, 30), (30, 4), (4, 20), (20, 3))),
    "attention": (functional.scaled_dot_product_attention, ((2, 2, 5, 4), (2, 2, 6, 4), (2, 2, 6, 3))),
    "conv2d": (functional.conv2d, ((2, 3, 8, 8), (4, 3, 3, 3))),
    "conv_transpose2d": (functional.conv_transpose2d, ((2, 4, 5, 5), (4, 3, 3, 3))),
} | {
    equation: (lambda *parts, equation=equation: torch.einsum(equation, *parts), shapes)
    for equation, shapes in {
        "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
        "bij,bjk->ik": ((2, 3, 4), (2, 4, 5)),
        "bhqd,bhkd->bhqk": ((2, 3, 4, 5), (2, 3, 6, 5)),
        "...ij,...jk": ((2, 3, 4), (2, 4, 5)),
        "...ij,jk->...ik": ((7, 2, 3, 4), (4, 5)),
        "bij,bjk->bijk": ((2, 3, 4), (2, 4, 5)),
        "ijx,jk->ik": ((3, 4, 2), (4, 5)),
        "ij,jk": ((3, 4), (4, 5)),
        "ij,jk,kl->il": ((2, 3), (3, 4), (4, 5)),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_counted_as_pytorch_counts_it(name):
    function, shapes = PRODUCTS[name]
    inputs = tuple(draw(*shape) for shape in shapes)
    # By default einsum goes from the left; where opt_einsum is installed, it may find a cheaper way.
    torch.backends.opt_einsum.enabled, before = False, torch.backends.opt_einsum.enabled
    try:
        assert work(function, *inputs) == counted(function, *inputs)
    finally:
        torch.backends.opt_einsum.enabled = before


def test_the_form_of_einsum_with_lists_costs_the_same():
    a, b = draw(3, 4), draw(4, 5)
    assert work(lambda a, b: torch.einsum(a, [0, 1], b, [1, 2], [0, 2]), a, b) == 60


def test_what_pytorch_leaves_out_is_counted_in_closed_form():
    assert work(torch.mv, draw(3, 4), draw(4)) == 12
    assert work(torch.addbmm, draw(3, 5), draw(2, 3, 4), draw(2, 4, 5)) == 2 * 3 * 4 * 5
    assert work(torch.dot, draw(4), draw(4)) == 4
    assert work(functional.bilinear, draw(2, 3), draw(2, 4), draw(5, 3, 4)) == 2 * 5 * 3 * 4
    assert work(torch.cdist, draw(3, 4), draw(7, 4)) == 3 * 7 * 4


def test_elementwise_work_norms_and_look_ups_count_nothing():
    def idle(x: Tensor) -> Tensor:
        return functional.layer_norm(torch.sigmoid(x) * x + 1, (4,))[:, 1:].softmax(-1)

    assert work(idle, draw(3, 4)) == 0


def test_at_the_level_of_aten_the_same_work_is_found():
    net = NETS["mixed"][0]
    inputs = NETS["mixed"][1]
    graph = costed(record(net, *inputs, level="aten"))
    assert sum(operation.cost.multiply_adds for operation in graph.operations) == counted(net, *inputs)


def test_bytes_are_those_of_what_is_read_and_written():
    def forward(x: Tensor, weight: Tensor, table: Tensor) -> Tensor:
        y = functional.linear(x, weight)
        z = (y + y).view(-1)
        return functional.embedding(torch.tensor([[1, 0]]), table).sum() + z.sum()

    graph = costed(record(forward, draw(2, 3), draw(4, 3), draw(1000, 8)))
    cost = {operation.name: operation.cost for operation in graph.operations}
    sizes = {"linear": (6 + 12 + 8) * 4, "view": 0, "embedding": 2 * 8 * 4 * 2 + 2 * 8}
    assert {name: cost[name].bytes_moved for name in sizes} == sizes
    (doubled,) = [o for o in graph.operations if o.name == "add" and graph.values[o.outputs[0]].shape == (2, 4)]
    assert doubled.cost.bytes_moved == (8 + 8) * 4, "one tensor given twice is read once"
    assert cost["linear"].output_bytes == 8 * 4


def test_an_operation_that_raised_has_done_nothing():
    graph = record(lambda x: x @ x, draw(2, 3))
    assert graph.failed is not None
    assert cost_of(graph.operations[graph.failed], graph.values).multiply_adds == 0


def test_cost_of_a_dense_layer_is_rows_times_weights():
    layer = nn.Linear(7, 5)
    assert work(layer, draw(3, 2, 7)) == 3 * 2 * prod(layer.weight.shape)
