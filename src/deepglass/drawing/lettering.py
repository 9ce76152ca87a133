"""Words and numbers as they stand in a picture: how wide they are, how short they must be.

A picture is placed before it is drawn, and where it will be drawn with which font is not known: widths are guessed
from the proportions that sans-serif fonts share, a little on the wide side.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

NARROW = frozenset("iljI.,:;'|!`’·")
SLIM = frozenset('tfr()[]{}/\\"- ')
WIDE = frozenset("mwMW@%—…")
CAPITALS = frozenset("ABCDEFGHJKLNOPQRSTUVXYZ&×+=<>−≥≤∂Σ#~")


def text_width(text: str, size: float = 12.0, *, bold: bool = False, mono: bool = False) -> float:
    """How wide a line of text comes out, in pixels, whatever font it is drawn in: rather too wide than too narrow.

    >>> text_width("mm") > text_width("ii"), text_width("abc", mono=True)
    (True, 21.6)
    """
    if mono:
        return round(sum(1.2 if _is_double(letter) else 0.6 for letter in text) * size, 2)
    ems = sum(_ems(letter) for letter in text)
    return round(ems * size * (1.07 if bold else 1.0), 2)


def _ems(letter: str) -> float:
    if letter in NARROW:
        return 0.30
    if letter in SLIM:
        return 0.38
    if letter in WIDE:
        return 0.94
    if letter in CAPITALS:
        return 0.72
    return 1.1 if _is_double(letter) else 0.585


def _is_double(letter: str) -> bool:
    return letter > "ᄀ" and unicodedata.east_asian_width(letter) in "WF"


def clipped(text: str, width: float, size: float = 12.0, *, bold: bool = False, mono: bool = False) -> str:
    """As much of a text as fits a width, with an ellipsis where something is left out.

    >>> clipped("encoder.layer.0", 60.0), clipped("fc1", 60.0)
    ('encoder…', 'fc1')
    """
    if text_width(text, size, bold=bold, mono=mono) <= width:
        return text
    kept = text
    while kept and text_width(kept + "…", size, bold=bold, mono=mono) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def short_number(value: float, digits: int = 2) -> str:
    """A number in few letters: two decimals where that says something, powers of ten where not; a true minus.

    >>> [short_number(value) for value in (0.5, -0.2, 1234.6, 0.00012, 3e8, 0.0, float("nan"))]
    ['0.50', '−0.20', '1235', '1.2e−4', '3.0e8', '0.00', 'NaN']
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 100_000 or 0 < size < 0.5 * 10**-digits:
        mantissa, _, power = f"{size:.1e}".partition("e")
        text = f"{mantissa}e{int(power)}"
    else:
        text = f"{size:.{digits if size < 100 else 1 if size < 1000 else 0}f}"
    return ("−" if value < 0 else "") + text.replace("e-", "e−")


def counted(value: float) -> str:
    """A count in at most five letters.

    >>> counted(950), counted(12_300), counted(25_600_000), counted(7.2e9), counted(999_999)
    ('950', '12.3k', '25.6M', '7.2G', '1M')
    """
    size, suffix = float(value), ""
    for letter in ("k", "M", "G", "T", "P"):
        if abs(size) < 999.5:
            break
        size, suffix = size / 1000, letter
    text = f"{size:.3g}" if suffix else f"{size:.0f}"
    return text.removesuffix(".0") + suffix


def sides(shape: Iterable[int]) -> str:
    """A shape as a person writes it; of no sides, the word for a single number.

    >>> sides((8, 3, 32, 32)), sides(())
    ('8 × 3 × 32 × 32', 'scalar')
    """
    return " × ".join(str(side) for side in shape) or "scalar"


def plain(text: str) -> str:
    """A text that any file may hold: control characters and lone surrogates shown as "�".

    >>> plain("bell" + chr(7)), plain("tab" + chr(9) + "line")
    ('bell�', 'tab line')
    """
    spaced = text.replace("\n", " ").replace("\t", " ")
    return "".join(
        "�" if letter in "\ufffe\uffff" or unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in spaced
    )
