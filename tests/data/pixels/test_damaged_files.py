"""Pixels that a file does not hold are never made up: it is refused, or they are GDAL's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from rsretrieve.data.loading.tile_cache import key_of
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.raster_reader import read_raster
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import noise

SIDE = 96


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


def emptied(content: bytes) -> bytes:
    """As an interrupted copy leaves a file that had its room already."""
    keep = len(content) // 3
    return content[:keep] + bytes(len(content) - keep)


def lost_sector(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(512) + content[middle + 512 :]


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :]


def without_end(content: bytes) -> bytes:
    return content[:-12]


DAMAGES = (cut, emptied, lost_sector, flipped, without_end)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "I;16", "P"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_png_is_refused_whole_and_by_windows(
    tmp_path: Path, mode: str, damage: object
) -> None:
    path = tmp_path / "a.png"
    shape = (SIDE, SIDE, len(mode)) if mode in ("RGB", "RGBA") else (SIDE, SIDE)
    values = noise(shape).astype(np.uint16 if mode == "I;16" else np.uint8)
    picture = Image.fromarray(values)
    (picture.convert("P") if mode == "P" else picture).save(path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(TileError):
        read_raw(Tile("a", str(path)))
    with pytest.raises(TileError):
        read_raster(Tile("a", str(path), window=Window(0, 0, 32, 32)))


def test_what_follows_a_png_or_only_describes_it_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    values = noise((SIDE, SIDE, 3))
    Image.fromarray(values).save(path)
    content = path.read_bytes()
    note = b"\0\0\0\x01tEXtx" + bytes(4)  # with a wrong checksum
    path.write_bytes(content[:33] + note + content[33:] + b"more")
    assert (read_raw(Tile("a", str(path))).values == values.transpose(2, 0, 1)).all()


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("layout", [{}, {"tiled": True, "blockxsize": 32, "blockysize": 32}])
@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_missing_parts_of_a_sparse_tiff_are_zero(
    tmp_path: Path, bands: int, layout: dict[str, object], interleave: str
) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": SIDE, "height": SIDE, "count": bands, "dtype": "uint8"}
    profile |= {"interleave": interleave, "SPARSE_OK": True, **layout}
    upper = Window(0, 0, SIDE, SIDE // 2)
    with rasterio.open(path, "w", driver="GTiff", **profile) as dataset:
        written = noise((bands, SIDE // 2, SIDE))
        dataset.write(written, window=rasterio.windows.Window(0, 0, SIDE, SIDE // 2))
    found = read_raw(Tile("a", str(path))).values
    assert (found[:, : upper.height] == written).all()
    assert not found[:, 64:].any()
    part = read_raster(Tile("a", str(path), window=Window(0, 0, SIDE, SIDE)))
    assert (part.values == found).all()


def test_the_second_file_of_an_imagine_raster_is_watched(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rsretrieve.data.loading.tile_cache.SETTLED_NS", 0)
    path = tmp_path / "a.img"
    profile = {"width": 64, "height": 64, "count": 1, "dtype": "uint8", "USE_SPILL": "YES"}
    with rasterio.open(path, "w", driver="HFA", **profile) as dataset:
        dataset.write(noise((1, 64, 64)))
    before = key_of(Tile("a", str(path)))
    pixels = tmp_path / "a.ige"
    pixels.write_bytes(pixels.read_bytes()[:-9] + bytes(9))
    assert key_of(Tile("a", str(path))) != before
    assert before is not None


def ended_early(content: bytes) -> bytes:
    return content[: len(content) // 2] + b"\xff\xd9"


def without_middle(content: bytes) -> bytes:
    return content[: len(content) // 2] + content[-40:]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("jpeg_px", [None, 32])
@pytest.mark.parametrize(
    "damage", [ended_early, without_middle], ids=lambda damage: damage.__name__
)
def test_a_jpeg_that_lost_its_last_blocks_is_refused(
    tmp_path: Path, mode: str, jpeg_px: int | None, damage: object
) -> None:
    """libjpeg fills them with the last colour and only warns."""
    path = tmp_path / "a.jpg"
    channels = len(Image.new(mode, (1, 1)).getbands())
    shape = (SIDE, SIDE) if channels == 1 else (SIDE, SIDE, channels)
    Image.fromarray(noise(shape), mode).save(path, quality=90)
    whole = path.read_bytes()
    assert read_raw(Tile("a", str(path), ""), jpeg_px=jpeg_px).values.shape[0] in (1, 3)
    path.write_bytes(damage(whole))  # type: ignore[operator]
    parts = () if jpeg_px else (Window(0, 0, SIDE, SIDE), Window(8, 8, 16, 16))
    tiles = [Tile("a", str(path), "", window) for window in (None, *parts)]
    for tile in [*tiles, tiles[-1]]:
        with pytest.raises(TileError, match="a part of the JPEG is missing"):
            read_raw(tile, jpeg_px=jpeg_px)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("extra", [b"", b"\0" * 20, b"notes"])
def test_a_whole_jpeg_may_end_in_one_colour(
    tmp_path: Path, options: dict[str, object], extra: bytes
) -> None:
    path = tmp_path / "a.jpg"
    values = noise((SIDE, SIDE, 3))
    values[SIDE // 2 :] = 0
    Image.fromarray(values).save(path, **options)
    path.write_bytes(path.read_bytes() + extra)
    assert read_raw(Tile("a", str(path), "")).values.shape == (3, SIDE, SIDE)
