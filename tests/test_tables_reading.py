"""Files and frames as tables: every dialect reads as pandas reads it, and what is no table is said in one message."""

from __future__ import annotations

import csv
import gzip
import io
import math
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepglass.data.cells import DATES, MISSING, parse_dates, parse_numbers
from deepglass.data.columns import read_column, reread_column
from deepglass.data.delimited import parse_delimited
from deepglass.data.frames import open_frame
from deepglass.data.schema import Wishes
from deepglass.data.tables import read_table
from deepglass.errors import DeepglassError, SourceError, TableError
from frames import real_table

PLAIN = "x,drink\n" + "".join(f"{k / 8},{'café' if k % 2 else 'thé'}\n" for k in range(40))


def parse(text: str | bytes, **options):
    return parse_delimited(text if isinstance(text, bytes) else text.encode(), "here", **options)


cell = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from('",;\n'), max_size=12)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.lists(cell, min_size=3, max_size=3), min_size=1, max_size=12),
    delimiter=st.sampled_from(",;|"),
)
def test_what_csv_writes_is_read_back(rows, delimiter):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([["a", "b", "c"], *rows])
    table = parse(file.getvalue(), header=True).table
    for k, name in enumerate("abc"):
        column, _ = read_column(name, pa.array(table[name].to_pylist(), pa.large_string()))
        if column.reading.kind == "category":
            expected = [row[k].strip() for row in rows]
            found = ["" if place < 0 else column.words[place] for place in column.values]
            assert found == ["" if word.lower() in MISSING else word for word in expected]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**15), 10**15), min_size=2, max_size=30)
)
def test_numbers_are_read_as_python_reads_them(numbers):
    column, _ = read_column("n", pa.array([repr(number) for number in numbers]))
    expected = [float(number) if math.isfinite(number) else math.nan for number in map(float, numbers)]
    if column.reading.kind == "number":
        assert np.array_equal(column.values, np.array(expected), equal_nan=True)
    else:
        assert not any(math.isfinite(number) for number in expected)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-8", 0), ("utf-8-sig", 0), ("utf-16", 1), ("utf-16-le", 1), ("utf-16-be", 1), ("latin-1", 1), ("cp1252", 1)],
)
def test_encodings(encoding, said):
    text = PLAIN.replace("café", "caf\u00e9 \u20ac") if encoding == "cp1252" else PLAIN
    sheet = parse(text.encode(encoding))
    assert len(sheet.notes) == said
    words = set(sheet.table["drink"].to_pylist())
    assert words == {"thé", "caf\u00e9 \u20ac" if encoding == "cp1252" else "café"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(delimiter, end):
    text = PLAIN.replace(",", delimiter).replace("\n", end)
    assert parse(text).table.equals(parse(PLAIN).table)


@pytest.mark.parametrize("name", ["adult_train.csv.gz", "titanic.csv", "diamonds.csv.gz", "penguins.csv"])
def test_real_files_read_as_pandas_reads_them(name):
    frame = pd.read_csv(real_table(name), na_values=["?"], skipinitialspace=True)
    table = open_frame(real_table(name), name).table
    assert table.column_names == list(frame.columns)
    for column_name in frame.columns:
        column, notes = read_column(column_name, table[column_name])
        theirs = frame[column_name]
        assert not notes
        assert np.array_equal(column.missing, theirs.isna().to_numpy())
        if pd.api.types.is_numeric_dtype(theirs):
            assert np.array_equal(column.values, theirs.to_numpy(np.float64), equal_nan=True)
        else:
            words = np.array([*column.words, None], object)[column.values]
            present = ~column.missing
            assert np.array_equal(words[present], theirs.to_numpy(object)[present])


def test_headers_are_recognized():
    assert parse("a,b\n1,2\n3,4\n").header
    assert not parse("5.1,3.5,setosa\n4.9,3.0,setosa\n6.0,2.2,virginica\n").header
    assert not parse("ham\tgo there\nspam\twin now\nham\tcome\nham\tok\n").header
    assert parse("country,1990,1991\nA,5,6\nB,7,8\n").header
    assert parse("0,1,y\n5,6,a\n7,8,b\n").header
    assert parse("name,note\nname,note\nx,y\n").header
    assert parse("1,2,3\n4,5,6\n", header=True).table.column_names == ["1", "2", "3"]


def test_names_of_nameless_columns():
    assert parse(",a\n1,2\n2,3\n").table.column_names == ["column 1", "a"]
    assert parse("x,y\n1,5,a\n2,6,b\n").table.column_names == ["column 1", "x", "y"]
    assert parse("x,y\n1,a,\n2,b,\n").table.column_names == ["x", "y", "column 3"]
    assert parse("sep=;\nx;y\n1;2\n").table.column_names == ["x", "y"]


def test_a_stray_quote_in_tabs_swallows_nothing():
    text = "label\ttext\n" + '"ham"ish\tsay "hi\n' * 3 + 'spam\t"win\n' * 4
    assert parse(text).table.num_rows == 7
    assert parse('a\tb\n"x\ty"\t2\n"z"\t3\n').table["a"].to_pylist() == ["x\ty", "z"]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", SourceError, "empty"),
        (b" \n\n", SourceError, "empty"),
        (b"a,b,c\n", TableError, "a header and no rows"),
        (b"a,b\n1,2\n3,4,5\n6,7\n", TableError, "line 3: found 3 cells, expected 2"),
        (b'a,b\n"x\ny",2\n3\n6,7\n', TableError, "line 4: found 1 cells, expected 2"),
        (b"a,b,a\n1,2,3\n", TableError, "name 'a' stands more than once"),
        (b"\x89PNG\r\n\x1a\n\x00\x01", SourceError, "a PNG picture"),
        (b"PK\x03\x04xlsx", SourceError, "a zip or Excel file"),
        (bytes(range(256)) * 20, SourceError, "binary data"),
        (b"a,b\n1,\x002\n", SourceError, "binary data"),
        (gzip.compress(PLAIN.encode())[:60], SourceError, "broken gzip"),
        (b"PAR1xxxxPAR1", SourceError, "broken Parquet"),
        (b"x\n1\n2\n3\n", TableError, "no column to learn from"),
        (b"Once there was a man, who lived.\nHe was old.\n\nAnd then, he died, alone.\n", TableError, "line 2"),
    ],
)
def test_what_is_no_table_is_said(tmp_path, content, kind, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(kind, match=words) as caught:
        read_table(path, Wishes(), name="bad.csv")
    assert "bad.csv" in str(caught.value)
    assert "Next:" in str(caught.value)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        read_table(tmp_path / "absent.csv", Wishes(), name="absent")
    with pytest.raises(SourceError, match="a folder"):
        read_table(tmp_path, Wishes(), name="folder")
    with pytest.raises(SourceError, match="found list"):
        read_table([1, 2], Wishes(), name="list")
    with pytest.raises(TableError, match="more than once"):
        read_table(pd.DataFrame(np.ones((3, 2)), columns=["a", "a"]), Wishes(), name="frame")
    with pytest.raises(TableError, match="different lengths"):
        read_table({"a": [1, 2], "b": [1]}, Wishes(), name="dict")
    with pytest.raises(TableError, match="0 rows"):
        read_table(pd.DataFrame({"a": [], "b": []}), Wishes(), name="frame")


def test_every_door_gives_the_same_table(tmp_path):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": generator.normal(size=80).round(3),
            "color": np.array(["red", "green", "blue"])[generator.integers(0, 3, 80)],
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(generator.integers(0, 400, 80), "D"),
            "fits": generator.integers(0, 2, 80).astype(bool),
            "label": np.array(["no", "yes"])[generator.integers(0, 2, 80)],
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet")
    categorical = frame.assign(color=frame.color.astype("category"))
    polars = pl.from_pandas(frame)
    doors = [
        *(tmp_path / name for name in ("a.csv", "a.csv.gz", "a.tsv", "a.parquet")),
        categorical,
        categorical.set_index(pd.Index(generator.permutation(80))),
        polars,
        polars.with_columns(pl.col("color").cast(pl.Categorical)),
        pa.table(frame),
        pa.concat_tables([pa.table(frame[:30]), pa.table(frame[30:])]),
    ]
    expected = read_table(frame, Wishes(), name="frame")
    for door in doors:
        found = read_table(door, Wishes(), name="frame")
        for ours, theirs in zip(found.train.inputs, expected.train.inputs, strict=True):
            assert np.array_equal(ours.numpy(), theirs.numpy())
        assert found.schema.to_json() == expected.schema.to_json()


def test_a_column_of_mixed_values_is_read_as_texts():
    frame = pd.DataFrame({"mixed": [1, "two", None] * 10, "x": np.arange(30.0) ** 2, "y": [0, 1, 1] * 10})
    column, _ = read_column("mixed", open_frame(frame, "frame").table["mixed"])
    assert column.words == ("1", "two")
    assert column.missing.sum() == 10


def test_styles_of_numbers():
    words = pa.array(["1,234", "1,234,567.5", "12", "x"], pa.large_string())
    assert parse_numbers(words, "thousands").tolist()[:3] == [1234, 1234567.5, 12]
    words = pa.array(["1.234,5", ",5", "-3", "E17", ""], pa.large_string())
    assert np.array_equal(parse_numbers(words, "decimal comma"), [1234.5, 0.5, -3, np.nan, np.nan], equal_nan=True)
    words = pa.array(["$5", "-€7.5", "12 %", "+3", "-inf", "1e400"], pa.large_string())
    assert parse_numbers(words, "plain").tolist() == [5, -7.5, 12, 3, -math.inf, math.inf]


def test_decimal_commas_are_told_from_thousands():
    column, notes = read_column("n", pa.array(["1,5", "2,25"]))
    assert (column.values.tolist(), notes) == ([1.5, 2.25], [])
    column, notes = read_column("n", pa.array(["1,500", "2,250"]))
    assert column.values.tolist() == [1500, 2250]
    assert "thousands sign" in notes[0].text
    column, notes = read_column("n", pa.array(["1,500", "2,250"]), comma="decimal")
    assert column.values.tolist() == [1.5, 2.25]
    assert "decimal sign" in notes[0].text


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["007", "012", "100"], "category"),
        (["07", "12", "10"], "category"),
        (["0", "10", "7"], "number"),
        (["0.5", "007", "1.5"], "number"),
        (["1", "2", "3+", "3+", "3+", "1"], "category"),
        (["A/5 21171", "113803", "373450", "PC 17599", "PC 17601", "C.A. 2"], "category"),
        (["True", "false", None], "category"),
        (["2020-01-02", "2020-02-03T04:05:06Z", None], "date"),
        (["1/2/2020", "31/1/2020"], "date"),
        (["5 Mar 2020", "12 april 2021"], "date"),
        (['{"a": 1}', '{"a": 2}'], "nothing"),
        (["{'a': 1}", "{'a': 2}"], "nothing"),
        ([None, "?", "-"], "nothing"),
        ([None, None], "nothing"),
        ([[1], [2]], "nothing"),
        ([b"x", b"y"], "nothing"),
    ],
)
def test_kinds(cells, kind):
    assert read_column("c", pa.array(cells))[0].reading.kind == kind


