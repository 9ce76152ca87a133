"""A small net's neurons written out, one line each: the sum of what comes in, and what the function makes of it."""

from __future__ import annotations

from collections.abc import Callable

from deepglass.drawing.lettering import short_number
from deepglass.drawing.neurons import Stack

LOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
HIGH = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def neuron_name(stack: Stack, column: int, neuron: int) -> str:
    """x₁ of the input, h₁ of a hidden column (h²₁ of the second of several), y₁ of the last; y where it is alone.

    >>> from deepglass.drawing.neurons import Column
    >>> stack = Stack((Column("a", 2), Column("b", 2), Column("c", 1)), (None, None))
    >>> neuron_name(stack, 0, 0), neuron_name(stack, 1, 1), neuron_name(stack, 2, 0)
    ('x₁', 'h₂', 'y')
    """
    last, number = len(stack.columns) - 1, str(neuron + 1).translate(LOW)
    if column == 0:
        return "x" if stack.columns[0].total == 1 else f"x{number}"
    if column == last:
        return "y" if stack.columns[last].total == 1 else f"y{number}"
    return f"h{str(column).translate(HIGH) if last > 2 else ''}{number}"


def sums(stack: Stack, name: Callable[[int, int], str]) -> list[str]:
    """A line for each neuron after the first column, all its numbers in it; none where a number was not kept.

    >>> import torch
    >>> from deepglass.drawing.neurons import stack_of
    >>> from deepglass.tracing.record import record
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.ReLU())
    >>> _ = [torch.nn.init.constant_(weight, 0.5) for weight in net.parameters()]
    >>> sums(stack_of(record(net, torch.tensor([[2.0]]))), lambda column, neuron: "xy"[column])
    ['y = relu(0.50·2.00 + 0.50) = relu(1.50) = 1.50']
    """
    lines = []
    for place, weights in enumerate(stack.weights):
        before, after = stack.columns[place], stack.columns[place + 1]
        if weights is None or before.a is None or after.z is None or after.a is None:
            return []
        for neuron in range(after.total):
            terms = [
                f"{_factor(w)}·{_factor(a)}" for w, a in zip(weights[neuron].tolist(), before.a.tolist(), strict=True)
            ]
            total = " + ".join(terms)
            if after.bias is not None:
                bias = float(after.bias[neuron])
                total += f" {'−' if bias < 0 else '+'} {short_number(abs(bias))}"
            z, a = short_number(float(after.z[neuron])), short_number(float(after.a[neuron]))
            for function in after.functions:
                total, z = f"{function}({total})", f"{function}({z})"
            lines.append(f"{name(place + 1, neuron)} = {total} = {z}{f' = {a}' if after.functions else ''}")
    return lines


def _factor(value: float) -> str:
    text = short_number(value)
    return f"({text})" if value < 0 else text
