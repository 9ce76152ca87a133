"""Delimited text (CSV, TSV, semicolons, gzip or not) as an Arrow table of texts; nothing is typed here.

What a file does not say is found out and said: its encoding, its delimiter, whether its first line is a header.
The dialects are those of RFC 4180 (Shafranovich 2005): quotes double inside quotes, and may hold line ends.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv as arrow_csv

from deepglass.data.schema import Note
from deepglass.errors import SourceError, TableError

LIMIT = 8 << 30  # bytes of text held in memory; a gzip file can promise any number
SAMPLE = 1 << 20  # bytes looked at to find the delimiter and the header
DELIMITERS = ("\t", ";", "|", ",")  # rarest in running text first: of two that fit equally, the rarer is meant
MISSING = (
    "",
    "?",
    "-",
    "--",
    "NA",
    "N/A",
    "n/a",
    "na",
    "#N/A",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
    "none",
    "<NA>",
    "NaT",
)
NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?\s*")
BINARY = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip or Excel file",
}


@dataclass(frozen=True)
class Sheet:
    """A table of texts [rows, columns] as it stands in the file, nulls where a cell is missing."""

    table: pa.Table
    header: bool
    delimiter: str
    notes: tuple[Note, ...] = ()


def read_bytes(path: Path) -> bytes:
    """The file's bytes, unpacked if it is a gzip. Raises SourceError: not there, unreadable, broken, empty, too big."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            raw = file.read(LIMIT + 1)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(f"{path.name}: a broken gzip file ({error}).", next="fetch or pack the file again") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if len(raw) > LIMIT:
        raise SourceError(
            f"{path.name}: more than {LIMIT >> 30} GiB of text.", next="store it as Parquet, or take a part"
        )
    if not raw or raw.isspace():
        raise SourceError(f"{path.name}: the file is empty.", next="name a file with a header line and rows")
    return raw


def read_delimited(path: Path, *, header: bool | None = None) -> Sheet:
    """The table of texts in a file. `header` says whether the first line holds names; None: found out, and said.

    Raises SourceError for what is no text, TableError for ragged rows (line, found, expected), names given twice and
    a header without rows.
    """
    return parse_delimited(read_bytes(path), path.name, header=header)


def parse_delimited(raw: bytes, place: str, *, header: bool | None = None) -> Sheet:
    r"""As `read_delimited`, from bytes; `place` names them in messages.

    >>> sheet = parse_delimited(b"size;color\n1,5;red\n2,5;?\n", "here")
    >>> sheet.table.to_pydict(), sheet.delimiter
    ({'size': ['1,5', '2,5'], 'color': ['red', None]}, ';')
    """
    text, notes = _utf8(raw, place)
    named = re.match(rb"sep=(.)\r?\n", text)  # Excel's own first line
    text = text[named.end() :] if named else text
    sample = text[:SAMPLE].decode("utf-8", errors="ignore")
    complete = len(text) <= SAMPLE
    delimiter = named.group(1).decode() if named else _delimiter(sample, complete)
    rows = _rows(sample, delimiter, complete)
    first, body = rows[0], rows[1:]
    if header is None:
        header = _has_header(first, body)
        if not header:
            notes.append(Note("guess", "no header line was found: the columns are named 'column 1', 'column 2', …"))
    names = _names(first, body, place) if header else [f"column {k + 1}" for k in range(len(first))]
    table = _parse(text, delimiter, names, header, place)
    if table.num_rows == 0:
        raise TableError(f"{place}: found a header and no rows.", next="give a file with rows below its header")
    return Sheet(table, header, delimiter, tuple(notes))


def _utf8(raw: bytes, place: str) -> tuple[bytes, list[Note]]:
    """The text as UTF-8 without a mark, whatever it was written in; guesses are noted."""
    for magic, words in BINARY.items():
        if raw.startswith(magic):
            raise SourceError(f"{place}: found {words}, expected a table as text.", next="export it as CSV or Parquet")
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    wide = _wide_encoding(raw[:4096])
    if wide:
        try:
            return raw.decode(wide).lstrip("\ufeff").lstrip("\r\n").encode(), [Note("guess", f"text read as {wide}")]
        except UnicodeDecodeError:
            raise SourceError(f"{place}: looks like {wide}, but is broken.", next="save the file as UTF-8") from None
    head = raw[:65536]
    controls = sum(head.count(code) for code in range(32) if code not in b"\t\n\v\f\r\x1a\x1b")
    if b"\x00" in raw or controls > len(head) / 100:
        raise SourceError(f"{place}: found binary data, expected a table as text.", next="export it as CSV or Parquet")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        encoding = "cp1252" if re.search(rb"[\x80-\x9f]", raw) else "latin-1"
        text = raw.decode(encoding, errors="replace").encode()
        return text.lstrip(b"\r\n"), [Note("guess", f"the text is not UTF-8: read as {encoding} (Western European)")]
    return raw.lstrip(b"\r\n"), []


