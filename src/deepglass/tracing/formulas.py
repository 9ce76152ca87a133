"""What operations compute, and their derivatives, in symbols and words: the table that the walk through a graph reads.

The symbols stand for the inputs in their order. L is the loss; `g` the gradient that comes from above, dL/dz, for the
output z. A derivative of an elementwise function is what `g` is multiplied by, entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepglass.tracing.kinds import words

ELEMENTWISE = words("relu relu6 leaky_relu elu selu celu gelu silu mish hardtanh hardswish hardsigmoid softplus "
                        "softsign sigmoid logsigmoid tanh tanhshrink softshrink hardshrink erf exp exp2 expm1 log log2 "
                        "log10 log1p sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh cosh neg abs pow add "
                        "sub rsub mul div rdiv true_divide truediv rtruediv radd rmul clamp clamp_min clamp_max "
                        "maximum minimum where lerp addcmul addcdiv masked_fill dropout alpha_dropout threshold "
                        "detach clone to float double half bfloat16 contiguous nan_to_num _to_copy")  # fmt: skip
"""Each entry of the output depends on the entry of each input at its own place alone."""


@dataclass(frozen=True)
class Formula:
    """What an operation computes, and for each of its inputs by its symbol: how `g` goes back through it."""

    forward: str
    symbols: tuple[str, ...]
    backward: tuple[str, ...]

    def way_back(self, place: int) -> str:
        return self.backward[min(place, len(self.backward) - 1)] if self.backward else ""


def _one(forward: str, slope: str) -> Formula:
    """An elementwise function of x: its slope multiplies the gradient."""
    return Formula(f"z = {forward}", ("x",), (f"g · {slope}",))


def _moved(forward: str, back: str) -> Formula:
    return Formula(f"z = {forward}", ("x",), (back,))


def _with_loss(forward: str, slope: str) -> Formula:
    return Formula(f"L = {forward}", ("x", "y"), (f"g · {slope}", "g · the same by y"))


_MATMUL = Formula("z = x·y", ("x", "y"), ("g·yᵀ", "xᵀ·g"))
_ADD = Formula("z = x + y", ("x", "y"), ("g", "g"))
_MUL = Formula("z = x · y, entry by entry", ("x", "y"), ("g · y", "g · x"))
_DIV = Formula("z = x / y", ("x", "y"), ("g / y", "−g · x / y²"))
_NORM = Formula("z = (x − mean) / √(variance + ε) · γ + β", ("x", "γ", "β"), (
    "(g·γ − its mean − x̂ · mean of (g·γ·x̂)) / √(variance + ε), with x̂ the normalized x", "Σ g · x̂", "Σ g"))  # fmt: skip
_BATCH = Formula(_NORM.forward, ("x", "mean", "variance", "γ", "β"), (
    _NORM.backward[0], "nothing: it is no weight", "nothing: it is no weight", *_NORM.backward[1:]))  # fmt: skip
_CONV = Formula("z = W ∗ x + b: filters slid over the input", ("x", "W", "b"), (
    "g slid back over the filters (transposed convolution)", "x correlated with g",
    "Σ g over places and examples"))  # fmt: skip
_VIEW = _moved("the entries of x in another shape", "the entries of g in the old shape")
_TURN = _moved("x with its axes exchanged", "g with its axes exchanged back")
_TAKEN = _moved("entries of x", "g put where the entries came from, 0 elsewhere")
_JOINED = Formula("z = the inputs side by side", ("x", "y"), ("its own piece of g",))
_SPREAD = _moved("x repeated", "Σ g over the repetitions")
_RECURRENT = Formula("h_t = f(x_t, h_{t−1}), step after step", ("x", "h₀", "c₀", "W"), (
    *("g carried back through time",) * 3, "Σ over time of g_t by the inputs of step t"))  # fmt: skip
_ATTEND = Formula("z = softmax(q·kᵀ / √d)·v", ("q", "k", "v"), ("ds·k / √d", "dsᵀ·q / √d", "weightsᵀ·g"))

FORMULAS: dict[str, Formula] = {
    "linear": Formula("z = x·Wᵀ + b", ("x", "W", "b"), ("g·W", "gᵀ·x", "Σ g over the examples")),
    "addmm": Formula("z = b + x·y", ("b", "x", "y"), ("Σ g over the examples", "g·yᵀ", "xᵀ·g")),
    "matmul": _MATMUL, "mm": _MATMUL, "bmm": _MATMUL,
    "bilinear": Formula("z = x·W·y + b", ("x", "y", "W", "b"), ("g·(W·y)", "g·(x·W)", "Σ g·x·y", "Σ g")),
    "conv1d": _CONV, "conv2d": _CONV, "conv3d": _CONV, "convolution": _CONV,
    "relu": _one("max(0, x)", "(1 where x > 0, else 0)"),
    "relu6": _one("min(max(0, x), 6)", "(1 where 0 < x < 6, else 0)"),
    "leaky_relu": _one("x where x > 0, else a·x", "(1 where x > 0, else a)"),
    "elu": _one("x where x > 0, else eˣ − 1", "(1 where x > 0, else eˣ)"),
    "sigmoid": _one("σ(x) = 1 / (1 + e⁻ˣ)", "z · (1 − z)"),
    "tanh": _one("tanh x", "(1 − z²)"),
    "gelu": _one("x · Φ(x), Φ the normal distribution", "(Φ(x) + x · φ(x))"),
    "silu": _one("x · σ(x)", "(σ(x) + z · (1 − σ(x)))"),
    "softplus": _one("log(1 + eˣ)", "σ(x)"),
    "softmax": _moved("eˣ / Σ eˣ", "z · (g − Σ g · z)"),
    "log_softmax": _moved("x − log Σ eˣ", "g − softmax(x) · Σ g"),
    "logsumexp": _moved("log Σ eˣ", "g · softmax(x)"),
    "exp": _one("eˣ", "z"), "log": _one("log x", "1 / x"), "sqrt": _one("√x", "1 / (2·z)"),
    "rsqrt": _one("1 / √x", "−z³ / 2"), "square": _one("x²", "2·x"), "reciprocal": _one("1 / x", "−z²"),
    "sin": _one("sin x", "cos x"), "cos": _one("cos x", "−sin x"), "neg": _one("−x", "−1"),
    "abs": _one("|x|", "the sign of x"), "pow": Formula("z = xⁿ", ("x", "n"), ("g · n · xⁿ⁻¹", "g · z · log x")),
    "clamp": _one("x kept between two bounds", "(1 inside the bounds, else 0)"),
    "dropout": _one("x · mask / (1 − p)", "mask / (1 − p)"),
    "add": _ADD, "radd": _ADD, "sub": Formula("z = x − y", ("x", "y"), ("g", "−g")),
    "rsub": Formula("z = y − x", ("x", "y"), ("−g", "g")), "mul": _MUL, "rmul": _MUL, "div": _DIV, "truediv": _DIV,
    "true_divide": _DIV, "rdiv": Formula("z = y / x", ("x", "y"), ("−g · y / x²", "g / x")),
    "sum": _moved("Σ x", "g, the same for every entry that was summed"),
    "mean": _moved("Σ x / n", "g / n, the same for every entry"),
    "max": _moved("the largest x", "g where the largest was, else 0"),
    "amax": _moved("the largest x", "g where the largest was, else 0"),
    "var": _moved("Σ (x − mean)² / (n − 1)", "g · 2·(x − mean) / (n − 1)"),
    "layer_norm": _NORM, "group_norm": _NORM, "batch_norm": _BATCH, "instance_norm": _BATCH,
    "rms_norm": Formula("z = x / √(mean of x² + ε) · γ", ("x", "γ"), ("(g·γ − x̂ · mean of (g·γ·x̂)) / rms", "Σ g · x̂")),
    "embedding": Formula("z = the rows of W that i names", ("i", "W"), ("nothing: indices are no numbers to move",
                         "each row of g added to the row of W it came from")),
    "scaled_dot_product_attention": _ATTEND, "multi_head_attention_forward": _ATTEND,
    "lstm": _RECURRENT, "gru": _RECURRENT, "rnn_tanh": _RECURRENT, "rnn_relu": _RECURRENT,
    "cross_entropy": _with_loss("−log softmax(x)[y], averaged", "(softmax(x) − 1 at y) / m"),
    "nll_loss": _with_loss("−x[y], averaged", "(−1 at y) / m"),
    "mse_loss": _with_loss("(x − y)², averaged", "2·(x − y) / n"),
    "l1_loss": _with_loss("|x − y|, averaged", "(the sign of x − y) / n"),
    "binary_cross_entropy": _with_loss("−y·log x − (1 − y)·log(1 − x), averaged", "(x − y) / (x·(1 − x)) / n"),
    "binary_cross_entropy_with_logits": _with_loss("−y·log σ(x) − (1 − y)·log(1 − σ(x)), averaged", "(σ(x) − y) / n"),
    "view": _VIEW, "reshape": _VIEW, "flatten": _VIEW, "unflatten": _VIEW, "squeeze": _VIEW, "unsqueeze": _VIEW,
    "transpose": _TURN, "permute": _TURN, "t": _TURN, "T": _TURN, "mT": _TURN, "movedim": _TURN,
    "getitem": _TAKEN, "index_select": _TAKEN, "gather": _TAKEN, "narrow": _TAKEN, "select": _TAKEN, "split": _TAKEN,
    "chunk": _TAKEN, "unbind": _TAKEN,
    "setitem": Formula("z = x with some entries replaced by y", ("x", "y"), ("g, 0 where replaced", "g there")),
    "cat": _JOINED, "stack": _JOINED, "expand": _SPREAD, "repeat": _SPREAD, "repeat_interleave": _SPREAD,
    "where": Formula("z = x where the condition holds, else y", ("c", "x", "y"), 
                     ("nothing", "g where c", "g where not c")),
    "masked_fill": _one("x, with the masked entries replaced", "(0 where masked, else 1)"),
    "contiguous": _one("x", "1"), "clone": _one("x", "1"), "to": _one("x in another type", "1"),
    "detach": _moved("x, cut off", "nothing: the gradient ends here"),
    "max_pool1d": _moved("the largest of each window", "g where the largest was, else 0"),
    "max_pool2d": _moved("the largest of each window", "g where the largest was, else 0"),
    "avg_pool2d": _moved("the mean of each window", "g shared out evenly over each window"),
    "adaptive_avg_pool2d": _moved("the mean of each window", "g shared out evenly over each window"),
}  # fmt: skip
