"""Which number of a net's answer is explained: the class it predicts, its one output, or what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deepglass.errors import ModelError

Target = int | Sequence[int] | Tensor | Callable[[Tensor], Tensor] | None


@dataclass(frozen=True)
class Score:
    """One number an example, to be differentiated and watched.

    index   which column of `columns(outputs)`, int64 [m]; None where `function` makes the number
    words   what it is, an example each: "class 3", "the output";  width   how many columns there are, 0 for any
    """

    words: tuple[str, ...]
    index: Tensor | None = None
    function: Callable[[Tensor], Tensor] | None = field(default=None, repr=False)
    width: int = 0

    def of(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The number [n] for the answers to examples `rows` int64 [n]."""
        if self.index is None:
            assert self.function is not None  # choose_score gives one of the two
            return self.function(outputs)
        table = columns(outputs)
        if self.width and table.shape[1] != self.width:
            raise ModelError(f"the net gives {self.width} answers an example, and {table.shape[1]} when it is given "
                             f"{len(rows)}: examples answer to each other.",
                             next="wrap it in a function that answers each example by itself")  # fmt: skip
        return table.gather(1, self.index.to(outputs.device)[rows, None]).squeeze(1)

    def plain(self, outputs: Tensor, rows: Tensor) -> Tensor:
        """The number as a person reads it: of several classes the probability (softmax), else as it stands."""
        table = columns(outputs)
        if self.index is None or table.shape[1] < 2:
            return self.of(outputs, rows)
        if table.shape[1] != self.width > 0:
            return self.of(outputs, rows)
        sums = bool((table >= 0).all() and (table.sum(1) - 1).abs().max() < 1e-3)
        chances = table if sums else table.softmax(1)
        return chances.gather(1, self.index.to(table.device)[rows, None]).squeeze(1)


def columns(outputs: Tensor) -> Tensor:
    """An answer as one row an example: a sequence's last place, the mean over a map's pixels.

    >>> [tuple(columns(torch.zeros(5, *shape)).shape) for shape in ((), (3,), (7, 3), (3, 8, 8))]
    [(5, 1), (5, 3), (5, 3), (5, 3)]
    """
    if outputs.dim() == 1:
        return outputs[:, None]
    if outputs.dim() == 3:
        return outputs[:, -1]
    return outputs.flatten(2).mean(2) if outputs.dim() > 3 else outputs


def choose_score(outputs: Tensor, target: Target) -> Score:
    """The score of a target: None for the predicted class, a class for all, one an example, or a function of the
    outputs [m, …] that gives [m].

    Raises ModelError for a class that is not there, or answers that are whole numbers.

    >>> choose_score(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), None).words
    ('class 1', 'class 0')
    """
    count = len(outputs)
    if not outputs.is_floating_point():
        raise ModelError(f"the net answers with {str(outputs.dtype)[6:]}, which has no degrees to explain.",
                         next="give the module before its outputs are turned into classes")  # fmt: skip
    if callable(target):
        made = target(outputs)
        if not isinstance(made, Tensor) or made.shape != (count,):
            raise ModelError(f"target: its function gave {getattr(made, 'shape', type(made).__name__)} for {count} "
                             "examples.", next="return one number an example")  # fmt: skip
        return Score(("the number asked for",) * count, function=target)
    table = columns(outputs)
    width = table.shape[1]
    if target is None:
        index = table.argmax(1)
    else:
        index = torch.as_tensor(target, dtype=torch.int64).reshape(-1).cpu()
        index = index.expand(count) if len(index) == 1 else index
    if len(index) != count or int(index.min()) < 0 or int(index.max()) >= width:
        raise ModelError(f"target: {target!r} for {count} examples and {width} outputs.",
                         next=f"give a number from 0 to {width - 1}, or one an example")  # fmt: skip
    words = ("the output",) * count if width == 1 else tuple(f"class {entry}" for entry in index.tolist())
    return Score(words, index=index, width=width)
