"""What every operation costs: multiply-adds by a formula of its shapes, and the bytes that it reads and writes.

A multiply-add is one product added to a sum: what a dense layer does for each weight and each row. It is the unit of
arithmetic of Sze et al. (2017), "Efficient Processing of Deep Neural Networks"; FLOPs are twice as many. What a formula
leaves out is what the field leaves out: biases, activations, norms and other work that is done once an element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isqrt, prod

from deepglass.tracing.graph import Graph
from deepglass.tracing.operation import Cost, Operation, Slot, Value

Shape = tuple[int, ...]
Formula = Callable[[Operation, list[Shape], list[Shape]], int]


def costed(graph: Graph) -> Graph:
    """The same graph with the cost of every operation; seconds that were measured are kept."""
    operations = tuple(
        replace(operation, cost=replace(cost_of(operation, graph.values), seconds=operation.cost.seconds))
        for operation in graph.operations
    )
    return replace(graph, operations=operations)


def cost_of(operation: Operation, values: Sequence[Value]) -> Cost:
    """Multiply-adds of one operation by its formula, 0 for those without; bytes in and out.

    A view moves no bytes. A look-up reads the rows it takes and not the whole table. One tensor given twice is read
    once. An operation that raised has done nothing.
    """
    if operation.failure:
        return Cost()
    outputs = [values[place] for place in operation.outputs]
    formula = FORMULAS.get(operation.name.strip("_"))
    given = [values[place].shape for place in operation.inputs]
    count = formula(operation, given, [value.shape for value in outputs]) if formula and given and outputs else 0
    return Cost(count, _moved(operation, values), sum(value.bytes for value in outputs))


def _moved(operation: Operation, values: Sequence[Value]) -> int:
    made = [values[place] for place in operation.outputs]
    read = [values[place] for place in dict.fromkeys(operation.inputs)]
    if not operation.in_place:
        # Another name for the same memory: nothing is copied.
        made = [value for value in made if value.alias_of is None]
        if not made:
            return 0
    written = sum(value.bytes for value in made)
    if operation.kind in ("embedding", "indexing"):
        table = max(read, key=lambda value: value.bytes, default=None)
        return written + sum(min(value.bytes, written) if value is table else value.bytes for value in read)
    return written + sum(value.bytes for value in read)


def _linear(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """For every output of x Wᵀ, as many products as the row of x is long."""
    return prod(made[0]) * given[0][-1] if given[0] else 0


def _added(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """A product added to something: the matrices stand second and third; `addbmm` sums over the batch as well."""
    return prod(given[1]) * given[2][-1] if len(given[2]) > 1 else prod(given[1])


def _contracted(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """[m, k] with [k, n]: m k · k n · m n = (m k n)², however many axes each stands for."""
    return isqrt(prod(given[0]) * prod(given[1]) * prod(made[0]))


def _convolution(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Every output position meets one filter, [in / groups, *kernel]."""
    return prod(made[0]) * prod(given[1][1:])


