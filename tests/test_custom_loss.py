"""Losses of a person's own: the target each wants, what it says of the outputs, and what is refused."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepglass.data.schema import Target
from deepglass.errors import RecipeError, ShapeError
from deepglass.training.custom_loss import KNOWN
from deepglass.training.objective import objective_for
from deepglass.training.recipe import Recipe
from targets import MANY, PAIR, PRICE, codes, draw

WEIGHT = torch.tensor([1.0, 2.0, 0.5, 4.0])
OWN_FOR_MANY = [
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(label_smoothing=0.1),
    nn.CrossEntropyLoss(weight=WEIGHT),
    nn.CrossEntropyLoss(ignore_index=2),
    functools.partial(F.cross_entropy, weight=WEIGHT),
    nn.MultiMarginLoss(),
    lambda outputs, target: F.cross_entropy(outputs, target),
]


@pytest.mark.parametrize("own", OWN_FOR_MANY)
def test_a_loss_of_ones_own_is_called_as_it_stands_and_its_pieces_add_up(own):
    z, target = draw(12, 4).float(), torch.tensor([0, 2, 2, 1, 2, 3, 1, 0, 3, 2, 1, 0])
    objective = objective_for(Recipe(), MANY, custom=own)
    torch.testing.assert_close(objective.loss(z, target), own(z, target))
    pieces = (slice(0, 5), slice(5, 12))
    total = sum(objective.loss(z[s], target[s]) * objective.measure(target[s]) for s in pieces)
    torch.testing.assert_close(total / objective.measure(target), own(z, target))
    torch.testing.assert_close(objective.read(z), torch.softmax(z, 1))


def test_nll_loss_reads_log_probabilities():
    z, target = draw(12, 4), codes(4, 12)
    logs = torch.log_softmax(z, 1)
    objective = objective_for(Recipe(), MANY, custom=nn.NLLLoss(weight=WEIGHT.double()), emits="log-probabilities")
    torch.testing.assert_close(objective.loss(logs, target), F.cross_entropy(z, target, WEIGHT.double()))
    torch.testing.assert_close(objective.read(logs), torch.softmax(z, 1))
    assert float(objective.measure(target)) == pytest.approx(float(WEIGHT[target].sum()))


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_yes_or_no_losses_get_floats_of_the_outputs_shape(shape):
    z, target = draw(*shape), codes(2, 9)
    expected = F.binary_cross_entropy_with_logits(z.reshape(-1), target.double())
    logits = (nn.BCEWithLogitsLoss(), F.binary_cross_entropy_with_logits, lambda o, t: nn.BCEWithLogitsLoss()(o, t))
    for own in logits:
        objective = objective_for(Recipe(), PAIR, custom=own)
        torch.testing.assert_close(objective.loss(z, target), expected)
        torch.testing.assert_close(objective.read(z)[:, 1], torch.sigmoid(z.reshape(-1)))
    objective = objective_for(Recipe(), PAIR, custom=nn.BCELoss(), emits="probabilities")
    torch.testing.assert_close(objective.loss(torch.sigmoid(z), target), expected)
    torch.testing.assert_close(objective.read(torch.sigmoid(z))[:, 1], torch.sigmoid(z.reshape(-1)))


def test_squared_error_on_classes_aims_at_the_one_hot_target():
    outputs, target = draw(9, 4, scale=0.5), codes(4, 9)
    objective = objective_for(Recipe(), MANY, custom=nn.MSELoss())
    torch.testing.assert_close(objective.loss(outputs, target), ((outputs - F.one_hot(target, 4)) ** 2).mean())
    read = objective.read(outputs)
    torch.testing.assert_close(read.sum(1), torch.ones(9, dtype=torch.float64))
    positive = (outputs > 0).any(1)
    assert bool((read.argmax(1) == outputs.argmax(1))[positive & (outputs.amax(1) < 1)].all())


@pytest.mark.parametrize("own", [row.module() for row in KNOWN if row.emits == "shares"])
def test_losses_of_numbers_of_ones_own_get_the_standardised_target(own):
    outputs, target = draw(8, 2).float(), draw(8, 2, seed=3).float()
    objective = objective_for(Recipe(), PRICE, custom=own)
    torch.testing.assert_close(objective.loss(outputs, target), own(outputs, target))
    one = Target("price", "regression", mean=(5.0,), std=(2.0,))
    flat = objective_for(Recipe(), one, custom=own)
    torch.testing.assert_close(flat.loss(outputs[:, 0], target[:, :1]), own(outputs[:, 0], target[:, 0]))
    torch.testing.assert_close(flat.read(outputs[:, 0]), outputs[:, :1] * 2 + 5)


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return self.scale * F.cross_entropy(outputs, target)


@pytest.mark.parametrize(
    "own, described, emits, said",
    [
        (nn.CrossEntropyLoss(reduction="sum"), MANY, "logits", "reduction='sum'"),
        (functools.partial(F.cross_entropy, reduction="none"), MANY, "logits", "reduction='none'"),
        (nn.CrossEntropyLoss(), PRICE, "logits", "judges classes, and 'price' holds numbers"),
        (nn.BCEWithLogitsLoss(), MANY, "logits", "judges yes or no, and 'kind' has 4 classes"),
        (nn.BCEWithLogitsLoss(), PAIR, "probabilities", "probabilities already"),
        (nn.CrossEntropyLoss(), MANY, "probabilities", "probabilities already"),
        (nn.NLLLoss(), MANY, "probabilities", "wants log-probabilities"),
        (nn.CrossEntropyLoss(weight=torch.ones(3)), MANY, "logits", "3 class weights for the 4 classes"),
        (nn.SoftMarginLoss(), PAIR, "logits", "SoftMarginLoss is not among"),
        (Learned(), MANY, "logits", "weights of its own"),
        ("mse", MANY, "logits", "cannot be called"),
    ],
)
def test_losses_of_ones_own_that_would_mislead_are_refused(own, described, emits, said):
    with pytest.raises(RecipeError, match=said):
        objective_for(Recipe(), described, custom=own, emits=emits)


def test_a_loss_of_ones_own_on_outputs_of_the_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match="wants one output for each of the 2 classes"):
        objective_for(Recipe(), PAIR, custom=nn.CrossEntropyLoss()).loss(draw(5, 1), codes(2, 5))
    with pytest.raises(ShapeError, match="judges one output an example"):
        objective_for(Recipe(), PAIR, custom=nn.BCEWithLogitsLoss()).loss(draw(5, 2), codes(2, 5))
    with pytest.raises(RecipeError, match=r"shape \[5\], where one number"):
        objective_for(Recipe(), PAIR, custom=lambda o, t: (o - t)[:, 0]).loss(draw(5, 1), codes(2, 5))
    with pytest.raises(RecipeError, match="gives float"):
        objective_for(Recipe(), PAIR, custom=lambda o, t: 1.0).loss(draw(5, 1), codes(2, 5))


def test_weights_first_used_for_judging_can_be_learned_with_later():
    objective = objective_for(Recipe(class_weights="balanced"), MANY)
    z, target = draw(6, 4), codes(4, 6)
    with torch.inference_mode():
        judged = objective.loss(z, target)
    z.requires_grad_()
    objective.loss(z, target).backward()
    assert z.grad is not None and float(judged) > 0
