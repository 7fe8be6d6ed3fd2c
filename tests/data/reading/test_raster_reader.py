"""Windows of scenes: the same pixels alone and together, padded, averaged, from overviews."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.data.discovery.scenes import cut_scenes
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading import open_rasters as rasters
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.decode_chunk import ChunkDecoder, close_rasters
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.raster_reader import read_raster, read_windows
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.reading.scene_facts import read_facts
from rsretrieve.data.reading.window_batches import runs_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import made_into_0, the_raw_tile
from tests.support.tiles.made_tiles import (
    UTM,
    noise,
    save_raster,
    tile_at,
    tiles_at,
)

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """The same scene without nodata, with a value for it, with NaN, with an alpha band."""
    folder = tmp_path_factory.mktemp("scenes")
    values = noise((3, 200, 230), "uint16")
    holes = np.random.default_rng(1).random((3, 200, 230)) < 0.2
    alpha = np.concatenate((values, np.where(holes[:1], 0, 65535).astype(np.uint16)))
    floats = np.where(holes, np.nan, values.astype(np.float32))
    return {
        "plain": save_raster(folder / "plain.tif", values, **TILED, **UTM),
        "nodata": save_raster(
            folder / "nodata.tif", np.where(holes, 9, values).astype("uint16"), nodata=9, **UTM
        ),
        "nan": save_raster(folder / "nan.tif", floats, **TILED),
        "alpha": save_raster(folder / "alpha.tif", alpha, photometric="rgb", alpha="yes"),
        "png": save_raster(folder / "picture.png", noise((3, 200, 230)), "PNG"),
    }


def window_tiles(path, windows):
    return [tile_at(path, window=window) for window in windows]


def assert_alike(one, other):
    assert one.values.dtype == other.values.dtype
    assert np.array_equal(one.values, other.values, equal_nan=one.values.dtype.kind == "f")
    assert (one.valid is None) == (other.valid is None)
    assert one.valid is None or np.array_equal(one.valid, other.valid)
    assert one.place == other.place


any_window = st.builds(
    Window, st.integers(0, 229), st.integers(0, 199), st.integers(8, 90), st.integers(8, 90)
)


@pytest.mark.medium
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["plain", "nodata", "nan", "alpha", "png"]), st.lists(any_window, min_size=1)
)
def test_windows_read_together_are_the_windows_read_alone(scenes, kind, windows):
    tiles = window_tiles(scenes[kind], windows)
    with closing(OpenRasters()) as opened:
        for tile, raw in zip(tiles, read_windows(opened, tiles)):
            assert_alike(raw, read_raster(tile))


@settings(deadline=None, max_examples=30)
@given(any_window)
def test_a_window_is_what_rasterio_reads_there_and_nodata_beyond_the_edge(scenes, window):
    raw = read_raster(tile_at(scenes["nodata"], window=window))
    part = rasterio.windows.Window(window.col, window.row, window.width, window.height)
    with rasterio.open(scenes["nodata"]) as dataset:
        expected = dataset.read(window=part, boundless=True, fill_value=9)
        bounds = rasterio.windows.bounds(part, dataset.transform)
    valid = expected != 9
    assert raw.values.shape == expected.shape == (3, window.height, window.width)
    assert np.array_equal(raw.values[valid], expected[valid])
    assert raw.valid is None if valid.all() else np.array_equal(raw.valid, valid)
    assert raw.place.bounds == pytest.approx(bounds)


def test_a_window_beyond_the_scene_is_refused_and_takes_no_other_along(scenes):
    windows = [Window(0, 0, 16, 16), Window(230, 0, 16, 16), Window(0, 200, 16, 16)]
    with closing(OpenRasters()) as opened:
        first, *others = read_windows(opened, window_tiles(scenes["plain"], windows))
    assert first.values.shape == (3, 16, 16)
    assert [error.reason for error in others] == [
        "the window lies outside the scene of 230×200 px"
    ] * 2
    assert [error.tile_id for error in others] == ["plain.tif#230,0,16,16", "plain.tif#0,200,16,16"]


def test_a_window_that_is_too_small_takes_no_other_along(scenes):
    windows = [Window(0, 0, 16, 16), Window(0, 0, 16, 7)]
    with closing(OpenRasters()) as opened:
        first, second = read_windows(opened, window_tiles(scenes["plain"], windows))
    assert first.values.shape == (3, 16, 16)
    assert second.reason.startswith("16×7 px is too small")


def test_what_is_shared_by_windows_cannot_be_written_to(scenes):
    tiles = window_tiles(scenes["plain"], [Window(0, 0, 16, 16), Window(8, 0, 16, 16)])
    with closing(OpenRasters()) as opened:
        first, _ = read_windows(opened, tiles)
    with pytest.raises(ValueError, match="read-only"):
        first.values[:] = 0


def test_a_damaged_block_costs_only_the_windows_on_it(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 256)), **TILED, **UTM)
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_2_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(content)
    other = save_raster(tmp_path / "b.tif", noise((1, 64, 256)), **TILED, **UTM)
    windows = [Window(64 * i, 0, 64, 64) for i in range(4)]
    tiles = TileSet("", (*window_tiles(path, windows), *window_tiles(other, windows)))
    reads = list(read_in_order(tiles, the_raw_tile, workers=1))
    assert [isinstance(read, Read) for read in reads] == [True, True, False] + [True] * 5
    assert reads[2].reason.startswith("cannot be decoded: ")
    assert all(read.content.place is not None for read in reads if isinstance(read, Read))


def test_a_coarser_window_is_the_average_of_what_is_valid(tmp_path):
    values = np.arange(1, 1 + 64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    path = save_raster(tmp_path / "a.tif", values)
    raw = read_raster(tile_at(path, window=Window(0, 0, 64, 64, read_px=16)))
    means = values.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.abs(raw.values[0] - means).max() <= 0.5
    values[0, :2] = values[0, :, :8] = 60_000
    gaps = save_raster(tmp_path / "gaps.tif", values, nodata=60_000)
    raw = read_raster(tile_at(gaps, window=Window(0, 0, 64, 64, read_px=16)))
    known = np.ma.masked_equal(values, 60_000).reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.array_equal(raw.valid[0], ~known.mask)
    assert np.abs(raw.values[0] - known)[~known.mask].max() <= 0.5


def test_a_coarser_window_comes_from_the_overviews(tmp_path):
    """Overviews that say something else than the scene itself give themselves away."""
    path = save_raster(tmp_path / "a.tif", noise((1, 256, 256), "uint16"), **TILED)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4])
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((1, 256, 256), 5, np.uint16))
    assert (read_raster(tile_at(path, window=Window(0, 0, 128, 128))).values == 5).all()
    coarse = read_raster(tile_at(path, window=Window(0, 0, 128, 128, read_px=32)))
    assert coarse.values.shape == (1, 32, 32)
    assert (coarse.values != 5).all()


def test_a_coarser_window_over_the_edge_is_padded_in_proportion(tmp_path):
    path = save_raster(tmp_path / "a.tif", np.full((1, 96, 96), 7, np.uint8), **UTM)
    raw = read_raster(tile_at(path, window=Window(64, 0, 64, 64, read_px=16)))
    assert raw.values.shape == (1, 16, 16)
    assert (raw.values[0, :, :8] == 7).all()
    assert raw.valid[0, :, :8].all()
    assert not raw.valid[0, :, 8:].any()
    assert raw.place.bounds == (500_640, 3_999_360, 501_280, 4_000_000)


def test_a_worker_opens_a_scene_once_and_closes_it_in_the_end(scenes, monkeypatch):
    opened = []
    real = rasters.open_raster
    monkeypatch.setattr(
        rasters, "open_raster", lambda *names: opened.append(real(*names)) or opened[-1]
    )
    tiles = cut_scenes(tiles_at(scenes["plain"]), WindowChoices(16, 8), RunContext())
    opened.clear()
    decode = ChunkDecoder(made_into_0, tiles.windows, None)
    for run in runs_of(tiles):
        assert decode([run]) == [(0, ())] * len(run)
    assert len(opened) == 1
    assert not opened[0].dataset.closed
    close_rasters(None)
    assert opened[0].dataset.closed


def test_only_a_few_scenes_stay_open(tmp_path):
    paths = [save_raster(tmp_path / f"{i}.tif", noise((1, 16, 16))) for i in range(20)]
    opened = OpenRasters()
    datasets = []
    for path in paths:
        with opened.borrow(Tile(path.name, str(path))) as raster:
            datasets.append(raster.dataset)
    assert sum(not dataset.closed for dataset in datasets) == 8
    with opened.borrow(Tile("again", str(paths[-1]))) as raster:
        assert raster.dataset is datasets[-1]
        opened.close()
        assert not raster.dataset.closed  # somebody is using it
    opened.close()
    assert all(dataset.closed for dataset in datasets)


def test_a_scene_that_cannot_be_opened_fails_for_each_of_its_windows(tmp_path):
    gone = window_tiles(tmp_path / "gone.tif", [Window(0, 0, 8, 8), Window(8, 0, 8, 8)])
    with closing(OpenRasters()) as opened:
        errors = read_windows(opened, gone)
    assert [(e.tile_id, e.reason) for e in errors] == [(t.id, "no such file") for t in gone]


def test_the_facts_of_a_scene(scenes):
    facts = read_facts(tile_at(scenes["plain"]))
    assert (facts.width, facts.height, facts.block_px) == (230, 200, (64, 64))
    assert facts.pixel_m == (10, 10)
    assert read_facts(tile_at(scenes["png"])).pixel_m is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty (0 bytes)"), (b"no image at all", "not an image that can be read")],
)
def test_a_file_that_is_no_scene_is_refused(tmp_path, content, reason):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(TileError) as caught:
        read_facts(tile_at(path))
    assert caught.value.reason == reason


def test_a_scene_of_another_type_of_pixel_is_refused_before_it_is_cut(tmp_path):
    path = save_raster(tmp_path / "a.tif", np.ones((1, 16, 16), np.complex64))
    with pytest.raises(TileError, match=r"pixels are complex64.*DERIVED_SUBDATASET"):
        read_facts(tile_at(path))


def test_windows_with_too_much_nodata_are_skipped_and_counted(tmp_path):
    values = noise((2, 32, 128), "uint16")
    values[:, :, :32] = 0  # all nodata
    values[:, :20, 32:64] = 0  # 62.5 %
    values[:, :16, 64:96] = 0  # 50 %
    path = save_raster(tmp_path / "a.tif", values, nodata=0)
    for share, kept in ((0.5, 2), (0.7, 3), (0.0, 1), (1.0, 3)):
        tiles = cut_scenes(tiles_at(path), WindowChoices(32, max_nodata=share), RunContext())
        context = RunContext(strict=True)
        reads = list(read_in_order(tiles, made_into_0))
        for read in reads:
            if isinstance(read, Failure):
                context.add_failure(read)
        assert sum(isinstance(read, Read) for read in reads) == kept
        assert len(context.skipped) == 4 - kept
        assert context.notices == (
            f"windows skipped for more nodata than --max-nodata allows: {4 - kept}",
        )
    assert RunContext().notices == ()


def test_a_window_named_one_by_one_is_never_skipped(tmp_path):
    values = np.zeros((1, 16, 16), np.uint8)
    values[0, 0, 0] = 1
    path = save_raster(tmp_path / "a.tif", values, nodata=0)
    tiles = TileSet("", (tile_at(path, window=Window(0, 0, 16, 16)),))
    assert [type(read) for read in read_in_order(tiles, made_into_0)] == [Read]


def test_a_tile_keeps_its_side_in_a_lists_row():
    tile = Tile("a.tif#0,0,64,64", "a.tif", None, Window(0, 0, 64, 64, read_px=16))
    assert str(tile.window) == "#0,0,64,64"
    assert tile.window.shape_px == (16, 16)
