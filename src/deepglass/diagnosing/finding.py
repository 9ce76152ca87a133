"""What a diagnosis says: findings, each with its layer, evidence, cause, remedy and cure. Frozen plain data."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass, field
from typing import Any, Literal

WIDTH = 100

Certainty = Literal["sure", "likely"]


@dataclass(frozen=True)
class Finding:
    """One disease found.

    name      short and stable, "dead_relus";  title  the same in words
    layer     the path of the module where it begins; "" where it lies in no single layer
    evidence  the figures it rests on, in a sentence
    cause     why it comes about;  remedy  what to do about it, in words
    cure      recipe fields and options of the family to change; {} where the code or the data must change
    """

    name: str
    title: str
    evidence: str
    cause: str
    remedy: str
    layer: str = ""
    cure: dict[str, Any] = field(default_factory=dict)
    certainty: Certainty = "sure"

    def __str__(self) -> str:
        place = f", in layer {self.layer!r}" if self.layer else ""
        doubt = "" if self.certainty == "sure" else " (likely)"
        cure = " ".join(f"--set {name}={_written(value)}" for name, value in self.cure.items())
        lines = [("found", self.evidence), ("because", self.cause), ("remedy", self.remedy), ("try", cure)]
        told = [_paragraph(word, text) for word, text in lines if text]
        return "\n".join([f"{self.title}{place}{doubt}", *told])


@dataclass(frozen=True)
class Diagnosis:
    """What was found, most important first, and what could not be judged.

    findings  a disease that another one explains is left out
    unsure    what there was too little evidence for, and why

    >>> print(Diagnosis("runs/iris-1"))
    runs/iris-1: nothing amiss was found.
    """

    title: str
    findings: tuple[Finding, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self) | {"healthy": self.healthy}

    def __str__(self) -> str:
        if self.healthy:
            head = f"{self.title}: nothing amiss was found."
        else:
            number = len(self.findings)
            head = f"{self.title}: {number} finding{'s' if number > 1 else ''}."
        told = [f"\n{place}. {finding}" for place, finding in enumerate(self.findings, start=1)]
        doubts = ["\nNot judged:", *(f"   {text}" for text in self.unsure)] if self.unsure else []
        return "\n".join([head, *told, *doubts])


def _paragraph(word: str, text: str) -> str:
    """A word in a narrow column, and its text beside it.

    >>> print(_paragraph("found", "the loss rose"))
       found    the loss rose
    """
    return textwrap.fill(text, WIDTH, initial_indent=f"   {word:<9}", subsequent_indent=" " * 12,
                         break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
