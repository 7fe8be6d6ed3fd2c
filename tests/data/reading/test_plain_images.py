"""Pillow only where it gives what GDAL gives; GDAL where Pillow gives up."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from PIL import Image, ImageFile

from rsretrieve.data.pixels.expected import ANYTHING, Expected
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.reading.pillow_reader import read_raw, read_reduced
from rsretrieve.data.reading.plain_images import read_plain
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.reading.sidecars import sidecars_of
from rsretrieve.data.tile import TileSet
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, tile_at, tiles_at


def smooth(width, height, mode):
    small = Image.fromarray(noise((9, 9, 3)))
    return small.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def by_gdal(path):
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("interlaced", [False, True])
def test_pillow_gives_for_a_png_what_gdal_gives(tmp_path, mode, interlaced):
    path = tmp_path / "a.png"
    smooth(40, 30, mode).save(path, interlace=interlaced)
    assert np.array_equal(read_plain(tile_at(path)), by_gdal(path))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_pillow_gives_for_a_plain_tiff_what_gdal_gives(tmp_path, mode, compression):
    path = tmp_path / "a.tif"
    smooth(40, 30, mode).save(path, compression=compression)
    assert np.array_equal(read_plain(tile_at(path)), by_gdal(path))


@pytest.mark.parametrize(
    "profile",
    [
        {"nodata": 7},
        {"crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6)},
        {"compress": "jpeg"},
        {"photometric": "ycbcr", "compress": "jpeg"},
        {"nbits": 7},
    ],
    ids=lambda profile: "-".join(profile),
)
def test_a_tiff_that_says_more_is_left_to_gdal(tmp_path, profile):
    path = save_raster(tmp_path / "a.tif", noise((3, 32, 32)) // 2, **profile)
    assert read_plain(tile_at(path)) is None
    whites = save_raster(tmp_path / "whites.tif", noise((1, 32, 32)), photometric="miniswhite")
    assert read_plain(tile_at(whites)) is None
    turned = tmp_path / "turned.tif"
    smooth(40, 30, "RGB").save(turned, tiffinfo={274: 6})
    assert read_plain(tile_at(turned)) is None


@pytest.mark.parametrize("endianness", ["little", "big"])
def test_the_tags_of_a_tiff_show_that_it_has_a_place(tmp_path, monkeypatch, endianness):
    placed = {"crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6)}
    save_raster(tmp_path / "placed.tif", noise((3, 16, 16)), endianness=endianness, **placed)
    save_raster(tmp_path / "plain.tif", noise((3, 16, 16)), endianness=endianness)
    assert read_plain(tile_at(tmp_path / "plain.tif")) is not None
    monkeypatch.setattr(Image, "open", None)
    assert read_plain(tile_at(tmp_path / "placed.tif")) is None


@pytest.mark.parametrize("start", [0, 4, 8, 10**6, 2**32 - 1])
def test_a_tiff_whose_first_directory_is_elsewhere_is_read_or_refused(tmp_path, start):
    path = tmp_path / "a.tif"
    smooth(40, 30, "RGB").save(path)
    path.write_bytes(path.read_bytes()[:4] + start.to_bytes(4, "little") + path.read_bytes()[8:])
    with contextlib.suppress(TileError):
        assert np.array_equal(read_raw(tile_at(path)).values, by_gdal(path))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("expected", [ANYTHING, Expected(1), Expected(3), Expected(4)])
@pytest.mark.parametrize("opaque", [True, False])
def test_alpha_of_a_png_means_the_same_whole_and_as_a_window(tmp_path, mode, expected, opaque):
    values = noise((32, 32, len(mode)))
    if opaque:
        values[..., -1] = np.where(values[..., -1] > 60, 255, 0)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    whole = read_raw(tile_at(path), None, expected)
    window = read_raw(tile_at(path, window=Window(0, 0, 32, 32)), None, expected)
    assert np.array_equal(whole.values, window.values)
    assert whole.notes == window.notes
    assert (whole.valid is None) == (window.valid is None)
    assert whole.valid is None or np.array_equal(whole.valid, window.valid)


@pytest.mark.parametrize("progressive", [False, True])
def test_pillow_gives_for_a_grey_jpeg_what_gdal_gives(tmp_path, progressive):
    path = tmp_path / "a.jpg"
    smooth(41, 30, "L").save(path, quality=90, progressive=progressive)
    assert np.array_equal(read_plain(tile_at(path)), by_gdal(path))


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_windows_of_a_jpeg_are_decoded_as_the_whole_one_is(tmp_path, mode):
    """GDAL's decoder enlarges colour planes in another way: up to 40 of 255 apart."""
    path = tmp_path / "a.jpg"
    smooth(64, 48, mode).save(path, quality=80, subsampling=2)
    whole = read_raw(tile_at(path)).values
    part = read_raw(tile_at(path, window=Window(8, 16, 32, 24))).values
    assert np.array_equal(part, whole[:, 16:40, 8:40])
    coarse = read_raw(tile_at(path, window=Window(0, 0, 64, 48, read_px=16))).values
    means = whole.reshape(3, 16, 3, 16, 4).mean(axis=(2, 4))
    assert np.abs(coarse - means).max() <= 0.5


