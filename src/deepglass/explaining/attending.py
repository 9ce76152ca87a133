"""Who attended to whom: the weights of every attention in a record, worked out after the fast kernel has run.

    A = softmax(Q Kᵀ / √d + M)          Vaswani et al. (2017), "Attention Is All You Need"

Fast kernels never hold A. Its queries, keys and mask were recorded, so it is computed from them, for one who asks.
"""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Operation, Slot

PASSED_ON = frozenset(
    (
        "dropout",
        "to",
        "type_as",
        "type",
        "float",
        "contiguous",
        "clone",
        "view",
        "reshape",
        "masked_fill",
        "mul",
        "detach",
    )
)
PRODUCTS = frozenset(("matmul", "bmm", "einsum"))


def attentions(graph: Graph) -> dict[str, Operation]:
    """The operations that attend, by the path of the module they ran in; several of one module are numbered."""
    found = [operation for operation in graph.operations if _attends(graph, operation) and not operation.failure]
    names: dict[str, Operation] = {}
    for operation in found:
        path = graph.owners[operation.owner].path or operation.label
        number = 2
        name = path
        while name in names:
            name, number = f"{path} ({number})", number + 1
        names[name] = operation
    return names


def attention_weights(graph: Graph, operation: Operation) -> Tensor | None:
    """A: [batch, head, query, key]; None where what it is made from was not kept whole.

    Every row sums to 1 (to 0 where a mask hides every key). Dropout is left out: these are the weights before it.
    """
    name = operation.name.strip("_")
    if name == "softmax":
        return _whole(graph, operation.outputs[0])
    if operation.call is None:
        return None
    taken = _arguments(graph, operation)
    if taken is None:
        return None
    compute = _of_many_heads if name == "multi_head_attention_forward" else _scaled_dot_product
    with torch.no_grad():
        return compute(*taken[0], **taken[1])


def _attends(graph: Graph, operation: Operation) -> bool:
    name = operation.name.strip("_")
    if name in ("scaled_dot_product_attention", "multi_head_attention_forward"):
        return True
    return name == "softmax" and bool(operation.outputs) and _weighs(graph, operation)


def _weighs(graph: Graph, operation: Operation) -> bool:
    """Whether a softmax over the last axis goes on, perhaps through dropout, to be the left side of a product."""
    shape = graph.values[operation.outputs[0]].shape
    axis = dict(operation.settings).get("dim", -1)
    if len(shape) < 3 or axis not in (-1, len(shape) - 1):
        return False
    heads = [operation.outputs[0]]
    seen: set[int] = set()
    while heads:
        value = heads.pop()
        for user in (graph.operations[place] for place in graph.users[value]):
            if user.id in seen:
                continue
            seen.add(user.id)
            if user.name.strip("_") in PRODUCTS and user.inputs[0] == value:
                return True
            if user.name.strip("_") in PASSED_ON:
                heads.extend(user.outputs)
    return False


def _scaled_dot_product(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], dim=-3)
    scores = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    # Where every key is hidden, softmax gives 0 / 0; the kernels give nothing.
    return torch.where((scores == -math.inf).all(-1, keepdim=True), 0.0, scores.softmax(-1))


def _of_many_heads(*args: Any, **kwargs: Any) -> Tensor:
    """The same function once more, asked for its weights head by head, without dropout. [batch, head, query, key]."""
    given = inspect.signature(functional.multi_head_attention_forward).bind(*args, **kwargs)
    given.arguments |= {"need_weights": True, "average_attn_weights": False, "training": False}
    weights = functional.multi_head_attention_forward(*given.args, **given.kwargs)[1]
    return torch.empty(0) if weights is None else weights


def _arguments(graph: Graph, operation: Operation) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """What the operation was given, every slot filled; None where a tensor was not kept whole."""
    lost: list[int] = []

    def filled(part: Any) -> Any:
        if isinstance(part, Slot):
            tensor = _whole(graph, part.value)
            if tensor is None:
                lost.append(part.value)
            return tensor
        if isinstance(part, list | tuple):
            return type(part)(filled(entry) for entry in part)
        return part

    args = tuple(filled(part) for part in operation.args)
    kwargs = {name: filled(part) for name, part in operation.kwargs}
    return None if lost else (args, kwargs)


def _whole(graph: Graph, place: int) -> Tensor | None:
    kept = graph.values[place].kept
    return kept.tensor if kept is not None and kept.form == "whole" else None
