"""A module's layers on one batch: what each gives and gets back, what follows it, whether a gradient reaches it.

The module is looked at in a copy, so that no statistic, gradient or random state of it changes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepglass.diagnosing.bends import bend_of, following, users_of

MATRICES = (nn.Linear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase)
GATES = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}

# Where |output| of tanh passes 0.97, and where sigmoid comes as near to 0 or 1: the slope is below 6 % of its largest.
SATURATED = {"tanh": 2.09, "sigmoid": 4.18}


@dataclass(frozen=True)
class Layer:
    """One module without children, or with weights of its own, on the batch.

    followed   the activation its output goes into: "relu", "tanh", … or ""
    fan_in     numbers that a unit of it is given, 0 where it has no matrix;  units  how many it has
    work       multiply-adds of its matrix on the batch
    gain       root mean square of its weight times √fan-in: about 1.4 keeps the signal of ReLU (He et al. 2015)
    alike      every unit has the same weights, so that all learn the same
    reached    a gradient came back to a weight of it;  free   a weight of it may move
    dead       share of units that gave nothing above 0 on the whole batch;  saturated   share of outputs at the ends
    gradient   root mean square of the gradient at its output, and `weight_gradient` at its weights
    untouched  a batch norm whose statistics never saw a batch
    """

    path: str
    type: str
    followed: str = ""
    fan_in: int = 0
    units: int = 0
    work: int = 0
    gain: float = math.nan
    alike: bool = False
    ran: bool = True
    weighty: bool = False
    free: bool = True
    reached: bool = True
    mean: float = math.nan
    spread: float = math.nan
    largest: float = math.nan
    dead: float = 0.0
    saturated: float = 0.0
    gradient: float = math.nan
    weight_gradient: float = math.nan
    bad: bool = False
    given_bad: bool = False
    batch_norm: bool = False
    training: bool = True
    untouched: bool = False


@dataclass(frozen=True)
class Anatomy:
    """All layers in the order they ran, then those that never did.

    ending      what the outputs last went through: "softmax", "sigmoid", … or ""
    loss        of this batch, NaN where there is none;  judged   whether a loss was given, and gradients are its own
    examples    in the batch;  shape   of the outputs
    input_scale   root mean square of the inputs that are floats, NaN where none is
    failure     what the module raised
    """

    layers: tuple[Layer, ...]
    ending: str = ""
    loss: float = math.nan
    judged: bool = False
    examples: int = 0
    shape: tuple[int, ...] = ()
    input_scale: float = math.nan
    failure: str = ""

    def layer(self, path: str) -> Layer | None:
        """The layer at a path, or None."""
        return next((layer for layer in self.layers if layer.path == path), None)


def examine(module: nn.Module, inputs: tuple[Any, ...], loss: Callable[[nn.Module], Tensor] | None = None, *,
            training: bool = False) -> Anatomy:  # fmt: skip
    """The anatomy of a module on a batch. `loss` takes the module and gives one number; without one, gradients are
    those of a fixed random direction of the outputs, which tells what is reached, but not how strongly.

    `training` puts the copy in training mode first. What the module raises is kept as `failure`; the layers that ran
    are then still told.

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> [(layer.path, layer.followed) for layer in examine(net, (torch.zeros(2, 3),)).layers]
    [('0', 'relu'), ('1', ''), ('2', '')]
    """
    devices = [t.device for t in module.parameters() if t.device.type == "cuda"][:1]
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.manual_seed(0)
        try:
            body = copy.deepcopy(getattr(module, "_orig_mod", module))
        except Exception as error:  # a module may hold what no copy can be made of: a lock, an open file
            return Anatomy((), failure=f"{type(module).__name__} cannot be copied: {error}")
        body.zero_grad(set_to_none=True)
        body = body.train() if training else body
        seen = _Seen()
        with _watched(body, seen):
            value, failure = _run(body, inputs, loss, seen)
        if not seen.order and not failure:
            failure = f"none of the layers of {type(module).__name__} was called"
    return _told(body, seen, inputs, value, judged=loss is not None, failure=failure)


class _Seen:
    """What the hooks noted: the calls in order, the outputs, and the outputs of the whole."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.outputs: dict[str, Tensor] = {}
        self.given_bad: dict[str, bool] = {}
        self.last: Tensor | None = None


