"""What the folder of a comparison records, and how damage of it is told."""

from __future__ import annotations

import json

import pytest

from rsretrieve.comparison.choice import Cell, TrainingChoice
from rsretrieve.comparison.comparison_folder import ComparisonFolder
from rsretrieve.comparison.tile_digest import TileDigest
from rsretrieve.data.failures import Failure
from rsretrieve.data.tile import Tile
from rsretrieve.errors import InputError
from rsretrieve.training.recipe import ROBUST

CELL = Cell(TrainingChoice((("loss", "nsl"),), ROBUST, "none"), 0)
DIGEST = TileDigest("records", "images")


def test_tiles_that_could_not_be_used_are_recorded(tmp_path):
    bad = [Failure(Tile(name, f"/x/{name}"), "cut off") for name in ("train.tif", "test.tif")]
    folder = ComparisonFolder.opened(tmp_path)
    folder.report(CELL, bad[:1])
    folder.record(CELL, DIGEST, DIGEST, bad, 7)
    report = ComparisonFolder.opened(tmp_path).reports[CELL.name]
    assert report.gallery == 7
    assert report.failures_among([bad[0].tile]) == [
        bad[0],
        Failure(Tile("test.tif", "test.tif"), "cut off"),
    ]
    folder.record(CELL, DIGEST, DIGEST, [], 8)  # measured again: the training is the same
    assert folder.reports[CELL.name].failures_among([]) == [
        Failure(Tile("train.tif", "train.tif"), "cut off")
    ]
    folder.begin(CELL, DIGEST)
    assert not ComparisonFolder.opened(tmp_path).reports


@pytest.mark.parametrize(
    "changed",
    [
        *[{"schema": float("inf")}, {"schema": float("nan")}, {"trained": {"a": [1, 2, 3]}}],
        *[{"reports": {"a": 1}}, {"reports": [1]}, {"measured": []}],
        {"reports": {"a": {"training": [], "test": [], "gallery": float("inf")}}},
    ],
)
def test_damage_is_told(tmp_path, changed):
    content = {"schema": 2, "trained": {}, "measured": {}, "labels": {}, **changed}
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="damaged"):
        ComparisonFolder.opened(tmp_path)


def test_a_folder_of_an_earlier_version_has_no_reports(tmp_path):
    content = {"schema": 2, "trained": {"a": ["x", "y"]}, "measured": {}, "labels": {}}
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    folder = ComparisonFolder.opened(tmp_path)
    assert (folder.reports, folder.trained) == ({}, {"a": TileDigest("x", "y")})
