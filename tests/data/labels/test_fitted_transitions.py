"""Tables of wrong labels for tiles that have other classes."""

from __future__ import annotations

import pytest

from rsretrieve.data.labels.fitted_transitions import fitted_transitions
from rsretrieve.data.labels.label_noise import corrupt_by_table, read_transitions
from tests.support.tiles.made_tiles import labelled_tiles

TABLE = {
    "forest": {"meadow": 0.2, "river": 0.8},
    "meadow": {"forest": 0.5, "river": 0.3, "farm": 0.2},
    "river": {"sea": 1.0},
    "farm": {"meadow": 1.0},
}


def test_a_table_of_the_same_classes_stays_as_it_is():
    fitted, notices = fitted_transitions(TABLE, ["forest", "meadow", "river", "farm", "sea"])
    assert fitted == TABLE
    assert notices == ()


def test_the_shares_that_are_left_sum_to_one_and_this_is_said():
    fitted, notices = fitted_transitions(TABLE, ["forest", "meadow", "river"])
    assert fitted["meadow"] == pytest.approx({"forest": 0.5 / 0.8, "river": 0.3 / 0.8})
    assert fitted["forest"] == TABLE["forest"]
    assert set(fitted) == {"forest", "meadow", "river"}
    assert "'meadow'" in notices[0]
    assert "scaled" in notices[0]


def test_a_class_without_any_wrong_class_left_is_drawn_evenly_and_this_is_said():
    fitted, notices = fitted_transitions(TABLE, ["forest", "meadow", "river"])
    assert fitted["river"] == {"forest": 0.5, "meadow": 0.5}
    assert any("evenly" in text and "'river'" in text for text in notices)


def test_another_spelling_is_the_same_class():
    fitted, _ = fitted_transitions({"BareLand": {"Sea": 1.0}}, ["bare_land", "sea"])
    assert fitted == {"bare_land": {"sea": 1.0}}


@pytest.mark.parametrize("names", [("sea", "Sea", "SEA"), ("SEA", "Sea", "sea"), ("Sea", "SEA")])
def test_of_rows_in_several_spellings_one_counts_and_the_others_are_said(names):
    table = {name: {other: 1.0} for name, other in zip(names, ("field", "road", "farm"))}
    fitted, notices = fitted_transitions(table, ["sea", "field", "road", "farm"])
    counted = "sea" if "sea" in names else names[0]
    assert fitted == {"sea": table[counted]}
    assert "spellings" in notices[0]
    assert all(repr(name) in notices[0] for name in names if name != counted)
    assert repr(counted) not in notices[0]


def test_a_class_without_a_row_gets_none():
    fitted, _ = fitted_transitions(TABLE, ["forest", "meadow", "desert"])
    assert "desert" not in fitted


def test_a_published_table_works_for_some_of_its_classes():
    tiles = labelled_tiles(Airport=50, BareLand=50, Parking=50)
    fitted, _ = fitted_transitions(read_transitions("aid"), tiles.class_names)
    labels = corrupt_by_table(tiles, 0.5, fitted, 0)
    assert {*labels.values()} == {*tiles.class_names}