class _watched:  # noqa: N801 — a context, read as a word
    """Hooks on every layer of a copy, taken off at the end."""

    def __init__(self, body: nn.Module, seen: _Seen) -> None:
        self.body, self.seen, self.hooks = body, seen, []

    def __enter__(self) -> None:
        for path, module in _parts(self.body):
            self.hooks.append(module.register_forward_hook(self._noting(path)))
        self.hooks.append(self.body.register_forward_hook(self._ending))

    def __exit__(self, *what: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _noting(self, path: str) -> Callable[..., None]:
        def note(module: nn.Module, given: Any, output: Any) -> None:
            tensor = _first(output)
            if path in self.seen.outputs or tensor is None:
                return
            self.seen.order.append(path)
            self.seen.given_bad[path] = any(_bad(entry) for entry in _tensors(given))
            self.seen.outputs[path] = tensor
            if tensor.requires_grad:
                tensor.retain_grad()

        return note

    def _ending(self, module: nn.Module, given: Any, output: Any) -> None:
        self.seen.last = _first(output)


def _run(body: nn.Module, inputs: tuple[Any, ...], loss: Callable[[nn.Module], Tensor] | None,
         seen: _Seen) -> tuple[float, str]:  # fmt: skip
    try:
        if loss is not None:
            value = loss(body)
        else:
            body(*inputs)
            if seen.last is None or not seen.last.requires_grad:
                return math.nan, ""
            value = (seen.last * torch.randn_like(seen.last)).sum()
        if value.requires_grad:
            value.backward()
    except Exception as error:  # any module may raise anything: the layers that ran are still worth telling
        return math.nan, " ".join(str(error).split())[:200] or type(error).__name__
    return float(value.detach()), ""


def _told(body: nn.Module, seen: _Seen, inputs: tuple[Any, ...], value: float, *, judged: bool,
          failure: str) -> Anatomy:  # fmt: skip
    users = users_of(seen.last)
    parts = dict(_parts(body))
    order = [*seen.order, *(path for path in parts if path not in seen.outputs)]
    layers = tuple(_layer(path, parts[path], seen, users) for path in order)
    floats = [t for t in _tensors(inputs) if t.is_floating_point() and t.numel()]
    scale = max((_rms(t) for t in floats), default=math.nan)
    examples = next((len(t) for t in _tensors(inputs) if t.dim()), 0)
    shape = () if seen.last is None else tuple(seen.last.shape)
    ending = bend_of(seen.last.grad_fn) if seen.last is not None else ""
    return Anatomy(layers, ending, value if judged else math.nan, judged, examples, shape, scale, failure)


def _layer(path: str, module: nn.Module, seen: _Seen, users: dict[Any, list[Any]]) -> Layer:
    own = list(module.parameters(recurse=False))
    weight = max((w for w in own if w.dim() >= 2), key=torch.numel, default=None)
    output = seen.outputs.get(path)
    batch_norm = isinstance(module, nn.modules.batchnorm._BatchNorm)
    fan_in = weight[0].numel() if weight is not None and isinstance(module, MATRICES) else 0
    followed = "" if output is None else following(output.grad_fn, users)
    facts = {} if output is None else _figures(output, _itself(module) or followed)
    gradients = [w.grad for w in own if w.grad is not None]
    return Layer(
        path, type(module).__name__, followed, fan_in, len(weight) if weight is not None and fan_in else 0,
        work=0 if output is None else output.numel() * fan_in * GATES.get(type(module).__name__, 1),
        gain=_rms(weight) * math.sqrt(fan_in) if weight is not None and fan_in else math.nan,
        alike=weight is not None and fan_in > 0 and _alike(weight, GATES.get(type(module).__name__, 1)),
        ran=output is not None, weighty=bool(own),
        free=any(w.requires_grad for w in own), reached=bool(gradients) if own else True,
        weight_gradient=_rms(torch.cat([g.flatten() for g in gradients])) if gradients else math.nan,
        given_bad=seen.given_bad.get(path, False), batch_norm=batch_norm, training=module.training,
        untouched=batch_norm and module.num_batches_tracked is not None and int(module.num_batches_tracked) == 0,
        **facts,
    )  # fmt: skip


def _figures(output: Tensor, bend: str) -> dict[str, Any]:
    gradient = math.nan if output.grad is None else _rms(output.grad)
    if not output.is_floating_point() or not output.numel():
        return {"gradient": gradient}
    values = output.detach().float()
    units = values.movedim(1 if values.dim() == 4 else -1, 0).flatten(1) if values.dim() > 1 else values[None]
    limit = SATURATED.get(bend.removesuffix("!"))
    # A module that is the activation itself is judged by what comes out of it, a layer before one by what goes in.
    inside = {"tanh!": values.abs() > 0.97, "sigmoid!": (values - 0.5).abs() > 0.485}.get(bend)
    outside = values.abs() > limit if limit else None
    ends = inside if inside is not None else outside
    return {
        "mean": float(values.mean()), "spread": float(values.std(correction=0)), "largest": float(values.abs().max()),
        "dead": float((units <= 0).all(1).float().mean()) if bend.startswith("relu") else 0.0,
        "saturated": 0.0 if ends is None else float(ends.float().mean()), "gradient": gradient, "bad": _bad(values),
    }  # fmt: skip


def _itself(module: nn.Module) -> str:
    """The name of the activation a module is, marked; "" for any other module."""
    kinds = {nn.ReLU: "relu!", nn.ReLU6: "relu!", nn.Tanh: "tanh!", nn.Sigmoid: "sigmoid!"}
    return kinds.get(type(module), "")


def _parts(body: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules without children, and those with weights of their own."""
    for path, module in body.named_modules():
        if next(module.children(), None) is None or next(module.parameters(recurse=False), None) is not None:
            yield path, module


def _alike(weight: Tensor, gates: int) -> bool:
    units = weight.detach().unflatten(0, (gates, -1)).flatten(2)
    return units.shape[1] > 1 and float((units - units[:, :1]).abs().max()) <= 1e-6 * float(units.abs().max())


def _rms(tensor: Tensor) -> float:
    return float(tensor.detach().float().pow(2).mean().sqrt()) if tensor.numel() else math.nan


def _bad(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for entry in entries for tensor in _tensors(entry)]


def _first(output: Any) -> Tensor | None:
    found = _tensors(output if not hasattr(output, "logits") else output.logits)
    return found[0] if found else None
