"""What is seen at a place is what is there: hooks and autograd agree, and so does attention computed the plain way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.errors import ModelError, ShapeError
from deepglass.explaining.histograms import histogram
from deepglass.explaining.probe import probe
from deepglass.tracing.record import record
from nets import Deep


class Attending(nn.Module):
    """Attention by the fast kernel, with whatever mask it is given."""

    def __init__(self, **settings) -> None:
        super().__init__()
        self.width, self.settings = nn.Linear(8, 24), settings

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        query, key, value = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.width(x).chunk(3, -1))
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, **self.settings)


class Careless(nn.Module):
    """Not a module's part but a run's: something with a `.model`."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + 1


def picture() -> Tensor:
    return torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def test_activations_and_gradients_are_those_of_hooks_and_autograd():
    net, seen = Deep().eval(), {}
    for path in ("first", "norm", "hidden", "last"):
        net.get_submodule(path).register_forward_hook(
            lambda module, given, output, path=path: seen.update({path: output})
        )
    loss = net(picture()).square().mean()
    gradients = dict(zip(seen, torch.autograd.grad(loss, list(seen.values())), strict=True))
    found = probe(net, picture(), at=tuple(seen), loss=lambda output: output.square().mean())
    for path, output in seen.items():
        assert torch.equal(found.activations[path], output.detach()), path
        assert torch.equal(found.gradients[path], gradients[path]), path
    assert [layer.name for layer in found.layers] == ["first", "norm", "hidden", "last"]
    assert all(weight.grad is None for weight in net.parameters())


def test_every_layer_is_seen_where_none_is_named():
    found = probe(Deep(), picture())
    assert {layer.name for layer in found.layers} == {"first", "middle", "norm", "hidden", "codes", "last"}
    assert found["first"].gradient is None
    functions = probe(lambda x: torch.relu(x) + 1, (torch.randn(4),))
    assert [layer.type for layer in functions.layers] == ["relu", "add"]


@pytest.mark.parametrize(
    ("at", "names"),
    [
        ("Conv2d", ["first", "middle"]),
        ("*d*", ["middle", "hidden", "codes"]),
        (("last", "first"), ["first", "last"]),
        ("normalization", ["batch_norm"]),
        ("tanh", ["tanh", "tanh_2"]),
        ("first.weight", ["first.weight"]),
    ],
)
def test_places_go_by_path_pattern_class_kind_and_label(at, names):
    found = [layer.name for layer in probe(Deep(), picture(), at=at).layers]
    assert [name.replace("_1", "") for name in found if name in names or name.replace("_1", "") in names] == names


def test_a_name_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="'hidden'"):
        probe(Deep(), picture(), at="hiden")
    with pytest.raises(ModelError, match=r"was not probed.*'first'"):
        probe(Deep(), picture(), at="first")["frist"]


def test_inputs_of_the_wrong_shape_are_refused_in_words():
    with pytest.raises(ShapeError, match="hidden"):
        probe(Deep(), torch.randn(2, 1, 9, 9))


def test_a_run_is_looked_at_by_its_model_and_a_module_by_itself():
    class Run:
        model = nn.Sequential(nn.Linear(4, 3))

    assert [layer.name for layer in probe(Run(), torch.randn(2, 4)).layers] == ["0"]
    found = probe(Careless(), torch.randn(2, 4))
    assert found.graph.operations[-1].name == "add"


def test_figures_are_those_of_numpy():
    first = nn.Linear(6, 40)
    with torch.no_grad():
        first.get_parameter("bias").sub_(100.0 * (torch.arange(40) < 10))
    net = nn.Sequential(first, nn.ReLU())
    layer = probe(net, torch.randn(64, 6), at="1")["1"]
    assert layer.activation is not None and layer.activation.tensor is not None and layer.figures is not None
    values = layer.activation.tensor.double().numpy()
    counts, edges = np.histogram(values, bins=20)
    assert layer.figures.counts == tuple(counts)
    assert layer.figures.edges == pytest.approx(edges)
    assert layer.figures.dead == pytest.approx((values == 0).all(0).mean())
    assert layer.figures.dead is not None and layer.figures.dead >= 0.25
    assert layer.figures.summary.mean == pytest.approx(values.mean())
    assert layer.figures.summary.spread == pytest.approx(values.std())
    assert layer.figures.summary.zeros == pytest.approx((values == 0).mean())


@pytest.mark.parametrize("values", [
    torch.arange(21.0), torch.tensor([2.0, 2.0]), torch.tensor([True, False]), torch.tensor([[3, -4], [0, 7]]),
])  # fmt: skip
def test_a_histogram_counts_as_numpy_does_also_at_the_bounds(values):
    counts, edges = histogram(values)
    wanted, bounds = np.histogram(values.double().numpy(), bins=20)
    if values.double().std() > 0:
        assert counts == tuple(wanted) and edges == pytest.approx(bounds)
    assert sum(counts) == values.numel()


