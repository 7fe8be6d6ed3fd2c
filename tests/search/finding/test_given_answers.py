"""Files of answers."""

from __future__ import annotations

import pytest

from rsretrieve.errors import LabelsError, TableError
from rsretrieve.search.finding.find_session import Answer
from rsretrieve.search.finding.given_answers import read_answers

IDS = {"a.tif", "b.tif", "c.tif", "d.tif"}


def read(path, text):
    path.write_text(text)
    return read_answers(path, IDS)


def test_words_are_understood_and_empty_cells_skipped(tmp_path):
    found = read(tmp_path / "a.csv", "tile,answer\na.tif,Yes\nb.tif,0\nc.tif,?\nd.tif,\n")
    assert found.answers == {"a.tif": Answer.YES, "b.tif": Answer.NO, "c.tif": Answer.UNSURE}
    assert found.notices == ()


def test_spreadsheets_write_semicolons_and_backslashes(tmp_path):
    found = read(tmp_path / "a.csv", "answer;tile\nno;.\\a.tif\n")
    assert found.answers == {"a.tif": Answer.NO}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tile,answer\na.tif,perhaps\n", "perhaps"),
        ("tile,answer\na.tif,yes\na.tif,no\n", "second"),
        ("tile,answer\nx.tif,yes\n", "none of the tiles"),
    ],
)
def test_answers_that_cannot_be_used_are_refused(text, words, tmp_path):
    with pytest.raises(LabelsError, match=words):
        read(tmp_path / "a.csv", text)


def test_a_file_without_the_columns_is_refused(tmp_path):
    with pytest.raises(TableError, match="answer"):
        read(tmp_path / "a.csv", "tile,label\na.tif,yes\n")


def test_tiles_of_no_index_are_noticed_once(tmp_path):
    found = read(tmp_path / "a.csv", "tile,answer\na.tif,y\nx.tif,n\nz.tif,n\n")
    assert found.answers == {"a.tif": Answer.YES}
    [notice] = found.notices
    assert "2 tiles" in notice


def test_a_file_without_answers_is_noticed(tmp_path):
    found = read(tmp_path / "a.csv", "tile,answer\na.tif,\n")
    assert found.answers == {}
    assert "no answer" in found.notices[0]