def _wide_encoding(head: bytes) -> str | None:
    """UTF-16 by its mark, or by every other byte being zero."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    half = len(head) // 2
    if half >= 4 and head[1::2].count(0) > 0.7 * half and head[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if half >= 4 and head[::2].count(0) > 0.7 * half and head[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return None


def _rows(sample: str, delimiter: str, complete: bool, most: int = 500) -> list[list[str]]:
    """The sample's rows, blank lines skipped; the last is left out where the sample was cut."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        rows.extend(itertools.islice((row for row in reader if row), most))
    except csv.Error:  # a cell beyond the csv module's bound: what was read so far will do
        return rows or [[sample]]
    return rows if complete or len(rows) in (1, most) else rows[:-1]


def _delimiter(sample: str, complete: bool) -> str:
    """The character that cuts the most rows into the same number (at least two) of cells, the header too."""
    best, found = (False, 0.0), ","
    for delimiter in DELIMITERS:
        widths = [len(row) for row in _rows(sample, delimiter, complete, most=200)]
        width, times = Counter(widths).most_common(1)[0]
        score = (widths[0] in (width, width - 1), times / len(widths))
        if max(widths[0], width) > 1 and score > best:
            best, found = score, delimiter
    return found


def _has_header(first: list[str], body: list[list[str]]) -> bool:
    """No header where the first line holds a number above numbers, or a word that comes again below it."""
    rows = [row for row in body if len(row) == len(first)]
    if not rows:
        return not any(NUMBER.fullmatch(cell) for cell in first)
    numbers = [cell for cell in first if NUMBER.fullmatch(cell)]
    if numbers:
        years = all(re.fullmatch(r"(1[5-9]|20)\d\d", cell.strip()) for cell in numbers) and len(set(numbers)) > 1
        counted = [cell.strip() for cell in numbers] == [str(k) for k in range(len(numbers))] and len(numbers) > 1
        return years or counted or not _above_numbers(first, rows)
    whole = sum(row == first for row in rows)  # files joined end to end repeat their header, as a whole line
    counts = [sum(row[k] == cell for row in rows) for k, cell in enumerate(first) if cell.strip() not in MISSING]
    return all(count < 2 for count in counts) or all(count == whole for count in counts)


def _above_numbers(first: list[str], rows: list[list[str]]) -> bool:
    """Whether some number in the first line stands above a column of numbers."""
    for k, cell in enumerate(first):
        below = [row[k] for row in rows if row[k].strip() not in MISSING]
        if NUMBER.fullmatch(cell) and below and sum(bool(NUMBER.fullmatch(x)) for x in below) > 0.9 * len(below):
            return True
    return False


def _names(first: list[str], body: list[list[str]], place: str) -> list[str]:
    """The header's names, trimmed; a nameless column is called by its place; the same name twice is an error."""
    cells = [cell.strip() for cell in first]
    if body and all(len(row) == len(first) + 1 for row in body):
        cells = [*cells, ""] if all(row[-1] == "" for row in body) else ["", *cells]  # a closing comma; R's row names
    names = [cell or f"column {k + 1}" for k, cell in enumerate(cells)]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:5]) + (" …" if len(twice) > 5 else "")
        raise TableError(
            f"{place}, line 1: the column name {shown} stands more than once.", next="give each column its own name"
        )
    return names


def _parse(text: bytes, delimiter: str, names: list[str], header: bool, place: str) -> pa.Table:
    reading = arrow_csv.ReadOptions(column_names=names, skip_rows_after_names=int(header), block_size=1 << 24)
    quotes: Any = '"' if _quotes_pair(text[:SAMPLE], delimiter) else False
    parsing = arrow_csv.ParseOptions(
        delimiter=delimiter, quote_char=quotes, newlines_in_values=bool(quotes) and b'"' in text
    )
    meaning = arrow_csv.ConvertOptions(
        column_types={name: pa.large_string() for name in names},
        null_values=list(MISSING),
        strings_can_be_null=True,
    )
    try:
        return arrow_csv.read_csv(pa.BufferReader(text), reading, parsing, meaning)
    except pa.ArrowInvalid as error:
        _explain_ragged(text, delimiter, len(names), place)
        if "Empty CSV" in str(error):
            raise TableError(f"{place}: found a header and no rows.", next="give rows below the header") from None
        raise TableError(f"{place}: cannot be read as a table ({error}).") from None


def _quotes_pair(sample: bytes, delimiter: str) -> bool:
    """Whether quotes enclose cells. With tabs they often mean nothing, and a stray one would swallow the rows below."""
    if delimiter != "\t":
        return True
    opened = len(re.findall(rb'(?m)(?:^|\t)"(?!\t|\r?$)', sample))
    closed = len(re.findall(rb'(?m)(?<!\t)(?<!^)"(?:\t|\r?$)', sample))
    return opened == closed


def _explain_ragged(text: bytes, delimiter: str, expected: int, place: str) -> None:
    """Raise for the first row with another number of cells than the header."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""), delimiter=delimiter)
    start = 1
    try:
        for row in reader:
            if row and len(row) != expected:
                raise TableError(
                    f"{place}, line {start}: found {len(row)} cells, expected {expected} as in the header.",
                    next="mend that line (a missing quote or a stray delimiter?)",
                )
            start = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{place}, line {start}: cannot be read as cells ({error}).") from None
