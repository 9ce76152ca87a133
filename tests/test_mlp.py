"""A2, F8, F12, G3: layers, embeddings of numbers and the ensemble, against PyTorch, closed forms and scikit-learn."""

import math
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes
from sklearn.isotonic import IsotonicRegression
from torch import nn
from torch.nn import functional

from deepglass.data.schema import Batch, Input, Schema, Target
from deepglass.errors import RecipeError
from deepglass.models import CATALOGUE, blocks, embeddings, family_for
from deepglass.models.blocks import activation_named, initialized, normalization_named
from deepglass.models.embeddings import Indicators, Lookups, Periodic, PiecewiseLinear, features_of
from deepglass.models.mlp import Fork, Mlp, SharedLinear, pooled

TEN = Target("digit", "multiclass", tuple("0123456789"))
PIXELS = Schema("picture", (Input("picture", "pixels", (1, 28, 28)),), TEN)


def table(columns: int, *, edges: bool = True, sizes: tuple[int, ...] = ()) -> Schema:
    names = tuple(f"x{i}" for i in range(columns))
    quantiles = (tuple(np.linspace(-2, 2, 9).tolist()),) * columns if edges else ()
    inputs = (Input("numbers", "numbers", (columns,), names, quantiles=quantiles),)
    codes = Input("codes", "codes", (len(sizes),), tuple(f"c{i}" for i in range(len(sizes))), sizes=sizes)
    return Schema("table", (*inputs, codes), Target("y", "binary", ("no", "yes")))


# ---- the plain MLP


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_pictures_get_exactly_the_reference_network(dropout: float) -> None:
    torch.manual_seed(7)
    drop = [nn.Dropout(dropout)] if dropout else []
    reference = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), *drop, nn.Linear(256, 128), nn.ReLU(), *drop, nn.Linear(128, 10)
    )
    torch.manual_seed(7)
    ours = Mlp.from_schema(PIXELS, widths=(256, 128), dropout=dropout)
    assert [type(layer) for layer in ours.body] == [type(layer) for layer in list(reference)[1:]]
    pictures = torch.randn(5, 1, 28, 28)
    for training in (True, False):
        torch.manual_seed(1)
        expected = reference.train(training)(pictures)
        torch.manual_seed(1)
        assert torch.equal(ours.train(training)(pictures), expected)


def test_the_family_for_each_kind_of_data() -> None:
    assert family_for(PIXELS) == "convolution"
    assert family_for(table(3)) == "mlp"
    assert family_for(Schema("tensor", (Input("features", "numbers", (3,)),), TEN)) == "mlp"
    assert set(CATALOGUE) == {"neuron", "mlp", "convolution"}


@pytest.mark.parametrize("kind", ["table", "picture"])
@pytest.mark.parametrize("family", CATALOGUE)
def test_recipes_name_only_fields_that_families_may_settle(family: str, kind: str) -> None:
    if family == "convolution" and kind == "table":
        pytest.skip("convolutions take pictures")
    allowed = {
        "epochs", "batch_size", "learning_rate", "optimizer", "weight_decay", "schedule", "warmup", "label_smoothing",
        "clip", "average", "patience", "augment", "mixup", "cutmix", "metric",
    }  # fmt: skip
    for examples in (100, 5_000, 100_000):
        recipe = CATALOGUE[family].recipe(PIXELS if kind == "picture" else table(3), examples)
        assert set(recipe) <= allowed
        assert "flip" not in recipe.get("augment", ()), "a mirrored digit is another sign"


# ---- F8, F12, G3: the blocks


def test_activations_are_those_of_pytorch() -> None:
    z = torch.linspace(-4, 4, 33, dtype=torch.float64).reshape(3, 11)
    theirs = {
        "identity": z, "sigmoid": torch.sigmoid(z), "tanh": torch.tanh(z), "relu": functional.relu(z),
        "leaky_relu": functional.leaky_relu(z), "gelu": functional.gelu(z), "silu": functional.silu(z),
        "softmax": functional.softmax(z, dim=1), "step": torch.heaviside(z, torch.ones((), dtype=z.dtype)),
    }  # fmt: skip
    assert set(theirs) == set(blocks.ACTIVATIONS) == set(get_args(blocks.ActivationName)) == set(blocks.GAINS)
    for name, expected in theirs.items():
        assert torch.equal(activation_named(name)(z), expected), name


