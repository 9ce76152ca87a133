"""The multi-layer perceptron, and the default network for tables: an ensemble of them that shares its weights.

    a[0] = x,   a[l] = g(W[l] a[l−1] + b[l]),   z = W[L] a[L−1] + b[L]

For tables, each number is first embedded, and k members learn side by side over the same W, each with its own small
adapters r, s, b, as one batch: "TabM" (Gorishniy et al. 2025) with rank-one adapters (Wen et al. 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepglass.data.schema import Batch, Schema, Task
from deepglass.models.blocks import (
    ActivationName,
    InitializationName,
    NormalizationName,
    hidden_activation_named,
    initialized,
    normalization_named,
    share,
    sizes,
)
from deepglass.models.embeddings import EmbeddingName, Features, features_of
from deepglass.models.family import Criterion, Family, Turn, supervised


@dataclass(frozen=True)
class Defaults:
    """What an option is where nobody says."""

    widths: tuple[int, ...]
    dropout: float
    members: int


DEFAULTS = {"table": Defaults((256, 256), 0.1, 8), "other": Defaults((256, 128), 0.0, 1)}


class Mlp(Family):
    """Layers of neurons, each fed by all of the layer below; one network or `members` that share their weights.

    Inputs ([m, ...], ...) to logits or standardized numbers [m, outputs]. In training, with members, to
    [m, members, outputs]: each member answers for itself and is judged for itself. Its options:

        widths           units of each hidden layer; by default 256 and 128, for a table 256 and 256
        dropout          share of hidden units zeroed in training (Srivastava et al. 2014); by default 0, a table 0.1
        embedding        how a table's numbers enter: none | piecewise | periodic; by default piecewise for a table of
                         up to 500 number columns. Above 500 numbers always enter as they are
        embedding_width  features made of each number
        members          networks that share their weights; by default 8 for a table, else 1
    """

    title = "multi-layer perceptron"
    papers = (
        "Rumelhart, Hinton & Williams (1986), Learning representations by back-propagating errors",
        "Gorishniy et al. (2022), On embeddings for numerical features in tabular deep learning",
        "Gorishniy et al. (2025), TabM: advancing tabular deep learning with parameter-efficient ensembling",
        "Wen, Tran & Ba (2020), BatchEnsemble",
    )

    def __init__(self, features: Features, body: nn.Sequential, task: Task, members: int) -> None:
        super().__init__()
        self.features = features
        self.body = body
        self.task: Task = task
        self.members = members

    @classmethod
    def from_schema(
        cls,
        schema: Schema,
        *,
        widths: tuple[int, ...] | None = None,
        activation: ActivationName = "relu",
        dropout: float | None = None,
        normalization: NormalizationName = "none",
        initialization: InitializationName = "default",
        embedding: EmbeddingName | None = None,
        embedding_width: int = 16,
        members: int | None = None,
    ) -> Mlp:
        """The network for this data. Raises RecipeError for an option the data cannot have.

        >>> from deepglass.data.schema import Input, Target
        >>> pixels = Input("picture", "pixels", (1, 28, 28))
        >>> Mlp.from_schema(Schema("picture", (pixels,), Target("digit", "multiclass", tuple("0123456789")))).body
        Sequential(
          (0): Linear(in_features=784, out_features=256, bias=True)
          (1): ReLU()
          (2): Linear(in_features=256, out_features=128, bias=True)
          (3): ReLU()
          (4): Linear(in_features=128, out_features=10, bias=True)
        )
        """
        default = DEFAULTS["table" if schema.kind == "table" else "other"]
        widths = default.widths if widths is None else widths
        dropout = default.dropout if dropout is None else dropout
        (members,) = sizes("members", (default.members if members is None else members,))
        (embedding_width,) = sizes("embedding_width", (embedding_width,))
        features = features_of(schema, embedding=_embedding_for(schema, embedding), width=embedding_width, lookups=True)
        style = Style(members, activation, normalization, share("dropout", dropout), initialization)
        body = stacked(style, (features.width, *sizes("widths", widths)), schema.target.outputs)
        return cls(features, body, schema.target.task, members)

    @classmethod
    def recipe(cls, schema: Schema, examples: int) -> dict[str, Any]:
        """For tables, as measured on eight public ones (`bench/tables.py`); otherwise a plain Adam.

        Large tables need fewer rounds; small ones learn better at the higher rate (wine quality: RMSE 0.664 for 0.673).
        """
        if schema.kind != "table":
            return {"epochs": 20, "batch_size": 64, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "cosine"}
        small = examples < 8_000
        return {
            "epochs": 60 if small else 30,
            "batch_size": 64 if examples < 4_000 else 256,
            "optimizer": "adamw",
            "learning_rate": 4e-3 if small else 2e-3,
            "weight_decay": 3e-4,
            "schedule": "cosine",
            "clip": 1.0,
            "patience": 16,
        }

    def forward(self, *inputs: Tensor) -> Tensor:
        """Outputs [m, outputs]; in training with members [m, members, outputs]."""
        outputs = self.body(self.features(*inputs))
        return outputs if self.members == 1 or self.training else pooled(outputs, self.task)

    def turns(self, criterion: Criterion) -> tuple[Turn, ...]:
        """The task's loss: with members, the mean of each member's own."""
        if self.members == 1:
            return supervised(self, criterion)

        def loss(batch: Batch) -> Tensor:
            outputs = self(*batch.inputs)
            if outputs.dim() == 2:  # in evaluation the members have already been pooled
                return criterion.loss(outputs, batch.target)
            # One example a member: the mean over all of them is the mean over members of each member's loss.
            return criterion.loss(outputs.flatten(0, 1), batch.target.repeat_interleave(self.members, dim=0))

        return (Turn("model", self, loss, criterion.measure),)


def _embedding_for(schema: Schema, asked: EmbeddingName | None) -> EmbeddingName:
    """What is asked; else piecewise where a table's numbers come with their quantiles."""
    if asked is not None:
        return asked
    numbers = schema.input("numbers") if schema.kind == "table" else None
    known_edges = numbers is not None and bool(numbers.quantiles) and len(numbers.quantiles) == len(numbers.columns)
    return "piecewise" if known_edges else "none"


