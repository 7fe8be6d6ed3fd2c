"""The search for all tiles of a kind, on the page and in the file of `rsretrieve find`."""

from __future__ import annotations

import json

import pytest

import rsretrieve
from rsretrieve._core.locks import only_writer
from rsretrieve.browse.app import make_app
from rsretrieve.browse.kind_search import PROPOSED, KindSearchFile
from rsretrieve.errors import InputError, ModelMismatch
from rsretrieve.search.finding.find_session import read_session
from tests.browse.conftest import TOKEN
from tests.browse.requests import asked, posted


@pytest.fixture
def app(view, kept):
    return make_app(view, kept, TOKEN)


def test_answers_lead_from_an_example_to_an_estimate(app, kept, view):
    state = posted(app, f"/{TOKEN}/find", {"likes": [3], "unlikes": [4]}).json
    for _ in range(2):
        assert len(state["proposals"]) == PROPOSED
        rows = [one["row"] for one in state["proposals"]]
        assert not {3, 4} & set(rows)
        answers = {str(row): "yes" if row % 3 == 0 else "no" for row in rows}
        state = posted(app, f"/{TOKEN}/find-answers", answers).json
    value, low, high = state["count"]
    assert low <= value <= high
    assert state["answers"] == 2 * PROPOSED
    session = read_session(kept.kind.path)
    assert len(session.answers) == 2 * PROPOSED
    assert [example.tile for example in session.examples] == ["tile 03.png", "tile 04.png"]
    found = asked(app, f"/{TOKEN}/found").json
    assert {one["row"] for one in found if one["confirmed"]} >= {3}
    assert len(found) == state["found"]


def test_a_session_that_is_there_goes_on(app, kept, view):
    first = posted(app, f"/{TOKEN}/find", {"likes": [3]}).json
    again = KindSearchFile(view.store, kept.kind.path)
    assert again.goes_on
    rows = [one["row"] for one in again.begin([], [])["proposals"]]
    assert rows == [one["row"] for one in first["proposals"]]


def test_going_on_with_another_search_is_said(app):
    first = posted(app, f"/{TOKEN}/find", {"likes": [3]}).json
    again = posted(app, f"/{TOKEN}/find", {"likes": [3], "unlikes": [4]}).json
    assert first["notices"] == again["notices"] == []
    [notice] = posted(app, f"/{TOKEN}/find", {"likes": [5]}).json["notices"]
    assert "2 other examples" in notice
    assert "--session" in notice


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("find", {}),
        ("find", {"likes": [99]}),
        ("find-answers", {"3": "yes"}),
        ("find-answers", {"3": "perhaps"}),
        ("find-answers", {"x": "yes"}),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(app, kept, path, content):
    answer = posted(app, f"/{TOKEN}/{path}", content)
    assert answer.status == 400
    assert answer.json["error"]
    assert not kept.kind.path.exists()


def test_an_answer_that_is_none_changes_nothing(app, kept):
    posted(app, f"/{TOKEN}/find", {"likes": [3]})
    before = kept.kind.path.read_bytes()
    assert posted(app, f"/{TOKEN}/find-answers", {"5": "perhaps"}).status == 400
    assert kept.kind.path.read_bytes() == before


def test_what_find_adds_meanwhile_is_kept(app, kept, view):
    posted(app, f"/{TOKEN}/find", {"likes": [3]})
    finder = rsretrieve.find(view.store.folder, session=kept.kind.path)
    finder.answer({"tile 06.png": True, "tile 07.png": False})
    state = posted(app, f"/{TOKEN}/find-answers", {"9": "no"})
    assert state.status == 200
    session = read_session(kept.kind.path)
    assert {*session.answers} == {"tile 06.png", "tile 07.png", "tile 09.png"}
    found = asked(app, f"/{TOKEN}/found").json
    assert 6 in {one["row"] for one in found if one["confirmed"]}
    finder.answer({"tile 08.png": False})
    posted(app, f"/{TOKEN}/find", {"likes": [12]})
    session = read_session(kept.kind.path)
    assert {*session.answers} >= {"tile 06.png", "tile 08.png", "tile 09.png"}
    assert [example.tile for example in session.examples] == ["tile 03.png", "tile 12.png"]


@pytest.mark.parametrize("begun", [True, False])
def test_the_session_of_another_search_is_not_overwritten(app, kept, view, begun):
    if begun:
        posted(app, f"/{TOKEN}/find", {"likes": [3]})
        kept.kind.path.unlink()
    rsretrieve.find(view.store.folder, "tile 04.png", session=kept.kind.path)
    content = kept.kind.path.read_bytes()
    for _ in range(2):
        refused = posted(app, f"/{TOKEN}/find", {"likes": [3]})
        assert (refused.status, "another program" in refused.json["error"]) == (400, True)
    assert kept.kind.path.read_bytes() == content


def test_a_session_that_find_writes_is_busy(app, kept):
    posted(app, f"/{TOKEN}/find", {"likes": [3]})
    with only_writer(kept.kind.path):
        refused = posted(app, f"/{TOKEN}/find-answers", {"9": "no"})
    assert (refused.status, "another rsretrieve" in refused.json["error"]) == (400, True)
    assert posted(app, f"/{TOKEN}/find-answers", {"9": "no"}).status == 200
    assert {*read_session(kept.kind.path).answers} == {"tile 09.png"}


def test_another_file_or_index_is_refused(app, kept, view, tmp_path):
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError):
        KindSearchFile(view.store, other)
    posted(app, f"/{TOKEN}/find", {"likes": [3]})
    content = json.loads(kept.kind.path.read_text())
    other.write_text(json.dumps(content | {"model_fingerprint": "another"}))
    with pytest.raises(ModelMismatch):
        KindSearchFile(view.store, other)
