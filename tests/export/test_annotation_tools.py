"""The audit for other programs, as they expect it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from rsretrieve._core.paths import stack_path
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import Row
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.export.annotation_tools import (
    stack_notice,
    write_issues_geojson,
    write_label_studio,
    write_samples_csv,
)
from tests.support.pages.audits import audit_of, finding


def flagged(tile: Tile) -> Row:
    return finding(tile, "road", issue=True, score=0.25, kind=IssueType.WRONG_LABEL)


@pytest.fixture
def audit(tiles: TileSet) -> Audit:
    """Of three tiles, the last has a wrong label, and the second a near-duplicate."""
    place = read_raw(tiles[2]).place
    assert place is not None
    worst = flagged(tiles[2])
    duplicate = {"kind": IssueType.DUPLICATE, "twin": tiles[0], "suggested_label": "bare_soil"}
    twin = finding(tiles[1], "forest", issue=False, score=0.6, **duplicate)
    good = finding(tiles[0], "bare_soil", issue=False, score=0.9)
    return audit_of(worst, twin, good, places={tiles[2].id: place})


def test_samples_stand_in_the_tiles_order_with_their_files(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    write_samples_csv(tmp_path / "s.csv", audit, tiles, overwrite=False)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["tile"] for row in rows] == [tile.id for tile in tiles]
    assert all(Path(row["filepath"]).is_absolute() for row in rows)
    assert all(Path(row["filepath"]).is_file() for row in rows)
    assert [row["is_label_issue"] for row in rows] == ["False", "False", "True"]
    last = rows[2]
    assert (last["given_label"], last["predicted_label"], last["kind"]) == (
        *("water", "road", "wrong_label"),
    )
    assert float(last["label_score"]) == 0.25
    assert -180 <= float(last["lon"]) <= 180
    assert (rows[0]["lon"], rows[0]["kind"]) == ("", "")


def test_label_studio_tasks_carry_the_suggestion(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    root = write_label_studio(tmp_path / "t.json", audit, overwrite=False)
    assert root is not None
    tasks = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert [task["data"]["tile"] for task in tasks] == [tiles[2].id, tiles[1].id]
    for task, tile, choice in zip(tasks, (tiles[2], tiles[1]), ("road", "bare_soil")):
        prefix, _, relative = task["data"]["image"].partition("?d=")
        assert prefix == "/data/local-files/"
        assert (root / relative).samefile(tile.path)
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert result["value"]["choices"] == [choice]
        assert (result["from_name"], result["to_name"], result["type"]) == (
            *("label", "image", "choices"),
        )
    assert tasks[0]["predictions"][0]["score"] == 0.75


def test_issues_as_geojson_have_their_place_or_none(
    audit: Audit, tiles: TileSet, tmp_path: Path
) -> None:
    assert write_issues_geojson(tmp_path / "g.json", audit, overwrite=False) == 1
    features = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))["features"]
    assert [feature["properties"]["tile"] for feature in features] == [tiles[2].id, tiles[1].id]
    assert features[0]["geometry"]["type"] == "Polygon"
    assert features[1]["geometry"] is None
    assert features[0]["properties"]["suggested_label"] == "road"
    assert features[1]["properties"]["twin"] == tiles[0].id


def test_an_audit_without_issues_exports_empty_lists(tiles: TileSet, tmp_path: Path) -> None:
    clean = audit_of(finding(tiles[0], "bare_soil", issue=False, score=0.9))
    assert write_label_studio(tmp_path / "t.json", clean, overwrite=False) is None
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8")) == []
    assert write_issues_geojson(tmp_path / "g.json", clean, overwrite=False) == 0


FAR = ("https://example.org/a.tif?t=1", "/vsis3/bucket/b.tif")


def wrong_labels(*tiles: Tile) -> Audit:
    return audit_of(*map(flagged, tiles))


def test_what_lies_elsewhere_is_named_by_its_address(tiles: TileSet, tmp_path: Path) -> None:
    far = tuple(Tile(path, path, "water") for path in FAR)
    assert write_label_studio(tmp_path / "far.json", wrong_labels(*far), overwrite=False) is None
    root = write_label_studio(tmp_path / "both.json", wrong_labels(tiles[0], *far), overwrite=False)
    assert root == Path(tiles[0].path).parent.resolve()
    for name, local in (("far.json", []), ("both.json", [Path(tiles[0].path).name])):
        tasks = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        named = [f"/data/local-files/?d={file}" for file in local]
        assert [task["data"]["image"] for task in tasks] == [*named, *FAR]


def test_a_window_of_a_scene_is_told_beside_the_scene(tiles: TileSet, tmp_path: Path) -> None:
    window = Tile("s.tif#64,0,32,16", tiles[0].path, "water", Window(64, 0, 32, 16))
    audit = wrong_labels(window, tiles[1])
    write_label_studio(tmp_path / "t.json", audit, overwrite=False)
    tasks = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert [task["data"]["window"] for task in tasks] == [[64, 0, 32, 16], None]
    both = TileSet("both", (window, tiles[1]))
    write_samples_csv(tmp_path / "s.csv", audit, both, overwrite=False)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["window"] for row in csv.DictReader(stream)] == ["64,0,32,16", ""]


def test_all_files_of_bands_are_named(tiles: TileSet, tmp_path: Path) -> None:
    bands = [tiles[0].path, tiles[1].path, tiles[2].path]
    stack = Tile("x", stack_path(bands), tiles[0].label)
    audit, both = wrong_labels(stack, tiles[1]), TileSet("", (stack, tiles[1]))
    write_samples_csv(tmp_path / "s.csv", audit, both, overwrite=False)
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["filepath"] == os.path.realpath(bands[0])
    assert json.loads(rows[0]["bands"]) == [os.path.realpath(band) for band in bands]
    assert rows[1]["bands"] == ""
    root = write_label_studio(tmp_path / "l.json", audit, overwrite=False)
    assert root is not None
    tasks = json.loads((tmp_path / "l.json").read_text(encoding="utf-8"))
    for task, paths in zip(tasks, (bands, [tiles[1].path])):
        shown = [root / address.partition("?d=")[2] for address in task["data"]["images"]]
        assert all(one.samefile(path) for one, path in zip(shown, paths, strict=True))
        assert task["data"]["image"] == task["data"]["images"][0]


def test_bands_in_several_folders_are_all_below_the_served_folder(tmp_path: Path) -> None:
    """Such as Sentinel-2's R10m and R20m."""
    bands = [tmp_path / "R10m" / "B02.tif", tmp_path / "R20m" / "B11.tif"]
    stack = Tile("x", stack_path(list(map(str, bands))), "water")
    root = write_label_studio(tmp_path / "l.json", wrong_labels(stack), overwrite=False)
    assert root == tmp_path
    (task,) = json.loads((tmp_path / "l.json").read_text(encoding="utf-8"))
    served = [f"/data/local-files/?d={name}" for name in ("R10m/B02.tif", "R20m/B11.tif")]
    assert task["data"]["images"] == served


def test_that_a_program_shows_one_band_is_told(tiles: TileSet) -> None:
    stacks = [Tile(name, stack_path([tiles[0].path, tiles[1].path])) for name in "xy"]
    (text,) = stack_notice([*stacks, tiles[2]])
    assert "2 tiles" in text
    assert "valueList" in text
    assert stack_notice(tiles) == []
