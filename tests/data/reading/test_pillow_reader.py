"""Reading pixels: formats told by content, types kept, masks, places, windows, bad tiles."""

from __future__ import annotations

import struct
import sys
import zlib

import numpy as np
import pytest
import rasterio
import rasterio.warp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.drivers import raster_driver_extensions

from rsretrieve.data.notes import Note
from rsretrieve.data.reading.pillow_reader import RawTile, read_raw
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, tile_at, unhurried

READABLE = ("uint8", "uint16", "int16", "float32")


def read(path, window=None):
    return read_raw(tile_at(path, window=window))


def reason_of(path, window=None):
    """Why a tile is refused."""
    with pytest.raises(TileError) as caught:
        read(path, window)
    return caught.value.reason


def assert_same(values, expected):
    assert values.dtype == expected.dtype
    assert np.array_equal(values, expected)


# Formats and types


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.webp"])
def test_rgb_pictures_are_three_bands(tmp_path, name):
    values = noise((3, 16, 12))
    options = {"lossless": True} if name.endswith("webp") else {}
    raw = read(save_picture(tmp_path / name, values, **options))
    assert_same(raw.values, values)
    assert (raw.valid, raw.place) == (None, None)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_grey_pictures_are_one_band(tmp_path, name):
    values = noise((16, 12))
    assert_same(read(save_picture(tmp_path / name, values)).values, values[None])


