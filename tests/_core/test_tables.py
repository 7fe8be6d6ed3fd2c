"""CSV and Parquet tables: what is read, with which line, and what is refused."""

from __future__ import annotations

import csv
import re
import time
from decimal import Decimal

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from rsretrieve._core.formulas import neutralised, restored
from rsretrieve._core.tables import (
    columns_of,
    encoding_notices,
    read_table,
    require_columns,
    write_csv,
)
from rsretrieve.errors import TableError
from tests.support.csv_files import CSV_FILES
from tests.support.tiles.made_tiles import save_table, unhurried

SUFFIXES = ("csv", "parquet", "pq", "PQ")
fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding, "surrogateescape"))
    return path


def names_of(path):
    return columns_of(path, ("tile",))


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
    assert columns_of(path, ("tile",)) == ("tile",)


def test_quoted_fields_hold_commas_and_line_breaks(tmp_path):
    path = write(tmp_path / "t.csv", 'tile,label\n"a, b.png","two\nlines"\nc.png,"say ""x"""\n')
    assert rows_of(path) == [
        (3, {"tile": "a, b.png", "label": "two\nlines"}),
        (4, {"tile": "c.png", "label": 'say "x"'}),
    ]


@pytest.mark.parametrize("name", CSV_FILES)
def test_a_file_is_read_as_it_is_meant_or_refused(tmp_path, name):
    content, labels = CSV_FILES[name]
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    if labels is None:
        with pytest.raises(TableError):
            list(read_table(path, ("tile", "label")))
    else:
        found = [(row["tile"], row["label"]) for _, row in read_table(path, ("tile", "label"))]
        expected = dict(zip(("a.png", "b.png"), labels))
        assert dict(found) == expected


@pytest.mark.parametrize("row", ["a.png", "a.png,forest,more"])
def test_a_row_with_too_few_or_too_many_fields_is_refused(tmp_path, row):
    path = write(tmp_path / "t.csv", f"tile,label\nb.png,water\n{row}\n")
    message = f"^{re.escape(str(path))}: line 3 has . fields, and the header has 2$"
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
    assert columns_of(path, ("tile",)) == ()
    with pytest.raises(TableError, match=r"no column 'tile' \(its columns are: none\)$"):
        rows_of(path, "tile")


