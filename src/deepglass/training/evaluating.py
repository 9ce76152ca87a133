"""Judge a model on a part it does not learn from: outputs, loss and figures, in large batches, without gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deepglass.data.batches import in_order
from deepglass.data.schema import Part, Schema
from deepglass.training.metrics import measure
from deepglass.training.objective import Objective

BATCH = 1024


@dataclass(frozen=True)
class Judgement:
    """The mean loss over a part, what the outputs say (probabilities, or numbers in their unit), and the figures."""

    loss: float
    read: Tensor
    figures: dict[str, float]

    @property
    def all_figures(self) -> dict[str, float]:
        """The figures and the loss."""
        return self.figures | {"loss": self.loss}


@contextlib.contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode (no dropout, frozen batch statistics) and no gradients; every module's mode comes back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def outputs_of(model: nn.Module, part: Part, schema: Schema, device: torch.device) -> Tensor:
    """The model's outputs for every example of a part, in its order, in float32 on the CPU."""
    with evaluation(model):
        batches = in_order(part, schema, device, BATCH)
        return torch.cat([model(*batch.inputs).float().cpu() for batch in batches])


def judge(model: nn.Module, part: Part, schema: Schema, objective: Objective, device: torch.device,
          names: tuple[str, ...] | None = None) -> Judgement:  # fmt: skip
    """Loss and figures on a part; `names` limits the figures to those wanted."""
    outputs = outputs_of(model, part, schema, device)
    with torch.inference_mode():
        loss = float(objective.loss(outputs, part.target))
        read = objective.read(outputs)
    return Judgement(loss, read, measure(part.target, read, schema.target, names=names))