@settings(max_examples=40, deadline=None)
@given(st.datetimes(datetime(1901, 1, 1), datetime(2262, 1, 1)))
def test_dates_are_read_as_pandas_reads_them(moment):
    moment = moment.replace(microsecond=0)
    stamp = (moment - datetime(1970, 1, 1)).total_seconds()
    formats = {
        "iso": "%Y-%m-%d %H:%M:%S",
        "year first": "%Y/%m/%d %H:%M:%S",
        "month first": "%m/%d/%Y %H:%M:%S",
        "day first": "%d.%m.%Y %I:%M:%S %p",
        "day, month's name": "%d %B %Y %H:%M:%S",
        "month's name, day": "%b %d, %Y %H:%M:%S",
    }
    assert formats.keys() == DATES.keys()
    for style, form in formats.items():
        assert parse_dates([moment.strftime(form)], style).tolist() == [stamp]


def test_new_cells_are_converted_or_refused():
    numbers = read_column("n", pa.array(["1", "2", "forty", "3", "4"]))[0].reading
    assert reread_column(numbers, pa.array([1, 2], pa.int32()), "new")[0].values.tolist() == [1, 2]
    assert reread_column(numbers, pa.array([True, False]), "new")[0].values.tolist() == [1, 0]
    assert np.isnan(reread_column(numbers, pa.array(["forty"]), "new")[0].values).all()
    words = read_column("w", pa.array(["1", "b", "1", "c"]))[0].reading
    assert reread_column(words, pa.array([1.0, 2.5]), "new")[0].words == ("1", "2.5")
    truth = read_column("t", pa.array([True, False]))[0].reading
    assert reread_column(truth, pa.array(["TRUE", "0", None]), "new")[0].words == ("true", "false")
    day = read_column("d", pa.array(["3.4.2020", "30.4.2020"]))[0].reading
    found = reread_column(day, pa.array([pd.Timestamp("2020-04-03")]), "new")[0]
    assert found.values.tolist() == parse_dates(["2020-04-03"], "iso").tolist()
    for reading, cells in [
        (numbers, ["1", "old"]),
        (numbers, [None, "2020-01-01"]),
        (day, ["", "soon"]),
        (day, [None, 4]),
    ]:
        with pytest.raises(TableError, match=f"new, column '{reading.name}', row 2: found") as caught:
            reread_column(reading, pa.array(cells), "new")
        assert isinstance(caught.value, DeepglassError)