def test_a_stack_without_activations_is_one_linear_map() -> None:
    schema = Schema("tensor", (Input("features", "numbers", (6,)),), TEN)
    x = torch.randn(40, 6, dtype=torch.float64)
    design = np.column_stack([x.numpy(), np.ones(40)])
    for activation, linear in (("identity", True), ("tanh", False)):
        torch.manual_seed(0)
        model = Mlp.from_schema(schema, widths=(9, 8, 7), activation=activation).double().eval()  # type: ignore[arg-type]
        outputs = model(x).detach().numpy()
        residual = outputs - design @ np.linalg.lstsq(design, outputs, rcond=None)[0]
        assert (np.abs(residual).max() < 1e-12) == linear


def test_initializations_have_the_variance_of_their_formulas() -> None:
    torch.manual_seed(0)
    assert set(get_args(blocks.InitializationName)) == set(blocks.INITIALIZATIONS)
    for name, expected in (
        ("xavier", 2 / (600 + 400)),
        ("kaiming", 1 / 600),
        ("default", 1 / (3 * 600)),
        ("zero", 0.0),
    ):
        layer = initialized(nn.Linear(600, 400), name)
        assert layer.weight.var().item() == pytest.approx(expected, rel=0.02), name
        assert name == "default" or not layer.bias.any()
    kernel = initialized(nn.Conv2d(16, 64, 3), "kaiming", "relu").weight
    assert kernel.var().item() == pytest.approx(2 / (16 * 9), rel=0.05)
    square = initialized(nn.Linear(50, 30), "orthogonal", "tanh").weight
    torch.testing.assert_close(square @ square.T, (5 / 3) ** 2 * torch.eye(30), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "activation", "low", "high"),
    [
        ("kaiming", "relu", 0.3, 3.0),  # He et al. 2015: the second moment keeps its size through any depth
        ("orthogonal", "relu", 0.3, 3.0),
        ("xavier", "identity", 0.5, 2.0),
        ("orthogonal", "identity", 0.999, 1.001),
        ("xavier", "tanh", 0.1, 2.0),
        ("default", "relu", 0.0, 1e-10),  # a third of the variance at each layer: the signal dies
    ],
)
def test_the_signal_keeps_its_size_through_twenty_layers(name: str, activation: str, low: float, high: float) -> None:
    torch.manual_seed(0)
    signal = torch.randn(256, 128)
    layers = [
        nn.Sequential(initialized(nn.Linear(128, 128), name, activation), activation_named(activation))
        for _ in range(20)
    ]
    if name == "default":
        for layer in layers:
            nn.init.zeros_(layer.get_parameter("0.bias"))
    signal.requires_grad_()
    out = nn.Sequential(*layers)(signal)
    ratio = (out.square().mean() / signal.square().mean()).item()
    assert low <= ratio <= high
    pushed = torch.randn_like(out)
    (back,) = torch.autograd.grad(out, signal, pushed)
    if activation != "tanh":
        assert low <= (back.square().mean() / pushed.square().mean()).item() <= high


def test_zero_weights_keep_all_units_of_a_layer_alike() -> None:
    schema = Schema("tensor", (Input("features", "numbers", (4,)),), TEN)
    model = Mlp.from_schema(schema, widths=(6, 5), initialization="zero", activation="tanh")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x, y = torch.randn(30, 4), torch.arange(30) % 10
    for _ in range(5):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for layer in (model.body[0], model.body[2]):
        weight = layer.get_parameter("weight")
        assert torch.equal(weight, weight[:1].expand_as(weight)), "one unit would do as well"


