"""Files of several images are refused; what only looks like one is read."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import rasterio
from PIL import Image

from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.scene_facts import read_facts
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster, tile_at


def save_pages(path, count=3, side=32):
    """An image of several pages or frames, by the suffix."""
    pages = [Image.fromarray(noise((side, side, 3), seed=seed)) for seed in range(count)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    return path


def refused(path, window=None):
    with pytest.raises(TileError) as caught:
        read_raw(tile_at(path, window=window))
    with pytest.raises(TileError) as as_scene:
        read_facts(tile_at(path))
    assert as_scene.value.reason == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize("window", [None, Window(0, 0, 32, 32)])
def test_a_tiff_of_several_pages_is_refused_with_both_ways_out(tmp_path, window):
    reason = refused(save_pages(tmp_path / "a.tif"), window)
    assert "3 pages" in reason
    assert "bands of one image" in reason
    assert "GTIFF_DIR:1:" in reason


@pytest.mark.parametrize("window", [None, Window(0, 0, 32, 32)])
@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_an_animation_is_refused(tmp_path, name, window):
    assert "frames" in refused(save_pages(tmp_path / name), window)


def test_a_nitf_of_several_images_is_refused(tmp_path):
    profile = {"width": 32, "height": 32, "count": 1, "dtype": "uint8"}
    for count in (1, 2):
        path = tmp_path / f"{count}.ntf"
        with rasterio.open(path, "w", driver="NITF", NUMI=count, **profile) as dataset:
            dataset.write(noise((1, 32, 32)))
    assert read_raw(tile_at(tmp_path / "1.ntf")).values.shape == (1, 32, 32)
    reason = refused(tmp_path / "2.ntf")
    assert "2 pages" in reason
    assert "NITF_IM:0:2.ntf" in reason


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png", "a.webp"])
def test_one_page_or_frame_is_an_image(tmp_path, name):
    assert read_raw(tile_at(save_pages(tmp_path / name, 1))).values.shape[1:] == (32, 32)


def test_overviews_and_an_inner_mask_are_no_pages(tmp_path):
    values = noise((3, 128, 128))
    path = save_raster(tmp_path / "a.tif", values, **UTM)
    seen = np.ones((128, 128), bool)
    seen[:9] = False
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(seen)
        dataset.build_overviews([2, 4])
    raw = read_raw(tile_at(path))
    assert np.array_equal(raw.values, values)
    assert np.array_equal(raw.valid[0], seen)


def test_the_pixels_of_a_png_may_hold_the_name_of_the_chunk_of_animations(tmp_path):
    values = np.frombuffer(b"\0\0\0\x08acTL" * 300, np.uint8)[:2304].reshape(48, 48)
    path = save_picture(tmp_path / "a.png", values, compress_level=0)
    assert np.array_equal(read_raw(tile_at(path)).values[0], values)


def _chunk(name, content):
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def _animation(path, before, bits):
    """An animated PNG with other chunks before the one that says so."""
    row = bytes(1 + 32 * 3 * bits // 8)
    header = struct.pack(">IIBBBBB", 32, 32, bits, 2, 0, 0, 0)
    frame = struct.pack(">IIIIIHHBB", 0, 32, 32, 0, 0, 1, 10, 0, 0)
    chunks = [_chunk(b"IHDR", header), *before, _chunk(b"acTL", struct.pack(">II", 2, 0))]
    chunks += [_chunk(b"fcTL", frame), _chunk(b"IDAT", zlib.compress(row * 32))]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "text", [None, b"a\0b", b"a\0" + b"x" * 5000, b"a\0" + b"x" * 70_000, b"a\0 IDAT \0\0\0\0IDAT"]
)
def test_an_animation_is_found_behind_other_chunks(tmp_path, bits, text):
    before = [] if text is None else [_chunk(b"tEXt", text), _chunk(b"tEXt", b"more\0")]
    path = _animation(tmp_path / "a.png", before, bits)
    with pytest.raises(TileError, match="an animation"):
        read_raw(tile_at(path))


def test_a_text_that_names_the_chunk_of_animations_is_none(tmp_path):
    path = save_picture(tmp_path / "a.png", noise((3, 32, 32)))
    content = path.read_bytes()
    text = _chunk(b"tEXt", b"a\0\0\0\0\x08acTL")
    path.write_bytes(content[:33] + text + content[33:])
    assert read_raw(tile_at(path)).values.shape == (3, 32, 32)