@pytest.mark.medium
def test_a_window_that_covers_a_jpeg_is_reduced_as_the_whole_one_is(tmp_path):
    path = save_picture(tmp_path / "a.jpg", noise((3, 64, 64)), quality=90)
    whole = tile_at(path)
    window = replace(whole, window=Window(0, 0, 64, 64))
    preprocessing = measure_preprocessing(tiles_at(path), 16)
    for jpeg_px in (None, preprocessing.jpeg_px):
        (first,) = read_in_order(TileSet("", (whole,)), the_raw_tile, 1, jpeg_px)
        (second,) = read_in_order(TileSet("", (window,)), the_raw_tile, 1, jpeg_px)
        assert np.array_equal(first.content.values, second.content.values)
    assert read_reduced(replace(whole, window=Window(0, 0, 32, 64)), 16) is None
    assert read_reduced(replace(whole, window=Window(8, 0, 56, 64)), 16) is None


def transparent_grey(path):
    Image.fromarray(noise((32, 32))).save(path, transparency=int(noise((32, 32))[4, 5]))


def transparent_rgb(path):
    values = noise((32, 32, 3))
    Image.fromarray(values).save(path, transparency=tuple(map(int, values[4, 5])))


@pytest.mark.parametrize("save", [transparent_grey, transparent_rgb])
def test_a_colour_of_a_png_that_means_transparency_is_a_mask(tmp_path, save):
    save(tmp_path / "a.png")
    with rasterio.open(tmp_path / "a.png") as dataset:
        values, masks = dataset.read(), dataset.read_masks() > 0
    assert not masks.all()
    for window in (None, Window(0, 0, 32, 32)):
        raw = read_raw(tile_at(tmp_path / "a.png", window=window))
        assert np.array_equal(raw.values, values)
        assert np.array_equal(raw.valid, masks)


def mask_beside(path, seen):
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(seen)


def nodata_beside(path, _):
    bands = "".join(
        f'<PAMRasterBand band="{band}"><NoDataValue>7</NoDataValue></PAMRasterBand>'
        for band in (1, 2, 3)
    )
    path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")


@pytest.mark.parametrize("spoil", [mask_beside, nodata_beside])
def test_a_mask_or_nodata_beside_a_png_counts(tmp_path, spoil):
    values = noise((3, 32, 32))
    values[:, 8:20, 3:9] = 7
    path = save_raster(tmp_path / "a.png", values, "PNG")
    assert read_raw(tile_at(path)).valid is None
    seen = np.ones((32, 32), bool)
    seen[8:20, 3:9] = False
    spoil(path, seen)
    with rasterio.open(path) as dataset:
        masks = dataset.read_masks() > 0
    assert not masks.all()
    for window in (None, Window(0, 0, 32, 32)):
        assert np.array_equal(read_raw(tile_at(path, window=window)).valid, masks)


def test_a_mask_at_the_end_of_a_jpeg_counts(tmp_path):
    """As GDAL writes it with INTERNAL_MASK."""
    values = np.full((3, 32, 32), 90, np.uint8)
    seen = np.ones((32, 32), bool)
    seen[:, :11] = False
    source = save_raster(tmp_path / "source.tif", values)
    mask_beside(source, seen)
    import rasterio.shutil

    path = tmp_path / "a.jpg"
    rasterio.shutil.copy(str(source), str(path), driver="JPEG", INTERNAL_MASK="YES")
    assert [p.name for p in tmp_path.glob("a.*")] == ["a.jpg"]
    for window in (None, Window(0, 0, 32, 32)):
        raw = read_raw(tile_at(path, window=window))
        assert np.array_equal(raw.valid, np.broadcast_to(seen, values.shape))


def test_where_pillow_gives_up_gdal_tries(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    smooth(40, 30, "L").save(path)
    expected = by_gdal(path)

    def gives_up(_):
        raise OSError("broken data stream when reading image file")

    monkeypatch.setattr(ImageFile.ImageFile, "load", gives_up)
    for window in (None, Window(0, 0, 40, 30)):
        assert np.array_equal(read_raw(tile_at(path, window=window)).values, expected)


def test_a_jpeg_in_a_tiff_of_12_bits_is_read_or_refused_in_words(tmp_path):
    values = noise((1, 32, 32), "uint16") >> 4
    path = save_raster(tmp_path / "a.tif", values, nbits=12)
    assert np.array_equal(read_raw(tile_at(path)).values, values)


@pytest.mark.parametrize("settled", [True, False], ids=["settled", "fresh"])
@pytest.mark.parametrize(
    ("beside", "has"),
    [
        ("a.png.msk", True),
        ("a.png.aux.xml", True),
        ("a.pgw", True),
        ("a.wld", True),
        ("a.PGW", True),
        ("a.png.AUX.XML", True),
        ("a_RPC.TXT", True),
        ("a.jgw", False),
        ("a.raw", False),
        ("a.PNG.msk", False),
        ("b.png.msk", False),
        ("ab.wld", False),
        ("a.xml", False),
        ("a.json", False),
    ],
)
def test_sidecars_are_found_by_their_names(tmp_path, beside, has, settled):
    """In a folder that was listed once, and in one that changes just now."""
    (tmp_path / "a.png").touch()
    (tmp_path / beside).touch()
    if settled:
        os.utime(tmp_path, (1e9, 1e9))
    if beside == "a.PNG.msk" and settled:
        has = True  # names are compared without case: GDAL then decides
    assert sidecars_of(str(tmp_path / "a.png")) == [str(tmp_path / beside)] * has


def test_a_sidecar_that_comes_later_is_found(tmp_path):
    (tmp_path / "a.png").touch()
    os.utime(tmp_path, (1e9, 1e9))
    assert not sidecars_of(str(tmp_path / "a.png"))
    (tmp_path / "a.png.msk").touch()
    assert sidecars_of(str(tmp_path / "a.png"))
