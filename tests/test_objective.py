"""Losses and readings against torch's own ops, scikit-learn and closed forms."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from deepglass.data.schema import Target
from deepglass.errors import RecipeError, ShapeError
from deepglass.training.objective import Objective, class_weights, ends_in, objective_for
from deepglass.training.recipe import Recipe
from targets import MANY, PAIR, PRICE, codes, draw, shares


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("logit", [0.0, 1.0, -30.0, 1e4, -1e4])
def test_binary_cross_entropy_of_logits_is_exact_where_probabilities_round_to_0_and_1(shape, logit):
    target = torch.tensor([0, 1, 1, 0, 1, 1])
    z = torch.full(shape, logit, dtype=torch.float64, requires_grad=True)
    loss = objective_for(Recipe(), PAIR).loss(z, target)
    # log(1 + e^z) - y z, by NumPy
    expected = np.mean([np.logaddexp(0, logit) - y * logit for y in target.tolist()])
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    sigma = 1 / (1 + np.exp(-np.float64(logit))) if logit > -700 else 0.0
    assert z.grad is not None
    torch.testing.assert_close(z.grad.reshape(-1), (float(sigma) - target.double()) / 6, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "balanced", (0.5, 3.0)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_one_logit_is_two_logits_of_which_the_first_is_zero(smoothing, weights, scale):
    recipe = Recipe(label_smoothing=smoothing, class_weights=weights)
    z, target = draw(9, scale=scale), codes(2, 9)
    objective = objective_for(recipe, PAIR)
    both = torch.stack([torch.zeros_like(z), z], 1)
    weight = class_weights(recipe, PAIR)
    expected = F.cross_entropy(both, target, None if weight is None else weight.double(), label_smoothing=smoothing)
    torch.testing.assert_close(objective.loss(z[:, None], target), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(objective.loss(both, target), expected, rtol=1e-12, atol=1e-12)


def test_smoothing_of_two_classes_is_half_the_share_to_each():
    z, target = draw(9), codes(2, 9)
    smooth = target.double() * (1 - 0.3) + 0.3 / 2
    expected = F.binary_cross_entropy_with_logits(z, smooth)
    found = objective_for(Recipe(label_smoothing=0.3), PAIR).loss(z, target)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", "balanced", (1.0, 2.0, 0.5, 4.0)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_cross_entropy_is_torchs(smoothing, weights, scale):
    recipe = Recipe(label_smoothing=smoothing, class_weights=weights)
    z, target = draw(11, 4, scale=scale), codes(4, 11)
    weight = class_weights(recipe, MANY)
    expected = F.cross_entropy(z, target, None if weight is None else weight.double(), label_smoothing=smoothing)
    objective = objective_for(recipe, MANY)
    torch.testing.assert_close(objective.loss(z, target), expected, rtol=1e-12, atol=1e-12)
    one_hot = F.one_hot(target, 4).double()
    torch.testing.assert_close(objective.loss(z, one_hot), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_mixed_classes_are_torchs_soft_targets(smoothing):
    z, mixed = draw(11, 4), shares(4, 11)
    found = objective_for(Recipe(label_smoothing=smoothing), MANY).loss(z, mixed)
    torch.testing.assert_close(found, F.cross_entropy(z, mixed, label_smoothing=smoothing), rtol=1e-12, atol=0)
    pair = objective_for(Recipe(label_smoothing=smoothing), PAIR).loss(z[:, 0], shares(2, 11))
    both = torch.stack([torch.zeros_like(z[:, 0]), z[:, 0]], 1)
    expected = F.cross_entropy(both, shares(2, 11), label_smoothing=smoothing)
    torch.testing.assert_close(pair, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["codes", "mixed"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_micro_batches_weighed_by_their_measure_add_up_to_the_batch(kind, smoothing, weights):
    objective = objective_for(Recipe(label_smoothing=smoothing, class_weights=weights), MANY)
    z, target = draw(10, 4), codes(4, 10) if kind == "codes" else shares(4, 10)
    pieces = (slice(0, 3), slice(3, 4), slice(4, 10))
    total = sum(objective.loss(z[s], target[s]) * objective.measure(target[s]) for s in pieces)
    measure = sum(objective.measure(target[s]) for s in pieces)
    torch.testing.assert_close(total / measure, objective.loss(z, target), rtol=1e-6, atol=0)
    assert float(measure) == pytest.approx(float(objective.measure(target)), rel=1e-6)


def test_balanced_weights_are_scikit_learns_and_change_the_loss():
    labels = np.repeat(np.arange(4), MANY.counts)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    found = class_weights(Recipe(class_weights="balanced"), MANY)
    assert found is not None
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    unseen = Target("kind", "multiclass", ("a", "b", "c"), (10, 0, 30))
    assert class_weights(Recipe(class_weights="balanced"), unseen).tolist() == pytest.approx([2.0, 1.0, 2 / 3])  # type: ignore[union-attr]
    z, target = draw(11, 4), codes(4, 11)
    balanced = objective_for(Recipe(class_weights="balanced"), MANY)
    assert balanced.loss(z, target) != objective_for(Recipe(), MANY).loss(z, target)
    with pytest.raises(RecipeError, match="2 class_weights for the 4 classes"):
        objective_for(Recipe(class_weights=(1.0, 2.0)), MANY)


@pytest.mark.parametrize("name, reference", [("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)])
def test_losses_of_numbers_are_torchs(name, reference):
    outputs, target = draw(8, 2), draw(8, 2, seed=3).float()
    found = objective_for(Recipe(loss=name), PRICE).loss(outputs, target)
    torch.testing.assert_close(found, reference(outputs, target.double()), rtol=1e-12, atol=0)
    one = Target("price", "regression", mean=(0.0,), std=(1.0,))
    flat = objective_for(Recipe(loss=name), one).loss(outputs[:, 0], target[:, :1])
    torch.testing.assert_close(flat, reference(outputs[:, 0], target[:, 0].double()), rtol=1e-12, atol=0)


@pytest.mark.parametrize("emits", ["probabilities", "log-probabilities"])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_squashed_outputs_have_the_loss_and_reading_of_their_logits(emits, weights):
    recipe = Recipe(class_weights=weights, label_smoothing=0.1)
    for target, described, width in ((codes(4, 9), MANY, 4), (codes(2, 9), PAIR, 2), (codes(2, 9), PAIR, 1)):
        z = draw(9, width)
        squash = torch.sigmoid if width == 1 else functools.partial(torch.softmax, dim=1)
        outputs = squash(z) if emits == "probabilities" else squash(z).log()
        plain, squashed = objective_for(recipe, described), objective_for(recipe, described, emits=emits)
        torch.testing.assert_close(squashed.loss(outputs, target), plain.loss(z, target), rtol=1e-9, atol=0)
        torch.testing.assert_close(squashed.read(outputs), plain.read(z), rtol=1e-9, atol=1e-12)


def test_probabilities_of_exactly_0_and_1_give_a_finite_loss_and_gradient():
    outputs = torch.tensor([[0.0], [1.0]], requires_grad=True)
    loss = objective_for(Recipe(), PAIR, emits="probabilities").loss(outputs, torch.tensor([1, 0]))
    loss.backward()
    assert outputs.grad is not None and bool(torch.isfinite(loss)) and bool(torch.isfinite(outputs.grad).all())


def test_reading_gives_probabilities_that_sum_to_one_or_numbers_in_their_unit():
    z = draw(7, 4)
    torch.testing.assert_close(objective_for(Recipe(), MANY).read(z), torch.softmax(z, 1))
    pair = objective_for(Recipe(), PAIR).read(z[:, :1])
    torch.testing.assert_close(pair, torch.stack([1 - torch.sigmoid(z[:, 0]), torch.sigmoid(z[:, 0])], 1))
    numbers = objective_for(Recipe(), PRICE).read(z[:, :2])
    torch.testing.assert_close(numbers, z[:, :2] * torch.tensor([2.0, 3.0]) + torch.tensor([5.0, -1.0]))
    half = objective_for(Recipe(), PAIR).read(z[:, :1].bfloat16())
    assert half.dtype == torch.float32


@pytest.mark.parametrize(
    "described, outputs, said",
    [
        (MANY, (8, 1), r"gives \[8, 1\] for the 4 classes of 'kind', which want \[8, 4\]"),
        (PAIR, (8, 3), r"gives \[8, 3\] for the 2 classes of 'sick', which want \[8, 1\] or \[8, 2\]"),
        (MANY, (8, 4, 2, 2), r"nn.Flatten\(\), and end the module in nn.Linear\(…, 4\)"),
        (PRICE, (8, 1), r"numbers of 'price', which want \[8, 2\]"),
        (MANY, (16, 4), "outputs for 16 examples to a batch of 8"),
        (PAIR, (), r"gives \[\]"),
    ],
)
def test_outputs_that_do_not_fit_are_refused_with_both_shapes(described, outputs, said):
    target = torch.zeros(8, 2) if described is PRICE else codes(2, 8)
    with pytest.raises(ShapeError, match=said):
        objective_for(Recipe(), described).loss(torch.zeros(outputs), target)


def test_a_loss_that_does_not_fit_the_task_is_refused():
    with pytest.raises(RecipeError, match="cannot judge 'kind'"):
        objective_for(Recipe(loss="huber"), MANY)
    with pytest.raises(RecipeError, match="cannot judge 'price'"):
        objective_for(Recipe(loss="cross_entropy"), PRICE)


def test_the_last_layer_tells_what_outputs_are():
    assert ends_in(nn.Sequential(nn.Linear(3, 1), nn.Sigmoid(), nn.Flatten(0))) == "probabilities"
    assert ends_in(nn.Sequential(nn.Linear(3, 4), nn.Softmax(1))) == "probabilities"
    assert ends_in(nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(1))) == "log-probabilities"
    assert ends_in(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))) == "logits"
    assert ends_in(nn.Sequential(nn.Sigmoid(), nn.Linear(4, 1))) == "logits"


def test_outputs_correct_what_the_last_layer_tells():
    module, z = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid()), draw(50, 4, scale=3)
    assert ends_in(module, z) == "logits"  # registered last, but not run last
    assert ends_in(module, torch.sigmoid(z)) == "probabilities"
    plain = nn.Sequential(nn.Linear(3, 4))
    assert ends_in(plain, torch.softmax(z, 1).float()) == "probabilities"
    assert ends_in(plain, torch.log_softmax(z, 1).float()) == "log-probabilities"
    assert ends_in(plain, z) == "logits"
    assert ends_in(plain, torch.sigmoid(z[:, :1])) == "logits"


def test_gradients_are_those_of_finite_differences():
    for recipe, described, width in ((Recipe(class_weights="balanced", label_smoothing=0.1), PAIR, 1),
                                     (Recipe(class_weights="balanced", label_smoothing=0.1), MANY, 4)):  # fmt: skip
        objective: Objective = objective_for(recipe, described)
        target, mixed = codes(width if width > 1 else 2, 5), shares(max(2, width), 5)
        for wanted in (target, mixed):
            z = draw(5, width).requires_grad_()
            assert torch.autograd.gradcheck(lambda z, w=wanted, o=objective: o.loss(z, w), (z,))
