"""One step: micro-batches add up to the batch, and every player moves its own weights alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from deepglass.data.schema import Batch, Schema
from deepglass.models.family import Criterion, Family, Turn
from deepglass.training.objective import objective_for
from deepglass.training.recipe import Recipe
from deepglass.training.stepping import players, take_step
from samples import line, points


def settled(**fields) -> Recipe:
    return Recipe().changed(**fields).settled({})


def network(outputs: int, width: int = 4) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, outputs))


def whole(data) -> Batch:
    return Batch(data.train.inputs, data.train.target, data.train.rows)


def gradient(model: nn.Module) -> torch.Tensor:
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("pieces", [2, 3, 7])
@pytest.mark.parametrize("weights", ["none", "balanced", (1.0, 5.0, 0.25)])
def test_micro_batches_of_any_sizes_add_up_to_the_one_big_batch(pieces, weights):
    data = points(96)
    gradients = []
    for accumulate in (1, pieces):
        recipe = settled(accumulate=accumulate, class_weights=weights, label_smoothing=0.1)
        model = network(3)
        team = players(model, objective_for(recipe, data.schema.target), recipe)
        step = take_step(team, whole(data), recipe, rate=0.0)
        gradients.append([step.losses, *(weight.grad for weight in model.parameters())])
    for one, many in zip(*gradients, strict=True):
        assert torch.allclose(one, many, atol=1e-6)


def test_micro_batches_of_numbers_add_up_too():
    data = line(61)
    moved = []
    for accumulate in (1, 4):
        recipe = settled(accumulate=accumulate, optimizer="sgd", learning_rate=0.1)
        model = network(1, 2)
        take_step(players(model, objective_for(recipe, data.schema.target), recipe), whole(data), recipe, rate=0.1)
        moved.append(torch.cat([weight.flatten() for weight in model.parameters()]))
    assert torch.allclose(*moved, atol=1e-6)


def test_the_norm_is_the_one_before_clipping():
    data = points(96)
    recipe = settled(clip=1e-3, optimizer="sgd")
    model = network(3)
    objective = objective_for(recipe, data.schema.target)
    step = take_step(players(model, objective, recipe), whole(data), recipe, rate=0.0)
    plain = network(3)
    objective.loss(plain(data.train.inputs[0]), data.train.target).backward()
    norm = gradient(plain).norm()
    assert step.norms is not None and torch.allclose(step.norms[0], norm)
    clipped = gradient(model).norm()
    assert torch.allclose(clipped, torch.tensor(1e-3), rtol=1e-3)


class TwoPlayers(Family):
    """A generator and a critic on points (Goodfellow et al. 2014): the smallest family with two turns."""

    title = "two players"

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.generator, self.critic = nn.Linear(2, 4), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    @classmethod
    def from_schema(cls, schema: Schema) -> TwoPlayers:
        return cls()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.critic(inputs[0])

    def noise(self, batch: Batch) -> torch.Tensor:
        return torch.randn(len(batch), 2)

    def turns(self, criterion: Criterion) -> tuple[Turn, ...]:
        return (Turn("critic", self.critic, self.judge), Turn("generator", self.generator, self.fool))

    def judge(self, batch: Batch) -> torch.Tensor:
        made = self.generator(self.noise(batch)).detach()
        return functional.softplus(-self.critic(batch.inputs[0])).mean() + functional.softplus(self.critic(made)).mean()

    def fool(self, batch: Batch) -> torch.Tensor:
        return functional.softplus(-self.critic(self.generator(self.noise(batch)))).mean()


def test_each_of_two_players_moves_its_own_weights_alone():
    data = points(96)
    recipe = settled(optimizer="sgd", learning_rate=0.5)
    model = TwoPlayers()
    team = players(model, objective_for(recipe, data.schema.target), recipe)
    assert [player.turn.name for player in team] == ["critic", "generator"]
    for player, other in (team, team[::-1]):
        mine, theirs = copy.deepcopy(player.turn.player.state_dict()), copy.deepcopy(other.turn.player.state_dict())
        assert take_step((player,), whole(data), recipe, rate=0.5).losses.shape == (1,)
        assert any(not torch.equal(mine[name], now) for name, now in player.turn.player.state_dict().items())
        assert all(torch.equal(theirs[name], now) for name, now in other.turn.player.state_dict().items())


def test_two_players_play_in_turn_by_hand():
    """The critic moves first; the generator then meets the critic that has moved."""
    data, recipe = points(96), settled(optimizer="sgd")
    model = TwoPlayers()
    team = players(model, objective_for(recipe, data.schema.target), recipe)
    by_hand = TwoPlayers()
    torch.manual_seed(5)
    take_step(team, whole(data), recipe, rate=0.3)
    torch.manual_seed(5)
    for part, loss in ((by_hand.critic, by_hand.judge), (by_hand.generator, by_hand.fool)):
        gradients = torch.autograd.grad(loss(whole(data)), list(part.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(part.parameters(), gradients, strict=True):
                weight -= 0.3 * gradient
    # The recipe's default momentum has nothing to add in the first step.
    for mine, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
