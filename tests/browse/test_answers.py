"""The file of answers: it goes on, and replaces nothing else."""

from __future__ import annotations

import pytest

from rsretrieve.browse.answers import AnswersFile
from rsretrieve.errors import OutputExists

TILES = {"a": 0, "b, c": 1}


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
