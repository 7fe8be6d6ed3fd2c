"""`rsretrieve.find`: the loop in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rsretrieve
from rsretrieve.errors import InputError, InvalidArgument, OutputExists, OutputRefused
from tests.support.indexes.kinds import index_of_kinds


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index_of_kinds(tmp_path_factory.mktemp("kinds") / "index").folder


def truth(proposals):
    return {each.tile: each.tile.startswith("0/") for each in proposals}


def test_the_loop_finds_the_kind(kinds, tmp_path):
    finder = rsretrieve.find(kinds, "0/3.tif", "1/3.tif", session=tmp_path / "s.json")
    assert finder.estimate is None
    assert not finder.is_enough
    for _ in range(2):
        finder.answer(truth(finder.propose(10)))
    assert finder.estimate.count.low <= 60 <= finder.estimate.count.high
    assert len(finder.answers) == 20
    table = finder.to_dataframe()
    assert len(table) == len(finder)
    assert table["tile"].str.startswith("0/").mean() > 0.9
    assert list(table.columns) == [
        *("tile", "rank", "probability", "answer", "path", "label", "crs", "lon", "lat")
    ]
    assert len(finder.to_geodataframe()) == len(finder)
    again = rsretrieve.find(kinds, session=tmp_path / "s.json")
    assert again.answers == finder.answers
    assert again.estimate == finder.estimate
    assert repr(again) == repr(finder)


def test_every_file_is_written(kinds, tmp_path):
    finder = rsretrieve.find(kinds, ["0/3.tif"], session=tmp_path / "s.json", seed=2)
    finder.propose(3)
    for name in ("to_csv", "to_geojson", "to_geoparquet", "to_proposals", "to_sheet"):
        getattr(finder, name)(tmp_path / name)
        assert (tmp_path / name).stat().st_size
        with pytest.raises(OutputExists):
            getattr(finder, name)(tmp_path / name)
        getattr(finder, name)(tmp_path / name, overwrite=True)
    finder.to_labels(tmp_path / "l.csv", "pond")
    assert "0/3.tif,pond,choose" in (tmp_path / "l.csv").read_text()
    with pytest.raises(OutputRefused):
        finder.to_csv(kinds / "x.csv")


def test_answers_are_words_or_a_file(kinds, tmp_path):
    finder = rsretrieve.find(kinds, "0/3.tif", session=tmp_path / "s.json")
    finder.answer({"0/5.tif": "yes", "1/5.tif": "n", "2/5.tif": None})
    assert finder.answers == {"0/5.tif": True, "1/5.tif": False, "2/5.tif": None}
    (tmp_path / "a.csv").write_text("tile,answer\n0/6.tif,yes\nx.tif,no\n")
    with pytest.warns(rsretrieve.RsretrieveWarning, match="not in the index"):
        finder.answer(tmp_path / "a.csv")
    assert finder.answers["0/6.tif"] is True
    assert json.loads((tmp_path / "s.json").read_text())["answers"]["0/6.tif"] == "yes"


@pytest.mark.parametrize(
    ("answers", "words"),
    [({"0/5.tif": "perhaps"}, "yes"), ({"x.tif": True}, "index"), ({1: True}, "text"), (3, "path")],
)
def test_answers_of_another_kind_are_refused(kinds, tmp_path, answers, words):
    finder = rsretrieve.find(kinds, "0/3.tif", session=tmp_path / "s.json")
    with pytest.raises(InvalidArgument, match=words):
        finder.answer(answers)
    assert finder.answers == {}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"like": "0/3.tif", "min_probability": 2}, InvalidArgument),
        ({"like": "0/3.tif", "target_recall": "x"}, InvalidArgument),
        ({"like": 3}, InvalidArgument),
        ({"like": "0/3.tif", "seed": -1}, InvalidArgument),
        ({}, InputError),
        ({"like": "nowhere.tif"}, InputError),
    ],
)
def test_wrong_arguments_are_refused(kinds, tmp_path, arguments, error):
    with pytest.raises(error):
        rsretrieve.find(kinds, session=tmp_path / "s.json", **arguments)
    assert not (tmp_path / "s.json").exists()


def test_the_session_lies_in_no_index(kinds):
    with pytest.raises(OutputRefused):
        rsretrieve.find(kinds, "0/3.tif", session=kinds / "s.json")


def test_targets_decide_when_it_is_enough(kinds, tmp_path):
    finder = rsretrieve.find(kinds, "0/3.tif", session=tmp_path / "s.json")
    for _ in range(2):
        finder.answer(truth(finder.propose(10)))
    easy = {"target_precision": 0.1, "target_recall": 0.05, "min_probability": 0.3}
    assert rsretrieve.find(kinds, session=tmp_path / "s.json", **easy).is_enough


def test_two_searches_in_one_session_lose_no_answer(kinds, tmp_path):
    one = rsretrieve.find(kinds, "0/3.tif", session=tmp_path / "s.json")
    one.propose(3)
    other = rsretrieve.find(kinds, session=tmp_path / "s.json")
    other.answer({"0/5.tif": True})
    one.answer({"1/5.tif": False})
    other.propose(3)
    one.answer({"1/6.tif": False})
    again = rsretrieve.find(kinds, session=tmp_path / "s.json")
    assert again.answers == {"0/5.tif": True, "1/5.tif": False, "1/6.tif": False}
    assert one.answers == again.answers


def test_a_session_that_was_replaced_or_removed_is_not_written(kinds, tmp_path):
    session = tmp_path / "s.json"
    finder = rsretrieve.find(kinds, "0/3.tif", session=session)
    session.unlink()
    with pytest.raises(OutputExists, match="another program"):
        finder.propose(3)
    assert not session.exists()
    rsretrieve.find(kinds, "1/3.tif", session=session).answer({"1/5.tif": True})
    content = session.read_bytes()
    for change in (lambda: finder.propose(3), lambda: finder.answer({"0/5.tif": True})):
        with pytest.raises(OutputExists, match="another program"):
            change()
    assert session.read_bytes() == content


def test_a_path_is_an_example(kinds, tmp_path):
    np.save(tmp_path / "v.npy", np.load(kinds / "embeddings.npy")[3])
    finder = rsretrieve.find(kinds, tmp_path / "v.npy", session=tmp_path / "s.json")
    assert finder.propose(5)[0].tile.startswith("0/")
