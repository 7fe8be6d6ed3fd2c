"""A saved audit with the tiles of an index."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.browse.review.saved_audit import SavedAudit
from rsretrieve.errors import TableError
from tests.browse.conftest import COUNT, audit_text


def test_figures_are_those_of_the_rows_that_the_index_has(review):
    saved = review.saved
    audit = saved.audit
    assert (len(audit.table), len(audit.issues), len(audit.to_review)) == (COUNT - 1, 9, 11)
    wrong = [0.99 - n / 100 if n < 10 else 0.05 for n in range(1, COUNT)]
    assert audit.wrong_left.expected == pytest.approx(sum(wrong))
    by_class = {entry.label: entry for entry in audit.per_class}
    expected = [p for n, p in enumerate(wrong, 1) if n % 3 == 1]
    assert by_class["class 1"].noise_rate == pytest.approx(np.mean(expected))
    assert by_class["class 1"].tiles == len(expected)
    assert by_class["class 1"].interval[0] <= np.mean(expected) <= by_class["class 1"].interval[1]
    assert "1 tiles that the index does not have (1 of them" in saved.notices[0]


def test_only_tiles_to_review_and_their_near_duplicates_are_loaded(review):
    audit = review.saved.audit
    assert {tile.id for tile in audit.tiles} == {f"tile {n:02}.png" for n in range(1, 13)}
    assert {tile.id: tile.label for tile in audit.tiles}["tile 05.png"] == "class 2"
    assert set(audit.places) == {tile.id for tile in audit.tiles}


def test_the_nearest_trusted_tiles_are_those_of_a_plain_search(review, view):
    vectors = np.asarray(view.store.vectors, np.float64)
    wanted = [n for n in range(12, COUNT) if n % 3 == 2]
    expected = sorted(wanted, key=lambda n: -(vectors[n] @ vectors[4]))[:3]
    found, none = review.saved.nearest([4, 5], ["class 2", "no such label"])
    assert list(found) == expected
    assert none == ()


def test_an_audit_that_flags_nothing_tells_no_number(tmp_path, view):
    path = tmp_path / "audit.csv"
    path.write_text(audit_text().replace("True", "False"))
    audit = SavedAudit.read(path, view.store, view.row_of).audit
    assert audit.wrong_left.expected is None
    assert {entry.noise_rate for entry in audit.per_class} == {None}


def test_the_audit_of_other_tiles_is_refused(tmp_path, view):
    path = tmp_path / "audit.csv"
    path.write_text(audit_text().replace("tile ", "other "))
    with pytest.raises(TableError, match="no tile that the index has"):
        SavedAudit.read(path, view.store, view.row_of)
