"""What does not fit where an operation raised: which shape, size or type was wanted, and which was given.

`EXPLAIN` is read from the top: the first entry that knows the operation and finds something wrong says it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deepglass.tracing.operation import Operation, Owner, Slot, Value


@dataclass(frozen=True)
class Misfit:
    """What was wanted, what was given, the value that does not fit, and the next move."""

    wanted: str
    given: str
    value: Value
    next: str


@dataclass(frozen=True)
class Call:
    """A call that raised: its arguments by their place, each tensor's value, and who made it."""

    operation: Operation
    values: Sequence[Value]
    owners: Sequence[Owner]

    @property
    def place(self) -> str:
        owner = self.owners[self.operation.owner]
        return f"{owner.path} ({owner.type})" if owner.path else f"{self.operation.label} in {owner.type}"

    def argument(self, place: int, name: str = "") -> Any:
        args = self.operation.args
        return args[place] if place < len(args) else dict(self.operation.kwargs).get(name)

    def value(self, place: int, name: str = "") -> Value | None:
        found = self.argument(place, name)
        return self.values[found.value] if isinstance(found, Slot) else None

    def setting(self, name: str, default: Any = None) -> Any:
        return dict(self.operation.settings).get(name, default)

    def giver(self, value: Value) -> str:
        """Who gave a value: the innermost module that returned it, else its operation, else its own name."""
        owners = [owner for owner in self.owners if value.id in owner.outputs and owner.path]
        if owners:
            return owners[-1].path
        return f"the {value.role} {value.name!r}" if value.maker is None else value.name


def _types(call: Call) -> Misfit | None:
    """Weights of one type, inputs of another."""
    given, weight = call.value(0, "input"), call.value(1, "weight")
    if given is None or weight is None or given.dtype == weight.dtype:
        return None
    module = f", or the module: module.to(torch.{given.dtype})" if "float" in given.dtype else ""
    return Misfit(weight.dtype, given.dtype, given, f"convert it: x.to(torch.{weight.dtype}){module}")


def _linear(call: Call) -> Misfit | None:
    given, weight = call.value(0, "input"), call.value(1, "weight")
    if given is None or weight is None or not given.shape or given.shape[-1] == weight.shape[-1]:
        return None
    have = given.shape[-1]
    flat = " (or flatten what comes before it)" if len(given.shape) > 2 else ""
    move = f"set in_features={have}{flat}, or change what {call.giver(given)} gives"
    return Misfit(f"{weight.shape[-1]} features", f"{have}", given, move)


def _convolution(call: Call) -> Misfit | None:
    given, weight = call.value(0, "input"), call.value(1, "weight")
    if given is None or weight is None:
        return None
    axes = len(weight.shape) - 2
    if len(given.shape) not in (axes + 1, axes + 2):
        names = ", ".join(("batch", "channels", *("depth", "height", "width")[3 - axes :]))
        return Misfit(
            f"{axes + 2} axes ({names})", f"{len(given.shape)}", given, "reshape it: x.unsqueeze, x.unflatten"
        )
    turned = "transpose" in call.operation.name
    wanted = weight.shape[0] if turned else weight.shape[1] * call.setting("groups", 1)
    have = given.shape[-axes - 1]
    if have != wanted:
        move = f"set in_channels={have}, or change what {call.giver(given)} gives"
        move = "bring the channels before height and width: x.movedim(-1, 1)" if given.shape[-1] == wanted else move
        return Misfit(f"{wanted} channels", f"{have}", given, move)
    sides, filters = given.shape[-axes:], weight.shape[-axes:]
    if not turned and any(side < extent for side, extent in zip(sides, filters, strict=True)):
        move = "a smaller kernel, more padding, or fewer poolings before it"
        return Misfit(f"at least {filters} to slide its filter over", f"{sides}", given, move)
    return None


def _pooling(call: Call) -> Misfit | None:
    given, kernel = call.value(0, "input"), call.setting("kernel_size", call.argument(1))
    if given is None or kernel is None:
        return None
    axes = int(call.operation.name[-2])
    sides = given.shape[-axes:]
    window = tuple(kernel) if isinstance(kernel, (tuple, list)) else (kernel,) * axes
    if all(side >= extent for side, extent in zip(sides, window, strict=False)):
        return None
    return Misfit(f"sides of at least {window}", f"{sides}", given, "a smaller window, or fewer poolings before it")


def _normalization(call: Call) -> Misfit | None:
    given, shape = call.value(0, "input"), call.setting("normalized_shape")
    vectors = [value for value in map(call.value, (1, 2, 3)) if value is not None and len(value.shape) == 1]
    if given is None or len(given.shape) < 2:
        return None
    if shape is not None:
        last = tuple(given.shape[-len(shape) :])
        return None if last == tuple(shape) else Misfit(
            f"last axes of {tuple(shape)}", f"{last}", given, f"set normalized_shape={last}")  # fmt: skip
    if vectors and given.shape[1] != vectors[0].shape[0]:
        move = f"set num_features={given.shape[1]}, or change what {call.giver(given)} gives"
        return Misfit(f"{vectors[0].shape[0]} channels", f"{given.shape[1]}", given, move)
    if size_of(given.shape) == given.shape[1]:
        return Misfit("more than one number a channel to learn from", "one", given, "a larger batch, or module.eval()")
    return None


