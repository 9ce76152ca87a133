"""The fault library: each disease planted in each kind of network, as people plant them without wanting to.

    from faults import CASES        # one a fault, kind of network and half

`Case.planted` gives what `deepglass.train` is called with, and the true name and place of what is wrong with it: names
and places that a good engineer would accept.
"""

from __future__ import annotations

from collections.abc import Callable

import planted_code as code
import planted_data as data
import planted_signals as signals
import planted_steps as steps
from grounds import GROUNDS, Ground
from planting import Case, Planted

EVERYWHERE: dict[str, Callable[[Ground], Planted]] = {
    "rate_too_high": steps.rate_too_high,
    "rate_too_low": steps.rate_too_low,
    "batch_of_one": steps.one_at_a_time,
    "batch_of_all": steps.all_at_once,
    "thirty_rows": steps.thirty_rows,
    "too_little_network": steps.too_little_network,
    "wrong_labels": data.wrong_labels,
    "no_relation": data.no_relation,
    "rare_class": data.rare,
    "rows_twice": data.rows_twice,
    "detached": code.detached,
    "forgotten_layer": code.forgotten,
    "softmax_twice": code.softmax_twice,
    "loss_for_numbers": code.loss_for_numbers,
    "no_number": code.no_number,
}

LAYERED: dict[str, Callable[[Ground], Planted]] = {
    "exploding": signals.exploding,
    "vanishing": signals.vanishing,
    "dead_relus": signals.dead,
    "saturated": signals.saturated,
    "zero_weights": signals.zeros,
    "large_weights": signals.large,
    "unnormalized": data.unnormalized,
    "batch_norm_of_two": code.pairs_for_batch_norm,
    "batch_norm_asleep": code.batch_norm_asleep,
    "no_number_later": code.no_number_later,
}
"""For networks of plain layers: a transformer, with its residuals, layer norms and codes, cannot have them this way."""

TABLES: dict[str, Callable[[Ground], Planted]] = {"target_among_columns": data.target_among_columns}
NUMBERS: dict[str, Callable[[Ground], Planted]] = {"loss_for_classes": code.loss_for_classes}
FOR_CLASSES = ("wrong_labels", "rare_class", "softmax_twice", "loss_for_numbers")


def _faults(ground: Ground) -> dict[str, Callable[[Ground], Planted]]:
    if ground.kind == "transformer":
        return EVERYWHERE
    if ground.kind == "numbers":
        every = EVERYWHERE | LAYERED | TABLES | NUMBERS
        return {fault: plant for fault, plant in every.items() if fault not in FOR_CLASSES}
    return EVERYWHERE | LAYERED | (TABLES if ground.kind == "table" else {})


CASES: tuple[Case, ...] = tuple(
    Case(fault, ground, plant) for ground in GROUNDS for fault, plant in _faults(ground).items()
)
