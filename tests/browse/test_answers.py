"""The file of answers: it goes on, and replaces nothing else."""

from __future__ import annotations

import os

import pytest
from pyarrow import parquet, table

from rsretrieve._core.locks import only_writer
from rsretrieve._core.tables import read_table
from rsretrieve.browse.answers import AnswersFile
from rsretrieve.errors import OutputBusy, OutputExists
from rsretrieve.search.finding.given_answers import read_answers

TILES = {"a": 0, "b, c": 1}
RISKY = ['=HYPERLINK("http://x","y").tif', " lead.tif", "'=b.tif", "@a", "-1+2", "a\nb", "a;=1"]


def test_a_file_goes_on(tmp_path):
    path = tmp_path / "answers.csv"
    AnswersFile(path, "answer", TILES).change({"a": "yes", "b, c": "no"})
    again = AnswersFile(path, "answer", TILES)
    assert again.values == {"a": "yes", "b, c": "no"}
    again.change({"a": ""})
    assert path.read_text() == 'tile,answer\n"b, c",no\n'


@pytest.mark.parametrize(
    "text",
    [
        "tile,label\na,road\n",
        "tile,answer\nother,yes\n",
        "tile,answer\na,perhaps\n",
        "tile,answer\na,yes\na,no\n",
        "tile,answer,,\na,yes,1,2\n",
        "",
        "\x00\x01",
    ],
)
def test_another_file_is_refused_and_stays(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(OutputExists, match=r"mine\.csv"):
        AnswersFile(path, "answer", TILES)
    assert path.read_text() == text


@pytest.mark.parametrize("tile", RISKY)
def test_ids_are_no_formulas_and_are_read_again(tmp_path, tile):
    path = tmp_path / "answers.csv"
    AnswersFile(path, "answer", {tile: 0}).change({tile: "yes"})
    assert AnswersFile(path, "answer", {tile: 0}).values == {tile: "yes"}
    assert not path.read_text().splitlines()[1].lstrip('" ').startswith(("=", "@", "-"))
    assert [*read_answers(path, {tile}).answers] == [tile]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("tile;answer;remark (who, when, why)", "a;yes;Ann, May, clouds"),
        ('tile,answer,"remark (haze; cloud; snow)"', 'a,yes,"a; b; c"'),
    ],
)
def test_other_columns_are_kept_whatever_separates_them(tmp_path, header, row):
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}\n{row}\n")
    before = [found for _, found in read_table(path, ("tile", "answer"))]
    file = AnswersFile(path, "answer", TILES)
    file.change({"b, c": "no"})
    after = [found for _, found in read_table(path, ("tile", "answer"))]
    assert after[0] == before[0]
    assert len(before[0]) == 3
    assert [row["answer"] for row in after] == ["yes", "no"]


def test_the_header_stays_as_it_is_written(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("Tile, Answer ,Notes,My Column\na,yes,Hello,=x\n")
    AnswersFile(path, "answer", TILES).change({"b, c": "no"})
    assert path.read_text().splitlines() == [
        *("Tile,Answer,Notes,My Column", "a,yes,Hello,'=x", '"b, c",no,,'),
    ]
    AnswersFile(path, "answer", TILES).change({"a": "no"})
    assert path.read_text().startswith("Tile,Answer,Notes,My Column\na,no,Hello")


def test_other_columns_and_rows_without_an_answer_are_kept(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text('note,tile,answer\nlook again,a,yes\n=1+1,"b, c",\n')
    file = AnswersFile(path, "answer", TILES)
    assert file.values == {"a": "yes"}
    file.change({"b, c": "no"})
    file.change({"a": ""})
    file.change({"a": "no"})
    assert path.read_text() == 'note,tile,answer\n\'=1+1,"b, c",no\nlook again,a,no\n'


@pytest.mark.parametrize("name", ["a.parquet", "a.PQ", "a.csv"])
def test_parquet_is_refused_and_stays(tmp_path, name):
    path = tmp_path / name
    parquet.write_table(table({"tile": ["a"], "answer": ["yes"]}), path)
    content = path.read_bytes()
    with pytest.raises(OutputExists, match="Parquet"):
        AnswersFile(path, "answer", TILES)
    assert path.read_bytes() == content


def test_a_new_file_is_not_named_as_parquet(tmp_path):
    with pytest.raises(OutputExists, match="Parquet"):
        AnswersFile(tmp_path / "a.parquet", "answer", TILES)


def test_what_another_program_wrote_is_not_replaced(tmp_path):
    path = tmp_path / "answers.csv"
    one, other = (AnswersFile(path, "answer", TILES) for _ in range(2))
    one.change({"a": "yes"})
    with pytest.raises(OutputExists, match="another program"):
        other.change({"a": "no"})
    one.change({"b, c": "no"})
    os.utime(path, ns=(1, 1))
    with pytest.raises(OutputExists, match="another program"):
        one.change({"a": "no"})
    assert one.values == AnswersFile(path, "answer", TILES).values == {"a": "yes", "b, c": "no"}


def test_a_file_that_another_process_writes_is_busy(tmp_path):
    path = tmp_path / "answers.csv"
    file = AnswersFile(path, "answer", TILES)
    with only_writer(path), pytest.raises(OutputBusy):
        file.change({"a": "yes"})
    assert file.values == {}