@pytest.mark.parametrize("name", ["batch", "layer", "group", "rms"])
@pytest.mark.parametrize("maps", [False, True])
def test_normalizations_have_the_moments_of_their_formulas(name: str, maps: bool) -> None:
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(12, 16, *((5, 4) if maps else ()), dtype=torch.float64)
    layer = normalization_named(name, 16, maps=maps)
    assert layer is not None
    y = layer.double()(x).detach()
    own = tuple(range(1, x.dim()))
    if name == "rms":
        mean_square = x.square().mean(own, keepdim=True)
        torch.testing.assert_close(y, x / mean_square.sqrt(), rtol=1e-5, atol=1e-6)
        if not maps:
            torch.testing.assert_close(y, functional.rms_norm(x, (16,)), rtol=1e-6, atol=1e-6)
        return
    axes = {"batch": (0, *own[1:]), "layer": own}.get(name)
    if name == "group":
        y, axes = y.reshape(12, 4, -1), (2,)
    assert axes is not None
    torch.testing.assert_close(y.mean(axes), torch.zeros_like(y.mean(axes)), atol=1e-6, rtol=0)
    torch.testing.assert_close(y.var(axes, correction=0), torch.ones_like(y.mean(axes)), atol=1e-4, rtol=0)


def test_batch_statistics_are_frozen_in_evaluation() -> None:
    torch.manual_seed(0)
    layer = normalization_named("batch", 3)
    assert layer is not None
    x = 5 + torch.randn(64, 3)
    for _ in range(200):
        layer(x)
    layer.eval()
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    one = layer(x[:1])
    torch.testing.assert_close(one, (x[:1] - x.mean(0)) / (x.var(0) + 1e-5).sqrt(), atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


def test_group_norm_never_groups_one_feature_alone() -> None:
    for width in (4, 5, 8, 12, 32, 64, 100):
        layer = normalization_named("group", width)
        assert isinstance(layer, nn.GroupNorm)
        assert width // layer.num_groups >= min(4, width)


# ---- the embeddings


def test_piecewise_encoding_is_linear_interpolation() -> None:
    edges = (-1.5, -0.25, 0.5, 2.0)
    torch.manual_seed(0)
    layer = PiecewiseLinear((edges,), 5).double()
    nn.init.normal_(layer.weight)
    with torch.no_grad():
        layer.linear.zero_()
        layer.bias.zero_()
    x = np.linspace(-1.5, 2.0, 101)
    found = layer(torch.tensor(x[:, None])).detach().numpy()
    heights = np.concatenate([np.zeros((1, 5)), np.cumsum(layer.weight[0].detach().numpy(), axis=0)])
    expected = np.stack([np.interp(x, edges, heights[:, k]) for k in range(5)], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_wild_value_goes_no_further_than_one_bin() -> None:
    layer = PiecewiseLinear(((0.0, 1.0, 3.0),), 2)
    places = layer.encode(torch.tensor([[-0.5], [-1e9], [5.0], [1e9]]))[:, 0]
    torch.testing.assert_close(places, torch.tensor([[-0.5, 0.0], [-1.0, 0.0], [1.0, 2.0], [1.0, 2.0]]))


def test_narrow_bins_far_from_zero_are_not_lost_to_rounding() -> None:
    low = 3.0
    high = low + 2.0**-20
    layer = PiecewiseLinear(((low, high),), 1)
    middle = torch.tensor([[low + 2.0**-21]])
    torch.testing.assert_close(layer.encode(middle), torch.tensor([[[0.5]]]))


def test_a_piecewise_embedding_fits_a_curve_that_a_line_cannot() -> None:
    """Against isotonic regression, the best monotone fit there is, on a real column."""
    x, y = map(np.asarray, load_diabetes(return_X_y=True))
    x, y = (x[:, 2] - x[:, 2].mean()) / x[:, 2].std(), (y - np.mean(y)) / np.std(y)
    edges = tuple(np.unique(np.quantile(x, np.linspace(0, 1, 9))).tolist())
    torch.manual_seed(0)
    layer = PiecewiseLinear((edges,), 1)
    inputs, target = torch.tensor(x[:, None], dtype=torch.float32), torch.tensor(y[:, None], dtype=torch.float32)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(layer(inputs), target)
        loss.backward()
        return loss

    error = optimizer.step(closure).item() and closure().item()
    line = np.mean((y - np.polyval(np.polyfit(x, y, 1), x)) ** 2)
    monotone = np.mean((y - IsotonicRegression().fit(x, y).predict(x)) ** 2)
    assert monotone < error < line


def test_periodic_features_are_waves() -> None:
    torch.manual_seed(0)
    layer = Periodic(2, 3).double()
    x = torch.randn(7, 2, dtype=torch.float64)
    turns = torch.exp(2j * math.pi * layer.frequencies * x[..., None])
    waves = torch.cat([turns.real, turns.imag], dim=2)
    torch.testing.assert_close(layer(x), functional.relu(layer.mix(waves)).flatten(1))


def test_small_categories_are_one_hot_and_large_ones_looked_up() -> None:
    sizes = (3, 40, 10)
    layer = Lookups(sizes)
    codes = torch.tensor([[1, 7, 9], [0, 0, 0], [2, 39, 4]])
    found = layer(codes)
    hot = torch.cat([functional.one_hot(codes[:, 0], 3)[:, 1:], functional.one_hot(codes[:, 2], 10)[:, 1:]], dim=1)
    torch.testing.assert_close(found[:, :11], hot.float())
    torch.testing.assert_close(found[:, 11:], layer.tables[0](codes[:, 1]))
    assert not found[1].any(), "what was never seen says nothing"
    everywhere = Indicators(sizes)(codes)
    torch.testing.assert_close(
        everywhere, torch.cat([functional.one_hot(codes[:, i], s)[:, 1:] for i, s in enumerate(sizes)], dim=1).float()
    )


@pytest.mark.parametrize("columns", [0, 1, 300, 501, 10_000])
def test_wide_tables_stay_within_bounds(columns: int) -> None:
    schema = table(columns, edges=columns <= 500, sizes=(3,))
    model = Mlp.from_schema(schema)
    most = 256 * (embeddings.MOST_CELLS if columns <= 500 else columns + 2)
    assert sum(weight.numel() for weight in model.parameters()) < 2 * most + 500_000
    inputs = (torch.randn(4, columns), torch.zeros(4, 1, dtype=torch.long))
    assert model.eval()(*inputs).shape == (4, 1)
    reading = model.features.readings[0]
    assert isinstance(reading, PiecewiseLinear) == (0 < columns <= 500)


# ---- the ensemble


def test_shared_layers_are_many_layers_of_rank_one_changes() -> None:
    """W ∘ (s rᵀ) for each member: the weight matrix that BatchEnsemble's adapters stand for."""
    torch.manual_seed(0)
    layer = SharedLinear(3, nn.Linear(5, 4)).double()
    for weight in layer.parameters():
        nn.init.normal_(weight)
    x = torch.randn(6, 3, 5, dtype=torch.float64)
    found = layer(x.flatten(0, 1)).unflatten(0, (6, 3))
    assert layer.gain_in is not None
    for k in range(3):
        own = layer.linear.weight * torch.outer(layer.gain_out[k], layer.gain_in[k])
        torch.testing.assert_close(found[:, k], functional.linear(x[:, k], own, layer.bias[k]))


def test_members_start_apart_by_signs_alone() -> None:
    torch.manual_seed(0)
    model = Mlp.from_schema(table(6), members=8, widths=(16, 16))
    fork = model.body[0]
    assert isinstance(fork, Fork)
    assert set(fork.gain.unique().tolist()) == {-1.0, 1.0}
    assert abs(fork.gain.mean().item()) < 0.2
    assert len(fork.gain.unique(dim=0)) == 8
    for layer in model.body:
        if isinstance(layer, SharedLinear):
            assert torch.equal(layer.gain_out, torch.ones_like(layer.gain_out))
            assert len(layer.bias.unique(dim=0)) == 1


def test_one_member_of_many_is_the_plain_network() -> None:
    """With its adapters put into W, a member is an ordinary MLP: the ensemble is nothing more than k of them."""
    torch.manual_seed(0)
    model = Mlp.from_schema(table(6), members=4, widths=(8, 7), dropout=0.0).double()
    x, codes = torch.randn(9, 6, dtype=torch.float64), torch.zeros(9, 0, dtype=torch.long)
    for weight in model.body.parameters():
        nn.init.normal_(weight)
    outputs = model.train()(x, codes)
    assert outputs.shape == (9, 4, 1)
    fork, head = model.body[0], model.body[-1]
    shared = [layer for layer in model.body if isinstance(layer, SharedLinear)]
    for k in range(4):
        a = model.features(x, codes) * fork.get_parameter("gain")[k]
        for layer in shared:
            a = a if layer.gain_in is None else a * layer.gain_in[k]
            a = functional.relu(layer.linear(a) * layer.gain_out[k] + layer.bias[k])
        torch.testing.assert_close(outputs[:, k], a @ head.get_parameter("weight")[k] + head.get_parameter("bias")[k])


def test_pooled_answers_stay_finite_for_certain_members() -> None:
    sure = torch.tensor([[[1e4], [1e4]], [[-1e4], [-1e4]], [[1e4], [-1e4]]], dtype=torch.float64)
    assert pooled(sure, "binary")[:, 0].tolist() == [1e4, -1e4, 0.0]
    classes = torch.tensor([[[1e4, 0.0], [1e4, 0.0]]], dtype=torch.float64)
    assert torch.isfinite(pooled(classes, "multiclass")).all()
    z = torch.randn(20, 5, 1, dtype=torch.float64)
    torch.testing.assert_close(torch.sigmoid(pooled(z, "binary")), torch.sigmoid(z).mean(1))


def test_mixed_targets_are_repeated_for_each_member() -> None:
    target = Target("y", "multiclass", ("a", "b"))
    model = Mlp.from_schema(Schema("tensor", (Input("x", "numbers", (3,)),), target), members=3, widths=(4,))
    seen: list[torch.Size] = []

    class Witness:
        def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            seen.extend((outputs.shape, target.shape))
            return functional.cross_entropy(outputs, target)

        def measure(self, target: torch.Tensor) -> float:
            return 7.0

    (turn,) = model.turns(Witness())
    shares = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
    turn.loss(Batch((torch.randn(2, 3),), shares, torch.arange(2)))
    assert [tuple(shape) for shape in seen] == [(6, 2), (6, 2)]
    assert turn.measure(shares) == 7.0


def test_bad_wishes_are_refused_in_words() -> None:
    cases: list[tuple[dict, str]] = [
        ({"activation": "rulu"}, r"activation: no choice 'rulu'.*'relu'"),
        ({"activation": "step"}, "no layer below it would ever learn"),
        ({"initialization": "he"}, "initialization: no choice 'he'"),
        ({"normalization": "bach"}, r"normalization: no choice 'bach'.*'batch'"),
        ({"normalization": "layer", "widths": (1,)}, "one unit leaves it constant"),
        ({"dropout": 1.0}, r"dropout: 1.0 is not a share"),
        ({"members": 0}, "members: 0 is not a whole number of at least 1"),
        ({"widths": (64, 0)}, "widths: 0 is not a whole number"),
    ]
    for options, words in cases:
        with pytest.raises(RecipeError, match=words):
            Mlp.from_schema(table(3), **options)
    with pytest.raises(RecipeError, match="embedding: 'piecewise' is for the number columns of a table"):
        Mlp.from_schema(table(3, edges=False), embedding="piecewise")
    with pytest.raises(RecipeError, match="embedding: 'periodic' is for the number columns"):
        features_of(Schema("tensor", (Input("x", "numbers", (3, 4)),), TEN), embedding="periodic")


def test_widths_stand_in_the_layers() -> None:
    for members in (1, 2):
        model = Mlp.from_schema(table(4), widths=(11, 7, 5), members=members)
        found = [layer for layer in model.body.modules() if isinstance(layer, nn.Linear)]
        wanted = [model.features.width, 11, 7, 5] + ([1] if members == 1 else [])
        assert [(layer.in_features, layer.out_features) for layer in found] == list(pairwise(wanted))