@pytest.mark.parametrize(
    "header",
    [
        'tile;label;"bands (B2, B3, B4, B8)"',
        "tile;label;remark (who, when, why)",
        'tile,label,"remark (haze; cloud; snow; other)"',
        "tile\tlabel\tB2, B3, B4, B8\tone; two; three; four; five",
    ],
)
def test_names_of_columns_may_hold_other_separators(tmp_path, header):
    path = write(tmp_path / "t.csv", f"{header}\n")
    found = columns_of(path, ("tile",))
    assert found[:2] == ("tile", "label")
    assert found == columns_of(path, ("tile", "label"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_are_named_in_their_order(tmp_path, suffix):
    path = save_table(tmp_path / f"t.{suffix}", ["tile", "true_label", "label"], ("a", "b", "c"))
    assert columns_of(path, ("tile",)) == ("tile", "true_label", "label")


@pytest.mark.parametrize("read", [rows_of, names_of])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_not_there_is_said_to_be_missing(tmp_path, suffix, read):
    path = tmp_path / f"t.{suffix}"
    with pytest.raises(TableError, match=f"^{re.escape(str(path))}: no such file$"):
        read(path)


@pytest.mark.parametrize("read", [rows_of, names_of])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_no_table(tmp_path, suffix, read):
    path = tmp_path / f"t.{suffix}"
    path.mkdir()
    with pytest.raises(TableError, match=re.escape(f"{path}: cannot be read as a table (")):
        read(path)


@pytest.mark.parametrize("read", [rows_of, names_of])
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


ROWS = (("t/0.tif", "For\u00eat"), ("t/1.tif", "\u00c9boulis"), ("t/2.tif", "Gr\u00fcnland"))


def text_of(separator=",", header="tile,label", end="\n", pad=""):
    lines = [header.split(","), *ROWS]
    return "".join((separator + pad).join(line) + end for line in lines)


@pytest.mark.parametrize(
    "content",
    [
        text_of().encode(),
        text_of().encode("utf-8-sig"),
        text_of("\t").encode("utf-16"),
        text_of(";").encode("utf-16-be").join((b"\xfe\xff", b"")),
        text_of(";").encode("cp1252"),
        text_of("\t", end="\r\n").encode("cp1252"),
        text_of(end="\r").encode(),
        text_of(pad=" ").encode(),
        text_of(header="Tile, LABEL ").encode(),
        text_of(end="\n\n").encode(),
        (text_of() + ",\n").encode(),
        ("\n" + text_of(";", header='"tile","label"')).encode(),
    ],
)
def test_a_table_is_the_same_however_it_is_encoded_and_separated(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert [(row["tile"], row["label"].strip()) for _, row in rows_of(path)] == [*ROWS]
    assert columns_of(path, ("tile",)) == ("tile", "label")


@pytest.mark.parametrize(
    "content",
    [
        ("sep=;\r\n" + text_of(";", end="\r\n")).encode("cp1252"),
        ('"sep=\t"\n' + text_of("\t")).encode("utf-8-sig"),
        ("sep=|\n" + text_of("|")).encode(),
        text_of().encode("utf-16-le"),
        text_of(";").encode("utf-16-be"),
        text_of().encode("utf-32"),
        text_of(end=",,\n", header="tile,label").replace(",,\n", "\n", 1).encode(),
    ],
    ids=["sep=;", "sep=tab", "sep=|", "utf-16-le", "utf-16-be", "utf-32", "empty cells added"],
)
def test_rarer_encodings_and_dialects_give_the_same_table(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert [tuple(row.values()) for _, row in rows_of(path, "tile")] == [*ROWS]
    assert columns_of(path, ("tile",)) == ("tile", "label")


def test_lines_are_counted_from_the_line_that_names_the_separator(tmp_path):
    path = write(tmp_path / "t.csv", "sep=;\ntile;label\na;b\nc;d;e\n")
    with pytest.raises(TableError, match="line 4 has 3 fields"):
        rows_of(path, "tile")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (text_of().encode() + "c.tif,Gr\u00fcn".encode("cp1252"), "line 5, character 9"),
        (text_of().encode().partition(b"\xbc")[0], "line 4, character 11"),
        (b"tile,label\r\na.tif,b\r\nb.tif,\x81\n", "line 3, character 7"),
        (b"tile,label\n\n\x90.tif,b\n", "line 3, character 1"),
    ],
    ids=["two encodings", "cut short", "no encoding", "after an empty line"],
)
def test_the_place_of_a_byte_that_cannot_be_read_is_told(tmp_path, content, place):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=f"{place} .*UTF-8") as caught:
        rows_of(path, "tile")
    assert "save it as UTF-8" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel"),
        (b"\x1f\x8b\x08\x00", "compressed"),
    ],
)
def test_other_files_with_the_suffix_of_a_table_are_named(tmp_path, content, said):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableError, match=said):
        columns_of(path, ("tile",))


def test_the_line_on_which_an_open_quote_begins_is_told(tmp_path):
    path = write(tmp_path / "t.csv", 'tile,label\na,b\nb,"forest\nc,d\n')
    with pytest.raises(TableError, match="begins on line 3"):
        rows_of(path, "tile")


def test_a_long_field_is_read_and_an_endless_one_refused_with_the_limit(tmp_path):
    outline = f"POLYGON(({'1.23456 2.34567,' * 20_000}))"
    path = write(tmp_path / "t.csv", f'tile,label,geometry\na,b,"{outline}"\n')
    assert rows_of(path, "tile") == [(2, {"tile": "a", "label": "b", "geometry": outline})]
    write(path, f'tile,label\na,"{"x" * 10_000_001}"\n')
    with pytest.raises(TableError, match=r"line 2.*10000000"):
        rows_of(path, "tile")


def test_a_utf16_file_that_is_cut_is_refused_and_no_crash(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text_of().encode("utf-16")[:-1])
    with pytest.raises(TableError, match="cannot be read as a table"):
        rows_of(path, "tile")


