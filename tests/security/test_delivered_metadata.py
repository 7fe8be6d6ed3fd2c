"""Dates come from a tile's own file: files that providers deliver beside a scene are not read.

GDAL's domain IMAGERY reads them by their names, and follows links to other folders.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import rasterio

from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.run_context import RunContext
from tests.support.tiles.made_tiles import UTM, noise, preprocessing, save_raster, tiles_at

IMD = """version = "28.4";
BEGIN_GROUP = IMAGE_1
\tsatId = "WV02";
\tfirstLineTime = 2020-03-04T05:06:07.000000Z;
END_GROUP = IMAGE_1
END;
"""


@pytest.mark.medium
def test_a_link_to_a_private_metadata_file_gives_no_date(tmp_path: Path) -> None:
    private = tmp_path / "private" / "diary.txt"
    private.parent.mkdir()
    private.write_text(IMD)
    scene = save_raster(tmp_path / "tiles" / "scene.tif", noise((3, 16, 16)), **UTM)
    (tmp_path / "tiles" / "scene.IMD").symlink_to(private)
    with rasterio.open(scene) as dataset:  # the attempt works where GDAL is asked
        assert dataset.tags(ns="IMAGERY")["ACQUISITIONDATETIME"].startswith("2020-03-04")
    [batch] = stream_batches(tiles_at(scene), preprocessing(), 9, RunContext(strict=True))
    assert batch.tiles[0].taken is None


@pytest.mark.medium
def test_opening_a_tile_for_its_date_opens_no_file_beside_it(tmp_path: Path) -> None:
    """A pipe with such a name would block for ever."""
    scene = save_raster(tmp_path / "scene.tif", noise((3, 16, 16)), **UTM)
    for name in ("scene_metadata.txt", "METADATA.DIM", "scene.pvl"):
        os.mkfifo(tmp_path / name)
    [batch] = stream_batches(tiles_at(scene), preprocessing(), 9, RunContext())
    assert batch.tiles[0].taken is None
