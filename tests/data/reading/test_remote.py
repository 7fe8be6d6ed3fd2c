"""Scenes behind a URL: read in parts, over HTTP, from a server on this machine."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles, tiles_of_images
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.open_rasters import OpenRasters
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.raster_reader import read_windows
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import NoUsableTiles
from tests.data.discovery.test_stac import TIFF, write_item
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import UTM, noise, save_raster

SIDE = 1024
CHOICES = SceneChoices(WindowChoices(64, 64))


@pytest.fixture
def scene(served):
    profile = {"tiled": True, "blockxsize": 256, "blockysize": 256, **UTM}
    values = noise((2, SIDE, SIDE), "uint16")
    return save_raster(served.folder / "scene.tif", values, **profile)


def everything(tiles):
    return list(read_in_order(tiles, the_raw_tile))


@pytest.mark.medium
@pytest.mark.parametrize("prefix", ["", "/vsicurl/"])
def test_windows_of_a_url_are_those_of_the_file(served, scene, prefix):
    url = f"{prefix}{served.url}/scene.tif"
    here, there = find_tiles(scene, scenes=CHOICES), find_tiles(url, scenes=CHOICES)
    assert [tile.id for tile in there] == [tile.id for tile in here]
    assert {tile.path for tile in there} == {url}
    for one, other in zip(everything(here), everything(there)):
        assert np.array_equal(one.content.values, other.content.values)
        assert one.content.place == other.content.place


def test_only_the_part_that_is_asked_for_is_fetched(served, scene):
    (tile,) = tiles_of_images([f"{served.url}/scene.tif#64,64,64,64"])
    assert read_raw(tile).values.shape == (2, 64, 64)
    assert served.ranges > 0
    assert served.sent_bytes < scene.stat().st_size / 4


@pytest.mark.medium
def test_a_scene_is_fetched_once_however_many_windows_overlap(served, scene):
    choices = SceneChoices(WindowChoices(64, 32))
    tiles = find_tiles(f"{served.url}/scene.tif", scenes=choices)
    assert not [read for read in everything(tiles) if isinstance(read, Failure)]
    assert served.sent_bytes < 1.2 * scene.stat().st_size


def test_an_image_behind_a_url_can_be_named_whole(served):
    values = noise((3, 16, 16))
    save_raster(served.folder / "a.png", values, "PNG")
    (tile,) = tiles_of_images([f"{served.url}/a.png"])
    assert np.array_equal(read_raw(tile).values, values)


def test_a_url_that_leads_nowhere_is_an_error_with_its_reason(served):
    with pytest.raises(NoUsableTiles, match=r"gone\.tif: cannot be opened: .*404"):
        find_tiles(f"{served.url}/gone.tif", scenes=CHOICES, context=RunContext())


def test_a_server_that_fails_on_the_way_fails_its_windows_and_no_more(served, scene):
    save_raster(served.folder / "local.tif", noise((2, 64, 64), "uint16"), **UTM)
    tiles = find_tiles(f"{served.url}/scene.tif", scenes=CHOICES).tiles[:2]
    served.fail()
    with closing(OpenRasters()) as rasters:
        for error in read_windows(rasters, tiles):
            assert error.reason == "cannot be opened: HTTP response code: 500"
        local = Tile("local.tif#0,0,64,64", str(served.folder / "local.tif"), None, tiles[0].window)
        (raw,) = read_windows(rasters, [local])
        assert raw.values.shape == (2, 64, 64)
        assert raw.place is not None


@pytest.mark.medium
def test_a_stac_item_may_lie_behind_a_url_with_its_asset(served, scene):
    write_item(served.folder / "item.json", data=("./scene.tif", TIFF), more=("x.xml", "text/xml"))
    tiles = find_tiles(f"{served.url}/item.json", scenes=CHOICES)
    assert tiles[0].id == "item.json/data#0,0,64,64"
    assert tiles[0].path == f"{served.url}/scene.tif"
    assert np.array_equal(
        everything(tiles.select([3]))[0].content.values,
        everything(find_tiles(scene, scenes=CHOICES).select([3]))[0].content.values,
    )
