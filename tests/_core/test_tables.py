"""CSV and Parquet tables: what is read, with which line, and what is refused."""

from __future__ import annotations

import csv
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve._core.formulas import neutralised, restored
from rsretrieve._core.tables import columns_of, read_table, write_csv
from rsretrieve.errors import TableError
from tests.support.tiles import save_table, unhurried

SUFFIXES = ("csv", "parquet", "pq", "PQ")
fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding, "surrogateescape"))
    return path


def rows_of(path, *required):
    return list(read_table(path, required))


def test_rows_of_a_csv_come_with_their_lines(tmp_path):
    path = write(tmp_path / "t.csv", "tile,label\na.png,forest\n\nb.png,\n")
    assert rows_of(path, "tile") == [
        (2, {"tile": "a.png", "label": "forest"}),
        (4, {"tile": "b.png", "label": ""}),
    ]


@pytest.mark.parametrize("suffix", ["parquet", "PQ"])
def test_rows_of_a_parquet_file_come_with_their_numbers(tmp_path, suffix):
    path = save_table(
        tmp_path / f"t.{suffix}", ["tile", "label"], ("a.png", "forest"), ("b.png", None)
    )
    assert rows_of(path, "tile") == [
        (1, {"tile": "a.png", "label": "forest"}),
        (2, {"tile": "b.png", "label": ""}),
    ]


