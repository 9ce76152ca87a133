"""What each column is: numbers, categories or dates, found by majority and remembered, so that new data reads the same.

A `Reading` is the memory (plain values, kept in schema.json); a `Column` is a reading with its cells read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pyarrow import compute

from deepglass.data.cells import (
    as_floats,
    as_words,
    date_styles,
    is_nested,
    number_words,
    parse_dates,
    parse_numbers,
    plain,
    truths,
)
from deepglass.data.schema import Note
from deepglass.errors import TableError

pc: Any = compute  # its functions are made at run time, where no type checker sees them
MOST_JUNK = 100  # different unreadable words remembered for a column of numbers or dates


@dataclass(frozen=True)
class Reading:
    """How a column's cells are read.

    style   number: plain, thousands, decimal comma; category: words, truths; date: a name in `cells.DATES`.
    junk    words read as missing, because they stood among numbers or dates in training.
    reason  why there is nothing to read, for kind "nothing".
    """

    name: str
    kind: Literal["number", "category", "date", "nothing"]
    style: str = ""
    junk: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Column:
    """A column read [rows].

    number     values: float64, NaN missing.
    date       values: float64 seconds since 1970, NaN missing.
    category   values: int64, the place in `words`, -1 missing.
    nothing    values: empty.
    """

    reading: Reading
    values: np.ndarray
    words: tuple[str, ...] = ()

    @property
    def missing(self) -> np.ndarray:
        """Where a cell is missing, bool [rows]."""
        return self.values < 0 if self.reading.kind == "category" else np.isnan(self.values)

    def take(self, rows: np.ndarray) -> Column:
        """The column at these rows."""
        return replace(self, values=self.values[rows]) if len(self.values) else self


def read_column(name: str, cells: Any, *, comma: str = "thousands") -> tuple[Column, list[Note]]:
    """The column, its kind found from its cells. `comma` says what one means where it could be either.

    >>> column, notes = read_column("age", pa.array(["31", "forty", "29", "35"]))
    >>> column.values.tolist(), notes[0].text
    ([31.0, nan, 29.0, 35.0], "column 'age': 1 cell that is no number is read as missing: 'forty' (row 2)")
    """
    nature, array = plain(cells)
    if nature == "nested":
        return _nothing(name, "its cells are nested or binary"), []
    if nature == "text":
        column, notes = _read_texts(name, array, comma)
    elif nature in ("number", "date"):
        column, notes = Column(Reading(name, nature, "plain" if nature == "number" else "iso"), as_floats(array)), []
    elif nature == "truth":
        places, words = as_words(array.cast(pa.large_string()))
        column, notes = Column(Reading(name, "category", "truths"), places, tuple(words.to_pylist())), []
    else:
        column, notes = _nothing(name, "every cell is missing"), []
    return _without_infinities(column, notes)


def reread_column(reading: Reading, cells: Any, place: str) -> tuple[Column, list[Note]]:
    """New cells read as the training's were. Raises TableError naming column, row and the value that cannot be.

    >>> reading = Reading("age", "number", "plain")
    >>> reread_column(reading, pa.array(["31", "old"]), "new.csv")
    Traceback (most recent call last):
    deepglass.errors.TableError: new.csv, column 'age', row 2: found 'old', expected a number as in training. Next: \
