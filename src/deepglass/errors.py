"""Every error raised for a user, as a tree; each knows the place, the facts, and the next move.

    DeepglassError
    ├── SourceError          the data cannot be found or read
    ├── TableError           the table is there, but its rows or columns cannot be learned from
    ├── PictureError         a picture, or a folder of them, cannot be learned from
    ├── TargetError          what is to be predicted is missing, constant or ambiguous
    ├── SplitError           three honest splits cannot be made
    ├── ModelError           no such family, or the family cannot take this data
    │   └── ShapeError       a tensor's shape is not the one a layer wants
    ├── RecipeError          an unknown field, a value of the wrong type, an option that cannot apply
    ├── RunError             a run folder cannot be read, resumed or used
    ├── StorageError         a file cannot be written: disk full, read-only, no permission
    ├── DivergedError        the loss is no longer a number
    └── MissingExtraError    an optional library is not installed

A message has three parts: the place, the facts found and expected, and after "Next:" what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DeepglassError(Exception):
    """A mistake that the person at the keyboard can mend. Printed as one message, never as a traceback.

    >>> print(TargetError("titanic.csv: no column 'Survive'.", next="--target Survived"))
    titanic.csv: no column 'Survive'. Next: --target Survived
    """

    next_move = "run the command with --help"

    def __init__(self, facts: str, *, next: str | None = None) -> None:
        self.facts = facts
        self.next = next or self.next_move
        super().__init__(facts, self.next)

    def __str__(self) -> str:
        return f"{self.facts} Next: {self.next}"


class SourceError(DeepglassError):
    next_move = "name a file, a folder or a known data set; `deepglass data DATA` shows what is read"


class TableError(DeepglassError):
    next_move = "mend the file, or look at what is read: deepglass data FILE"


class PictureError(DeepglassError):
    next_move = "mend or remove the files named, or look at what is read: deepglass data FOLDER"


class TargetError(DeepglassError):
    next_move = "name the column to predict with --target COLUMN"


class SplitError(DeepglassError):
    next_move = "give more rows, or set the shares: --set valid=0.15 --set test=0.2"


class ModelError(DeepglassError):
    next_move = "choose a family with --model, or leave it out to take the one made for this data"


class ShapeError(ModelError):
    next_move = "compare the shapes: deepglass data DATA prints what the model is given"


class RecipeError(DeepglassError):
    next_move = "see every field and its default: deepglass train --help"


class RunError(DeepglassError):
    next_move = "name the folder that `deepglass train` printed"


class StorageError(DeepglassError):
    next_move = "free some space or choose another folder with --out DIR"


class DivergedError(DeepglassError):
    next_move = "train with a smaller rate: --set learning_rate=…, or with clipping: --set clip=1.0"


class MissingExtraError(DeepglassError):
    next_move = "install the extra: pip install 'deepglass[all]'"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training. Still a KeyboardInterrupt for any program around it, and it says where the work is."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"interrupted; the work is kept in {folder}. Next: the same with --resume --out {folder}")


def nearest(word: str, known: Iterable[str], most: int = 3) -> str:
    """The known words closest to a mistyped one, as the middle of a sentence; all of them when few and none is close.

    >>> nearest("momentun", ["momentum", "widths"])
    "'momentum'"
    """
    names = [str(name) for name in known]
    folded = {name.casefold(): name for name in reversed(names)}
    close = [folded[hit] for hit in difflib.get_close_matches(word.casefold(), folded, n=most, cutoff=0.5)]
    shown = close or names[:12]
    more = "" if close or len(names) <= 12 else f" … ({len(names)} in all)"
    return ", ".join(repr(name) for name in shown) + more
