"""A person's own loss understood: the target it wants, what it takes outputs for, what its mean divides by.

A module written elsewhere comes with its own loss. PyTorch's losses are known by name in `KNOWN`; any other callable is
handed (outputs, target) and gives one number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepglass.data.schema import Target
from deepglass.errors import RecipeError, ShapeError

Emits = Literal["logits", "probabilities", "log-probabilities", "shares"]
"""What outputs are for classes. "shares": estimates of the 0/1 target itself, as a squared error makes them."""

Wants = Literal["codes", "numbers", "either"]
"""codes: int64 [m]. numbers: float of the outputs' shape. either: numbers for one output on two classes, else codes."""


@dataclass(frozen=True)
class Known:
    """One of PyTorch's losses: as a module, as a function, and how it is fed and read."""

    module: type[nn.Module]
    function: Callable[..., Tensor]
    wants: Wants
    emits: Emits


KNOWN: tuple[Known, ...] = (
    Known(nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits, "numbers", "logits"),
    Known(nn.BCELoss, F.binary_cross_entropy, "numbers", "probabilities"),
    Known(nn.CrossEntropyLoss, F.cross_entropy, "codes", "logits"),
    Known(nn.NLLLoss, F.nll_loss, "codes", "log-probabilities"),
    Known(nn.MultiMarginLoss, F.multi_margin_loss, "codes", "logits"),
    Known(nn.MSELoss, F.mse_loss, "numbers", "shares"),
    Known(nn.L1Loss, F.l1_loss, "numbers", "shares"),
    Known(nn.HuberLoss, F.huber_loss, "numbers", "shares"),
    Known(nn.SmoothL1Loss, F.smooth_l1_loss, "numbers", "shares"),
)


@dataclass(frozen=True, eq=False)
class CustomLoss:
    """A person's loss with its feeding (`wants`) and its reading (`emits`).

    `weights` [classes] are those its mean divides by, for losses that weigh classes; None where it is a plain mean.
    """

    call: Callable[[Tensor, Tensor], Tensor]
    name: str
    wants: Wants
    emits: Emits
    weights: Tensor | None = None

    def target_for(self, outputs: Tensor, target: Tensor, described: Target) -> Tensor:
        """The target in the type and shape this loss wants. Raises ShapeError where the outputs do not allow it."""
        if target.is_floating_point():
            return target.reshape(outputs.shape).to(outputs.dtype)
        single = outputs.dim() == 1 or outputs.shape[1] == 1
        if self.wants == "codes" and single:
            classes = len(described.classes)
            raise ShapeError(
                f"{self.name} wants one output for each of the {classes} classes of {described.name!r}, was given "
                f"{list(outputs.shape)}.",
                next=f"end the module in nn.Linear(…, {classes}), or give loss=nn.BCEWithLogitsLoss()",
            )
        if single and self.wants != "codes":
            return target.reshape(outputs.shape).to(outputs.dtype)
        if self.wants != "numbers":
            return target
        if self.name.startswith("BCE") or self.name.startswith("binary_cross_entropy"):
            raise ShapeError(
                f"{self.name} judges one output an example, was given {list(outputs.shape)}.",
                next="end the module in nn.Linear(…, 1), or give loss=nn.CrossEntropyLoss()",
            )
        return F.one_hot(target, outputs.shape[1]).to(outputs.dtype)

    def value(self, found: object) -> Tensor:
        """What the loss gave, as one number. Raises RecipeError for anything else."""
        if isinstance(found, Tensor) and found.numel() == 1:
            return found.reshape(())
        shown = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise RecipeError(f"{self.name} gives {shown}, where one number is wanted.", next="return its mean: .mean()")


