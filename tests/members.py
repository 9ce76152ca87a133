"""The members of every family that stand under the laws: options, data drawn for them, and the loss they learn by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deepglass.data.schema import Batch, Input, Schema, Target
from deepglass.models import CATALOGUE
from deepglass.models.family import Family

EDGES = ((-2.0, -1.0, -0.5, -0.25, 1.75), (-0.5, 0.5), (0.3,), *[(-1.5, -0.5, 1.5)] * 6)
NUMBERS = Input("numbers", "numbers", (9,), tuple("abcdefghi"), quantiles=EDGES)
CODES = Input("codes", "codes", (2,), ("color", "town"), sizes=(4, 12))
FEATURES = Input("features", "numbers", (2, 6))
GRAY = Input("picture", "pixels", (1, 8, 8), mean=(0.1,), std=(0.3,))
COLOR = Input("picture", "pixels", (3, 9, 6), mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
BINARY = Target("y", "binary", ("no", "yes"), (5, 5))
CLASSES = Target("y", "multiclass", ("a", "b", "c"), (3, 3, 4))
VALUES = Target("y", "regression", mean=(0.0, 1.0), std=(1.0, 2.0))


@dataclass(frozen=True)
class Member:
    family: str
    schema: Schema
    options: dict[str, Any] = field(default_factory=dict)

    def made(self, *, stirred: bool = False, dropout: bool = True) -> Family:
        """The network in float64. Stirred: no weight or running statistic is left at a value that hides a mistake."""
        torch.manual_seed(3)
        model = CATALOGUE[self.family].from_schema(self.schema, **self.options).double()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout) and not dropout:
                module.p = 0.0
        with torch.no_grad():
            for name, tensor in model.state_dict().items() if stirred else ():
                if tensor.is_floating_point():
                    tensor += 0.2 * (torch.rand_like(tensor) if "var" in name else torch.randn_like(tensor))
        return model

    def batch(self, count: int) -> Batch:
        generator = torch.Generator().manual_seed(5)
        inputs = []
        for entry in self.schema.inputs:
            if entry.kind == "codes":
                columns = [torch.arange(count)[torch.randperm(count, generator=generator)] % s for s in entry.sizes]
                inputs.append(torch.stack(columns, dim=1))
            else:
                inputs.append(torch.randn(count, *entry.shape, generator=generator, dtype=torch.float64))
        target = self.schema.target
        if target.task == "regression":
            goal = torch.randn(count, len(target.mean), generator=generator, dtype=torch.float64)
        else:
            goal = torch.arange(count) % len(target.classes)
        return Batch(tuple(inputs), goal, torch.arange(count))


def tables(target: Target, *inputs: Input) -> Schema:
    return Schema("table", inputs or (NUMBERS, CODES), target)


SMALL = {"widths": (8, 7), "embedding_width": 3}
MEMBERS: dict[str, Member] = {
    "neuron linear": Member("neuron", tables(VALUES)),
    "neuron logistic": Member("neuron", tables(BINARY)),
    "neuron softmax": Member("neuron", Schema("picture", (COLOR,), CLASSES)),
    "neuron perceptron": Member("neuron", tables(BINARY), {"activation": "step"}),
    "neuron perceptron of classes": Member("neuron", Schema("tensor", (FEATURES,), CLASSES), {"activation": "step"}),
    "mlp plain": Member("mlp", Schema("tensor", (FEATURES,), BINARY), {"widths": (9, 8), "dropout": 0.1}),
    "mlp of pictures": Member("mlp", Schema("picture", (GRAY,), CLASSES), {"widths": (9,), "activation": "gelu"}),
    "mlp normalized": Member("mlp", tables(CLASSES), SMALL | {"members": 1, "normalization": "batch"}),
    "mlp periodic": Member("mlp", tables(BINARY), SMALL | {"members": 1, "embedding": "periodic"}),
    "mlp piecewise": Member("mlp", tables(VALUES), SMALL | {"members": 1, "embedding": "piecewise"}),
    "mlp ensemble of numbers": Member("mlp", tables(VALUES), SMALL | {"members": 3}),
    "mlp ensemble of two classes": Member("mlp", tables(BINARY), SMALL | {"members": 3, "activation": "tanh"}),
    "mlp ensemble of classes": Member("mlp", tables(CLASSES, NUMBERS), SMALL | {"members": 2, "widths": (9, 8, 7)}),
    "convolution gray": Member("convolution", Schema("picture", (GRAY,), BINARY), {"widths": (4, 6), "dense": 8}),
    "convolution color": Member(
        "convolution", Schema("picture", (COLOR,), CLASSES),
        {"widths": (4, 5), "depth": 1, "dense": 7, "normalization": "none", "dropout": 0.1, "activation": "silu"},
    ),
    "convolution deep": Member(
        "convolution", Schema("picture", (COLOR,), VALUES),
        {"widths": (6, 6, 8, 16), "depth": 2, "dense": 0, "kernel": 5},
    ),
    "convolution vgg": Member(
        "convolution", Schema("picture", (GRAY,), CLASSES),
        {"form": "vgg13", "widths": (3, 4), "depth": (2, 1), "dense": (7, 6), "normalization": "none"},
    ),
    "residual basic": Member(
        "residual", Schema("picture", (COLOR,), CLASSES), {"widths": (6, 8), "blocks": (2, 1)},
    ),
    "residual bottleneck": Member(
        "residual", Schema("picture", (GRAY,), BINARY), {"depth": 50, "widths": (8, 12), "blocks": (1, 2)},
    ),
    "residual before": Member(
        "residual", Schema("picture", (COLOR,), VALUES), {"form": "resnet_v2", "widths": (6, 8), "blocks": (1, 2)},
    ),
    "residual before bottleneck": Member(
        "residual", Schema("picture", (GRAY,), CLASSES),
        {"form": "resnet_v2", "depth": 50, "widths": (8, 12), "blocks": (2, 1), "drop_path": 0.2},
    ),
    "residual inverted": Member(
        "residual", Schema("picture", (COLOR,), CLASSES),
        {"form": "efficientnet", "widths": (6, 8, 8), "blocks": (2, 1, 1)},
    ),
}  # fmt: skip


class Judge:
    """The criterion, straight from PyTorch."""

    def __init__(self, task: str) -> None:
        self.task = task

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        if self.task == "binary":
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], target.to(outputs.dtype))
        return (
            functional.mse_loss(outputs, target)
            if self.task == "regression"
            else functional.cross_entropy(outputs, target)
        )

    def measure(self, target: Tensor) -> float:
        return float(len(target))


def loss_of(member: Member, model: Family, batch: Batch) -> Tensor:
    (turn,) = model.turns(Judge(member.schema.target.task))
    assert turn.player is model
    return turn.loss(batch)
