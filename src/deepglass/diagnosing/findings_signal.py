"""Findings of the signal on its way: weights that begin wrong, units that are dead or at their ends, gradients that
explode or vanish. Each names the first layer in which it begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from deepglass.diagnosing.evidence import Evidence, finite
from deepglass.diagnosing.finding import Finding

# He et al. (2015): a weight of root mean square √2/√fan-in keeps the signal of ReLU; four times that is beyond any.
LARGE_GAIN = 6.0
DEAD, SATURATED = 0.8, 0.5
# The share of the last layer's gradient that is left: below, float noise and Adam's epsilon are what moves the weights.
VANISHED, EXPLODED = 1e-4, 50.0
EARLY = 5


def zero_initialization(e: Evidence) -> Finding | None:
    """Units of a hidden layer that all have the same weights: they get the same gradient, and stay the same."""
    hidden = [layer for layer in e.layers if layer.ran and layer.fan_in and layer.free]
    same = [layer for layer in hidden[:-1] if layer.alike]
    if not same:
        return None
    layer = same[0]
    zero = layer.gain == 0
    what = "are all zero" if zero else f"are the same in every unit (gain {layer.gain:.2g})"
    return Finding(
        "zero_initialization", "Weights begin all alike", layer=layer.path,
        evidence=f"The weights of {layer.path!r} {what}, and of {len(same) - 1} more hidden layers"
        + (f", after {e.steps} steps." if e.trained else "."),
        cause="Units with the same weights get the same gradient and stay the same: the layer is worth one unit. With "
              "zeros not even that: no gradient passes through a weight of zero.",
        remedy="Begin from random weights: leave the initialization at its default, or draw it by Kaiming or Xavier.",
        cure=e.offers(initialization="default") if not e.foreign else {},
    )  # fmt: skip


def large_initialization(e: Evidence) -> Finding | None:
    """Weights that begin several times as large as the fan-in allows."""
    gains = {path: e.first(path, "weight") * math.sqrt(layer.fan_in)
             for path in e.paths if (layer := e.layer(path)) is not None and layer.fan_in}  # fmt: skip
    still = {layer.path for layer in e.layers if layer.gain > 0.7 * LARGE_GAIN}
    large = [path for path, gain in gains.items() if gain > LARGE_GAIN and path in still]
    if not large or _moved_far(e, large[0]):
        return None
    path, gain = large[0], gains[large[0]]
    loss = f" The first loss was {e.first_loss:.4g}" + (
        f", where a constant guess has {e.chance:.2f}." if math.isfinite(e.chance) else "."
    )
    return Finding(
        "large_initialization", "Weights begin too large", layer=path,
        evidence=f"The weights of {path!r} begin at {gain / math.sqrt(2):.0f} times the size that keeps a signal "
                 f"(He et al. 2015); so do {len(large) - 1} other layers."
        + (loss if math.isfinite(e.first_loss) else ""),
        cause="Each such layer multiplies the signal on its way up and the gradient on its way down.",
        remedy="Draw weights with a spread of about √(2 / fan-in), or put a normalization after each layer.",
        cure=e.offers(initialization="kaiming", clip=1.0) if not e.foreign else {},
    )  # fmt: skip


def _moved_far(e: Evidence, path: str) -> bool:
    """Whether the first step alone made the weights large: then it was the rate."""
    return e.first(path, "update") > 1.0


def dead_from_start(e: Evidence) -> Finding | None:
    """Rectified units that give zero for every example from the first step on, and so get no gradient."""
    found = _begins(e, _is_rectified, "dead", DEAD, start=True)
    return None if found is None else _dead(e, *found)


def dead_since(e: Evidence) -> Finding | None:
    """Rectified units that have died on the way."""
    found = _begins(e, _is_rectified, "dead", DEAD, start=False)
    return None if found is None else _dead(e, *found)


def _dead(e: Evidence, path: str, first: float, last: float) -> Finding:
    from_start = first >= DEAD
    when = "from the first step on" if from_start else f"by the last look, {first:.0%} at the first"
    return Finding(
        "dead_relus", "Rectified units are dead", layer=path,
        evidence=f"{max(first, last):.0%} of the units of {path!r} give 0 for every example of a batch, {when}.",
        cause="Below zero a ReLU has no slope, so what has got there for all examples cannot come back. "
        + ("The biases or weights put it there at the start." if from_start else "A step too large put it there."),
        remedy="Begin with biases at 0 and weights by Kaiming" + ("" if from_start else ", and lower the rate")
        + "; or take leaky_relu or gelu, whose slope below zero is not 0.",
        cure=e.offers(activation="leaky_relu") if not e.foreign else {},
    )  # fmt: skip


def saturated_from_start(e: Evidence) -> Finding | None:
    """Sigmoids or tanhs at their ends from the first step on, where their slope is nearly 0."""
    found = _begins(e, _is_squashing, "saturated", SATURATED, start=True)
    return None if found is None else _saturated(e, *found)


def saturated_since(e: Evidence) -> Finding | None:
    """Sigmoids or tanhs that have come to their ends on the way."""
    found = _begins(e, _is_squashing, "saturated", SATURATED, start=False)
    return None if found is None else _saturated(e, *found)


def _saturated(e: Evidence, path: str, first: float, last: float) -> Finding:
    return Finding(
        "saturated_units", "Units are saturated", layer=path,
        evidence=f"{max(first, last):.0%} of the outputs of {path!r} lie within 3 % of the ends of its range"
        + (", from the first step on." if first >= SATURATED else f"; {first:.0%} did at the first step."),
        cause="At the ends the slope is nearly 0 and the gradient stops there: weights, biases or inputs before it are "
              "too large.",
        remedy="Begin with biases at 0 and weights by Xavier, normalize what goes in, or take relu or gelu.",
        cure=e.offers(activation="relu", initialization="xavier") if not e.foreign else {},
    )  # fmt: skip


def _is_rectified(e: Evidence, path: str) -> bool:
    return e.kind(path) in ("ReLU", "ReLU6", "Threshold") or e.followed(path) == "relu"


def _is_squashing(e: Evidence, path: str) -> bool:
    last = e.paths[-1] if e.paths else ""
    return path != last and e.kind(path) in ("Sigmoid", "Tanh", "Hardtanh", "Hardsigmoid")


def _begins(e: Evidence, fits: Callable[[Evidence, str], bool], figure: str, limit: float, *,
            start: bool) -> tuple[str, float, float] | None:  # fmt: skip
    """The first layer in which a share passes a limit, at the first looks or the last; its share at the two.

    What is dead does not come back: units that do were only begun at zero, as the branches of residual networks are.
    """
    for path in e.paths:
        course = finite(e.course(path, figure))
        lasts = figure != "dead" or (bool(course) and _late(course) >= limit)
        if course and fits(e, path) and lasts and (course[0] if start else _late(course)) >= limit:
            return path, course[0], _late(course)
    return None


def _late(course: list[float]) -> float:
    """The middle one of the last three, so that one odd batch decides nothing."""
    return sorted(course[-3:])[len(course[-3:]) // 2]


def vanishing_gradients(e: Evidence) -> Finding | None:
    """A gradient that is all but gone when it reaches the first layers."""
    course = _gradients(e)
    if len(course) < 3:
        return None
    first, last = course[0], course[-1]
    share = first[1] / last[1] if last[1] > 0 else math.nan
    # A last layer that begins at zero lets nothing through at once, and that for one step.
    if not (share < VANISHED and course[-2][1] > 0):
        return None
    gone = next((path for path, size in reversed(course) if size < VANISHED * last[1]), first[0])
    return Finding(
        "vanishing_gradients", "The gradient vanishes", layer=first[0],
        evidence=f"At the first step the gradient at {first[0]!r} is {first[1]:.1g}, {share:.1g} of that at "
                 f"{last[0]!r}; it falls below {VANISHED:g} of it from {gone!r} on down.",
        cause=f"{_bends(e)}The chain rule multiplies the slopes of {len(course)} layers (Hochreiter 1991; Glorot & "
              "Bengio 2010).",
        remedy="Take relu or gelu, a normalization after each layer, fewer layers, or connections around them.",
        cure=e.offers(activation="relu", normalization=_norm(e), initialization="kaiming") if not e.foreign else {},
    )  # fmt: skip


def exploding_gradients(e: Evidence) -> Finding | None:
    """A gradient that grows from layer to layer, or from step to step of a recurrence, on its way down."""
    course = _gradients(e)
    growth = course[0][1] / course[-1][1] if len(course) > 2 and course[-1][1] > 0 else math.nan
    wild = e.first_loss > 10 * e.chance
    steep = max(finite(e.first(path, "weight_gradient") for path in e.paths), default=0.0)
    if not ((growth > EXPLODED and (wild or steep > 10)) or (wild and (growth > 5 or steep > 30))):
        return None
    path = max(course, key=lambda pair: pair[1])[0] if course else ""
    lower = {"clip": 1.0, "normalization": _norm(e), "initialization": "kaiming"} if not e.foreign else {"clip": 1.0}
    return Finding(
        "exploding_gradients", "The gradient explodes", layer=path,
        evidence=f"At the first step the largest gradient of a layer's weights is {steep:.3g} a weight"
        + (f"; from {course[-1][0]!r} down to {path!r} the gradient grows {growth:.3g} times." if growth > 1 else "."),
        cause="Each layer, or each step of a recurrence, multiplies the gradient by more than 1 (Pascanu et al. 2013).",
        remedy="Clip the gradient norm, begin with smaller weights, put a normalization after each layer.",
        cure=e.offers(**lower),
    )  # fmt: skip


def _gradients(e: Evidence) -> list[tuple[str, float]]:
    """The gradient at the output of each layer with a matrix, in the order they ran: the middle one of the first looks,
    for a last layer that begins at zero, as many do, lets nothing through at the first step.
    """
    matrices = {layer.path for layer in e.layers if layer.fan_in}
    told = [(path, finite(e.course(path, "gradient")[:EARLY])) for path in e.paths if path in matrices]
    return [(path, sorted(sizes)[len(sizes) // 2]) for path, sizes in told if sizes]


def _bends(e: Evidence) -> str:
    kinds = [e.kind(path) for path in e.paths]
    flat = kinds.count("Sigmoid") or sum(layer.followed == "sigmoid" for layer in e.layers)
    return f"The slope of a sigmoid is at most 1/4, and there are {flat} of them. " if flat else ""


def _norm(e: Evidence) -> str:
    return "batch" if any(layer.type.startswith("Conv") for layer in e.layers) else "layer"
