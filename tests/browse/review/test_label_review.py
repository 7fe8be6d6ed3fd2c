"""What the page of the review shows, and what it keeps."""

from __future__ import annotations

import json
import re

import pytest

from rsretrieve.audit.decisions.saved_decisions import read_decisions
from rsretrieve.browse.review.decided_file import DecidedFile
from rsretrieve.browse.review.label_review import Review, script
from rsretrieve.errors import InvalidArgument


def data_of(page):
    [found] = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page)
    return json.loads(found)


def test_the_cards_are_the_tiles_to_review_the_worst_first(review):
    data = data_of(review.page())
    cards = data["cards"]
    assert [card["tile"] for card in cards[:3]] == ["tile 01.png", "tile 02.png", "tile 03.png"]
    assert len(cards) == review.count == 11
    first = cards[0]
    assert (first["given"], first["suggested"]) == ("class 1", "class 2")
    assert first["probabilities"][:2] == [0.02, 0.93]
    assert cards[1]["second"] == "class 1"
    row, use = divmod(first["picture"], len(data["pictureAddresses"]))
    assert data["pictureAddresses"][use].format(row=row) == "picture/1/384"
    by_kind = {card["kind"]: card for card in cards}
    assert "nearly the same content" in by_kind["duplicate"]["why"]
    assert data["compared"][by_kind["duplicate"]["twin"]][0] == "tile 12.png"


def test_nothing_is_said_that_the_file_does_not_say(review):
    page = review.page()
    data = data_of(page)
    assert data["left"]["interval"] is None
    assert "audit.csv" in data["left"]["about"]
    assert "9 of 29 labels flagged in audit.csv; 2 more tiles to review" in page
    assert "elsewhere" not in page


def test_the_page_holds_no_script_of_its_own(review):
    page = review.page()
    scripts = re.findall(r"<script([^>]*)>", page)
    assert scripts == [' id="data" type="application/json"', ' src="review.js"']
    assert "<style" not in page
    assert "startServed()" in script()
    assert script().rstrip().endswith("start();")


def test_decisions_are_kept_and_shown_again(review):
    card = ["choose", "new class", "Ada", "2026-01-01"]
    assert review.decide({"cards": {"1": card, "0": ["accept", "class 2", "", ""]}}) == []
    kept = read_decisions(review.decided.path)
    assert {d.tile_id: (d.label, d.given_label) for d in kept.decisions} == {
        "tile 01.png": ("class 2", "class 1"),
        "tile 02.png": ("new class", "class 2"),
    }
    again = Review(review.view, review.saved, DecidedFile(review.decided.path))
    assert data_of(again.page())["kept"] == [
        [0, "accept", "class 2", "", ""],
        [1, *card],
    ]
    again.decide({"cards": {"0": None}})
    assert len(read_decisions(review.decided.path).decisions) == 1


def test_decisions_on_other_tiles_are_kept_unless_they_contradict_themselves(review):
    others = {
        "far.png": ["road", "choose", "water", "", "", "Bob", ""],
        "bad.png": ["road", "remove", "", "", "", "", ""],
        "worse.png": 5,
    }
    assert review.decide({"others": others}) == ["bad.png", "worse.png"]
    assert [d.tile_id for d in read_decisions(review.decided.path).decisions] == ["far.png"]
    assert data_of(review.page())["earlier"][0][:3] == ["far.png", "road", "choose"]


@pytest.mark.parametrize(
    "given",
    [
        "accept",
        ["accept", "class 0", "", ""],
        ["accept", 3, "", ""],
        ["undecided", "class 1", "", ""],
        ["choose", "None", "", ""],
        ["choose", "x" * 5_000, "", ""],
    ],
)
def test_a_card_that_is_refused_is_named_and_the_others_are_kept(review, given):
    assert review.decide({"cards": {"0": given}}) == ["tile 01.png"]
    assert not review.decided.path.exists()
    other = ["reject", "class 2", "", ""]
    assert review.decide({"cards": {"0": given, "1": other}}) == ["tile 01.png"]
    kept = read_decisions(review.decided.path)
    assert [(d.tile_id, d.label) for d in kept.decisions] == [("tile 02.png", "class 2")]


def test_rows_that_nobody_decided_on_are_no_decisions_of_the_page(review):
    review.decided.path.write_text(
        "tile,label,decision,given_label\n"
        "tile 01.png,class 1,undecided,class 1\n"
        "tile 02.png,class 0,Suggestion,class 2\n"
        "tile 03.png,class 1,Accept,class 0\n"
        "far.png,road,undecided,road\n"
        "near.png,road,reject,road\n"
    )
    again = Review(review.view, review.saved, DecidedFile(review.decided.path))
    data = data_of(again.page())
    assert data["kept"] == [[2, "accept", "class 1", "", ""]]
    assert [row[0] for row in data["earlier"]] == ["near.png"]
    again.decide({"cards": {"3": ["skip", "class 1", "", ""]}})
    assert "tile 02.png,class 0,Suggestion" in review.decided.path.read_text()


@pytest.mark.parametrize(
    "content",
    [
        {"cards": []},
        {"cards": {"11": None}},
        {"cards": {"-1": None}},
        {"cards": {"x": None}},
        {"others": [1]},
    ],
)
def test_what_is_no_decision_writes_nothing(review, content):
    with pytest.raises(InvalidArgument):
        review.decide(content)
    assert not review.decided.path.exists()


def test_tiles_to_compare_with_are_found_for_some_cards(review):
    first, second = review.compared([0, 1])
    assert {label for _, label, _ in first["own"]} == {"class 1"}
    assert {label for _, label, _ in first["others"]} == {"class 2"}
    assert first["third"] == []
    assert {label for _, label, _ in second["third"]} == {"class 1"}
    assert len(first["own"]) == 3


@pytest.mark.parametrize("positions", [None, [11], [-1], [True], ["0"], [0] * 61])
def test_no_other_cards_are_compared(review, positions):
    with pytest.raises(InvalidArgument):
        review.compared(positions)
