"""Figures in words: as many digits as mean something, signs, spans, durations, commands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from deepglass.training.metrics import METRICS

LABELS = {"dummy": "a constant guess", "linear": "a linear model", "trees": "boosted trees"}


def decimals(interval: tuple[float, float]) -> int:
    """As many decimals as the interval's width makes meaningful: two digits of it, at most 4.

    >>> decimals((0.865, 0.877)), decimals((47_100.0, 48_400.0)), decimals((0.5, 0.5))
    (3, 0, 4)
    """
    width = abs(interval[1] - interval[0])
    return int(min(4, max(0, 1 - math.floor(math.log10(width))))) if width > 0 and math.isfinite(width) else 4


def around(ends: Sequence[float | None] | None, digits: int) -> str | None:
    """An interval; None where it has no ends.

    >>> around((0.865, 0.877), 3)
    '0.865 to 0.877'
    """
    if not ends or None in ends:
        return None
    return " to ".join(f"{end:,.{digits}f}" for end in ends).replace("-", "−")


def signed(ends: Sequence[float | None] | None) -> str:
    """An interval of a difference, each end with its sign and as many digits as it needs.

    >>> signed((-0.912, -0.031))
    '−0.91 to −0.03'
    """
    if not ends or ends[0] is None or ends[1] is None:
        return "–"
    digits = decimals((ends[0], ends[1]))
    return f"{ends[0]:+,.{digits}f} to {ends[1]:+,.{digits}f}".replace("-", "−")


def label(name: str) -> str:
    """What a baseline is called at the head of a line: "boosted trees"."""
    return LABELS.get(name, name).removeprefix("a ")


def words_for(metric: str) -> str:
    """What a metric is called."""
    return METRICS[metric].words if metric in METRICS else metric.replace("_", " ")


def tidy(value: float | None) -> str:
    """A figure in a table: four decimals for shares, fewer the larger it is.

    >>> tidy(0.98321), tidy(48_230.4), tidy(-12.3456), tidy(None)
    ('0.9832', '48,230', '−12.346', '–')
    """
    if value is None:
        return "–"
    size = abs(value)
    digits = 4 if size < 2 else 3 if size < 100 else 1 if size < 1e4 else 0
    return f"{value:,.{digits}f}".replace("-", "−")


def valued(value: Any) -> str:
    """A class as it is called; a number, or a row of them, with four digits or all that stand before the point.

    >>> valued("cat"), valued([1.23456, -98765.4])
    ('cat', '1.235, −98,765')
    """
    if isinstance(value, list):
        return ", ".join(valued(one) for one in value)
    if not isinstance(value, float):
        return str(value)
    return (f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}").replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.2), duration(75.2), duration(7300)
    ('under 1 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < 0.95:
        return "under 1 s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def quoted(word: str) -> str:
    """A word of a command line, in quotes where it needs them."""
    return word if word and all(letter.isalnum() or letter in "._-/:\\~" for letter in word) else f'"{word}"'
