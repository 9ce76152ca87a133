"""The three parts where a source may bring its own: those are kept, and what is missing is cut from train."""

from __future__ import annotations

import numpy as np

from deepglass.data.labels import Labels
from deepglass.data.schema import Note, PartName, Wishes
from deepglass.data.split import split_rows

VALID_ENOUGH = 5_000
"""Where a source brings its own test part, no more than this is cut from its training part to validate on."""


def split_parts(
    homes: np.ndarray, labels: Labels, wishes: Wishes
) -> tuple[dict[PartName, np.ndarray], str, tuple[Note, ...]]:
    """Positions of the three parts, how they were made, and a note where the source's own were kept.

    A training part alone is split as if it had no name. `wishes.valid` and `wishes.test` are then shares of train.
    """
    codes = labels.values if labels.classes and wishes.split != "random" else None
    brought = {part for part in ("train", "valid", "test") if (homes == part).any()}
    if not brought:
        made = split_rows(len(codes if codes is not None else labels.values), labels=codes, valid=wishes.valid,
                          test=wishes.test, seed=wishes.seed)  # fmt: skip
        return {"train": made.train, "valid": made.valid, "test": made.test}, made.how, ()
    own: dict[PartName, np.ndarray] = {part: np.flatnonzero(homes == part) for part in ("train", "valid", "test")}
    train = own["train"]
    valid = 0.0 if "valid" in brought else wishes.valid
    if valid == Wishes().valid:
        valid = min(valid, VALID_ENOUGH / len(train))
    test = 0.0 if "test" in brought else wishes.test
    cut = split_rows(len(train), labels=None if codes is None else codes[train], valid=valid, test=test,
                     seed=wishes.seed)  # fmt: skip
    parts: dict[PartName, np.ndarray] = {"train": train[cut.train], "valid": own["valid"], "test": own["test"]}
    parts |= {"valid": train[cut.valid]} if valid else {}
    parts |= {"test": train[cut.test]} if test else {}
    sizes = ", ".join(f"{len(index):,} {part}" for part, index in parts.items())
    kept = " and ".join(sorted(brought - {"train"}))
    lacking = " and ".join(part for part, share in (("valid", valid), ("test", test)) if share)
    said = f"the source's own {kept} part is kept" + (f", {lacking} is cut from its train part" if lacking else "")
    return parts, f"{said}: {sizes}", (Note("guess", f"{said}."),)
