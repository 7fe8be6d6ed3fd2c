"""Labels files that say on which labels a person decided: read, written, and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve.audit.decisions.saved_decisions import read_decisions
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.labels.decided_rows import write_labels
from rsretrieve.data.labels.labels import override_labels
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError

TILES = TileSet("tiles", tuple(Tile(name, name, "road") for name in "abcdefg"))


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def decided(tiles: TileSet) -> dict[str, tuple[str | None, ConfirmedLabel]]:
    return {tile.id: (tile.label, tile.confirmed) for tile in tiles if tile.confirmed}


def test_labels_that_a_person_accepted_kept_or_chose_are_confirmed(tmp_path: Path) -> None:
    path = written(
        tmp_path / "d.csv",
        "tile,label,Decision,given_label",
        "a,water,accept,road",
        "b,road,REJECT,",
        "c,water,choose,",
        "d,road,skip,road",
        "e,water,suggestion,road",
        "f,road,,",
        "g,,remove,road",
    )
    found = override_labels(TILES, path)
    assert decided(found) == {
        "a": ("water", ConfirmedLabel(Rule.ACCEPT, "road")),
        "b": ("road", ConfirmedLabel(Rule.REJECT, "road")),
        "c": ("water", ConfirmedLabel(Rule.CHOOSE, None)),
        "g": (None, ConfirmedLabel(Rule.REMOVE, "road")),
    }
    assert found.notices == ()


def test_decisions_of_unknown_names_are_noticed_and_count_as_none(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "tile,label,decision", "a,road,ok", "b,road,fine")
    found = override_labels(TILES, path)
    assert decided(found) == {}
    assert "2 cells" in found.notices[0]
    assert "'fine', 'ok'" in found.notices[0]


def test_rows_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", "tile,label,decision,given_label", "a,water,reject,road")
    with pytest.raises(LabelsError, match=r"line 2.*'a' contradicts itself"):
        override_labels(TILES, path)


def test_decisions_on_the_labels_of_another_file_are_noticed(tmp_path: Path) -> None:
    rows = ("tile,label,decision,labels_file", "a,water,choose,/noisy.csv")
    found = override_labels(TILES, written(tmp_path / "d.csv", *rows))
    assert any("/noisy.csv" in notice for notice in found.notices)


def test_a_label_that_is_replaced_is_no_longer_confirmed() -> None:
    confirmed = {name: ConfirmedLabel(Rule.REJECT, "road") for name in "ab"}
    known = TILES.with_confirmed(confirmed)
    assert [*decided(known.relabelled({"a": "water", "b": "road"}))] == ["b"]


def test_decisions_survive_a_labels_file_and_a_list(tmp_path: Path) -> None:
    confirmed = {"a": ConfirmedLabel(Rule.CHOOSE, "road"), "b": ConfirmedLabel(Rule.REJECT, "road")}
    known = TILES.relabelled({"a": "water"}).with_confirmed(confirmed)
    labels = {tile.id: tile.label for tile in known} | {"c": "lake"}
    write_labels(tmp_path / "labels.csv", labels, overwrite=False, tiles=known)
    again = override_labels(TILES, tmp_path / "labels.csv")
    assert decided(again) == decided(known)
    assert (tmp_path / "labels.csv").read_text().splitlines()[:5] == [
        "tile,label,decision,given_label",
        "a,water,choose,road",
        "b,road,reject,road",
        "c,lake,suggestion,road",
        "d,road,undecided,road",
    ]
    write_list(tmp_path / "list.csv", known, overwrite=False)
    assert decided(find_tiles(tmp_path / "list.csv")) == decided(known)


def test_a_labels_file_without_decisions_has_two_columns(tmp_path: Path) -> None:
    write_labels(tmp_path / "l.csv", {"a": None}, overwrite=False, tiles=TILES)
    assert (tmp_path / "l.csv").read_text() == "tile,label\na,\n"


def test_undecided_rows_of_a_labels_file_are_no_decisions(tmp_path: Path) -> None:
    path = written(
        tmp_path / "d.csv", "tile,label,decision", "a,x,choose", "b,y,undecided", "c,z,suggestion"
    )
    found = read_decisions(path)
    assert [decision.tile_id for decision in found.decisions] == ["a"]
    assert found.undecided == 2
    with pytest.raises(LabelsError, match="no decisions"):
        read_decisions(written(tmp_path / "e.csv", "tile,label,decision", "a,x,undecided"))
