"""Bytes, times and shares in words: as many digits as a table needs."""

from __future__ import annotations

import math


def bytes_in_words(count: float) -> str:
    """An amount of memory, by thousands.

    >>> bytes_in_words(896), bytes_in_words(497_759_232), bytes_in_words(999_999)
    ('896 B', '498 MB', '1 MB')
    """
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if abs(count) < 999.5:
            break
        count, unit = count / 1000, larger
    return f"{count:.3g} {unit}"


def seconds_in_words(seconds: float | None) -> str:
    """A span of time, "" where none was taken.

    >>> seconds_in_words(0.00213), seconds_in_words(12.345), seconds_in_words(4e-8), seconds_in_words(None)
    ('2.13 ms', '12.3 s', '40 ns', '')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    unit = "s"
    for smaller in ("ms", "µs", "ns"):
        if seconds >= 0.9995 or not seconds:
            break
        seconds, unit = seconds * 1000, smaller
    return f"{seconds:.3g} {unit}" if seconds < 999.5 else f"{seconds:,.0f} {unit}"


def share_in_words(share: float | None) -> str:
    """A share in percent: one decimal below ten.

    >>> share_in_words(0.0213), share_in_words(0.98), share_in_words(0.0001), share_in_words(0.0), share_in_words(None)
    ('2.1 %', '98 %', '< 0.1 %', '0 %', '')
    """
    if share is None or not math.isfinite(share):
        return ""
    percent = 100 * share
    if 0 < percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"
