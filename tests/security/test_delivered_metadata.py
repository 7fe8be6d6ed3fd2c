"""Dates come from a tile's own file: files that providers deliver beside a scene are not read.

GDAL's domain IMAGERY reads them by their names, and follows links to other folders.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import chdir
from pathlib import Path

import pytest
import rasterio

from rsretrieve.data.discovery.find_tiles import find_tiles
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


PIPES = [
    ("IMG-a.tif", ["HDR-a.txt"], "summary.txt"),
    ("c_B1.tif", [], "c_MTL.txt"),
    ("LC08_B1.TIF", [], "LC08_MTL.TXT"),
    ("po_1_rgb_0000000.tif", ["po_1_rgb_0000000_rpc.txt"], "po_1_metadata.txt"),
    ("d.tif", [], "d_metadata.xml"),
    ("e.tif", [], "e.pass"),
    ("k_B.tif", [], "k.eph"),
    ("scene.tif", [], "METADATA.DIM"),
    ("scene.tif", [], "other.pvl"),
]


@pytest.mark.medium
@pytest.mark.parametrize(("tile", "texts", "pipe"), PIPES)
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_pipe_with_the_name_of_a_metadata_file_is_refused_at_once(
    tmp_path: Path, tile: str, texts: list[str], pipe: str, kind: str
) -> None:
    path = save_raster(tmp_path / "t" / tile, noise((1, 64, 64), "uint16"))
    for name in texts:
        path.with_name(name).write_text("x")
    if kind == "pipe":
        os.mkfifo(path.with_name(pipe))
    else:
        with socket.socket(socket.AF_UNIX) as server, chdir(path.parent):
            server.bind(pipe)
    started, context = time.monotonic(), RunContext()
    tiles = find_tiles(path.parent)
    one = preprocessing(bands=(1,), source_bands=1, dtype="uint16")
    assert [*stream_batches(tiles, one, 9, context)] == []
    assert pipe in context.failures[0].reason
    assert time.monotonic() - started < 30


@pytest.mark.medium
def test_a_pipe_of_another_name_costs_no_tile(tmp_path: Path) -> None:
    path = save_raster(tmp_path / "t" / "a.tif", noise((3, 64, 64)))
    os.mkfifo(path.with_name("queue"))
    [batch] = stream_batches(tiles_at(path), preprocessing(), 9, RunContext(strict=True))
    assert len(batch.tiles) == 1
