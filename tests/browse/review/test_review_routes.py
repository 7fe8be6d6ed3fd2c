"""The requests of the review."""

from __future__ import annotations

import pytest

from rsretrieve.browse.app import Extras, make_app
from tests.browse.conftest import TOKEN
from tests.browse.requests import asked, posted


@pytest.fixture
def app(view, kept, review):
    return make_app(view, kept, TOKEN, extras=Extras(review))


def test_the_page_its_script_and_its_style_are_served(app):
    page = asked(app, f"/{TOKEN}/review")
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    assert b"Labels to check in index" in page.body
    script = asked(app, f"/{TOKEN}/review.js")
    assert b"startServed" in script.body
    assert script.headers["content-type"].startswith("text/javascript")
    assert b".waits" in asked(app, f"/{TOKEN}/review.css").body
    assert asked(app, f"/{TOKEN}/facts").json["to_review"] == 11


def test_decisions_and_comparisons_are_answered(app, review):
    found = posted(app, f"/{TOKEN}/compared", {"positions": [0]}).json["found"]
    assert len(found[0]["own"]) == 3
    given = {"cards": {"0": ["reject", "class 1", "", ""]}}
    assert posted(app, f"/{TOKEN}/decided", given).json == {"refused": []}
    assert "tile 01.png,class 1,reject" in review.decided.path.read_text()
    refused = posted(app, f"/{TOKEN}/decided", {"cards": {"0": ["accept", "x", "", ""]}})
    assert refused.json == {"refused": ["tile 01.png"]}
    assert posted(app, f"/{TOKEN}/decided", {"cards": {"99": None}}).status == 400


def test_without_an_audit_there_is_no_review(view, kept):
    app = make_app(view, kept, TOKEN)
    assert asked(app, f"/{TOKEN}/review").status == 404
    assert posted(app, f"/{TOKEN}/decided", {}).status == 404
    assert asked(app, f"/{TOKEN}/facts").json["to_review"] == 0


def test_a_whole_file_has_no_surroundings(app):
    assert asked(app, f"/{TOKEN}/around/1").status == 404
    assert asked(app, f"/{TOKEN}/around/99").status == 404
