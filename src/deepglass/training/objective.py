"""The task's loss, and how outputs are read: classes or numbers.

    two classes    L = −Σᵢ [w₁ yᵢ log σ(zᵢ) + w₀ (1−yᵢ) log(1−σ(zᵢ))] / Σᵢ w(yᵢ)          from logits z
    K classes      L = −Σᵢ Σₖ wₖ tᵢₖ log softmax(zᵢ)ₖ / Σᵢ w(yᵢ)
    smoothing e    t := (1−e) t + e/K     (Szegedy et al. 2016); for two classes y := (1−e) y + e/2
    numbers        mean of (ŷ−y)², |ŷ−y|, or Huber's (1964): half the square within 1 standard deviation, linear beyond

Logarithms are taken of logits, never of probabilities, so that a logit of ±10⁴ gives a loss and not infinity.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepglass.data.schema import Target
from deepglass.errors import RecipeError, ShapeError
from deepglass.training.custom_loss import CustomLoss, Emits, understood
from deepglass.training.recipe import Recipe

NUMBER_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": F.mse_loss,
    "mae": F.l1_loss,
    "huber": F.huber_loss,
}

ENDINGS: dict[type[nn.Module], Emits] = {
    nn.Sigmoid: "probabilities",
    nn.Softmax: "probabilities",
    nn.Softmax2d: "probabilities",
    nn.LogSoftmax: "log-probabilities",
    nn.LogSigmoid: "log-probabilities",
}


@dataclass(frozen=True, eq=False)
class Objective:
    """How far outputs are from a target, and what outputs say. Satisfies `family.Criterion`.

    Outputs: classes [m] or [m, 1] (two classes), [m, classes]; numbers [m] or [m, width]. Target: see `schema.Target`,
    or float [m, classes] where classes were mixed. `weights` [classes] weigh the classes.

    >>> objective = objective_for(Recipe(), Target("sick", "binary", ("no", "yes"), (60, 40)))
    >>> round(objective.loss(torch.tensor([[0.0]]), torch.tensor([1])).item(), 4)
    0.6931
    >>> objective.read(torch.tensor([[0.0]]))
    tensor([[0.5000, 0.5000]])
    """

    target: Target
    name: str
    emits: Emits = "logits"
    smoothing: float = 0.0
    weights: Tensor | None = None
    custom: CustomLoss | None = None
    _placed: dict[Any, Any] = field(default_factory=dict, repr=False)

    def loss(self, outputs: Tensor, target: Tensor) -> Tensor:
        """The mean loss of a batch, one number. Raises ShapeError where outputs and target do not fit together."""
        outputs = _full(outputs)
        self._check(outputs, len(target))
        if self.custom is not None:
            wanted = self.custom.target_for(outputs, target, self.target)
            return self.custom.value(self._call_on(outputs.device)(outputs, wanted))
        if self.target.task == "regression":
            return NUMBER_LOSSES[self.name](outputs.reshape(target.shape), target.to(outputs.dtype))
        return self._cross_entropy(outputs, target)

    def measure(self, target: Tensor) -> Tensor | float:
        """What the mean divides by: the weights of the examples' classes summed, or the number of examples."""
        if self.weights is None:
            return float(target.shape[0])
        return _weighed(target, self._there(self.weights, target.device, torch.float32))

    def read(self, outputs: Tensor) -> Tensor:
        """Probabilities [m, classes] (2 for two classes), or numbers [m, width] in the target's own unit."""
        outputs = _full(outputs)
        self._check(outputs, outputs.shape[0])
        if self.target.task == "regression":
            width = len(self.target.mean)
            std = torch.tensor(self.target.std, dtype=outputs.dtype, device=outputs.device)
            mean = torch.tensor(self.target.mean, dtype=outputs.dtype, device=outputs.device)
            return outputs.reshape(-1, width) * std + mean
        return _probabilities(outputs, self.emits)

    def _cross_entropy(self, outputs: Tensor, target: Tensor) -> Tensor:
        mixed = target.is_floating_point()
        weights = None if self.weights is None else self._there(self.weights, outputs.device, outputs.dtype)
        single = outputs.dim() == 1 or outputs.shape[1] == 1
        if self.emits == "logits" and not single and not mixed:
            return F.cross_entropy(outputs, target, weights, label_smoothing=self.smoothing)
        if self.emits == "logits" and single and weights is None:
            share = (target[:, 1] if mixed else target).to(outputs.dtype)
            share = share * (1 - self.smoothing) + self.smoothing / 2 if self.smoothing else share
            return F.binary_cross_entropy_with_logits(outputs.reshape(-1), share)
        logs = _logarithms(outputs, self.emits)
        shares = target.to(logs.dtype) if mixed else F.one_hot(target, logs.shape[1]).to(logs.dtype)
        shares = shares * (1 - self.smoothing) + self.smoothing / logs.shape[1]
        if weights is None:
            return -(shares * logs).sum() / len(target)
        return -(shares * logs * weights).sum() / _weighed(target, weights)

    def _check(self, outputs: Tensor, examples: int) -> None:
        shape, task, many = list(outputs.shape), self.target.task, self.target.outputs
        if outputs.dim() == 2 and shape == [examples, many]:
            return
        single = len(shape) == 1 and many == 1
        pair = task == "binary" and len(shape) == 2 and shape[1] == 2
        if (single or pair) and shape[0] == examples:
            return
        what = f"the numbers of {self.target.name!r}" if task == "regression" else _classes(self.target)
        if shape and shape[0] != examples and (single or pair or shape[1:] == [many]):
            raise ShapeError(f"the network gives outputs for {shape[0]} examples to a batch of {examples}.",
                             next="keep the first axis as it is: nn.Flatten(1), not .view(-1)")  # fmt: skip
        wanted = f"{[examples, 1]} or {[examples, 2]}" if task == "binary" else str([examples, many])
        flatten = "flatten before the last layer: nn.Flatten(), and " if len(shape) > 2 else ""
        raise ShapeError(f"the network gives {shape} for {what}, which want {wanted}.",
                         next=f"{flatten}end the module in nn.Linear(…, {many})")  # fmt: skip

    def _there(self, tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
        """A tensor on a device, moved once."""
        key = (id(tensor), device, dtype)
        if key not in self._placed:
            # A tensor made in inference mode could not take part in training later.
            with torch.inference_mode(False):
                self._placed[key] = tensor.to(device, dtype)
        return self._placed[key]

    def _call_on(self, device: torch.device) -> Callable[[Tensor, Tensor], Any]:
        """The person's loss where the outputs are. A loss with tensors inside is copied there, never moved away."""
        call = self.custom.call if self.custom is not None else None
        if not isinstance(call, nn.Module):
            return call  # type: ignore[return-value]
        if all(tensor.device == device for tensor in (*call.buffers(), *call.parameters())):
            return call
        if device not in self._placed:
            with torch.inference_mode(False):
                self._placed[device] = copy.deepcopy(call).to(device)
        return self._placed[device]


def objective_for(recipe: Recipe, target: Target, *, custom: Any = None, emits: Emits = "logits") -> Objective:
    """The objective a recipe asks for, or that a person's own loss makes.

    `custom` is a function of (outputs, target) or one of torch.nn's losses; `emits` says what the outputs of a module
    written elsewhere are (see `ends_in`). Raises RecipeError for a loss or class weights that do not fit the target.

    >>> objective_for(Recipe(loss="huber"), Target("price", "regression", mean=(0.0,), std=(1.0,))).name
    'huber'
    """
    if custom is not None:
        loss = understood(custom, target, emits)
        return Objective(target, loss.name, loss.emits, weights=loss.weights, custom=loss)
    numbers = target.task == "regression"
    name = recipe.loss if recipe.loss != "auto" else "mse" if numbers else "cross_entropy"
    if numbers != (name in NUMBER_LOSSES):
        kind = "numbers" if numbers else f"{len(target.classes)} classes"
        fit = ", ".join(NUMBER_LOSSES) if numbers else "cross_entropy"
        raise RecipeError(f"recipe: loss = {name!r} cannot judge {target.name!r}, which holds {kind}.",
                          next=f"--set loss=auto, or one of: {fit}")  # fmt: skip
    if numbers:
        return Objective(target, name)
    return Objective(target, name, emits, recipe.label_smoothing or 0.0, class_weights(recipe, target))


def class_weights(recipe: Recipe, target: Target) -> Tensor | None:
    """One weight a class: those given, or balanced ones, n / (K n_k) with n_k examples of class k; None for equal ones.

    A class without examples in the training part weighs 1. Source: King & Zeng (2001). Raises RecipeError for a wrong
    number of weights.

    >>> class_weights(Recipe(class_weights="balanced"), Target("sick", "binary", ("no", "yes"), (75, 25)))
    tensor([0.6667, 2.0000])
    """
    if recipe.class_weights == "none":
        return None
    if recipe.class_weights == "balanced":
        present = [count for count in target.counts if count]
        return torch.tensor([sum(present) / (len(present) * n) if n else 1.0 for n in target.counts])
    if len(recipe.class_weights) != len(target.classes):
        raise RecipeError(f"recipe: {len(recipe.class_weights)} class_weights for {_classes(target)}.",
                          next=f"give one a class, in the order {', '.join(target.classes[:12])}")  # fmt: skip
    return torch.tensor(recipe.class_weights)


def ends_in(module: nn.Module, outputs: Tensor | None = None) -> Emits:
    """What a module's outputs are, by its last layer, with some of its outputs as evidence where they are at hand.

    A last layer that does not run last shows in outputs outside 0 … 1; a softmax called as a function shows in rows
    that sum to 1. One output of a sigmoid called as a function cannot be told from a logit: give the loss then.

    >>> ends_in(nn.Sequential(nn.Linear(4, 1), nn.Sigmoid()))
    'probabilities'
    """
    passing = (nn.Identity, nn.Flatten, nn.Unflatten)
    leaves = [m for m in module.modules() if next(m.children(), None) is None and not isinstance(m, passing)]
    last = leaves[-1] if leaves else None
    said: Emits = "logits"
    for kind, emits in ENDINGS.items():
        said = emits if isinstance(last, kind) else said
    if outputs is None:
        return said
    outputs = outputs.detach().double()
    whole = outputs.exp() if said == "log-probabilities" else outputs
    if said != "logits" and not bool(((whole >= 0) & (whole <= 1 + 1e-4)).all()):
        said = "logits"
    if said != "logits" or outputs.dim() != 2 or outputs.shape[1] < 2:
        return said
    if bool((outputs >= 0).all()) and _sums_to_one(outputs):
        return "probabilities"
    return "log-probabilities" if _sums_to_one(outputs.exp()) else "logits"


def _sums_to_one(values: Tensor) -> bool:
    return bool(((values.sum(1) - 1).abs() < 1e-3).all())


def _full(outputs: Tensor) -> Tensor:
    return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs


def _weighed(target: Tensor, weights: Tensor) -> Tensor:
    """The weights of the examples' classes, summed."""
    mixed = target.is_floating_point()
    return (target.to(weights.dtype) @ weights).sum() if mixed else weights[target].sum()


def _classes(target: Target) -> str:
    return f"the {len(target.classes)} classes of {target.name!r}"


def _logarithms(outputs: Tensor, emits: Emits) -> Tensor:
    """Log-probabilities [m, classes] of outputs of any kind."""
    if outputs.dim() == 1 or outputs.shape[1] == 1:
        z = outputs.reshape(-1)
        if emits == "logits":
            return torch.stack((F.logsigmoid(-z), F.logsigmoid(z)), 1)
        p = z.exp() if emits == "log-probabilities" else z
        outputs, emits = torch.stack((1 - p, p), 1), "probabilities"
    if emits == "logits":
        return F.log_softmax(outputs, 1)
    if emits == "log-probabilities":
        return outputs
    return outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()


def _probabilities(outputs: Tensor, emits: Emits) -> Tensor:
    """Probabilities [m, classes] of outputs of any kind; shares are cut to 0 … 1 and brought to a sum of 1."""
    if outputs.dim() == 1 or outputs.shape[1] == 1:
        z = outputs.reshape(-1)
        if emits == "logits":
            return torch.stack((torch.sigmoid(-z), torch.sigmoid(z)), 1)
        p = (z.exp() if emits == "log-probabilities" else z).clamp(0, 1)
        return torch.stack((1 - p, p), 1)
    if emits == "logits":
        return torch.softmax(outputs, 1)
    if emits == "log-probabilities":
        return torch.softmax(outputs, 1)
    whole = outputs.clamp(0, 1)
    sums = whole.sum(1, keepdim=True)
    return torch.where(sums > 0, whole / sums.clamp_min(1e-12), torch.full_like(whole, 1 / whole.shape[1]))
