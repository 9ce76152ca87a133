"""Averages of weights against the formula by hand and torch.optim.swa_utils."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, update_bn

from deepglass.training.averaging import Averager
from deepglass.training.recipe import Recipe

STEPS = 40


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def walk(model: nn.Module, step: int) -> None:
    """Move the weights by a known amount, and the batch statistics too."""
    draw = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=draw))
    model(torch.randn(16, 3, generator=draw))


def weights(model: nn.Module) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_ema_is_the_formula_with_a_small_decay_at_first(decay):
    model = network()
    averager = Averager(model, Recipe(average="ema", average_decay=decay), STEPS)
    expected = weights(model)
    for step in range(STEPS):
        walk(model, step)
        averager.update(step)
        d = min(decay, (1 + step) / (10 + step))
        expected = [d * a + (1 - d) * w for a, w in zip(expected, weights(model), strict=True)]
    with averager.applied():
        for found, wanted in zip(weights(model), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


def test_swa_is_torchs_mean_over_the_last_quarter():
    model = network()
    averager, theirs = Averager(model, Recipe(average="swa"), STEPS), AveragedModel(model)
    kept = []
    for step in range(STEPS):
        walk(model, step)
        averager.update(step)
        assert averager.ready == (step >= 30)
        if step >= 30:
            theirs.update_parameters(model)
            kept.append(weights(model))
    with averager.applied():
        for n, (found, wanted) in enumerate(zip(weights(model), theirs.module.parameters(), strict=True)):
            torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(found, torch.stack([w[n] for w in kept]).mean(0), rtol=1e-5, atol=1e-5)


def test_swa_takes_batch_statistics_anew_as_torchs_update_bn_does():
    model = network()
    averager, theirs = Averager(model, Recipe(average="swa"), STEPS), AveragedModel(model)
    for step in range(STEPS):
        walk(model, step)
        averager.update(step)
        if step >= 30:
            theirs.update_parameters(model)
    batches = [torch.randn(8, 3, generator=torch.Generator().manual_seed(n)) for n in range(5)]
    update_bn(batches, theirs)
    own, norm, wanted = model.state_dict(), model[1], theirs.get_submodule("module.1")
    own = {name: tensor.clone() for name, tensor in own.items()}
    model.eval()

    def restate(module: nn.Module) -> None:
        assert module.training and not torch.is_grad_enabled()
        for batch in batches:
            module(batch)

    with averager.applied(restate):
        assert not model.training and norm.momentum == 0.1
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(norm, name), getattr(wanted, name), rtol=1e-4, atol=1e-5)
            assert not torch.allclose(getattr(norm, name), own[f"1.{name}"], atol=1e-3)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, own[name]), name


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_the_models_own_weights_come_back_to_the_bit_whatever_happens(kind):
    model = network()
    averager = Averager(model, Recipe(average=kind), 8)
    for step in range(8):
        walk(model, step)
        averager.update(step)
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    addresses = [weight.data_ptr() for weight in model.parameters()]
    with pytest.raises(ValueError, match="inside"), averager.applied():
        assert not torch.equal(model.state_dict()["0.weight"], own["0.weight"])
        assert torch.equal(model.state_dict()["1.running_mean"], own["1.running_mean"])
        raise ValueError("inside")
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.state_dict().items())
    assert addresses == [weight.data_ptr() for weight in model.parameters()]


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_an_average_taken_up_again_goes_on_to_the_same_bits(kind):
    recipe, models = Recipe(average=kind, average_decay=0.9), [network(), network()]
    whole, broken = (Averager(model, recipe, STEPS) for model in models)
    for step in range(STEPS):
        for model, averager in zip(models, (whole, broken), strict=True):
            walk(model, step)
            averager.update(step)
        if step % 7 == 0:
            tensors = {name: tensor.clone() for name, tensor in broken.tensors().items()}
            broken = Averager(models[1], recipe, STEPS)
            broken.load(tensors)
    first, second = whole.tensors(), broken.tensors()
    assert first.keys() == second.keys() and int(first["updates"]) == (STEPS if kind == "ema" else 10)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_no_average_holds_nothing_and_changes_nothing():
    model = network()
    averager = Averager(model, Recipe(average="none"), STEPS)
    averager.update(0)
    own = weights(model)
    with averager.applied():
        assert all(torch.equal(a, b) for a, b in zip(weights(model), own, strict=True))
    assert averager.tensors() == {} and not averager.ready
    averager.load({})


def test_weights_that_do_not_learn_are_left_alone():
    model = network()
    model[0].requires_grad_(False)
    averager = Averager(model, Recipe(average="ema"), STEPS)
    assert set(averager.tensors()) == {"updates", "1.weight", "1.bias", "3.weight", "3.bias"}


def test_the_optimizer_goes_on_from_the_plain_weights():
    """Training with an average judged now and then ends where training without one ends."""
    ends = []
    for kind in ("none", "ema", "swa"):
        model, draw = network(), torch.Generator().manual_seed(9)
        averager = Averager(model, Recipe(average=kind), 12)
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        for step in range(12):
            optimizer.zero_grad()
            model(torch.randn(16, 3, generator=draw)).square().mean().backward()
            optimizer.step()
            averager.update(step)
            with averager.applied():
                model.eval()
                model(torch.zeros(2, 3))
                model.train()
        ends.append(weights(model))
    for other in ends[1:]:
        assert all(torch.equal(a, b) for a, b in zip(ends[0], other, strict=True))