def test_a_parquet_file_is_known_by_its_first_bytes(tmp_path):
    path = save_table(tmp_path / "t.parquet", ["tile", "label"], ("a", "b"))
    renamed = path.rename(tmp_path / "t.csv")
    assert rows_of(renamed, "tile") == [(1, {"tile": "a", "label": "b"})]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_given_twice_is_refused_before_rows_are_read(tmp_path, suffix):
    path = save_table(tmp_path / f"t.{suffix}", ["tile", "tile", "label"], ("a", "b", "c"))
    with pytest.raises(TableError, match="more than once"):
        require_columns(path, ("tile", "label"))


def test_a_guessed_encoding_is_noticed_and_a_known_one_is_not(tmp_path):
    for encoding in ("utf-8", "utf-16", "cp1252"):
        path = tmp_path / f"{encoding}.csv"
        path.write_text(text_of(), encoding=encoding)
        notices = encoding_notices(path)
        assert bool(notices) is (encoding == "cp1252")
    assert "Windows-1252" in notices[0]


def test_bytes_that_no_encoding_has_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"tile,label\na.tif,\x81\x8d\n")
    with pytest.raises(TableError, match="save it as UTF-8"):
        rows_of(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_column_given_twice_is_refused(tmp_path, suffix):
    path = save_table(tmp_path / f"t.{suffix}", ["tile", "label", "Label"], ("a", "b", "c"))
    with pytest.raises(TableError, match=r"'label' .*more than once"):
        rows_of(path)


NUMBERS = [1.0, float("nan"), 2.5]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pyarrow.array(NUMBERS), ["1", "", "2.5"]),
        (pyarrow.array([10, None, 3]), ["10", "", "3"]),
        (pyarrow.array([b"forest", b"For\xc3\xaat", None]), ["forest", "For\u00eat", ""]),
        (pyarrow.array(["a", None, "b"]).dictionary_encode(), ["a", "", "b"]),
        (pyarrow.array([True, False, None]), ["True", "False", ""]),
        (pyarrow.array([0.1, 3.0, float("inf")], pyarrow.float32()), ["0.1", "3", "inf"]),
        (pyarrow.array([Decimal("7.00"), None, Decimal("7.50")]), ["7", "", "7.50"]),
        (pyarrow.array([b"a", b"b", None]).dictionary_encode(), ["a", "b", ""]),
        (pyarrow.array(["a", None, "b"], pyarrow.large_string()), ["a", "", "b"]),
    ],
    ids=[
        *("floats", "whole numbers", "bytes", "dictionary", "flags"),
        *("narrow floats", "decimals", "dictionary of bytes", "large texts"),
    ],
)
def test_values_of_parquet_become_the_text_that_a_person_would_write(tmp_path, values, texts):
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"tile": ["a", "b", "c"], "label": values}), path)
    assert [row["label"] for _, row in rows_of(path)] == texts


def test_bytes_that_are_no_text_are_refused_with_row_and_column(tmp_path):
    path = tmp_path / "t.parquet"
    table = pyarrow.table({"tile": ["a", "b"], "label": [b"forest", b"For\xeat"]})
    parquet.write_table(table, path)
    with pytest.raises(TableError, match="row 2, column 'label'"):
        rows_of(path)


@pytest.mark.parametrize(
    "values", [[["a", "b"], ["c"]], [{"a": 1}, {"a": 2}]], ids=["lists", "records"]
)
def test_lists_and_records_are_no_labels(tmp_path, values):
    path = tmp_path / "t.parquet"
    parquet.write_table(pyarrow.table({"tile": ["a", "b"], "label": values}), path)
    with pytest.raises(TableError, match="'label' holds lists or records"):
        rows_of(path)


def test_a_csv_is_written_with_plain_line_ends_and_quotes_where_needed(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(path, ("tile", "share"), [("a, b.png", 0.5), ("wald/größe.png", 1)], overwrite=False)
    assert path.read_bytes().decode() == 'tile,share\n"a, b.png",0.5\nwald/größe.png,1\n'


@pytest.mark.medium
@unhurried
@given(st.lists(st.tuples(fields, fields)))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    rows = [row for row in rows if any(row)]  # those without any value are skipped
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
    rows = [row for row in rows if any(row)]  # those without any value are skipped
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
    assert columns_of(tmp_path / "t.csv", ("tile",)) == ("tile", text)
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
