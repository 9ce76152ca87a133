"""Over the whole batch at once, Z = WX + b and dW = (A - Y) Xᵀ / m; a loop over examples gives the same."""

from __future__ import annotations

import math

import numpy as np
import torch

from deepglass.data.schema import Batch
from deepglass.models.neuron import Neuron
from deepglass.training.objective import objective_for
from deepglass.training.recipe import Recipe
from deepglass.training.stepping import players, take_step
from samples import points


def by_loop(inputs: np.ndarray, target: np.ndarray, weights: np.ndarray, bias: float) -> tuple[np.ndarray, float]:
    """The gradient of the mean binary cross-entropy, example by example and weight by weight."""
    gradient, at_bias = [0.0] * len(weights), 0.0
    for row, expected in zip(inputs, target, strict=True):
        z = bias + sum(float(w) * float(x) for w, x in zip(weights, row, strict=True))
        error = 1 / (1 + math.exp(-z)) - float(expected)
        for column, x in enumerate(row):
            gradient[column] += error * float(x) / len(inputs)
        at_bias += error / len(inputs)
    return np.array(gradient), at_bias


def test_the_batch_is_the_loop_and_the_formula() -> None:
    data = points(90, classes=2)
    torch.manual_seed(0)
    neuron = Neuron.from_schema(data.schema).double()
    inputs, target = data.train.inputs[0].double(), data.train.target
    weights, bias = neuron.synapses.weight.detach().numpy()[0].copy(), neuron.synapses.bias.item()
    recipe = Recipe(optimizer="sgd").settled({})
    team = players(neuron, objective_for(recipe, data.schema.target), recipe)
    take_step(team, Batch((inputs,), target, data.train.rows), recipe, rate=0.0)
    assert neuron.synapses.weight.grad is not None and neuron.synapses.bias.grad is not None
    found, at_bias = neuron.synapses.weight.grad.numpy()[0], float(neuron.synapses.bias.grad)
    looped, looped_bias = by_loop(inputs.numpy(), target.numpy(), weights, bias)
    np.testing.assert_allclose(found, looped, rtol=0, atol=1e-12)
    assert abs(at_bias - looped_bias) < 1e-12
    answers = 1 / (1 + np.exp(-(inputs.numpy() @ weights + bias)))
    np.testing.assert_allclose(found, (answers - target.numpy()) @ inputs.numpy() / len(inputs), rtol=0, atol=1e-12)
