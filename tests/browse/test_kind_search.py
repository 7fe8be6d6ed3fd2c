"""The search for all tiles of a kind, on the page and in the file of `rsretrieve find`."""

from __future__ import annotations

import json

import pytest

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
