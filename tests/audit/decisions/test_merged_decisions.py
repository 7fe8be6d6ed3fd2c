"""Two reviewers: what they agree on is decided, what they differ on is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.audit.decisions.merged_decisions import read_merged_decisions
from rsretrieve.audit.decisions.saved_decisions import LabelsOrigin
from rsretrieve.audit.review import apply_decisions, labels_of
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError

HEADER = "tile,label,decision,given_label,by,labels_file,labels_digest"
TILES = TileSet("tiles", tuple(Tile(name, name, "road") for name in "abcdef"))


def written(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    ada = written(
        tmp_path / "ada.csv",
        *("a,water,accept,road,Ada,,", "b,water,accept,road,Ada,,", "c,road,skip,road,Ada,,"),
        *("d,,remove,road,Ada,,", "f,road,skip,road,Ada,,"),
    )
    bob = written(
        tmp_path / "bob.csv",
        *("a,water,choose,road,Bob,,", "b,sand,choose,road,,,", "c,road,reject,road,Bob,,"),
        *("d,road,reject,road,Bob,,", "e,sand,choose,road,Bob,,", "f,road,skip,road,Bob,,"),
    )
    return ada, bob


def test_agreements_are_merged_and_disagreements_are_listed(files: tuple[Path, Path]) -> None:
    merged = read_merged_decisions(files)
    assert {(d.tile_id, d.label, d.rule, d.by) for d in merged.decisions} == {
        ("a", "water", Rule.ACCEPT, "Ada; Bob"),
        ("c", "road", Rule.REJECT, "Bob"),
        ("e", "sand", Rule.CHOOSE, "Bob"),
        ("f", "road", Rule.SKIP, "Ada"),
    }
    assert [(d.tile_id, d.opinions) for d in merged.disagreements] == [
        ("b", (("Ada", "water"), ("bob.csv", "sand"))),
        ("d", (("Ada", None), ("Bob", "road"))),
    ]
    assert merged.origin == LabelsOrigin()


def test_tiles_in_disagreement_keep_their_labels_and_are_named(files: tuple[Path, Path]) -> None:
    reviewed = apply_decisions(TILES, read_merged_decisions(files), str)
    assert labels_of(reviewed.tiles) == {
        **dict.fromkeys("abcdef", "road"),
        **{"a": "water", "e": "sand"},
    }
    assert {t.id for t in reviewed.tiles if t.confirmed is not None} == {"a", "c", "e"}
    assert [each.tile_id for each in reviewed.disagreements] == ["b", "d"]
    (notice,) = (text for text in reviewed.tiles.notices if "different labels" in text)
    for words in ("ada.csv and", "bob.csv", "2 tiles", "'b', 'd'", "not decided"):
        assert words in notice


def test_a_third_reviewer_does_not_outvote_the_others(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    eve = written(tmp_path / "eve.csv", "b,sand,choose,road,Eve,,")
    (disputed, _) = read_merged_decisions([*files, eve]).disagreements
    assert disputed.opinions == (("Ada", "water"), ("bob.csv", "sand"), ("Eve", "sand"))


def test_files_of_nothing_but_disagreements_decide_nothing(tmp_path: Path) -> None:
    one = written(tmp_path / "1.csv", "a,water,accept,road,Ada,,")
    two = written(tmp_path / "2.csv", "a,sand,choose,road,Bob,,")
    reviewed = apply_decisions(TILES, read_merged_decisions([one, two]), str)
    assert (len(reviewed.changes), len(reviewed.disagreements)) == (0, 1)


def test_decisions_on_different_labels_are_not_merged(tmp_path: Path) -> None:
    one = written(tmp_path / "1.csv", "a,water,accept,road,Ada,/x.csv,ab")
    two = written(tmp_path / "2.csv", "b,water,accept,road,Bob,/y.csv,cd")
    with pytest.raises(
        LabelsError, match=r"2\.csv were made on other labels than those of .*1\.csv"
    ):
        read_merged_decisions([one, two])


def test_old_files_and_plain_labels_files_can_be_merged(tmp_path: Path) -> None:
    old = written(tmp_path / "old.csv", "a,water,accept", header="tile,label,decision")
    plain = written(tmp_path / "plain.csv", "b,sand", header="tile,label")
    merged = read_merged_decisions([old, plain])
    assert merged.origin is None
    assert [(d.tile_id, d.rule) for d in merged.decisions] == [
        ("a", Rule.ACCEPT),
        ("b", Rule.PERSON),
    ]


def test_one_file_is_read_as_it_is(files: tuple[Path, Path]) -> None:
    alone = read_merged_decisions(files[:1])
    assert (len(alone.decisions), alone.others, alone.disagreements) == (5, (), ())


@pytest.mark.parametrize("other", ["./d/\u00e9", "d\\\u00e9", " d/\u00e9 ", "d/e\u0301"])
def test_tiles_are_the_same_in_every_spelling_of_their_ids(tmp_path: Path, other: str) -> None:
    tiles = TileSet("tiles", (*TILES, Tile("d/\u00e9", "d", "road"), Tile("w", "w", "water")))
    one = written(
        tmp_path / "1.csv", "d/\u00e9,water,accept,road,Ada,,", "a,road,reject,road,Ada,,"
    )
    two = written(tmp_path / "2.csv", f"{other},water,accept,road,Bob,,")
    differs = written(tmp_path / "3.csv", f"{other},road,reject,road,Eve,,")
    for files in ([one, two], [two, one]):
        agreed = apply_decisions(tiles, read_merged_decisions(files), str)
        assert agreed.disagreements == ()
        assert labels_of(agreed.tiles)["d/\u00e9"] == "water"
        assert len(agreed.changes) == 2
    disputed = apply_decisions(tiles, read_merged_decisions([one, differs]), str)
    assert [each.tile_id for each in disputed.disagreements] == ["d/\u00e9"]
    assert labels_of(disputed.tiles)["d/\u00e9"] == "road"


def test_tiles_whose_ids_differ_in_spelling_alone_stay_two(tmp_path: Path) -> None:
    tiles = TileSet("tiles", (Tile("\u00e9", "1", "road"), Tile("e\u0301", "2", "road")))
    one = written(tmp_path / "1.csv", "\u00e9,road,reject,road,,,", "e\u0301,water,choose,road,,,")
    two = written(tmp_path / "2.csv", "e\u0301,water,choose,road,,,")
    found = apply_decisions(tiles, read_merged_decisions([one, two]), str)
    assert labels_of(found.tiles) == {"\u00e9": "road", "e\u0301": "water"}
