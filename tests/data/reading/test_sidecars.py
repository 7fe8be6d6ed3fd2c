"""Sidecars give whole tiles their place, as they do windows; those of strangers lead nowhere."""

from __future__ import annotations

import os

import numpy as np
import pytest
import rasterio

from rsretrieve.data.notes import Note
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError
from tests.support.tiles.made_tiles import UTM, noise, save_picture, save_raster

WORLD = "10\n0\n0\n-10\n500005\n3999995\n"
AUX = "<PAMDataset><SRS>EPSG:32618</SRS>{}</PAMDataset>"
GEO = "<GeoTransform> 500000, 10, 0, 4000000, 0, -10</GeoTransform>"


def read(path):
    return read_raw(Tile("t", str(path)))


@pytest.mark.parametrize(
    ("driver", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg"), ("BMP", "a.bmp")]
)
def test_a_whole_tile_lies_where_its_window_lies(tmp_path, driver, name):
    path = save_raster(tmp_path / name, noise((3, 64, 64)), driver=driver, worldfile="YES", **UTM)
    raw = read(path)
    window = read_raw(Tile("t", str(path), window=Window(0, 0, 64, 64)))
    assert raw.place is not None
    assert raw.place == window.place
    assert raw.place.crs == "EPSG:32618"


@pytest.mark.parametrize("suffix", ["jgw", "jpgw", "wld", "JGW"])
def test_a_world_file_with_the_crs_beside_it(tmp_path, suffix):
    path = save_picture(tmp_path / "a.jpg", noise((3, 64, 64)))
    (tmp_path / f"a.{suffix}").write_text(WORLD)
    (tmp_path / "a.jpg.aux.xml").write_text(AUX.format(""))
    place = read(path).place
    assert place is not None
    assert place.bounds == (500_000, 3_999_360, 500_640, 4_000_000)


def test_a_plain_tiff_with_a_world_file(tmp_path):
    path = save_picture(tmp_path / "a.tif", noise((3, 64, 64)))
    (tmp_path / "a.tfw").write_text(WORLD)
    (tmp_path / "a.tif.aux.xml").write_text(AUX.format(""))
    with rasterio.open(path) as dataset:
        assert dataset.transform == UTM["transform"]
    assert read(path).place is not None


def test_a_world_file_alone_is_remarked(tmp_path):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    (tmp_path / "a.pgw").write_text(WORLD)
    raw = read(path)
    assert raw.place is None
    assert raw.notes == (Note.NO_CRS,)


def test_statistics_alone_are_no_place(tmp_path):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    (tmp_path / "a.png.aux.xml").write_text("<PAMDataset><Metadata/></PAMDataset>")
    raw = read(path)
    assert (raw.place, raw.notes) == (None, ())


def test_a_sidecar_that_leads_out_of_its_folder_is_not_read(tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "secret.txt").write_text(AUX.format(GEO))
    path = save_picture(tmp_path / "t" / "a.png", noise((3, 64, 64)))
    (tmp_path / "t" / "a.png.aux.xml").symlink_to(outside / "secret.txt")
    raw = read(path)
    assert raw.place is None
    assert raw.notes == (Note.SIDECAR_UNREAD,)


@pytest.mark.parametrize("name", ["a.prj", "a.tab", "a_rpc.txt"])
def test_other_texts_that_lead_out_of_their_folder_are_not_read(tmp_path, name):
    (tmp_path / "secret.txt").write_text("anything")
    values = noise((3, 64, 64))
    path = save_picture(tmp_path / "t" / "a.png", values)
    (tmp_path / "t" / name).symlink_to(tmp_path / "secret.txt")
    raw = read(path)
    assert raw.notes == (Note.SIDECAR_UNREAD,)
    assert np.array_equal(raw.values, values)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_mask_is_not_lost_with_a_georeference_that_is_not_read(tmp_path, name):
    path = save_picture(tmp_path / name, noise((3, 64, 64)))
    save_raster(tmp_path / f"{name}.msk", noise((1, 64, 64)))
    os.mkfifo(tmp_path / "a.wld")
    with pytest.raises(TileError, match="a pipe"):
        read(path)


def test_a_reduced_jpeg_keeps_its_place(tmp_path):
    values = noise((3, 64, 64))
    path = save_raster(tmp_path / "a.jpg", values, driver="JPEG", worldfile="YES", **UTM)
    place = read_raw(Tile("t", str(path)), 16).place
    assert place is not None
    assert place.bounds == (500_000, 3_999_360, 500_640, 4_000_000)


def test_a_linked_tile_may_have_its_sidecar_where_it_is(tmp_path):
    store = save_raster(tmp_path / "store" / "a.png", noise((3, 64, 64)), driver="PNG", **UTM)
    (tmp_path / "t").mkdir()
    for name in ("a.png", "a.png.aux.xml"):
        (tmp_path / "t" / name).symlink_to(store.with_name(name))
    assert read(tmp_path / "t" / "a.png").place is not None


def test_a_pipe_beside_a_picture_does_not_block(tmp_path):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    (tmp_path / "a.png.aux.xml").write_text(AUX.format(GEO))
    os.mkfifo(tmp_path / "a.pgw")
    raw = read(path)
    assert raw.place is None
    assert raw.notes == (Note.SIDECAR_UNREAD,)
    assert np.asarray(raw.values).shape == (3, 64, 64)


@pytest.mark.parametrize("target", ["other.png", "a.png/within", "x" * 300])
def test_a_link_that_cannot_be_followed_costs_no_other_tile(tmp_path, target):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    (tmp_path / "other.png").symlink_to(target)
    assert np.asarray(read(path).values).shape == (3, 64, 64)


def test_a_huge_sidecar_is_not_read(tmp_path):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    with (tmp_path / "a.png.aux.xml").open("wb") as stream:
        stream.truncate(1 << 32)
    raw = read(path)
    assert raw.place is None
    assert raw.notes == (Note.SIDECAR_UNREAD,)


@pytest.mark.parametrize("content", ["not numbers", "<PAMDataset", "", "1e999\n" * 6])
def test_a_damaged_sidecar_costs_only_the_place(tmp_path, content):
    path = save_picture(tmp_path / "a.png", noise((3, 64, 64)))
    (tmp_path / "a.png.aux.xml").write_text(content)
    (tmp_path / "a.wld").write_text(content)
    assert read(path).place is None
