"""A2, F8, F12, G3: layers, embeddings of numbers and the ensemble, against PyTorch, closed forms and scikit-learn."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepglass.data.schema import Batch, Input, Schema, Target
from deepglass.errors import RecipeError
from deepglass.models import CATALOGUE, family_for
from deepglass.models.embeddings import features_of
from deepglass.models.mlp import Fork, Mlp, SharedLinear, pooled
from schemas import PIXELS, TEN, table


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
    assert set(CATALOGUE) == {"neuron", "mlp", "convolution", "residual"}


@pytest.mark.parametrize("kind", ["table", "picture"])
@pytest.mark.parametrize("family", CATALOGUE)
def test_recipes_name_only_fields_that_families_may_settle(family: str, kind: str) -> None:
    if family in ("convolution", "residual") and kind == "table":
        pytest.skip("convolutions take pictures")
    allowed = {
        "epochs", "batch_size", "learning_rate", "optimizer", "weight_decay", "schedule", "warmup", "label_smoothing",
        "clip", "average", "patience", "augment", "mixup", "cutmix", "metric",
    }  # fmt: skip
    for examples in (100, 5_000, 100_000):
        recipe = CATALOGUE[family].recipe(PIXELS if kind == "picture" else table(3), examples)
        assert set(recipe) <= allowed
        assert "flip" not in recipe.get("augment", ()), "a mirrored digit is another sign"


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
