"""Run the command in this process and see what a person would see."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from deepglass.cli import main


@dataclass(frozen=True)
class Outcome:
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object in the last line."""
        return json.loads(self.out.splitlines()[-1])


def command(capsys: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """`deepglass WORDS`."""
    capsys.readouterr()
    former, sys.argv = sys.argv, ["deepglass", *map(str, words)]
    code = 0
    try:
        main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(bool(left.code))
    finally:
        sys.argv = former
    shown = capsys.readouterr()
    return Outcome(code, shown.out, shown.err)
