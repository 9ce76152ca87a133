"""Every fault found in a planted case, at its layer, and none in sound runs: the fast part of the fault library.

`bench/diagnosis.py` measures the whole of it, the half that no threshold was set on included.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from diagnosis import examined
from faults import CASES
from grounds import GROUNDS, Ground
from planting import Case, Planted, healthy
from trials import tried

KINDS = {"exploding": "picture", "no_number_later": "picture", "rate_too_high": "picture",
         "loss_for_classes": "numbers"}  # fmt: skip
"""Where the table is slow, or cannot have the fault, another kind of network stands for it."""

CHOSEN = [case for case in CASES if case.ground.half == "tune" and case.ground.kind == KINDS.get(case.fault, "table")]
SOUND = [ground for ground in GROUNDS if ground.half == "tune" and ground.kind in ("table", "picture", "user's module")]


def test_every_fault_of_the_library_stands_here():
    assert {case.fault for case in CHOSEN} == {case.fault for case in CASES}
    halves = {(case.fault, case.ground.kind, case.ground.half) for case in CASES}
    assert len(halves) == len(CASES) and len({(fault, kind) for fault, kind, _ in halves}) >= 64


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: case.name)
def test_a_planted_fault_is_named_first_at_its_layer(case: Case, tmp_path: Path):
    if case.ground.kind == "numbers" and "DEEPGLASS_DATA" not in os.environ:
        pytest.skip("wants the real tables: set DEEPGLASS_DATA")
    planted = case.planted()
    found = examined(tried(planted, tmp_path / "run"))
    assert found.findings, found
    assert found.findings[0].name in planted.names, found
    assert not planted.layers or found.findings[0].layer in planted.layers, found


@pytest.mark.parametrize("ground", SOUND, ids=lambda ground: ground.kind)
def test_a_sound_run_is_found_sound(ground: Ground, tmp_path: Path):
    data = ground.data()
    model, options = healthy(ground, data)
    planted = Planted(data, model, (), fields=options | {"epochs": ground.epochs, "seed": ground.seed})
    found = examined(tried(planted, tmp_path / "run"))
    assert found.healthy, found
