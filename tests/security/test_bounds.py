"""Files that are made to take memory or time: each costs little, and is told by name."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.windows import Window as RasterWindow

from rsretrieve.data.access import is_trusted
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.reading.sidecars import require_harmless_sidecars
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import (
    SceneChoices,
    SceneFacts,
    WindowChoices,
    count_windows,
    windows_of,
)
from rsretrieve.data.workers.confinement import enforced
from rsretrieve.errors import NoUsableTiles, TileError
from tests.support.processes.worker_functions import made_into_0
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, tile_at, tiles_at
from tests.support.tiles.spinning import spinning


def sparse_scene(path, side=8192, block=512, **stored):
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=2, dtype="uint8", tiled=True,
        blockxsize=block, blockysize=block, compress="deflate", SPARSE_OK=True, BIGTIFF="YES",
        **stored,
    ) as dataset:  # fmt: skip
        dataset.write(noise((2, 100, 100)), window=RasterWindow(1000, 4000, 100, 100))
    return path


@pytest.mark.medium
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_that_a_sparse_file_does_not_hold_are_never_read(tmp_path, interleave):
    path = sparse_scene(tmp_path / "a.tif", interleave=interleave)
    context = RunContext()
    tiles = find_tiles(path, scenes=SceneChoices(WindowChoices(64)), context=context)
    assert len(tiles) + context.unread == (8192 // 64) ** 2
    found = {tile.id for tile in tiles}
    with rasterio.open(path) as dataset:  # every window with a value is among them
        values = dataset.read().any(axis=0).reshape(128, 64, 128, 64).any(axis=(1, 3))
    for row, column in np.argwhere(values).tolist():
        assert f"a.tif#{64 * column},{64 * row},64,64" in found
    assert len(tiles) == 4 * (512 // 64) ** 2  # four blocks hold the pixels that were written


def test_windows_over_edges_and_strides_are_the_stored_ones_of_all(tmp_path):
    stored = np.zeros((5, 7), bool)
    stored[1, 2] = stored[4, 6] = True
    scene = SceneFacts(7 * 64 - 10, 5 * 64 - 20, (64, 64), None)
    choices = WindowChoices(50, 17)
    sparse = SceneFacts(scene.width, scene.height, scene.block_px, None, stored)
    wanted = [
        window
        for window in windows_of(scene, choices)
        if stored[
            window.row // 64 : (window.row + 49) // 64 + 1,
            window.col // 64 : (window.col + 49) // 64 + 1,
        ].any()
    ]
    assert list(windows_of(sparse, choices)) == wanted
    assert len(wanted) < count_windows(scene, choices) == len(list(windows_of(scene, choices)))


def test_a_scene_of_too_many_windows_is_refused_with_their_number(tmp_path):
    path = sparse_scene(tmp_path / "a.tif")
    choices = SceneChoices(WindowChoices(64, 1), max_windows=1_000_000)
    with pytest.raises(NoUsableTiles, match=r"has 66,080,641 windows, and --max-windows allows"):
        find_tiles(path, scenes=choices, context=RunContext())


def test_windows_without_an_end_are_counted_and_not_listed():
    scene = SceneFacts(2_000_000_000, 2_000_000_000, (512, 512), None)
    started = time.perf_counter()
    assert count_windows(scene, WindowChoices(64, 1)) == 1_999_999_937**2
    assert time.perf_counter() - started < 1


@pytest.mark.medium
def test_a_tile_that_takes_more_time_than_its_size_accounts_for_is_given_up(tmp_path):
    pictures = [save_picture(tmp_path / f"{i:02}.png", noise((3, 9, 9))) for i in range(8)]
    started = time.perf_counter()
    reads = list(read_in_order(tiles_at(*pictures), spinning, 1))
    failed = {read.tile.id: read.reason for read in reads if isinstance(read, Failure)}
    assert list(failed) == ["03.png"]
    assert "more processor time" in failed["03.png"]
    assert time.perf_counter() - started < 20


def test_a_picture_with_a_sparse_tail_is_read_for_its_picture_alone(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise((3, 64, 64)).transpose(1, 2, 0)).save(path)
    with path.open("r+b") as stream:
        stream.truncate(40 << 30)
    started = time.perf_counter()
    assert read_preview(tile_at(path), 32).size == (32, 32)
    assert time.perf_counter() - started < 5


@pytest.mark.medium
@pytest.mark.parametrize("name", ["a.tfw", "a.tif.aux.xml", "a.tif.msk", "a.tif.ovr", "a.prj"])
def test_a_pipe_beside_a_tile_is_not_waited_for(tmp_path, name):
    path = save_raster(tmp_path / "a.tif", noise((2, 64, 64)), **UTM)
    os.mkfifo(tmp_path / name)
    (read,) = read_in_order(find_tiles(tmp_path), made_into_0)
    assert read.reason == f"a pipe ({name}) lies beside it"
    started = time.perf_counter()
    with suppress(TileError):  # of a single file, the pipe is none of those that may be opened
        read_preview(tile_at(path), 16)
    assert time.perf_counter() - started < 10


def test_a_pipe_among_tiles_and_items_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (read,) = read_in_order(find_tiles(tmp_path), made_into_0)
    assert read.reason == "is a pipe, not a file"
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "item.json")
    with pytest.raises(OSError, match="no tiles in it"):
        find_tiles(tmp_path)


@pytest.mark.parametrize("suffix", [".ovr", ".msk", ".OVR", ".MSK"])
def test_overviews_and_masks_that_lead_out_by_a_link_are_refused(tmp_path, suffix):
    path = save_raster(tmp_path / "tiles" / "a.tif", noise((1, 64, 64)))
    private = save_raster(tmp_path / "private.tif", noise((1, 32, 32)))
    (tmp_path / "tiles" / f"a.tif{suffix}").symlink_to(private)
    with pytest.raises(TileError, match=rf"a\.tif\{suffix} leads out of its folder by a link"):
        require_harmless_sidecars("a", str(path))


@pytest.mark.medium
def test_overviews_and_masks_beside_a_file_are_used_as_they_were(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((1, 256, 256)), **UTM)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.pad(np.full((128, 256), 255, np.uint8), ((0, 128), (0, 0))))
    assert {p.name for p in tmp_path.iterdir()} == {"a.tif", "a.tif.ovr", "a.tif.msk"}
    tiles = TileSet("", (tile_at(path, window=Window(0, 0, 256, 256, 64)),))
    (read,) = read_in_order(tiles, valid_share)
    assert read.content == 0.5


def valid_share(_, raw):
    return float(raw.valid.mean())


def read_size(tile):
    """The size of a tile's picture; None where it cannot be read."""
    try:
        return read_preview(tile, 16).size
    except TileError:
        return None