def _embedding(call: Call) -> Misfit | None:
    given, weight = call.value(0, "input"), call.value(1, "weight")
    if given is None or weight is None:
        return None
    if "int" not in given.dtype:
        return Misfit("whole numbers (int64)", given.dtype, given, "convert the codes: x.long()")
    low, high = _range(given)
    if low >= 0 and high < weight.shape[0]:
        return None
    move = f"set num_embeddings={high + 1}, or map unknown codes to one that is there"
    return Misfit(f"codes from 0 to {weight.shape[0] - 1}", f"{low} to {high}", given, move)


def _matmul(call: Call) -> Misfit | None:
    shift = int(call.operation.name in ("addmm", "baddbmm", "addmv"))
    left, right = call.value(shift), call.value(shift + 1)
    if left is None or right is None or not left.shape or not right.shape:
        return None
    inner = right.shape[max(-2, -len(right.shape))]
    if left.shape[-1] == inner:
        return None
    wanted = f"{left.shape[-1]} rows to multiply with the {left.shape} of {call.giver(left)}"
    return Misfit(wanted, f"{inner}", right, "transpose one of the two, or match their widths")


def _elementwise(call: Call) -> Misfit | None:
    left, right = call.value(0), call.value(1)
    if left is None or right is None:
        return None
    pairs = zip(reversed(left.shape), reversed(right.shape), strict=False)
    if all(one == other or 1 in (one, other) for one, other in pairs):
        return None
    wanted = f"a shape that fits {left.shape} from {call.giver(left)}"
    return Misfit(wanted, f"{right.shape}", right, "make both end in one shape, or in sides of 1")


def _joined(call: Call) -> Misfit | None:
    parts = [call.values[part.value] for part in call.argument(0, "tensors") or () if isinstance(part, Slot)]
    first = parts[0] if parts else None
    odd = next((part for part in parts if first is not None and part.shape != first.shape), None)
    if odd is None or first is None:
        return None
    wanted = f"shapes that fit {first.shape} from {call.giver(first)}"
    return Misfit(wanted, f"{odd.shape}", odd, "only the axis along which they are joined may differ")


def _reshaped(call: Call) -> Misfit | None:
    given, asked = call.value(0), []
    for part in call.operation.args[1:]:
        asked += part if isinstance(part, (tuple, list)) else [part]
    asked = [side for side in asked if isinstance(side, int)]
    if given is None or not asked:
        return None
    have, known = size_of(given.shape), size_of(side for side in asked if side >= 0)
    if have == known or (-1 in asked and known and have % known == 0):
        return None
    wanted = f"a multiple of {known:,} numbers" if -1 in asked else f"{known:,} numbers for {tuple(asked)}"
    return Misfit(wanted, f"{have:,}", given, "leave one side to be found with -1, or use x.flatten(1)")


def _classes(call: Call) -> Misfit | None:
    given, target = call.value(0, "input"), call.value(1, "target")
    if given is None or target is None or "int" not in target.dtype or len(given.shape) < 2 or not target.shape:
        return None
    if given.shape[:1] != target.shape[:1]:
        wanted = f"{given.shape[0]} targets, one for each row of {call.giver(given)}"
        return Misfit(wanted, f"{size_of(target.shape[:1])}", target, "line up rows and targets: y.flatten(0, 1)")
    low, high = _range(target, without=call.setting("ignore_index", -100))
    if low >= 0 and high < given.shape[1]:
        return None
    move = f"give the last layer {high + 1} outputs" if low >= 0 else "count the classes from 0"
    return Misfit(f"classes from 0 to {given.shape[1] - 1}", f"{low} to {high}", target, move)


def _distance(call: Call) -> Misfit | None:
    given, target = call.value(0, "input"), call.value(1, "target")
    if given is None or target is None or given.shape == target.shape:
        return None
    wanted = f"a target of shape {given.shape}, as {call.giver(given)} gives"
    return Misfit(wanted, f"{target.shape}", target, "reshape it: target.view_as(output)")


def _range(value: Value, without: int | None = None) -> tuple[int, int]:
    """The least and largest of whole numbers; (0, -1) where they were not kept."""
    if value.kept is None:
        return 0, -1
    tensor = value.kept.tensor if value.kept.form == "whole" else None
    if tensor is None:
        return int(value.kept.summary.least), int(value.kept.summary.largest)
    tensor = tensor[tensor != without] if without is not None else tensor
    return (int(tensor.min()), int(tensor.max())) if tensor.numel() else (0, -1)


def size_of(sides: Any) -> int:
    """How many numbers a tensor with these sides has."""
    total = 1
    for side in sides:
        total *= side
    return total


EXPLAIN: tuple[tuple[str, Callable[[Call], Misfit | None]], ...] = (
    ("linear", _linear),
    ("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d", _convolution),
    ("max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d", _pooling),
    ("batch_norm layer_norm instance_norm rms_norm group_norm", _normalization),
    ("embedding", _embedding),
    ("matmul mm bmm addmm baddbmm mv addmv", _matmul),
    ("add sub mul div radd rsub rmul true_divide truediv pow maximum minimum where", _elementwise),
    ("cat concat concatenate stack hstack vstack", _joined),
    ("view reshape", _reshaped),
    ("cross_entropy nll_loss", _classes),
    ("mse_loss l1_loss binary_cross_entropy binary_cross_entropy_with_logits smooth_l1_loss huber_loss", _distance),
    ("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul mm bmm mse_loss l1_loss "
     "binary_cross_entropy binary_cross_entropy_with_logits", _types),
)  # fmt: skip
