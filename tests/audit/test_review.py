"""Decisions: read, applied to tiles, logged; and those that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.review import (
    Change,
    Decision,
    Rule,
    apply_decisions,
    labels_of,
    read_decisions,
    suggested_changes,
    write_changes,
)
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError, TableError
from tests.support.audits import audit_of, finding

TILES = TileSet("tiles", tuple(Tile(name, name, "road") for name in ("b", "a", "c", "d", "e")))
SOURCE = Path("decisions.csv")


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_decisions_are_read_as_the_page_saves_them(tmp_path: Path) -> None:
    path = written(
        tmp_path / "d.csv",
        "tile,label,decision,given_label,suggested_label,kind,by,at",
        'b,"a, b",accept,road,"a, b",wrong_label,Ada,2026-01-02T03:04:05Z',
        "a,,remove,road,water,off_topic,,",
        "c,road,skip,road,water,ambiguous,,",
    )
    assert read_decisions(path) == [
        Decision("b", "a, b", Rule.ACCEPT, "Ada", "2026-01-02T03:04:05Z", "road"),
        Decision("a", None, Rule.REMOVE, given_label="road"),
        Decision("c", "road", Rule.SKIP, given_label="road"),
    ]


def test_any_labels_file_is_a_file_of_decisions(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "tile,label", "a,water")
    assert read_decisions(path) == [Decision("a", "water", Rule.PERSON)]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["tile,label"], "no decisions"),
        (["tile,label", "a,x", "a,y"], "line 3 .*second decision.* 'a'"),
        (["tile,label,decision", "a,x,perhaps"], "line 2: .*'perhaps'"),
    ],
)
def test_files_that_decide_nothing_are_refused(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(LabelsError, match=said):
        read_decisions(written(tmp_path / "d.csv", *lines))


def test_a_file_without_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no column 'label'"):
        read_decisions(written(tmp_path / "d.csv", "tile", "a"))


def test_decisions_change_what_they_say_and_nothing_else() -> None:
    decided = apply_decisions(
        TILES,
        [
            Decision("a", "water", Rule.ACCEPT, "Ada", "now"),
            Decision("b", "road", Rule.REJECT),
            Decision("c", None, Rule.REMOVE),
            Decision("d", "road", Rule.SKIP),
        ],
        SOURCE,
    )
    expected = {"a": "water", "b": "road", "c": None, "d": "road", "e": "road"}
    assert list(labels_of(decided.tiles).items()) == list(expected.items())
    assert decided.changes == (
        Change("b", "road", "road", Rule.REJECT, "", ""),
        Change("a", "road", "water", Rule.ACCEPT, "Ada", "now"),
        Change("c", "road", None, Rule.REMOVE, "", ""),
    )
    assert [change.changes_label for change in decided.changes] == [False, True, True]
    assert decided.confirmed == {"a", "b", "c"}
    assert decided.tiles.notices == ()


def test_decisions_that_do_not_fit_give_notices() -> None:
    decisions = [
        Decision("a", "water", Rule.ACCEPT, given_label="sand"),
        Decision("gone", "water", Rule.ACCEPT),
    ]
    decided = apply_decisions(TILES, decisions, SOURCE)
    absent, stale = decided.tiles.notices
    assert absent.startswith("1 decisions of decisions.csv")
    assert "not found" in absent
    assert stale.startswith("1 tiles have other labels now")
    assert "('a')" in stale


def test_decisions_on_other_tiles_are_refused() -> None:
    with pytest.raises(LabelsError, match=r"decides on none of the 5 tiles of tiles \(it names"):
        apply_decisions(TILES, [Decision("gone", "x", Rule.ACCEPT)], SOURCE)


def test_the_log_says_who_changed_what_by_which_rule(tmp_path: Path) -> None:
    changes = [Change("a", "road", None, Rule.REMOVE, "Ada", "now")]
    write_changes(tmp_path / "log.csv", changes, overwrite=False)
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == (
        "tile,given_label,label,rule,by,at\na,road,,remove,Ada,now\n"
    )


def test_suggestions_are_logged_where_they_are_taken() -> None:
    taken, doubtful, rare = (
        finding(tile, "water", issue=True, score=0.1, kind=kind)
        for tile, kind in zip(
            TILES, (IssueType.WRONG_LABEL, IssueType.AMBIGUOUS, IssueType.RARE_CLASS)
        )
    )
    audit = audit_of(taken | {"has_confident_suggestion": True}, doubtful, rare)
    assert suggested_changes(audit) == (
        Change(TILES[0].id, "road", "water", Rule.SUGGESTION, "rsretrieve", ""),
    )
    fixed = audit.fixed_labels()
    assert [fixed[TILES[i].id] for i in range(3)] == ["water", "road", TILES[2].label]
