"""What bends a signal after a layer, read from the graph that autograd writes while a module runs.

So an activation is found whether it is a module or a function called in `forward`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

BENDS = {
    "Relu": "relu", "Hardtanh": "tanh", "Sigmoid": "sigmoid", "Tanh": "tanh", "LeakyRelu": "leaky_relu",
    "Gelu": "gelu", "Silu": "silu", "Softmax": "softmax", "LogSoftmax": "log_softmax", "Elu": "elu",
    "Softplus": "softplus", "LogSigmoid": "log_sigmoid", "Log": "log", "Sqrt": "sqrt", "Div": "div", "Exp": "exp",
    "Pow": "pow", "Log1P": "log1p", "Acos": "acos", "Asin": "asin", "Reciprocal": "reciprocal", "Rsqrt": "rsqrt",
}  # fmt: skip
"""Autograd's names of what bends a signal, or can make NaN of it, and ours."""

PASSING = {
    "View", "ReshapeAlias", "UnsafeView", "T", "Permute", "Transpose", "Expand", "Clone", "Squeeze", "Unsqueeze",
    "Slice",
    "NativeDropout", "NativeBatchNorm", "CudnnBatchNorm", "NativeLayerNorm", "NativeGroupNorm", "ToCopy", "Mul", "Add",
    "MaxPool2DWithIndices", "AvgPool2D", "Select", "Alias",
}  # fmt: skip
"""Operations that stand between a layer and its activation and leave a unit a unit."""

FEW_STEPS = 6


def users_of(last: Tensor | None) -> dict[Any, list[Any]]:
    """For every node of autograd's graph, the nodes that read its output."""
    found: dict[Any, list[Any]] = {}
    waiting = [last.grad_fn] if last is not None and last.grad_fn is not None else []
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        for before, _ in node.next_functions:
            if before is None:
                continue
            found.setdefault(before, []).append(node)
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return found


def following(node: Any, users: dict[Any, list[Any]]) -> str:
    """The activation that a layer's output goes into, past what leaves a unit a unit."""
    for _ in range(FEW_STEPS):
        after = users.get(node, [])
        if len(after) != 1:
            return next((bend for bend in map(_name, after) if bend in BENDS.values()), "")
        node = after[0]
        if _plain(node) in BENDS:
            return BENDS[_plain(node)]
        if _plain(node) not in PASSING:
            return ""
    return ""


def bend_of(node: Any) -> str:
    """What the outputs last went through, past reshaping."""
    for _ in range(FEW_STEPS):
        if node is None or _plain(node) in BENDS:
            break
        if _plain(node) not in ("View", "ReshapeAlias", "Squeeze", "Select", "Clone", "Alias", "Unsqueeze"):
            return ""
        node = node.next_functions[0][0]
    return "" if node is None else BENDS.get(_plain(node), "")


def _name(node: Any) -> str:
    return BENDS.get(_plain(node), "")


def _plain(node: Any) -> str:
    return node.name().partition("Backward")[0]
