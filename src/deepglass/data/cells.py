"""What single cells say: texts read as numbers, dates or words, typed values brought to a few plain natures.

All of it works on the distinct texts of a column, so that a million rows of five words cost five readings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pyarrow import compute

pc: Any = compute  # its functions are made at run time, where no type checker sees them

Nature = Literal["text", "number", "date", "truth", "nested", "nothing"]

MISSING = frozenset(
    ("", "?", "-", "--", ".", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "<na>", "nat", "missing", "#value!")
)

# What a number looks like in each style, once currency and percent signs are gone; the first that reads most is meant.
STYLES = {
    "plain": r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$",
    "thousands": r"^[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?$",
    "decimal comma": r"^[+-]?((\d{1,3}(\.\d{3})+|\d+)(,\d*)?|,\d+)([eE][+-]?\d+)?$",
}
INFINITE = r"^(?i)[+-]?inf(inity)?$"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = r"(?:[ T,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?\s*(?P<half>[AaPp][Mm])?)?"
_YEAR = r"(?P<year>\d{4}|\d{2})"
DATES = {
    "iso": re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*(Z|[+-]\d{2}:?\d{2})?"),
    "year first": re.compile(r"(?P<year>\d{4})[/.-](?P<month>\d{1,2})[/.-](?P<day>\d{1,2})" + _CLOCK),
    "month first": re.compile(r"(?P<month>\d{1,2})[/.-](?P<day>\d{1,2})[/.-]" + _YEAR + _CLOCK),
    "day first": re.compile(r"(?P<day>\d{1,2})[/.-](?P<month>\d{1,2})[/.-]" + _YEAR + _CLOCK),
    "day, month's name": re.compile(r"(?P<day>\d{1,2})[ -](?P<name>[A-Za-z]{3,9})\.?,?[ -]" + _YEAR + _CLOCK),
    "month's name, day": re.compile(r"(?P<name>[A-Za-z]{3,9})\.? (?P<day>\d{1,2}),? " + _YEAR + _CLOCK),
}


def plain(cells: Any) -> tuple[Nature, pa.Array]:
    """A column of any Arrow type as one of six natures: large_string, float64, seconds in float64, bool, or nothing.

    >>> plain(pa.array([1, None]))[0], plain(pa.array(["a"]).dictionary_encode())[0], plain(pa.array([[1]]))[0]
    ('number', 'text', 'nested')
    """
    cells = _whole(cells)
    if pa.types.is_dictionary(cells.type):
        words = cells.dictionary  # spelled out here, as Arrow has no cast for each kind of dictionary
        words = words.cast(pa.large_string()) if pa.types.is_string_view(words.type) else words
        cells = words.take(cells.indices)
    kind, test = cells.type, pa.types
    if test.is_null(kind):
        return "nothing", cells
    if test.is_string(kind) or test.is_large_string(kind) or test.is_string_view(kind):
        return "text", cells.cast(pa.large_string())
    if test.is_boolean(kind):
        return "truth", cells
    if test.is_integer(kind) or test.is_floating(kind) or test.is_decimal(kind):
        return "number", cells.cast(pa.float64(), safe=False)
    if test.is_timestamp(kind) or test.is_date(kind):
        micro = cells.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64(), safe=False)
        return "date", pc.divide(micro, 1e6)
    if test.is_time(kind) or test.is_duration(kind):
        ticks = cells.cast(pa.int64() if kind.bit_width == 64 else pa.int32()).cast(pa.float64(), safe=False)
        return "number", pc.multiply(ticks, {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[kind.unit])
    return "nested", cells


def as_floats(cells: pa.Array) -> np.ndarray:
    """Float64, NaN where null; a copy that may be written to."""
    return np.array(pc.fill_null(cells.cast(pa.float64()), math.nan))


def as_words(cells: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Each cell's place (int64, -1 missing) among the distinct words: trimmed, without those that mean "missing".

    >>> places, words = as_words(pa.array([" b", "a", "?", "b "], pa.large_string()))
    >>> places.tolist(), words.to_pylist()
    ([0, 1, -1, 0], ['b', 'a'])
    """
    coded = cells.dictionary_encode()
    trimmed = pc.utf8_trim_whitespace(coded.dictionary)
    absent = pc.is_in(pc.utf8_lower(trimmed), pa.array(sorted(MISSING), pa.large_string()))
    again = pc.if_else(absent, pa.scalar(None, pa.large_string()), trimmed).dictionary_encode()
    place_of = np.append(_places(again), -1)  # the last stands for a null cell, whose place is -1
    return place_of[_places(coded)], again.dictionary