def understood(custom: Any, target: Target, emits: Emits) -> CustomLoss:
    """The loss a person gave, looked up in `KNOWN`. `emits` is what the module's last layer tells (see `ends_in`).

    Raises RecipeError for a loss that is no mean, that does not fit the task, that would squash probabilities once
    more, or that has weights of its own to learn.
    """
    inner = custom.func if isinstance(custom, functools.partial) else custom
    name = getattr(inner, "__name__", type(inner).__name__)
    known = next((row for row in KNOWN if isinstance(inner, row.module) or inner is row.function), None)
    _refuse(custom, inner, name, known)
    if known is None:
        return CustomLoss(custom, name, "either", emits)
    _refuse_mismatch(name, known, target, emits)
    if known.emits == "shares":
        said: Emits = "shares" if emits == "logits" else emits
    elif known.emits == "logits" and emits == "log-probabilities":
        said = emits  # the softmax of log-probabilities gives the probabilities back
    else:
        said = known.emits
    return CustomLoss(custom, name, known.wants, said, _dividing(custom, known, target))


def _refuse(custom: Any, inner: Any, name: str, known: Known | None) -> None:
    if not callable(custom):
        raise RecipeError(f"loss = {custom!r} cannot be called.", next="give a function of (outputs, target)")
    reduction = _setting(custom, "reduction")
    if reduction not in (None, "mean", "elementwise_mean"):
        raise RecipeError(f"{name} has reduction={reduction!r}: a loss here is a mean over the batch.",
                          next="leave reduction at 'mean'")  # fmt: skip
    foreign = type(inner).__module__ == nn.MSELoss.__module__ and isinstance(inner, nn.Module)
    if known is None and foreign:
        names = ", ".join(row.module.__name__ for row in KNOWN)
        raise RecipeError(f"{name} is not among the losses whose target is known: {names}.",
                          next="wrap it in a function of (outputs, target) that shapes the target")  # fmt: skip
    if isinstance(inner, nn.Module) and any(weight.requires_grad for weight in inner.parameters()):
        raise RecipeError(f"{name} has weights of its own, which nothing would train.",
                          next="move them into the model, and let the loss read its outputs")  # fmt: skip


def _refuse_mismatch(name: str, known: Known, target: Target, emits: Emits) -> None:
    numbers = target.task == "regression"
    if numbers and known.emits != "shares":
        raise RecipeError(f"{name} judges classes, and {target.name!r} holds numbers.",
                          next="give loss=nn.MSELoss(), or --set task=classes")  # fmt: skip
    yes_no = known.module in (nn.BCELoss, nn.BCEWithLogitsLoss)
    if yes_no and target.task == "multiclass":
        raise RecipeError(f"{name} judges yes or no, and {target.name!r} has {len(target.classes)} classes.",
                          next="give loss=nn.CrossEntropyLoss()")  # fmt: skip
    once_more = emits == "probabilities" and known.emits in ("logits", "log-probabilities")
    if once_more and not numbers:
        fit = "nn.BCELoss()" if target.task == "binary" else "nn.NLLLoss() after nn.LogSoftmax"
        raise RecipeError(
            f"{name} wants {known.emits}, and the module ends in a layer that gives probabilities already.",
            next=f"take that last layer off, or give loss={fit}",
        )


def _dividing(custom: Any, known: Known, target: Target) -> Tensor | None:
    """The class weights that the mean of cross-entropy divides by; a class it ignores weighs nothing."""
    if known.module not in (nn.CrossEntropyLoss, nn.NLLLoss):
        return None
    weight, ignored = _setting(custom, "weight"), _setting(custom, "ignore_index")
    classes = len(target.classes)
    if weight is not None and len(weight) != classes:
        raise RecipeError(f"the loss has {len(weight)} class weights for the {classes} classes of {target.name!r}.",
                          next=f"give {classes} weights, in the order {', '.join(target.classes[:12])}")  # fmt: skip
    masked = isinstance(ignored, int) and 0 <= ignored < classes
    if weight is None and not masked:
        return None
    weights = torch.ones(classes) if weight is None else weight.detach().clone()
    if masked:
        weights[ignored] = 0.0
    return weights


def _setting(custom: Any, name: str) -> Any:
    if isinstance(custom, functools.partial):
        return custom.keywords.get(name, _setting(custom.func, name))
    return getattr(custom, name, None)
