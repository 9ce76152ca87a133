"""How each part of a network is shown among its layers: its color, its form and its caption.

`PORTRAITS` is read from the top: the first entry that does not decline (with None) decides. An entry is asked about a
module's call, which may stand for all that ran in it, and about a single operation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

from deepglass.drawing.lettering import plain
from deepglass.drawing.likeness import Portrait, form_of, inner_shape, operations_inside, weights_into
from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Kind, Operation, Owner

Painter = Callable[[Graph, Owner | Operation], Portrait | None]


def portray(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    """The portrait of an operation, or of a whole module's call; None for a module that is to be looked into.

    An entry that fails gives a layer "?" with a note: a picture with one unknown part is better than none.
    """
    try:
        found = next((portrait for painter in PORTRAITS if (portrait := painter(graph, thing)) is not None), None)
    except Exception as problem:
        found = Portrait("layer", "other", "?", note=f"{type(problem).__name__}: {problem}"[:200])
    if found is None or found.part == "through":
        return found
    outputs = thing.outputs
    form = form_of(found.kind, inner_shape(graph, graph.values[outputs[0]])) if outputs else "sign"
    return replace(found, caption=plain(found.caption), form=form if found.form == "bar" else found.form)


def _attention_module(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    """The innermost module around attention, its projections and nothing else: one layer in place of a dozen."""
    if not isinstance(thing, Owner):
        return None
    inside = operations_inside(graph, thing)
    heads = [operation for operation in inside if _attends(graph, operation)]
    dense = [operation for operation in inside if operation.kind == "linear" and weights_into(graph, operation)]
    others = any(operation.kind in ("convolution", "recurrent", "loss") for operation in inside)
    bends = any(operation.kind == "activation" and "softmax" not in operation.name for operation in inside)
    if len(heads) != 1 or others or bends or len(dense) > 6 or not (dense or thing.weights):
        return None
    if any(_attention_module(graph, graph.owners[child]) for child in thing.children):
        return None
    return Portrait("layer", "attention", _attention_caption(graph, heads[0]))


def _attends(graph: Graph, operation: Operation) -> bool:
    if operation.kind == "attention":
        return True
    within = graph.owners[operation.owner].type.lower()
    return "softmax" in operation.name and "attention" in within and "log" not in operation.name


def _attention_caption(graph: Graph, operation: Operation) -> str:
    shape = graph.values[operation.inputs[0]].shape
    heads = dict(operation.settings).get("num_heads", shape[-3] if len(shape) >= 4 else None)
    return "attention" if not isinstance(heads, int) else f"attention, {heads} head{'s' if heads > 1 else ''}"


SMALL_MODULES: tuple[tuple[Kind, str], ...] = (
    ("normalization", r"norm(2d|1d)?$|^(layer|batch|group|rms)norm"),
    ("activation", r"gelu|silu|relu|swish|mish|activation|softmax"),
    ("dropout", r"drop(out|path)"),
)
WORKING = frozenset(("linear", "convolution", "attention", "recurrent", "embedding", "pooling", "loss", "opaque"))


def _small_module(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    """A normalization or activation that its author wrote out in arithmetic: known by the name of its class."""
    if not isinstance(thing, Owner) or thing.children or not thing.operations or thing.parent is None:
        return None
    inside = [graph.operations[operation] for operation in thing.operations]
    if any(operation.kind in WORKING for operation in inside):
        return None
    for kind, pattern in SMALL_MODULES:
        if re.search(pattern, thing.type.lower()):
            named = [operation for operation in inside if operation.kind == kind]
            return Portrait("sliver", kind, _words_of(named[0].name if len(inside) == 1 and named else thing.type))
    return None


def _words_of(name: str) -> str:
    """A function's or class's name as a person says it: "batch_norm" -> "batch norm", "LlamaRMSNorm" -> "RMS norm"."""
    known = re.search(r"(rms|layer|batch|group)_?norm|gelu|silu|relu|softmax", name.lower())
    if known and not name.islower():
        name = re.sub(r"_?norm", "_norm", known[0])
    return (
        name.replace("_", " ")
        .strip()
        .replace("rms", "RMS")
        .replace("gelu", "GELU")
        .replace("silu", "SiLU")
        .replace("relu", "ReLU")
    )


def _convolution(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if not isinstance(thing, Operation) or thing.kind != "convolution":
        return None
    weights = [weight for weight in weights_into(graph, thing) if len(weight.shape) > 2]
    if not weights:
        return Portrait("through", "convolution", thing.name)
    kernel = weights[0].shape[2:]
    channels = inner_shape(graph, graph.values[thing.outputs[0]])[0] if thing.outputs else weights[0].shape[0]
    turned = "transpose" in thing.name or dict(thing.settings).get("transposed") is True
    depthwise = not turned and weights[0].shape[1] == 1 and _groups(thing) == weights[0].shape[0] > 1
    name = "transposed conv" if turned else "depthwise conv" if depthwise else "conv"
    size = f"{kernel[0]}" if len(kernel) == 1 else "×".join(map(str, kernel))
    return Portrait("layer", "convolution", f"{name} {size}, {channels:,}")


def _groups(operation: Operation) -> object:
    return dict(operation.settings).get("groups", 1)


def _dense(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if not isinstance(thing, Operation) or thing.kind != "linear":
        return None
    if not any(len(weight.shape) > 1 for weight in weights_into(graph, thing)):
        return Portrait("join", "linear", _words_of(thing.name), sign="×")
    features = graph.values[thing.outputs[0]].shape[-1:] if thing.outputs else ()
    return Portrait("layer", "linear", f"dense {features[0]:,}" if features else "dense")


def _embedding(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if not isinstance(thing, Operation) or thing.kind != "embedding":
        return None
    weights = weights_into(graph, thing)
    if not weights:
        return Portrait("through", "embedding", thing.name)
    return Portrait("layer", "embedding", "embedding " + "×".join(f"{side:,}" for side in weights[0].shape))


def _recurrent(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if not isinstance(thing, Operation) or thing.kind != "recurrent":
        return None
    matrices = [weight.shape for weight in weights_into(graph, thing) if len(weight.shape) == 2]
    name = {"lstm": "LSTM", "gru": "GRU"}.get(thing.name.split("_")[0], "RNN")
    units = f" {matrices[1][1]:,}" if len(matrices) > 1 else ""
    layers = dict(thing.settings).get("num_layers", 1)
    both = ", both ways" if dict(thing.settings).get("bidirectional") is True else ""
    many = f", {layers} layers" if isinstance(layers, int) and layers > 1 else ""
    return Portrait("layer", "recurrent", f"{name}{' cell' if 'cell' in thing.name else ''}{units}{many}{both}")


def _pooling(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if not isinstance(thing, Operation) or thing.kind != "pooling" or not thing.outputs:
        return None
    given, made = (graph.values[value].shape[2:] for value in (thing.inputs[0], thing.outputs[0]))
    if any(word in thing.name for word in ("interpolate", "upsample", "unpool")):
        times = made[0] / given[0] if given and made else 1
        if made == given:
            return Portrait("through", "pooling", thing.name)
        return Portrait("layer", "pooling", f"upsample ×{times:g}" if times == round(times) else "resize")
    if "sample" in thing.name or "grid" in thing.name:
        return Portrait("layer", "pooling", _words_of(thing.name))
    manner = "max pool" if "max" in thing.name else "power pool" if "lp" in thing.name else "average pool"
    if math.prod(made) == 1 < math.prod(given):
        return Portrait("layer", "pooling", f"global {manner}")
    if "adaptive" in thing.name:
        return Portrait("layer", "pooling", f"{manner} to {'×'.join(map(str, made))}")
    # Where the name is not known, the window is the first of the settings.
    window = dict(thing.settings).get("kernel_size", next((value for _, value in thing.settings), None))
    sizes = [window] * len(made) if isinstance(window, int) else window
    if not isinstance(sizes, (tuple, list)):
        sizes = [max(1, one // max(other, 1)) for one, other in zip(given, made, strict=True)]
    return Portrait("layer", "pooling", f"{manner} {'×'.join(map(str, sizes))}")


def _pooling_by_reduction(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    """`x.mean(dim=(2, 3))`, `x.amax(dim=1)`: pooling under another name, where whole sides of a map or sequence go."""
    if not isinstance(thing, Operation) or thing.kind != "reduction" or not thing.outputs:
        return None
    names = {
        "mean": "average",
        "amax": "max",
        "max": "max",
        "sum": "sum",
        "nanmean": "average",
        "logsumexp": "soft max",
    }
    given, made = (graph.values[value].shape for value in (thing.inputs[0], thing.outputs[0]))
    gone = (
        len(given) - len(made) if len(made) < len(given) else sum(a > 1 == b for a, b in zip(given, made, strict=True))
    )
    # One side that stays behind as 1 is a normalization at work; two are a map brought to its mean.
    whole = len(given) in (3, 4) and len(made) >= 2 and given[0] == made[0] and gone == len(given) - 2
    if thing.name not in names or not whole or (len(given) == 3 and len(made) == 3):
        return None
    return Portrait("layer", "pooling", f"global {names[thing.name]} pool")


SIGNS = {"add": "+", "sum": "+", "sub": "−", "rsub": "−", "mul": "×", "div": "÷", "cat": "‖", "concat": "‖",
         "concatenate": "‖", "stack": "‖", "maximum": "∨", "minimum": "∧", "addcmul": "+", "lerp": "+"}  # fmt: skip
JOINS = {"+": "add", "−": "subtract", "×": "multiply", "÷": "divide", "‖": "concatenate"}


def _operation(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    """Any other operation, by its kind."""
    if not isinstance(thing, Operation):
        return None
    if thing.kind == "attention":
        return Portrait("layer", "attention", _attention_caption(graph, thing))
    if thing.kind in ("loss", "opaque"):
        return Portrait("layer", thing.kind, _words_of(thing.name))
    if thing.kind in ("normalization", "activation", "dropout"):
        return Portrait("sliver", thing.kind, _words_of(thing.name))
    sign = SIGNS.get(thing.name, "∘")
    return Portrait("join", "arithmetic", JOINS.get(sign, _words_of(thing.name)), sign=sign)


def _failed(graph: Graph, thing: Owner | Operation) -> Portrait | None:
    if isinstance(thing, Operation) and thing.failure:
        return Portrait("layer", thing.kind, _words_of(thing.name), form="sign", note=thing.failure)
    return None


PORTRAITS: tuple[Painter, ...] = (
    _failed, _attention_module, _small_module, _convolution, _dense, _embedding, _recurrent, _pooling,
    _pooling_by_reduction, _operation,
)  # fmt: skip
"""Who may say how a part is shown, most specific first; an entry returns None to decline."""
