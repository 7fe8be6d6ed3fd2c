"""Bands in files of their own, read as one tile: compared with GDAL's virtual rasters and NumPy."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin

from rsretrieve._core.paths import stack_path
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.datasets import open_raster
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.raster_reader import read_raster, read_windows
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.reading.scene_facts import read_facts
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import WindowChoices, windows_of
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import noise, save_raster

ORIGIN = 600_000.0, 5_000_000.0


def band(path, metres, side, *, seed=0, origin=ORIGIN, crs="EPSG:32632", dtype="uint16", **profile):
    transform = from_origin(*origin, metres, metres)
    values = noise((1, side, side), dtype, seed)
    return save_raster(path, values, crs=crs, transform=transform, **profile)


def stacked(*paths, window=None):
    return Tile(f"scene{window or ''}", stack_path(list(map(str, paths))), window=window)


def by_gdal(folder, paths, side):
    """The same bands by a virtual raster of GDAL, which enlarges by the nearest pixel."""
    bands = []
    for number, path in enumerate(paths, 1):
        with rasterio.open(path) as dataset:
            source = (
                f'<SrcRect xOff="0" yOff="0" xSize="{dataset.width}" ySize="{dataset.height}"/>'
            )
        bands.append(
            f'<VRTRasterBand dataType="UInt16" band="{number}"><SimpleSource>'
            f"<SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>{source}"
            f'<DstRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/></SimpleSource>'
            "</VRTRasterBand>"
        )
    text = f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}">{"".join(bands)}</VRTDataset>'
    (folder / "stack.vrt").write_text(text)
    with rasterio.open(folder / "stack.vrt") as dataset:
        return dataset.read()


@pytest.fixture
def sentinel2(tmp_path):
    """Bands of 10 m, 20 m and 60 m, in another order than their resolutions."""
    return [
        band(tmp_path / "T32_B05_20m.tif", 20, 60, seed=1),
        band(tmp_path / "T32_B02_10m.tif", 10, 120, seed=2),
        band(tmp_path / "T32_B01_60m.tif", 60, 20, seed=3),
        band(tmp_path / "T32_B03_10m.tif", 10, 120, seed=4),
    ]


def test_the_pixels_are_those_of_a_virtual_raster(sentinel2, tmp_path):
    raw = read_raster(stacked(*sentinel2))
    assert np.array_equal(raw.values, by_gdal(tmp_path, sentinel2, 120))
    with rasterio.open(sentinel2[1]) as finest:
        assert raw.place.bounds == pytest.approx(tuple(finest.bounds))


def test_in_the_worker_processes_windows_are_parts_of_the_whole(sentinel2):
    whole = read_raster(stacked(*sentinel2)).values
    facts = read_facts(stacked(*sentinel2))
    assert (facts.width, facts.height, facts.pixel_m) == (120, 120, (10, 10))
    windows = list(windows_of(facts, WindowChoices(37, 29)))
    tiles = TileSet("", tuple(stacked(*sentinel2, window=window) for window in windows))
    for read in read_in_order(tiles, the_raw_tile):
        w = read.tile.window
        expected = whole[:, w.row : w.row + w.height, w.col : w.col + w.width]
        assert np.array_equal(read.content.values, expected), w
        assert np.array_equal(read_raster(read.tile).values, expected), w


def test_a_coarser_reading_averages_each_band_from_its_own_pixels(sentinel2):
    (raw,) = read_windows(
        OpenRasters(), [stacked(*sentinel2, window=Window(12, 24, 72, 72, read_px=36))]
    )
    with rasterio.open(sentinel2[1]) as dataset:
        fine = dataset.read(1)[24:96, 12:84].reshape(36, 2, 36, 2).mean((1, 3))
    with rasterio.open(sentinel2[0]) as dataset:
        middle = dataset.read(1)[12:48, 6:42]
    with rasterio.open(sentinel2[2]) as dataset:
        coarse = dataset.read(1)[4:16, 2:14].repeat(3, 0).repeat(3, 1)
    assert np.abs(raw.values[1].astype(float) - fine).max() <= 0.5
    assert np.array_equal(raw.values[0], middle)
    assert np.array_equal(raw.values[2], coarse)


@pytest.mark.parametrize("offset", [0.0, 7.5, -7.5])
def test_a_grid_beside_the_other_takes_the_pixel_that_holds_the_centre(tmp_path, offset):
    """As the 15 m band of Landsat, whose grid begins half a pixel beside that of 30 m."""
    pan = band(tmp_path / "L_B8.tif", 15, 81, seed=1)
    red = band(
        tmp_path / "L_B4.tif", 30, 41, seed=2, origin=(ORIGIN[0] + offset, ORIGIN[1] - offset)
    )
    raw = read_raster(stacked(red, pan))
    with rasterio.open(pan) as fine, rasterio.open(red) as coarse:
        wide = coarse.read(1)
        for row in range(0, 81, 7):
            for col in range(0, 81, 9):
                x, y = fine.xy(row, col)
                inner = np.floor(~coarse.transform * np.array((x, y))).astype(int)
                inner = inner.clip(0, 40)
                assert raw.values[0, row, col] == wide[inner[1], inner[0]]


def test_bands_without_a_place_are_fitted_by_their_sizes(tmp_path):
    paths = [
        save_raster(tmp_path / "a.tif", noise((1, 20, 30), "uint16", 1)),
        save_raster(tmp_path / "b.tif", noise((1, 40, 60), "uint16", 2)),
    ]
    with rasterio.open(paths[0]) as dataset:
        expected = dataset.read(1).repeat(2, 0).repeat(2, 1)
    raw = read_raster(stacked(*paths))
    assert np.array_equal(raw.values[0], expected)
    assert raw.place is None


def test_nodata_of_a_band_is_enlarged_with_it(tmp_path):
    fine = band(tmp_path / "B02.tif", 10, 40)
    values = noise((1, 20, 20), "uint16", 1)
    values[0, :5] = 0
    place = {"crs": "EPSG:32632", "transform": from_origin(*ORIGIN, 20, 20)}
    coarse = save_raster(tmp_path / "B05.tif", values, nodata=0, **place)
    raw = read_raster(stacked(fine, coarse))
    assert raw.valid[0].all()
    assert not raw.valid[1, :10].any()
    assert raw.valid[1, 10:].all()


def test_bands_of_several_types_get_their_common_type(tmp_path):
    one, other = band(tmp_path / "a.tif", 10, 16, dtype="uint8"), band(tmp_path / "b.tif", 10, 16)
    raw = read_raster(stacked(one, other))
    assert raw.values.dtype == "uint16"
    with rasterio.open(one) as dataset:
        assert np.array_equal(raw.values[0], dataset.read(1))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"origin": (ORIGIN[0] + 400, ORIGIN[1])}, "different areas"),
        ({"side": 30}, "different areas"),
        ({"crs": "EPSG:32633"}, "different reference systems"),
    ],
)
def test_bands_that_do_not_fit_together_are_refused(tmp_path, other, words):
    one = band(tmp_path / "a_B02.tif", 10, 60)
    two = band(tmp_path / "a_B03.tif", **{"metres": 10, "side": 60, **other})
    with pytest.raises(TileError, match=words) as caught:
        read_raster(stacked(one, two))
    assert "a_B02.tif" in caught.value.reason
    assert "a_B03.tif" in caught.value.reason


@pytest.mark.medium
def test_a_missing_or_damaged_band_fails_its_tile_only(tmp_path):
    good = band(tmp_path / "B02.tif", 10, 16)
    (tmp_path / "B03.tif").write_bytes(good.read_bytes()[:90])
    tiles = [stacked(good, tmp_path / "none.tif"), stacked(good, tmp_path / "B03.tif")]
    reasons = [read_error(tile) for tile in tiles]
    assert reasons[0] == "no such file"
    assert reasons[1]
    assert read_error(stacked(good, good)) == ""


def read_error(tile):
    (read,) = read_in_order(TileSet("", (tile,)), the_raw_tile)
    return getattr(read, "reason", "")


def test_what_a_reader_asks_of_a_dataset_is_there(sentinel2):
    with closing(open_raster(stacked(*sentinel2))) as raster:
        dataset = raster.dataset
        assert raster.meaning.bands == dataset.indexes == (1, 2, 3, 4)
        assert dataset.dtypes == ("uint16",) * 4
        assert dataset.scales == (1.0,) * 4
        assert dataset.tags(ns="OVERVIEWS") == dataset.tags(2, ns="OVERVIEWS") == {}
        assert dataset.read(2).shape == (120, 120)


def test_every_file_keeps_its_own_mask(tmp_path):
    """A mask beside one file, transparency in another, nodata in a third, nothing in the fourth."""
    place = {"crs": "EPSG:32632", "transform": from_origin(*ORIGIN, 10, 10)}
    paths = [band(tmp_path / f"{name}.tif", 10, 32, dtype="uint8", seed=3) for name in "md"]
    holes = np.zeros((2, 32, 32), bool)
    holes[0, :4], holes[1, :, :7] = True, True
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(paths[0], "r+") as dataset:
        dataset.write_mask(~holes[0])
    grey = noise((1, 32, 32), "uint8", 4)
    alpha = np.concatenate((grey, np.where(holes[1], 0, 255)[None].astype("uint8")))
    transparent = save_raster(tmp_path / "a.tif", alpha, alpha="yes", **place)
    values = noise((1, 32, 32), "uint8", 5)
    values[0, 9] = 1
    nodata = save_raster(tmp_path / "n.tif", values, nodata=1, **place)
    raw = read_raster(stacked(paths[0], transparent, nodata, paths[1]))
    assert raw.values.shape == (4, 32, 32)
    assert np.array_equal(raw.values[1], grey[0])
    for position, expected in enumerate((~holes[0], ~holes[1], values[0] != 1)):
        assert np.array_equal(raw.valid[position], expected)
    assert raw.valid[3].all()


@pytest.mark.parametrize("kind", ["palette", "white", "bits"])
def test_pictures_are_no_bands(tmp_path, kind):
    one = band(tmp_path / "B02.tif", 10, 32, dtype="uint8")
    other = tmp_path / "classes.tif"
    place = {"crs": "EPSG:32632", "transform": from_origin(*ORIGIN, 10, 10)}
    profile = {"white": {"photometric": "miniswhite"}, "bits": {"nbits": 4}}.get(kind, place)
    save_raster(other, np.minimum(noise((1, 32, 32)), 9), **{**profile, **place})
    if kind == "palette":
        with rasterio.open(other, "r+") as dataset:
            dataset.write_colormap(1, {i: (i * 9, 20, 200 - i, 255) for i in range(10)})
    with pytest.raises(TileError, match=r"classes\.tif holds colours or grey levels"):
        read_raster(stacked(one, other))


def test_a_file_of_several_pages_is_no_band(tmp_path):
    one = band(tmp_path / "B02.tif", 10, 32, dtype="uint8")
    pages = [Image.fromarray(noise((32, 32), seed=seed)) for seed in (1, 2)]
    pages[0].save(tmp_path / "B03.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(TileError, match="2 pages"):
        read_raster(stacked(one, tmp_path / "B03.tif"))


def test_scales_and_offsets_are_those_of_each_band(tmp_path):
    paths = [band(tmp_path / f"{name}.tif", 10, 32) for name in ("a", "b")]
    with rasterio.open(paths[1], "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,), (-0.1,)
    packing = read_raster(stacked(*paths)).packing
    assert packing == Packing.declared([1.0, 0.0001], [0.0, -0.1])