def test_numbers_in_a_parquet_file_become_text(tmp_path):
    path = save_table(tmp_path / "t.parquet", ["tile", "label"], ("a", 3), ("b", 4))
    assert [row["label"] for _, row in rows_of(path)] == ["3", "4"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = write(tmp_path / "t.csv", "tile\r\na.png\r\n", "utf-8-sig")
    assert rows_of(path, "tile") == [(2, {"tile": "a.png"})]
    assert columns_of(path) == ("tile",)


def test_quoted_fields_hold_commas_and_line_breaks(tmp_path):
    path = write(tmp_path / "t.csv", 'tile,label\n"a, b.png","two\nlines"\nc.png,"say ""x"""\n')
    assert rows_of(path) == [
        (3, {"tile": "a, b.png", "label": "two\nlines"}),
        (4, {"tile": "c.png", "label": 'say "x"'}),
    ]


@pytest.mark.parametrize("row", ["a.png", "a.png,forest,more"])
def test_a_row_with_too_few_or_too_many_fields_is_refused(tmp_path, row):
    path = write(tmp_path / "t.csv", f"tile,label\nb.png,water\n{row}\n")
    message = f"^{re.escape(str(path))}: line 3 has not as many fields as the header$"
    with pytest.raises(TableError, match=message) as caught:
        rows_of(path)
    assert "double quotes" in caught.value.hint


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_column_is_named_beside_those_there_are(tmp_path, suffix):
    path = save_table(tmp_path / f"t.{suffix}", ["id", "label"], ("a.png", "forest"))
    message = re.escape(f"{path}: no column 'tile' (its columns are: id, label)")
    with pytest.raises(TableError, match=f"^{message}$") as caught:
        rows_of(path, "label", "tile")
    assert caught.value.hint == "the header must name the columns label, tile"


def test_an_empty_csv_has_no_columns(tmp_path):
    path = write(tmp_path / "t.csv", "")
    assert columns_of(path) == ()
    with pytest.raises(TableError, match=r"no column 'tile' \(its columns are: none\)$"):
        rows_of(path, "tile")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_are_named_in_their_order(tmp_path, suffix):
    path = save_table(tmp_path / f"t.{suffix}", ["tile", "true_label", "label"], ("a", "b", "c"))
    assert columns_of(path) == ("tile", "true_label", "label")


@pytest.mark.parametrize("read", [rows_of, columns_of])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_not_there_is_said_to_be_missing(tmp_path, suffix, read):
    path = tmp_path / f"t.{suffix}"
    with pytest.raises(TableError, match=f"^{re.escape(str(path))}: no such file$"):
        read(path)


@pytest.mark.parametrize("read", [rows_of, columns_of])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_no_table(tmp_path, suffix, read):
    path = tmp_path / f"t.{suffix}"
    path.mkdir()
    with pytest.raises(TableError, match=re.escape(f"{path}: cannot be read as a table (")):
        read(path)


@pytest.mark.parametrize("read", [rows_of, columns_of])
@pytest.mark.parametrize(
    ("suffix", "content"), [("csv", 'tile,"label\na.png,forest\n'), ("parquet", "PAR1 and no more")]
)
def test_a_file_that_is_no_table_is_refused(tmp_path, suffix, content, read):
    path = write(tmp_path / f"t.{suffix}", content)
    with pytest.raises(TableError, match=re.escape(f"{path}: cannot be read as a table (")):
        read(path)


def test_a_parquet_file_with_damaged_values_is_refused(tmp_path):
    names = [(f"tiles/{i}.png",) for i in range(3000)]
    path = save_table(tmp_path / "t.parquet", ["tile"], *names)
    content = bytearray(path.read_bytes())
    content[4:2000] = bytes(1996)  # the header and the end, which opening reads, stay whole
    path.write_bytes(content)
    with pytest.raises(TableError, match=re.escape(f"{path}: cannot be read as a table (")):
        rows_of(path, "tile")


def test_names_that_are_no_utf8_are_kept_byte_by_byte(tmp_path):
    path = write(tmp_path / "t.csv", "tile,label\ncaf\udce9.png,forest\n")
    assert rows_of(path) == [(2, {"tile": "caf\udce9.png", "label": "forest"})]
    assert columns_of(path) == ("tile", "label")
    rows = [("caf\udce9.png", "forest")]
    write_csv(tmp_path / "copy.csv", ("tile", "label"), rows, overwrite=False)
    assert (tmp_path / "copy.csv").read_bytes() == path.read_bytes()


def test_a_csv_is_written_with_plain_line_ends_and_quotes_where_needed(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, ("tile", "share"), [("a, b.png", 0.5), ("wald/größe.png", 1)], overwrite=False)
    assert path.read_bytes().decode() == 'tile,share\n"a, b.png",0.5\nwald/größe.png,1\n'


@pytest.mark.medium
@unhurried
@given(st.lists(st.tuples(fields, fields)))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    write_csv(path, ("tile", "label"), rows, overwrite=False)
    assert [(row["tile"], row["label"]) for _, row in rows_of(path)] == rows


# What a spreadsheet would run as a formula

RUNS = re.compile(r"[\s\x00-\x20\ufeff]*[=+\-@＝＋－＠]|\s*[\t\r\n]")
NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", re.IGNORECASE)
risky = st.text(st.sampled_from("=+-@＝＋－＠\t\r\n ;,'\"a1.e\xa0\u3000"), max_size=8)
cells = st.one_of(fields, risky)


def cells_of(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as stream:
        return [cell for row in csv.reader(stream, delimiter=delimiter) for cell in row]


def runs(cell):
    """Whether a spreadsheet may take a cell for a formula."""
    return RUNS.match(cell) is not None and NUMBER.fullmatch(cell) is None


@unhurried
@given(st.lists(st.tuples(cells, cells)))
def test_no_written_cell_is_a_formula_and_what_is_read_is_what_was_written(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    write_csv(path, ("tile", "label"), rows, overwrite=False)
    assert not [cell for cell in cells_of(path) if runs(cell)]
    assert [(row["tile"], row["label"]) for _, row in rows_of(path)] == rows


@unhurried
@given(risky, risky)
def test_nor_is_one_where_a_spreadsheet_cuts_at_semicolons_or_tabs(tmp_path_factory, one, other):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    write_csv(path, ("tile", "label"), [(one, other)], overwrite=False)
    text = path.read_text(encoding="utf-8").replace('"', "")  # whatever it makes of the quotes
    begun = re.split(r"[;\t\r\n]", text)
    formulas = [part for part in begun if RUNS.match(part) and not part.lstrip()[1:2].isdigit()]
    assert not [part for part in formulas if re.match(r"\s*[=@＝＋－＠]", part)]


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "\na", " =a", "\xa0=a", "＝a", "＋a", "－a", "＠a"]
    + [
        "'=a",
        "''=a",
        "=",
        "-",
        "-1-1",
        "+1e",
        "--1",
        "-0;",
        "1;=a",
        "1\t@a",
        "1\n=a",
        "\ufeff=a",
        '"=a',
    ],
)
def test_a_text_that_begins_like_a_formula_is_marked(tmp_path, text):
    assert restored(neutralised(text)) == text
    assert neutralised(text).count("'") == text.count("'") + 1
    write_csv(tmp_path / "t.csv", ("tile", text), [(text, "a")], overwrite=False)
    assert cells_of(tmp_path / "t.csv").count(neutralised(text)) == 2
    assert columns_of(tmp_path / "t.csv") == ("tile", text)
    [(_, row)] = rows_of(tmp_path / "t.csv", text)
    assert row == {"tile": text, text: "a"}


@pytest.mark.parametrize("text", ["-0.5", "+3", "1e-7", "-1E+7", "-.5", "a=1", "a-b", "'tis", "'"])
def test_numbers_and_other_texts_stay_as_they_are(tmp_path, text):
    assert neutralised(text) == restored(text) == text
    write_csv(tmp_path / "t.csv", ("a", "b"), [(text, "c")], overwrite=False)
    assert (tmp_path / "t.csv").read_text() == f"a,b\n{text},c\n"


def test_numbers_that_are_no_text_stay_as_they_are(tmp_path):
    rows = [(-0.5, -3), (None, float("-inf")), ("=a", -1e-7)]
    write_csv(tmp_path / "t.csv", ("a", "b"), rows, overwrite=False)
    assert (tmp_path / "t.csv").read_text() == "a,b\n-0.5,-3\n,-inf\n'=a,-1e-07\n"


@pytest.mark.parametrize("text", ["a;=1", "a\t@1", "a; =1", "a;-b"])
def test_a_cell_in_which_another_could_begin_a_formula_is_quoted(tmp_path, text):
    write_csv(tmp_path / "t.csv", ("a", "b"), [(text, "c")], overwrite=False)
    assert f'"{neutralised(text)}"' in (tmp_path / "t.csv").read_text()


@pytest.mark.parametrize(
    "text", ["-" + "1" * 99_999 + "x", '"' * 99_999, ";" * 99_999, "' " * 50_000]
)
def test_no_text_takes_long_to_look_at(tmp_path, text):
    started = time.process_time()
    write_csv(tmp_path / "t.csv", ("a", "b"), [(text, text)], overwrite=False)
    [(_, row)] = rows_of(tmp_path / "t.csv", "a")
    assert row == {"a": text, "b": text}
    assert time.process_time() - started < 2