@pytest.mark.medium
@pytest.mark.parametrize("driver", ["GTiff", "PNG", "WEBP", "GIF", "BMP", "ENVI", "HFA", "NITF"])
def test_sidecars_of_a_typed_file_are_a_strangers_whatever_its_format(tmp_path, driver):
    path = tmp_path / "a.dat"
    pixels = np.full((3 if driver == "WEBP" else 1, 64, 64), 9, np.uint8)
    shape = {"height": 64, "width": 64, "count": len(pixels), "dtype": "uint8"}
    with rasterio.open(path, "w", driver=driver, **shape) as dataset:
        dataset.write(pixels)
    tile = Tile("a", str(path), trust=Trust.NAMED, window=Window(0, 0, 64, 64))
    assert not is_trusted(tile)
    confined = driver != "HFA" or enforced().reading_confined  # its pixels may lie in a second file
    assert (read_size(tile) == (16, 16)) == confined
    (tmp_path / "a.dat.msk").write_text("<VRTDataset></VRTDataset>")
    with pytest.raises(TileError):
        read_preview(tile, 16)
    (tmp_path / "b.vrt").write_text("<VRTDataset></VRTDataset>")
    assert is_trusted(Tile("b", str(tmp_path / "b.vrt"), trust=Trust.NAMED))