def truths(words: pa.Array) -> pa.Array:
    """The words of yes-or-no cells as "true" and "false"; other words as they are, in small letters.

    >>> truths(pa.array(["True", "0", "FALSE"], pa.large_string())).to_pylist()
    ['true', 'false', 'false']
    """
    small = pc.utf8_lower(words)
    small = pc.if_else(pc.equal(small, "1"), "true", small)
    return pc.if_else(pc.equal(small, "0"), "false", small).cast(pa.large_string())


def number_words(values: np.ndarray) -> pa.Array:
    """Numbers as a file would have them, 3.0 as "3"; null where NaN.

    >>> number_words(np.array([3.0, 0.5, np.nan])).to_pylist()
    ['3', '0.5', None]
    """
    distinct, places = np.unique(values, return_inverse=True)
    words = [None if math.isnan(x) else str(int(x)) if x.is_integer() else repr(x) for x in distinct.tolist()]
    return pa.array(words, pa.large_string()).take(pa.array(places.reshape(-1)))


def parse_numbers(words: pa.Array, style: str) -> np.ndarray:
    """Float64 for each word, infinities too, NaN for what is no number in this style. Signs as in $5 and 5 % go.

    >>> parse_numbers(pa.array(["1.234,5", "7", "seven"], pa.large_string()), "decimal comma").tolist()
    [1234.5, 7.0, nan]
    """
    bare = pc.replace_substring_regex(words, r"^([+-]?)[$€£¥]\s*|\s*[%€]$", r"\1")
    fits = pc.match_substring_regex(bare, STYLES[style])
    if style == "decimal comma":
        bare = pc.replace_substring(pc.replace_substring(bare, ".", ""), ",", ".")
    elif style == "thousands":
        bare = pc.replace_substring(bare, ",", "")
    bare = pc.replace_substring_regex(bare, r"^\+", "")
    read = as_floats(pc.if_else(fits, bare, pa.scalar(None, pa.large_string())))
    endless = pc.match_substring_regex(words, INFINITE).to_numpy(zero_copy_only=False)
    if endless.any():
        read[endless] = np.where(pc.starts_with(words, "-").to_numpy(zero_copy_only=False)[endless], -np.inf, np.inf)
    return read


def parse_dates(words: list[str], style: str) -> np.ndarray:
    """Seconds since 1970 (UTC where a zone is named) for each word, NaN for what is no date in this style.

    >>> (parse_dates(["1970-01-02", "1970-02-30"], "iso") / 86400).tolist()
    [1.0, nan]
    """
    reader = _iso_seconds if style == "iso" else _pattern_seconds(DATES[style])
    return np.array([reader(word) for word in words], np.float64)


def date_styles(words: list[str], enough: float = 0.9) -> list[str]:
    """The styles in which most of these words are dates, the likelier first."""
    found = []
    for style, pattern in DATES.items():
        if sum(pattern.fullmatch(word) is not None for word in words) >= enough * len(words):
            found.append(style)
    return found


def is_nested(words: list[str]) -> bool:
    """Whether most of these words are JSON objects or lists."""
    return bool(words) and sum(_is_json(word) for word in words) > len(words) / 2


def _is_json(word: str) -> bool:
    if word[:1] not in "{[":
        return False
    try:
        json.loads(word)
    except (ValueError, RecursionError):
        # Python's own way of writing dicts and lists, as pandas does, is nested all the same
        return re.fullmatch(r"\{\s*['\"].*:.*\}|\[.*[,\]].*", word, re.DOTALL) is not None
    return True


def _iso_seconds(word: str) -> float:
    if not DATES["iso"].fullmatch(word):
        return math.nan
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return math.nan
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _pattern_seconds(pattern: re.Pattern[str]) -> Callable[[str], float]:
    def seconds(word: str) -> float:
        match = pattern.fullmatch(word)
        if match is None:
            return math.nan
        found = match.groupdict()
        year = int(found["year"])
        year += 0 if len(found["year"]) == 4 else 2000 if year < 70 else 1900  # as POSIX reads two digits
        hour = int(found["hour"] or 0)
        if found["half"]:
            hour = hour % 12 + 12 * (found["half"].lower() == "pm")
        try:
            month = int(found["month"]) if "month" in found else MONTHS.index(found["name"][:3].lower()) + 1
            clock = (hour, int(found["minute"] or 0), int(found["second"] or 0))
            return datetime(year, month, int(found["day"]), *clock, tzinfo=UTC).timestamp()
        except ValueError:
            return math.nan

    return seconds


def _whole(cells: Any) -> Any:
    """One array of a column that may come in chunks."""
    if not isinstance(cells, pa.ChunkedArray):
        return cells
    if pa.types.is_string(cells.type) or pa.types.is_string_view(cells.type):
        cells = cells.cast(pa.large_string())  # 32-bit places would not hold the joined chunks of a large column
    if pa.types.is_dictionary(cells.type):
        cells = cells.unify_dictionaries()
    whole = cells.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _places(coded: Any) -> np.ndarray:
    return pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy()