def test_what_is_not_finite_is_counted_apart_and_nothing_has_no_histogram():
    assert histogram(torch.empty(0)) == histogram(torch.tensor([math.nan, math.inf])) == ((), ())
    found = probe(lambda x: x / x, (torch.tensor([0.0, 1.0, 2.0]),))
    assert "1 not finite" in str(found)


def test_dead_maps_are_counted_by_channel():
    first = nn.Conv2d(1, 4, 3)
    with torch.no_grad():
        first.get_parameter("bias").copy_(torch.tensor([0.0, -100.0, 100.0, 0.0]))
    net = nn.Sequential(first, nn.ReLU())
    figures = probe(net, picture(), at="ReLU")["1"].figures
    assert figures is not None and figures.dead == 0.25


def eager(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1)


@pytest.mark.parametrize("mask", ["none", "boolean", "added", "causal"])
def test_attention_of_the_fast_kernel_is_softmax_of_the_scores(mask):
    net = Attending(is_causal=mask == "causal")
    x = torch.randn(3, 5, 8)
    allowed = torch.rand(3, 1, 5, 5) < 0.7
    allowed |= torch.eye(5, dtype=torch.bool)
    given = {"none": None, "causal": None, "boolean": allowed, "added": torch.randn(3, 1, 5, 5)}[mask]
    found = probe(net, (x, given) if given is not None else x, at="attention")
    (weights,) = found.attention.values()
    query, key, value = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in net.width(x).chunk(3, -1))
    wanted = eager(query, key, torch.ones(5, 5, dtype=torch.bool).tril() if mask == "causal" else given)
    assert weights.shape == (3, 2, 5, 5)
    torch.testing.assert_close(weights, wanted)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 5))
    torch.testing.assert_close(weights @ value, net(x, given))


def test_a_query_that_may_see_nothing_attends_to_nothing():
    hidden = torch.ones(1, 1, 5, 5, dtype=torch.bool)
    hidden[..., 2, :] = False
    (weights,) = probe(Attending(), (torch.randn(1, 5, 8), hidden)).attention.values()
    assert torch.equal(weights[0, :, 2], torch.zeros(2, 5))
    assert not weights.isnan().any()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_multi_head_attention_is_seen_head_by_head(batch_first, training):
    net = nn.MultiheadAttention(8, 2, dropout=0.5, batch_first=batch_first).train(training)
    inputs = [torch.randn(5, 5, 8) for _ in range(3)]
    padding = torch.zeros(5, 5, dtype=torch.bool)
    padding[1, 3:] = True
    found = probe(net, dict(zip(("query", "key", "value"), inputs, strict=True)) | {"key_padding_mask": padding})
    (weights,) = found.attention.values()
    net.eval()
    wanted = net(*inputs, key_padding_mask=padding, average_attn_weights=False)[1]
    torch.testing.assert_close(weights, wanted)


def test_attention_in_a_transformer_goes_by_the_path_of_its_layer():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False)
    found = probe(net.eval(), torch.randn(2, 5, 8))
    assert set(found.attention) == {"layers.0.self_attn", "layers.1.self_attn"}
    assert list(probe(net, torch.randn(2, 5, 8), at="layers.1").attention) == ["layers.1.self_attn"]


@pytest.mark.parametrize("name", ["Bert", "GPT2"])
def test_attention_computed_afterwards_is_the_eager_one_of_transformers(name):
    zoo = pytest.importorskip("zoo")
    animal = zoo.ZOO[name]
    model, inputs = animal.made(), animal.inputs()
    assert model.config._attn_implementation == "sdpa"
    found = probe(model, inputs)
    model.set_attn_implementation("eager")
    wanted = model(**inputs, output_attentions=True).attentions
    eager_found = probe(model, inputs)
    assert len(found.attention) == len(eager_found.attention) == len(wanted) == 2
    for weights, plain, theirs in zip(found.attention.values(), eager_found.attention.values(), wanted, strict=True):
        real = inputs["attention_mask"].bool() if name == "GPT2" else torch.ones_like(inputs["attention_mask"]).bool()
        rows = real[:, None, :].expand(-1, weights.shape[1], -1)
        torch.testing.assert_close(weights[rows], theirs[rows])
        torch.testing.assert_close(plain, theirs)


def test_a_probe_may_be_read_and_shown():
    found = probe(Deep(), picture(), loss=lambda output: output.mean())
    assert "gradient norm" in str(found) and "first" in str(found)
    assert "<table>" in found._repr_html_()


def test_beyond_the_budget_tensors_are_sampled_and_said_to_be():
    net = nn.Sequential(nn.Linear(64, 4096), nn.ReLU())
    found = probe(net, torch.randn(64, 64), budget=1 << 19)
    forms = {layer.name: layer.activation.form for layer in found.layers if layer.activation}
    assert set(forms.values()) <= {"sample", "summary"}
    assert found.activations == {}
    figures = found["1"].figures
    assert figures is not None and 0.4 < figures.summary.zeros < 0.6


def test_looking_at_a_graph_that_was_recorded_runs_nothing():
    graph = record(Deep(), picture())
    assert [layer.name for layer in probe(graph, at="hidden").layers] == ["hidden"]