def _transposed_convolution(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Every input position is spread by one filter, [out / groups, *kernel]."""
    return prod(given[0]) * prod(given[1][1:])


def _any_convolution(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """ATen's convolution: the seventh argument says whether it is transposed."""
    transposed = len(operation.args) > 6 and operation.args[6] is True
    return (_transposed_convolution if transposed else _convolution)(operation, given, made)


def _time_first_convolution(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """[time, batch, in] with [kernel, in, out]."""
    return prod(made[0]) * prod(given[1][:2])


def _attention(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Two products, q kᵀ and the weights times v: every query meets every key, also those that a mask hides."""
    query, key, value = given[:3]
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _multi_head_attention(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Three projections, attention in all heads at once, the output's projection. [length, batch, width]."""
    query, key, value = given[:3]
    width = query[-1]
    extra = sum(isinstance(place, Slot) for place in operation.args[7:8]) + sum(
        place is True for place in operation.args[9:10]
    )
    projected = (prod(query) + prod(key) + prod(value)) * width
    return projected + prod(query[:-1]) * (key[0] + extra) * 2 * width + prod(query) * width


def _recurrent(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Every matrix of weights once for every row of every moment; packed rows are counted as they are."""
    rows = prod(given[0][:-1])
    return rows * sum(prod(shape) for shape in given[1:] if len(shape) == 2)


def _cell(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """One moment of a recurrent layer: the state comes first, then the two matrices."""
    weights = given[3:] if operation.name.startswith("lstm") else given[2:]
    return prod(given[0][:-1]) * sum(prod(shape) for shape in weights if len(shape) == 2)


def _fused_recurrent(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """A layer of oneDNN: the input, then the matrices for the input and for the state."""
    return prod(given[0][:-1]) * (prod(given[1]) + prod(given[2]))


def _bilinear(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """xᵀ W y for each of the outputs, W: [out, left, right]."""
    return prod(made[0]) * prod(given[2][1:])


def _distances(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """A squared difference for every pair of rows and every column."""
    return prod(made[0]) * given[0][-1]


def _chain(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """A product of several matrices in the cheapest order (Cormen et al. 2009, section 15.2)."""
    first, last = given[0], given[-1]
    rows = first[0] if len(first) > 1 else 1
    columns = [*(shape[-1] for shape in given[:-1]), last[1] if len(last) > 1 else 1]
    sides = [rows, *columns]
    count = len(given)
    best = [[0] * count for _ in range(count)]
    for span in range(1, count):
        for low in range(count - span):
            high = low + span
            best[low][high] = min(
                best[low][cut] + best[cut + 1][high] + sides[low] * sides[cut + 1] * sides[high + 1]
                for cut in range(low, high)
            )
    return best[0][-1]


def _einsum(operation: Operation, given: list[Shape], made: list[Shape]) -> int:
    """Einstein's sum, two operands at a time from the left; where nothing is summed, it is an elementwise product."""
    terms, result = _axes(operation, given)
    total, sizes = 0, {}
    for term, shape in zip(terms, given, strict=False):
        for axis, size in zip(term, shape, strict=False):
            sizes[axis] = max(size, sizes.get(axis, 1))
    left = terms[0]
    for place, right in enumerate(terms[1:], start=1):
        needed = set(result).union(*terms[place + 1 :])
        # An axis that only one of the two has, and nobody asks for later, is summed before they meet.
        ours, theirs = (set(t) & (needed | set(other)) for t, other in ((left, right), (right, left)))
        met = ours | theirs
        total += prod(sizes[axis] for axis in met) if met - needed else 0
        left = tuple(met & needed)
    return total


def _axes(operation: Operation, given: list[Shape]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The axes of each operand and of the result, those under an ellipsis numbered from the right."""
    equation = next((part for part in operation.args if isinstance(part, str)), None)
    if equation is None:
        return _listed_axes(operation)
    left, arrow, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    terms = [_spelled(part, len(shape)) for part, shape in zip(parts, given, strict=False)]
    if arrow:
        most = max(
            (len(term) - len(part.replace("...", "")) for term, part in zip(terms, parts, strict=False)), default=0
        )
        return terms, _spelled(right, len(right.replace("...", "")) + most)
    letters = [axis for term in terms for axis in term]
    return terms, tuple(axis for axis in dict.fromkeys(letters) if letters.count(axis) == 1 or axis.isdigit())


def _spelled(part: str, length: int) -> tuple[str, ...]:
    before, dots, after = part.partition("...")
    hidden = length - len(before) - len(after) if dots else 0
    return (*before, *(str(place) for place in range(hidden, 0, -1)), *after)


def _listed_axes(operation: Operation) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """The form einsum(a, [0, 1], b, [1, 2], [0, 2])."""
    lists = [tuple(map(str, part)) for part in operation.args if isinstance(part, list | tuple)]
    count = len(operation.inputs)
    axes = [axis for term in lists[:count] for axis in term]
    once = tuple(sorted(axis for axis in set(axes) if axes.count(axis) == 1))
    return lists[:count], lists[count] if len(lists) > count else once


FORMULAS: dict[str, Formula] = {
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "grouped_mm", "scaled_mm"), _linear),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "addmv"), _added),
    "tensordot": _contracted,
    **dict.fromkeys(("chain_matmul", "multi_dot", "linalg_multi_dot"), _chain),
    "einsum": _einsum,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed_convolution),
    **dict.fromkeys(("convolution", "cudnn_convolution", "mkldnn_convolution"), _any_convolution),
    "conv_tbc": _time_first_convolution,
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(
        (f"scaled_dot_product_{kernel}_attention" for kernel in ("flash", "efficient", "cudnn")), _attention
    ),
    "scaled_dot_product_flash_attention_for_cpu": _attention,
    "multi_head_attention_forward": _multi_head_attention,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _cell),
    "mkldnn_rnn_layer": _fused_recurrent,
    "bilinear": _bilinear,
    "cdist": _distances,
}
"""What counts, by the operation's name without underscores. Elementwise work, norms and look-ups are not listed: 0."""