@pytest.mark.parametrize(
    ("size", "asked", "found"),
    [
        ((64, 64), 64, (64, 64)),
        ((64, 64), 33, (64, 64)),
        ((64, 64), 32, (32, 32)),
        ((64, 64), 17, (32, 32)),
        ((64, 64), 1, (8, 8)),
        ((100, 50), 25, (50, 25)),  # the shorter side decides
        ((33, 65), 16, (17, 33)),  # odd ones are rounded up
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_is_decoded_no_smaller_than_was_asked_for(tmp_path, mode, size, asked, found):
    path = tmp_path / "a.jpg"
    ramp = np.add.outer(np.arange(size[1]), np.arange(size[0])).astype(np.uint8)
    Image.fromarray(ramp).convert(mode).save(path, quality=95)
    raw = read_raw(tile_at(path), asked)
    assert raw.values.shape[:0:-1] == found
    whole = read(path)
    assert raw.values.dtype == whole.values.dtype
    assert len(raw.values) == len(whole.values)
    # Each of its pixels is the mean of those that it stands for.
    step = round(size[0] / found[0])
    rows, columns = (length // step * step for length in whole.values.shape[1:])
    blocks = whole.values[:, :rows, :columns].reshape(
        len(whole.values), rows // step, step, columns // step, step
    )
    means = blocks.mean(axis=(2, 4))
    assert np.abs(raw.values[:, : rows // step, : columns // step] - means).max() < 4


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_other_formats_are_decoded_whole(tmp_path, name):
    path = save_picture(tmp_path / name, noise((3, 64, 64)))
    assert_same(read_raw(tile_at(path), 8).values, read(path).values)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_jpeg_that_was_cut_short_is_refused_at_any_size(tmp_path, keep):
    path = save_picture(tmp_path / "a.jpg", noise((3, 64, 64)))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    for asked in (None, 8, 32):
        with pytest.raises(TileError, match="truncated"):
            read_raw(tile_at(path), asked)


def test_a_jpeg_is_read(tmp_path):
    y, x = np.mgrid[:32, :48]
    values = np.stack([4 * x, 5 * y, 2 * x + 3 * y]).astype(np.uint8)
    raw = read(save_picture(tmp_path / "a.jpg", values, quality=98, subsampling=0))
    assert raw.values.shape == (3, 32, 48)
    assert np.abs(raw.values.astype(int) - values).max() <= 4


def test_a_grey_jpeg_is_one_band(tmp_path):
    raw = read(save_picture(tmp_path / "a.jpg", np.full((16, 16), 77, np.uint8)))
    assert_same(raw.values, np.full((1, 16, 16), 77, np.uint8))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.gif", "a.bmp"])
def test_a_palette_is_looked_up(tmp_path, name):
    colours = np.array([[10, 200, 30], [255, 0, 1], [7, 8, 9]], np.uint8)
    indices = np.random.default_rng(0).integers(0, 3, (16, 16), np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(colours.tobytes())
    image.save(tmp_path / name)
    assert_same(read(tmp_path / name).values, colours[indices].transpose(2, 0, 1))


def test_black_and_white_pictures_are_0_and_255(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (16, 16)).astype(bool)
    for name in ("a.png", "a.tif"):
        save_picture(tmp_path / name, bits)
        assert_same(read(tmp_path / name).values, np.where(bits, 255, 0).astype(np.uint8)[None])


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk_becomes_rgb(tmp_path, name):
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(tmp_path / name)  # cyan
    values = read(tmp_path / name).values.astype(int)
    assert np.abs(values - np.array([0, 255, 255])[:, None, None]).max() <= 2


@pytest.mark.parametrize("dtype", READABLE)
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("profile", [{}, UTM], ids=["plain", "georeferenced"])
def test_a_tiff_keeps_its_bands_and_its_type(tmp_path, dtype, bands, profile):
    values = noise((bands, 16, 12), dtype)
    extra = {"photometric": "minisblack", "alpha": "unspecified"} if bands > 3 else {}
    raw = read(save_raster(tmp_path / "a.tif", values, **profile, **extra))
    assert_same(raw.values, values)
    assert raw.valid is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("bands", [3, 4, 5])
def test_a_plain_tiff_marked_as_rgb_loses_neither_bands_nor_bits(tmp_path, dtype, bands):
    values = noise((bands, 16, 12), dtype)
    path = save_raster(tmp_path / "a.tif", values, photometric="rgb", alpha="unspecified")
    assert_same(read(path).values, values)


def test_big_endian_and_float64_tiffs_come_in_types_of_this_machine(tmp_path):
    values = noise((1, 16, 12), "uint16")
    path = save_raster(tmp_path / "big.tif", values, ENDIANNESS="BIG")
    assert path.read_bytes().startswith(b"MM")
    assert_same(read(path).values, values)
    doubles = noise((2, 16, 12), "float64")
    path = save_raster(tmp_path / "double.tif", doubles)
    assert_same(read(path).values, doubles.astype(np.float32))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_pixels_are_refused_with_the_way_out(tmp_path, dtype):
    path = save_raster(tmp_path / "a.tif", np.full((1, 16, 16), 5, dtype))
    for window in (None, Window(0, 0, 16, 16)):
        reason = reason_of(path, window)
        assert reason.startswith(f"pixels are {dtype}")
        assert "AMPLITUDE" in reason


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64", "uint64", "float64"])
def test_other_types_become_float32(tmp_path, dtype):
    """With a note only where float32 is another number."""
    values = np.arange(-100 if np.dtype(dtype).kind != "u" else 0, 92).astype(dtype)[:192]
    values = np.resize(values, (1, 16, 12))
    for window in (None, Window(0, 0, 12, 16)):
        raw = read(save_raster(tmp_path / f"{dtype}.tif", values), window)
        assert_same(raw.values, values.astype(np.float32))
        assert (raw.valid, raw.notes) == (None, ())
    if dtype == "int8":
        return
    values[0, 3, 4] = (1 << 24) + 1 if dtype != "float64" else 0.1
    raw = read(save_raster(tmp_path / f"{dtype}.tif", values))
    assert_same(raw.values, values.astype(np.float32))
    assert raw.notes == (Note.INEXACT,)


@pytest.mark.parametrize("bands", [1, 3])
def test_16_bit_pngs_keep_their_16_bits(tmp_path, bands):
    values = noise((bands, 16, 12), "uint16")
    assert_same(read(save_raster(tmp_path / "a.png", values, "PNG")).values, values)


def test_a_real_jpeg_2000_is_read(tmp_path):
    if raster_driver_extensions().get("jp2") != "JP2OpenJPEG":
        pytest.skip("this rasterio writes no JPEG 2000")
    values = noise((4, 32, 32), "uint16")
    path = save_raster(
        tmp_path / "a.jp2", values, "JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", **UTM
    )
    raw = read(path)
    assert_same(raw.values, values)
    assert raw.place is not None
    assert raw.place.crs == "EPSG:32618"


@pytest.mark.parametrize("name", ["a.jp2", "a.jpg", "a", "a b.dat", "größe#1.png"])
def test_a_geotiff_is_one_whatever_its_name(tmp_path, name):
    values = noise((4, 16, 16), "uint16")
    path = save_raster(tmp_path / "first.tif", values, **UTM).rename(tmp_path / name)
    raw = read(path)
    assert_same(raw.values, values)
    assert raw.place is not None


def test_a_jpeg_and_a_png_are_read_whatever_their_names(tmp_path):
    jpeg = save_picture(tmp_path / "a.jpg", np.full((16, 16), 77, np.uint8))
    assert read(jpeg.rename(tmp_path / "a.tif")).values.max() == 77
    png = save_picture(tmp_path / "b.png", np.full((16, 16), 78, np.uint8))
    assert read(png.rename(tmp_path / "b.jpg")).values.max() == 78


# Masks


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_transparent_pixels_are_not_valid(tmp_path, name):
    values = noise((4, 16, 12))
    values[3] = 255
    values[3, :4] = 0
    values[3, 4] = 1  # hardly seen, but there
    raw = read(save_picture(tmp_path / name, values))
    assert_same(raw.values[:, 4:], values[:3, 4:])
    assert raw.valid.shape == raw.values.shape
    assert not raw.valid[:, :4].any()
    assert raw.valid[:, 4:].all()


def test_a_picture_that_is_opaque_throughout_is_valid_throughout(tmp_path):
    values = noise((4, 16, 12))
    values[3] = 255
    raw = read(save_picture(tmp_path / "a.png", values))
    assert_same(raw.values, values[:3])
    assert raw.valid is None


def test_grey_with_transparency_stays_one_band(tmp_path):
    values = np.stack([noise((16, 12)), np.full((16, 12), 255, np.uint8)])
    values[1, :, :3] = 0
    raw = read(save_picture(tmp_path / "a.png", values))
    assert_same(raw.values, values[:1])
    assert_same(raw.valid, values[1:] > 0)


def test_one_transparent_grey_is_not_valid(tmp_path):
    values = noise((16, 12))
    values[:2] = 9
    for dtype in ("uint8", "uint16"):
        path = save_picture(tmp_path / f"{dtype}.png", values.astype(dtype), transparency=9)
        raw = read(path)
        assert_same(raw.values, values[None].astype(dtype))
        assert_same(raw.valid, values[None] != 9)


def test_one_transparent_colour_of_a_palette_is_not_valid(tmp_path):
    indices = np.random.default_rng(0).integers(0, 3, (16, 16), np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([10, 200, 30, 255, 0, 1, 7, 8, 9])
    image.save(tmp_path / "a.png", transparency=2)
    raw = read(tmp_path / "a.png")
    assert raw.values.shape == (3, 16, 16)
    assert_same(raw.valid, np.broadcast_to(indices != 2, (3, 16, 16)))


def test_nodata_is_not_valid_band_by_band(tmp_path):
    values = noise((2, 16, 12), "int16")
    values[0, :3] = -9999
    values[1, 5:] = -9999
    raw = read(save_raster(tmp_path / "a.tif", values, nodata=-9999))
    assert_same(raw.values, values)
    assert_same(raw.valid, values != -9999)


@pytest.mark.parametrize("nodata", [None, -1.0, np.nan])
def test_nan_and_infinity_are_not_valid_whatever_nodata_is(tmp_path, nodata):
    values = noise((2, 16, 12), "float32")
    values[0, 0], values[1, 1, :2] = np.nan, (np.inf, -np.inf)
    profile = {} if nodata is None else {"nodata": nodata}
    raw = read(save_raster(tmp_path / "a.tif", values, **profile, **UTM))
    assert_same(raw.valid, np.isfinite(values))


def test_an_alpha_band_of_a_geotiff_is_a_mask_and_no_band(tmp_path):
    values = noise((4, 16, 12))
    values[3] = 255
    values[3, 2:5] = 0
    path = save_raster(tmp_path / "a.tif", values, photometric="rgb", alpha="yes", **UTM)
    raw = read(path)
    assert_same(raw.values, values[:3])
    assert_same(raw.valid, np.broadcast_to(values[3] > 0, (3, 16, 12)))


# Places and windows


def corners(path, col, row, width, height):
    """Corners in the file's CRS and as lon/lat, by the affine transform and by rasterio."""
    with rasterio.open(path) as dataset:
        pixels = [(col, row), (col, row + height), (col + width, row + height), (col + width, row)]
        xs, ys = zip(*(dataset.transform @ pixel for pixel in pixels))
        return xs, ys, list(zip(*rasterio.warp.transform(dataset.crs, "EPSG:4326", xs, ys)))


@pytest.mark.parametrize("window", [None, Window(8, 16, 16, 8)])
@pytest.mark.parametrize(
    "affine",
    [UTM["transform"], rasterio.Affine(8, 3, 5e5, 2, -9, 4e6)],
    ids=["north up", "rotated"],
)
def test_a_place_is_where_rasterio_puts_the_corners(tmp_path, affine, window):
    path = save_raster(tmp_path / "a.tif", noise((1, 32, 48)), crs="EPSG:32618", transform=affine)
    place = read(path, window).place
    col, row, width, height = (8, 16, 16, 8) if window else (0, 0, 48, 32)
    xs, ys, lonlats = corners(path, col, row, width, height)
    assert place.crs == "EPSG:32618"
    assert place.bounds == pytest.approx((min(xs), min(ys), max(xs), max(ys)), abs=1e-6)
    assert np.array(place.footprint) == pytest.approx(np.array(lonlats), abs=1e-9)


def test_a_place_in_degrees_is_longitude_first(tmp_path):
    degrees = {"crs": "EPSG:4326", "transform": rasterio.Affine(0.5, 0, 10, 0, -0.25, 50)}
    place = read(save_raster(tmp_path / "a.tif", noise((1, 8, 8)), **degrees)).place
    assert place.bounds == (10, 48, 14, 50)
    assert place.footprint == ((10, 50), (10, 48), (14, 48), (14, 50))


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"crs": "EPSG:32618"},
        {"transform": UTM["transform"]},
        {"crs": 'LOCAL_CS["site",UNIT["metre",1]]', "transform": UTM["transform"]},
        {"crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 5e8, 0, -10, 4e8)},
        {"crs": "EPSG:3857", "transform": rasterio.Affine(10, 0, 1e30, 0, -10, 1e30)},
        {"crs": "EPSG:4326", "transform": rasterio.Affine(1, 0, np.nan, 0, -1, 5)},
    ],
    ids=["nothing", "crs alone", "transform alone", "site plan", "off the map", "1e30", "nan"],
)
def test_a_tile_that_does_not_say_where_on_earth_it_lies_has_no_place(tmp_path, profile):
    values = noise((5, 16, 16))
    raw = read(save_raster(tmp_path / "a.tif", values, **profile))
    assert_same(raw.values, values)
    assert raw.place is None


def test_corners_that_come_out_as_infinite_are_computed_by_proj_alone(tmp_path, monkeypatch):
    path = save_raster(tmp_path / "a.tif", noise((1, 16, 16)), **UTM)
    expected = read(path).place.footprint

    def nowhere(source, target, xs, ys):  # what a GDAL that raises nothing answers
        return [np.inf] * len(xs), [np.inf] * len(ys)

    monkeypatch.setattr(rasterio.warp, "transform", nowhere)
    np.testing.assert_allclose(read(path).place.footprint, expected, atol=1e-9)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_window_is_that_part_of_the_scene(tmp_path, name):
    values = noise((3, 32, 48))
    path = save_picture(tmp_path / name, values)
    assert_same(read(path, Window(5, 3, 20, 10)).values, values[:, 3:13, 5:25])
    assert_same(read(path, Window(0, 0, 48, 32)).values, values)


@pytest.mark.parametrize("window", [Window(48, 0, 16, 16), Window(0, 32, 16, 16)])
def test_a_window_outside_the_scene_is_refused(tmp_path, window):
    path = save_raster(tmp_path / "a.tif", noise((1, 32, 48)))
    assert reason_of(path, window) == "the window lies outside the scene of 48×32 px"


def test_what_a_window_holds_beyond_the_edge_is_not_valid(tmp_path):
    values = noise((2, 32, 48))
    raw = read(save_raster(tmp_path / "a.tif", values), Window(40, 20, 16, 16))
    assert_same(raw.values[:, :12, :8], values[:, 20:, 40:])
    assert raw.valid[:, :12, :8].all()
    assert raw.valid.sum() == 2 * 12 * 8


def test_a_window_is_small_or_large_by_itself(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((1, 32, 48)))
    assert reason_of(path, Window(0, 0, 16, 7)).startswith("16×7 px is too small")
    scene = tmp_path / "scene.tif"
    giant = {"width": 20_000, "height": 20_000, "count": 2, "dtype": "int16"}
    values = noise((2, 8, 8), "int16")
    with rasterio.open(scene, "w", "GTiff", sparse_ok=True, tiled=True, **giant) as dataset:
        dataset.write(values, window=((256, 264), (512, 520)))
    assert_same(read(scene, Window(512, 256, 8, 8)).values, values)
    assert reason_of(scene) == "20000×20000 px: too large for a tile: at most 67 million pixels"


# Bad tiles


def png_that_says(path, width, height):
    """A PNG of a few bytes whose header promises that many grey pixels."""

    def chunk(kind, content):
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")))
    return path


def cut(path, share):
    """Keep the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def test_a_tile_that_is_not_there(tmp_path):
    assert reason_of(tmp_path / "gone.png") == "no such file"


def test_a_tile_of_no_bytes(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert reason_of(tmp_path / "a.jpg") == "the file is empty (0 bytes)"


def test_a_folder_with_the_name_of_a_tile(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    assert reason_of(tmp_path / "a.jpg") == "is a folder, not a file"


@pytest.mark.parametrize("content", ["this is no picture", "BM", "\x89PNG\r\n", "GIF89a"])
def test_a_file_that_is_no_image(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content.encode("latin-1"))
    assert reason_of(path) == "not an image that can be read"


def test_a_truncated_jpeg(tmp_path):
    path = cut(save_picture(tmp_path / "a.jpg", noise((3, 64, 64))), 0.5)
    assert reason_of(path).startswith("cannot be decoded: image file is truncated")


def test_a_truncated_png(tmp_path):
    path = cut(save_picture(tmp_path / "a.png", noise((3, 64, 64))), 0.5)
    assert reason_of(path) == "cannot be decoded: image file is truncated"


@pytest.mark.parametrize("compress", ["none", "deflate"])
def test_a_truncated_geotiff_says_where_reading_ended(tmp_path, compress):
    path = save_raster(tmp_path / "a.tif", noise((3, 64, 64)), compress=compress, **UTM)
    reason = reason_of(cut(path, 0.5))
    assert reason.startswith("cannot be decoded: a.tif, band 1: IReadBlock failed at X offset 0")


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 64), (64, 7)])
def test_a_tile_of_too_few_pixels(tmp_path, width, height):
    expected = f"{width}×{height} px is too small: a side has at least 8 px"
    values = noise((1, height, width))
    assert reason_of(save_picture(tmp_path / "a.png", values[0])) == expected
    assert reason_of(save_raster(tmp_path / "a.tif", values, **UTM)) == expected


def test_a_tile_of_the_least_size_is_read(tmp_path):
    assert read(save_picture(tmp_path / "a.png", noise((8, 8)))).values.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (8200, 8200, "8200×8200 px: "),  # over our limit and under Pillow's
        (10_000, 10_000, ""),  # Pillow would warn
        (20_000, 20_000, ""),  # Pillow would refuse
    ],
)
def test_a_gigantic_tile_is_refused_before_it_is_decoded(tmp_path, width, height, size):
    path = png_that_says(tmp_path / "a.png", width, height)
    assert reason_of(path) == f"{size}too large for a tile: at most 67 million pixels"


def test_a_tile_of_nothing_but_nodata(tmp_path):
    values = np.full((3, 16, 16), 7, np.uint16)
    path = save_raster(tmp_path / "a.tif", values, nodata=7)
    assert reason_of(path) == "every pixel is nodata"


def test_a_tile_of_nothing_but_nan(tmp_path):
    path = save_raster(tmp_path / "a.tif", np.full((2, 16, 16), np.nan, np.float32))
    assert reason_of(path) == "every pixel is nodata"


def test_a_tile_that_is_transparent_throughout(tmp_path):
    values = noise((4, 16, 16))
    values[3] = 0
    assert reason_of(save_picture(tmp_path / "a.png", values)) == "every pixel is nodata"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_tile_of_nothing_but_zeros(tmp_path, name):
    path = save_picture(tmp_path / name, np.zeros((3, 16, 16), np.uint8))
    assert reason_of(path) == "every pixel is 0 in every band, which is taken for nodata"


def test_one_pixel_that_is_not_0_is_enough(tmp_path):
    values = np.zeros((3, 16, 16), np.uint8)
    values[2, 15, 15] = 1
    assert_same(read(save_picture(tmp_path / "a.png", values)).values, values)


def test_the_error_names_the_tile(tmp_path):
    with pytest.raises(TileError, match=r"^forest/a\.jpg: no such file$") as caught:
        read_raw(Tile("forest/a.jpg", str(tmp_path / "a.jpg")))
    assert caught.value.tile_id == "forest/a.jpg"


def test_without_rasterio_pictures_are_read_and_other_tiles_refused(tmp_path, monkeypatch):
    picture = save_picture(tmp_path / "a.png", noise((3, 16, 16)))
    raster = save_raster(tmp_path / "a.tif", noise((3, 16, 16)), **UTM)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert read(picture).values.shape == (3, 16, 16)
    assert reason_of(raster) == "neither JPEG nor plain PNG or TIFF, and rasterio is not installed"


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory):
    """The bytes of good tiles in several formats, and a path to damage them at."""
    folder = tmp_path_factory.mktemp("damage")
    values = noise((3, 24, 24))
    paths = [save_picture(folder / f"a.{suffix}", values) for suffix in ("jpg", "png", "bmp")]
    paths.append(save_picture(folder / "lzw.tif", values, compression="tiff_lzw"))
    paths.append(save_raster(folder / "geo.tif", values, compress="deflate", nodata=0, **UTM))
    return [path.read_bytes() for path in paths], folder / "damaged"


@pytest.mark.filterwarnings("ignore")  # decoders warn of damage in many ways
@unhurried
@given(st.data())
def test_a_damaged_file_is_read_or_refused_and_never_ends_a_run(whole_files, data):
    contents, path = whole_files
    content = bytearray(data.draw(st.sampled_from(contents)))
    places = st.integers(0, min(len(content), 400) - 1)  # where headers stand
    for place, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=12)):
        content[place] = byte
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        raw = read(path)
    except TileError as error:
        assert error.reason  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(raw, RawTile)
        assert raw.values.dtype.name in READABLE
        assert raw.values.ndim == 3