@dataclass(frozen=True)
class Style:
    """What stands between the layers, and how they begin."""

    members: int
    activation: str
    normalization: str
    dropout: float
    initialization: str

    def linear(self, before: int, after: int, *, receive: bool) -> nn.Module:
        """A hidden layer, shared by the members where there are several."""
        # A batch norm takes the mean away again, so a bias before it would be a weight that nothing reaches.
        plain = nn.Linear(before, after, bias=self.members > 1 or self.normalization != "batch")
        drawn = initialized(plain, self.initialization, self.activation)
        return drawn if self.members == 1 else SharedLinear(self.members, drawn, receive=receive)

    def after(self, width: int) -> list[nn.Module]:
        """What follows a hidden layer of this width: normalization, activation, dropout, where asked for."""
        normalization = normalization_named(self.normalization, width)
        dropout = nn.Dropout(self.dropout) if self.dropout else None
        parts = (normalization, hidden_activation_named(self.activation), dropout)
        return [part for part in parts if part is not None]


def stacked(style: Style, widths: tuple[int, ...], outputs: int) -> nn.Sequential:
    """The layers from features [m, widths[0]] to outputs [m, outputs], or [m, members, outputs]."""
    ensemble = style.members > 1
    layers: list[nn.Module] = [Fork(style.members, widths[0])] if ensemble else []
    for depth, (before, after) in enumerate(pairwise(widths)):
        layers += [style.linear(before, after, receive=depth > 0), *style.after(after)]
    if ensemble:
        layers.append(Heads(style.members, widths[-1], outputs, style.initialization))
    else:
        layers.append(initialized(nn.Linear(widths[-1], outputs), style.initialization))
    return nn.Sequential(*layers)


class Fork(nn.Module):
    """The members' own views of the same features: x ∘ r, one r of random signs a member, so that they start apart.

    Features [m, width] to [m * members, width], an example's members side by side.
    """

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randint(0, 2, (members, width)).mul(2).sub(1).float())

    def forward(self, features: Tensor) -> Tensor:
        """Features [m, width] to [m * members, width]."""
        return (features.unsqueeze(1) * self.gain).flatten(0, 1)


class SharedLinear(nn.Module):
    """One weight for all members, and for each its own gains r on what comes in, s on what goes out, and bias b.

        y_i = s_i ∘ W (r_i ∘ x_i) + b_i      i = 1 … members      Wen, Tran & Ba (2020)

    All gains start at one and all biases alike. Features [m * members, before] to [m * members, after].
    """

    def __init__(self, members: int, layer: nn.Linear, *, receive: bool = True) -> None:
        super().__init__()
        self.members = members
        self.gain_in = nn.Parameter(torch.ones(members, layer.in_features)) if receive else None
        self.linear = nn.Linear(layer.in_features, layer.out_features, bias=False)
        self.linear.weight = layer.weight
        self.gain_out = nn.Parameter(torch.ones(members, layer.out_features))
        self.bias = nn.Parameter(layer.bias.detach().repeat(members, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Features [m * members, before] to [m * members, after]."""
        if self.gain_in is not None:
            features = (features.unflatten(0, (-1, self.members)) * self.gain_in).flatten(0, 1)
        mixed = self.linear(features).unflatten(0, (-1, self.members))
        return torch.addcmul(self.bias, mixed, self.gain_out).flatten(0, 1)


class Heads(nn.Module):
    """Every member's own last layer: features [m * members, before] to outputs [m, members, after]."""

    def __init__(self, members: int, before: int, after: int, initialization: str = "default") -> None:
        super().__init__()
        drawn = [initialized(nn.Linear(before, after), initialization) for _ in range(members)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in drawn]))
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in drawn]))

    def forward(self, features: Tensor) -> Tensor:
        """Features [m * members, before] to outputs [m, members, after]."""
        apart = features.unflatten(0, (-1, self.weight.shape[0])).transpose(0, 1)
        return torch.baddbmm(self.bias.unsqueeze(1), apart, self.weight).transpose(0, 1)


def pooled(outputs: Tensor, task: Task) -> Tensor:
    """What the members say together: outputs [m, members, outputs] to [m, outputs].

        binary       logit of the mean of σ(z)
        multiclass   log of the mean of softmax(z)
        regression   mean of z

    >>> pooled(torch.tensor([[[0.0], [0.0]]]), "binary").tolist()
    [[0.0]]
    """
    if task == "regression":
        return outputs.mean(dim=1)
    if task == "binary":
        return functional.logsigmoid(outputs).logsumexp(dim=1) - functional.logsigmoid(-outputs).logsumexp(dim=1)
    return outputs.log_softmax(dim=2).logsumexp(dim=1) - math.log(outputs.shape[1])