mend or empty that cell
    """
    nature, array = plain(cells)
    if nature == "nothing":
        empty = np.full(len(array), -1, np.int64) if reading.kind == "category" else np.full(len(array), np.nan)
        return Column(reading, empty), []
    if nature == "nested":
        raise _misfit(reading, place, 0, str(array[0].as_py())[:40])
    if reading.kind == "category":
        return _reread_words(reading, nature, array), []
    if nature == reading.kind:
        return _without_infinities(Column(reading, as_floats(array)), [])
    if nature == "truth" and reading.kind == "number":
        return Column(reading, as_floats(array.cast(pa.uint8()))), []
    if nature != "text":
        row = int(np.argmax(~np.isnan(as_floats(array))))
        raise _misfit(reading, place, row, repr(array[row].as_py()))
    return _without_infinities(_reread_texts(reading, array, place), [])


def _read_texts(name: str, cells: pa.Array, comma: str) -> tuple[Column, list[Note]]:
    """Texts as numbers, dates or words, whichever most of them are."""
    if cells.null_count == len(cells):
        return _nothing(name, "every cell is missing"), []
    if not _has_codes(cells):
        try:
            return Column(Reading(name, "number", "plain"), as_floats(cells.cast(pa.float64()))), []
        except pa.ArrowInvalid:
            pass  # not all are plain numbers: the distinct words decide below
    places, words = as_words(cells)
    if not len(words):
        return _nothing(name, "every cell is missing"), []
    counts = np.bincount(places[places >= 0], minlength=len(words))
    for attempt in (_as_numbers, _as_dates):
        found = attempt(name, words, counts, places, comma)
        if found is not None:
            return found
    sample = words.slice(0, 200).to_pylist()
    if is_nested(sample):
        return _nothing(name, "its cells are nested (JSON)"), []
    listed = tuple(words.to_pylist())
    if {word.lower() for word in listed[:5]} == {"true", "false"}:
        return _as_truths(name, places, words), []
    return Column(Reading(name, "category", "words"), places, listed), []


def _has_codes(cells: pa.Array) -> bool:
    """Whether all cells are digits and some begin with a needless zero: codes such as 007, not numbers."""
    leading = cells.filter(pc.starts_with(cells, "0"))
    if not len(leading) or not pc.any(pc.match_substring_regex(leading, r"^0\d+$")).as_py():
        return False
    numeric = pc.match_substring_regex(cells, r"^\s*[+-]?[\d.,]+\s*$")
    digits = pc.match_substring_regex(cells, r"^\s*\d+\s*$")
    return pc.sum(digits).as_py() == pc.sum(numeric).as_py()


def _as_numbers(name: str, words: pa.Array, counts: np.ndarray, places: np.ndarray, comma: str) -> Any:
    """A column of numbers where nearly all cells are, or all but a few stray words; None otherwise."""
    if _has_codes(words):
        return None
    order = ("plain", "decimal comma", "thousands") if comma == "decimal" else ("plain", "thousands", "decimal comma")
    read = {style: parse_numbers(words, style) for style in order}
    style = max(order, key=lambda style: counts[~np.isnan(read[style])].sum())
    values = read[style]
    bad = np.isnan(values)
    share = counts[~bad].sum() / counts.sum()
    few = bad.sum() <= 3
    stray = few and counts[bad].max(initial=0) <= 2 and (~bad).sum() >= 3
    many = (~bad).sum() > 20
    if not (share == 1 or (share > 0.5 and (stray or (few and many))) or (share >= 0.9 and many)):
        return None
    junk, notes = _junk(name, words, bad, counts, places, "number")
    both = [other for other in ("thousands", "decimal comma") if np.array_equal(np.isnan(read[other]), bad)]
    if style != "plain" and len(both) == 2:
        meaning = "a decimal sign" if style == "decimal comma" else "a thousands sign"
        notes.append(Note("guess", f"column {name!r}: the comma in {_with_comma(words)!r} is read as {meaning}"))
    return Column(Reading(name, "number", style, junk), np.append(values, np.nan)[places]), notes


def _as_dates(name: str, words: pa.Array, counts: np.ndarray, places: np.ndarray, comma: str) -> Any:
    """A column of dates where nearly all cells are; None otherwise."""
    styles = date_styles(words.slice(0, 200).to_pylist())
    if not styles:
        return None
    listed = words.to_pylist()
    read = {style: parse_dates(listed, style) for style in styles}
    score = {style: counts[~np.isnan(values)].sum() / counts.sum() for style, values in read.items()}
    usual = "month first" if "/" in listed[0] else "day first"
    style = max(styles, key=lambda style: (score[style], style == usual))
    if score[style] < 0.9:
        return None
    values = read[style]
    junk, notes = _junk(name, words, np.isnan(values), counts, places, "date")
    if score.get("month first") == score.get("day first") == score[style] and "first" in style:
        notes.append(Note("guess", f"column {name!r}: dates such as {listed[0]!r} are read {style}"))
    return Column(Reading(name, "date", style, junk), np.append(values, np.nan)[places]), notes


def _junk(
    name: str, words: pa.Array, bad: np.ndarray, counts: np.ndarray, places: np.ndarray, what: str
) -> tuple[tuple[str, ...], list[Note]]:
    """The words that could not be read, and a note of what they are and where the first few stand."""
    at = np.flatnonzero(bad)
    if not len(at):
        return (), []
    shown = ", ".join(f"{words[int(k)].as_py()[:40]!r} (row {int(np.argmax(places == k)) + 1})" for k in at[:5])
    total = int(counts[at].sum())
    cells = f"1 cell that is no {what} is" if total == 1 else f"{total:,} cells that are no {what} are"
    more = f" … ({len(at)} different)" if len(at) > 5 else ""
    junk = tuple(words[int(k)].as_py()[:200] for k in at[:MOST_JUNK])
    return junk, [Note("guess", f"column {name!r}: {cells} read as missing: {shown}{more}")]


def _reread_texts(reading: Reading, cells: pa.Array, place: str) -> Column:
    places, words = as_words(cells)
    if reading.kind == "number":
        values = parse_numbers(words, reading.style)
        values = np.where(np.isnan(values), parse_numbers(words, "plain"), values)
    else:
        listed = words.to_pylist()
        values = parse_dates(listed, reading.style)
        values = np.where(np.isnan(values), parse_dates(listed, "iso"), values)
    strange = np.flatnonzero(np.isnan(values))
    strange = [k for k in strange if words[int(k)].as_py() not in reading.junk]
    if strange:
        row = int(np.argmax(np.isin(places, strange)))
        raise _misfit(reading, place, row, repr(words[int(places[row])].as_py()[:40]))
    return Column(reading, np.append(values, np.nan)[places])


def _reread_words(reading: Reading, nature: str, cells: pa.Array) -> Column:
    if nature == "number":
        cells = number_words(as_floats(cells))
    places, words = as_words(cells.cast(pa.large_string()))
    if reading.style == "truths":
        return replace(_as_truths(reading.name, places, words), reading=reading)
    return Column(reading, places, tuple(words.to_pylist()))


def _as_truths(name: str, places: np.ndarray, words: pa.Array) -> Column:
    again = truths(words).dictionary_encode()
    moved = np.append(again.indices.to_numpy().astype(np.int64), -1)
    return Column(Reading(name, "category", "truths"), moved[places], tuple(again.dictionary.to_pylist()))


def _without_infinities(column: Column, notes: list[Note]) -> tuple[Column, list[Note]]:
    """Infinite numbers are read as missing, and said; a column without any number left is nothing."""
    if column.reading.kind not in ("number", "date"):
        return column, notes
    infinite = np.isinf(column.values)
    if infinite.any():
        column = replace(column, values=np.where(infinite, np.nan, column.values))
        rows = int(infinite.sum())
        notes = [*notes, Note("trouble", f"column {column.reading.name!r}: {rows:,} infinite cell(s) read as missing")]
    return column, notes


def _nothing(name: str, reason: str) -> Column:
    return Column(Reading(name, "nothing", reason=reason), np.empty(0))


def _misfit(reading: Reading, place: str, row: int, found: str) -> TableError:
    return TableError(
        f"{place}, column {reading.name!r}, row {row + 1}: found {found}, expected a {reading.kind} as in training.",
        next="mend or empty that cell",
    )


def _with_comma(words: pa.Array) -> str:
    return next((word for word in words.slice(0, 1000).to_pylist() if re.search(",", word)), "1,234")
