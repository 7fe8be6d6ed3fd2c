"""Decisions: read, applied to tiles, logged; and those that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.audit.decisions.saved_decisions import (
    Decision,
    DecisionsFile,
    LabelsOrigin,
    read_decisions,
)
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.review import (
    Change,
    ReviewedTiles,
    apply_decisions,
    labels_of,
    suggested_changes,
    write_changes,
)
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError, TableError
from tests.support.pages.audits import audit_of, finding

TILES = TileSet("tiles", tuple(Tile(name, name, "road") for name in ("b", "a", "c", "d", "e")))
SOURCE = Path("decisions.csv")


def applied(
    decisions: list[Decision],
    tiles: TileSet = TILES,
    origin: LabelsOrigin | None = None,
    *,
    is_from_page: bool = False,
) -> ReviewedTiles:
    decided = DecisionsFile(SOURCE, tuple(decisions), origin, is_from_page)
    return apply_decisions(tiles, decided, lambda labels: f"COMMAND --labels {labels}")


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
    assert [*read_decisions(path).decisions] == [
        Decision("b", "a, b", Rule.ACCEPT, "Ada", "2026-01-02T03:04:05Z", "road"),
        Decision("a", None, Rule.REMOVE, given_label="road"),
        Decision("c", "road", Rule.SKIP, given_label="road"),
    ]


def test_any_labels_file_is_a_file_of_decisions(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "tile,label", "a,water")
    assert [*read_decisions(path).decisions] == [Decision("a", "water", Rule.PERSON)]


def test_texts_that_count_as_no_label_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "labels.csv", "tile,label", "a,nan", "b,None", "c,water")
    tiles = TileSet(str(tmp_path), tuple(Tile(name, f"/{name}", "water") for name in "abc"))
    decided = apply_decisions(tiles, read_decisions(path), str)
    assert [tile.label for tile in decided.tiles] == ["water", "water", "water"]
    assert any("2 labels are" in notice for notice in decided.tiles.notices)


@pytest.mark.parametrize("row", ["a,,", "a,  ,", "a,nan,", "a,None,", "a,,person", "a,<NA>,"])
def test_an_empty_cell_removes_no_label(tmp_path: Path, row: str) -> None:
    path = written(tmp_path / "d.csv", "tile,label,decision", row, "b,road,", "c,,remove")
    reviewed = apply_decisions(TILES, read_decisions(path), str)
    assert labels_of(reviewed.tiles)["a"] == "road"
    assert {tile.id for tile in reviewed.tiles if tile.confirmed is not None} == {"b", "c"}
    assert any("1 rows of" in notice for notice in reviewed.tiles.notices)


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
    decided = applied(
        [
            Decision("a", "water", Rule.ACCEPT, "Ada", "now"),
            Decision("b", "road", Rule.REJECT),
            Decision("c", None, Rule.REMOVE),
            Decision("d", "road", Rule.SKIP),
        ],
    )
    expected = {"a": "water", "b": "road", "c": None, "d": "road", "e": "road"}
    assert list(labels_of(decided.tiles).items()) == list(expected.items())
    assert decided.changes == (
        Change("b", "road", "road", Rule.REJECT, "", ""),
        Change("a", "road", "water", Rule.ACCEPT, "Ada", "now"),
        Change("c", "road", None, Rule.REMOVE, "", ""),
    )
    assert [change.changes_label for change in decided.changes] == [False, True, True]
    confirmed = {tile.id: tile.confirmed for tile in decided.tiles if tile.confirmed}
    assert confirmed == {
        "a": ConfirmedLabel(Rule.ACCEPT, "road"),
        "b": ConfirmedLabel(Rule.REJECT, "road"),
        "c": ConfirmedLabel(Rule.REMOVE, "road"),
    }
    assert decided.tiles.notices == ()


def test_decisions_that_do_not_fit_give_notices() -> None:
    decisions = [
        Decision("a", "water", Rule.ACCEPT, given_label="sand"),
        Decision("gone", "water", Rule.ACCEPT),
    ]
    decided = applied(decisions, TileSet("tiles", (*TILES, Tile("f", "f", "sand"))))
    absent, stale = decided.tiles.notices
    assert absent.startswith("1 decisions of decisions.csv")
    assert "not found" in absent
    assert stale.startswith("1 tiles have other labels now")
    assert "('a')" in stale


def test_decisions_on_other_tiles_are_refused() -> None:
    with pytest.raises(LabelsError, match=r"no decision on any of the 5 tiles of tiles \(it names"):
        applied([Decision("gone", "x", Rule.ACCEPT)])


def test_decisions_in_classes_that_no_tile_has_are_refused_with_both_lists() -> None:
    decisions = [Decision("a", "Road", Rule.CHOOSE), Decision("b", "Water", Rule.CHOOSE)]
    with pytest.raises(LabelsError, match=r"has 'Road', 'Water'; the tiles have 'road'"):
        applied(decisions)


@pytest.mark.parametrize("label", ["Road", "road 1", "r\u014dad"])
def test_a_new_class_is_noticed(label: str) -> None:
    decided = applied([Decision("a", label, Rule.CHOOSE, given_label="road")])
    assert repr(label) in decided.tiles.notices[0]
    assert (len(decided.tiles.notices) == 2) is (label == "Road")
    assert decided.tiles.class_names == tuple(sorted([label, "road"]))


def test_a_tile_is_known_however_its_id_is_written() -> None:
    tiles = TileSet("tiles", (Tile("caf\u00e9/1", "a", "road"), Tile("b", "b", "road")))
    decided = applied([Decision("./cafe\u0301/1 ", None, Rule.REMOVE)], tiles)
    assert labels_of(decided.tiles) == {"b": "road", "caf\u00e9/1": None}
    assert [tile.confirmed is not None for tile in decided.tiles] == [True, False]


HEADER = "tile,label,decision,given_label,suggested_label"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,water,reject,road,water", "keeps the given label 'road'"),
        ("a,water,remove,road,water", "removes the label"),
        ("a,road,accept,road,water", "accepts the suggestion 'water'"),
        ("a,,accept,road,water", "needs a label"),
        ("a,,reject,road,water", "needs a label"),
        ("a,,choose,road,water", "needs a label"),
        ("a,water,skip,road,water", "is skipped"),
        ("a,forest,ACCEPT ,road,water", "accepts the suggestion 'water'"),
    ],
)
def test_cells_that_contradict_one_another_are_refused_by_line(
    tmp_path: Path, row: str, said: str
) -> None:
    path = written(tmp_path / "d.csv", HEADER, "b,water,accept,road,water", "", row)
    with pytest.raises(LabelsError, match=f"line 4: the decision on tile 'a' .*{said}"):
        read_decisions(path)


@pytest.mark.parametrize(
    "row",
    [
        "a,water ,accept,road,water",
        "a,caf\u00e9,reject,cafe\u0301,water",
        "a,,skip,road,water",
        "a,road,choose,road,water",
        "a,,remove,road,water",
        "a,water,,road,forest",
    ],
)
def test_cells_that_agree_are_taken(tmp_path: Path, row: str) -> None:
    assert len(read_decisions(written(tmp_path / "d.csv", HEADER, row)).decisions) == 1


def test_a_kept_label_tells_which_label_the_reviewer_saw(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "tile,label,decision", "a,sand,reject")
    assert read_decisions(path).decisions[0].given_label == "sand"


@pytest.fixture
def noisy(tmp_path: Path) -> TileSet:
    """The tiles with the labels of a file."""
    labels = written(tmp_path / "my labels.csv", "tile,label", *(f"{t.id},road" for t in TILES))
    return override_labels(TILES, labels)


def test_decisions_on_the_labels_of_a_file_are_applied_to_them_alone(noisy: TileSet) -> None:
    decisions, origin = [Decision("a", "road", Rule.REJECT)], LabelsOrigin.of(noisy)
    assert applied(decisions, noisy, origin).tiles.notices == noisy.notices
    with pytest.raises(LabelsError, match="--labels is missing") as caught:
        applied(decisions, TILES, origin)
    assert caught.value.hint == f"type: COMMAND --labels {origin.file}"


def test_a_copy_of_the_labels_file_is_as_good(noisy: TileSet, tmp_path: Path) -> None:
    origin = LabelsOrigin.of(noisy)
    assert noisy.labels_file is not None
    copy = noisy.labels_file.rename(tmp_path / "moved.csv")
    moved = override_labels(TILES, copy)
    decided = applied([Decision("a", "road", Rule.REJECT)], moved, origin)
    assert [tile.id for tile in decided.tiles if tile.confirmed is not None] == ["a"]


@pytest.mark.parametrize("name", ["my labels.csv", "other.csv"])
def test_changed_and_other_labels_files_are_refused(
    noisy: TileSet, tmp_path: Path, name: str
) -> None:
    origin = LabelsOrigin.of(noisy)
    now = override_labels(TILES, written(tmp_path / name, "tile,label", "a,road", "b,road"))
    said = "has changed since" if name == "my labels.csv" else r"are now those of .*other\.csv"
    with pytest.raises(LabelsError, match=said):
        applied([Decision("a", "road", Rule.REJECT)], now, origin)


def test_a_page_s_decisions_without_their_origin_are_noticed(noisy: TileSet) -> None:
    decisions = [Decision("a", "road", Rule.REJECT)]
    [notice] = applied(decisions, is_from_page=True).tiles.notices
    assert "does not say which labels" in notice
    assert "my labels.csv" in applied(decisions, noisy, is_from_page=True).tiles.notices[-1]
    assert applied(decisions).tiles.notices == ()


def test_decisions_on_the_names_of_folders_are_noticed_where_a_file_gives_labels(
    noisy: TileSet,
) -> None:
    decisions, origin = [Decision("a", "road", Rule.REJECT)], LabelsOrigin()
    assert applied(decisions, TILES, origin, is_from_page=True).tiles.notices == ()
    assert "names of folders" in applied(decisions, noisy, origin).tiles.notices[-1]


def test_the_origin_is_read_with_the_decisions(tmp_path: Path) -> None:
    header = "tile,label,labels_file,labels_digest"
    path = written(tmp_path / "d.csv", header, "a,x,/l.csv,AB", "b,x,,", "c,x,/l.csv,ab")
    assert read_decisions(path).origin == LabelsOrigin("/l.csv", "ab")
    assert read_decisions(written(tmp_path / "f.csv", header, "a,x,,")).origin == LabelsOrigin()
    path = written(tmp_path / "e.csv", header, "a,x,/l.csv,ab", "b,x,/l.csv,cd")
    with pytest.raises(LabelsError, match=r"line 3 .*other labels"):
        read_decisions(path)


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
