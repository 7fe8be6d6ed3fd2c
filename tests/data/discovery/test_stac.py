"""STAC items as tiles: which assets, where they lie, what is no item."""

from __future__ import annotations

import json

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import InputError, TilesNotFound
from tests.support.tiles.made_tiles import UTM, noise, save_raster

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def write_item(path, **assets):
    """Write a STAC item whose assets are (href, type) or whole objects."""
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": path.stem,
        "geometry": None,
        "properties": {"datetime": "2024-01-01T00:00:00Z"},
        "links": [],
        "assets": {
            name: asset if isinstance(asset, dict) else {"href": asset[0], "type": asset[1]}
            for name, asset in assets.items()
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(item))
    return path


def choose(*assets, window=None):
    return SceneChoices(window and WindowChoices(window), assets)


def test_the_only_raster_of_an_item_is_its_tile(tmp_path):
    item = write_item(
        tmp_path / "item.json",
        data=("./data/scene.tif", TIFF),
        notes=("notes.xml", "application/xml"),
        small={"href": "small.png", "type": "image/png", "roles": ["thumbnail"]},
    )
    (tile,) = find_tiles(item)
    assert tile.id == "item.json/data"
    assert tile.path == str(tmp_path / "data" / "scene.tif")
    assert tile.label is None


def test_assets_without_a_type_are_told_by_their_names(tmp_path):
    item = write_item(tmp_path / "a.json", x={"href": "b.xml"}, y={"href": "/data/b.TIF"})
    assert [tile.path for tile in find_tiles(item)] == ["/data/b.TIF"]


def test_several_assets_are_the_bands_of_one_tile_in_their_order(tmp_path):
    item = write_item(tmp_path / "a.json", red=("r.tif", TIFF), nir=("n.tif", TIFF))
    (tile,) = find_tiles(item, scenes=choose("nir", "red"))
    assert tile.id == "a.json/nir+red"
    assert tile.location.stack == (str(tmp_path / "n.tif"), str(tmp_path / "r.tif"))
    (alone,) = find_tiles(item, scenes=choose("red"))
    assert (alone.id, alone.path) == ("a.json/red", str(tmp_path / "r.tif"))


@pytest.mark.parametrize(
    ("assets", "asked", "message"),
    [
        (
            {"red": ("r.tif", TIFF), "nir": ("n.tif", TIFF)},
            (),
            "the item has 2 rasters, one must be chosen (its assets are: red, nir)",
        ),
        ({}, (), "the item has 0 rasters, one must be chosen (its assets are: none)"),
        ({"red": ("r.tif", TIFF)}, ("blue",), "the item has no asset 'blue' (its assets are: red)"),
    ],
)
def test_an_asset_that_is_not_clear_is_asked_for(tmp_path, assets, asked, message):
    item = write_item(tmp_path / "a.json", **assets)
    with pytest.raises(InputError) as caught:
        find_tiles(item, scenes=choose(*asked))
    assert caught.value.message == f"{item}: {message}"
    assert "choose by --asset NAME" in caught.value.hint


def test_a_folder_of_items_is_walked_and_its_sub_folders_are_labels(tmp_path):
    write_item(tmp_path / "sea" / "b.json", data=("../b.tif", TIFF))
    write_item(tmp_path / "a.geojson", data=("file:///data/a%20b.tif", TIFF))
    write_item(tmp_path / "c" / "deep" / "d.json", data=("https://example.org/d.tif", TIFF))
    write_item(tmp_path / ".hidden" / "e.json", data=("e.tif", TIFF))
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "id": "c"}')
    (tmp_path / "collection.json").write_text('{"type": "Collection", "assets": {}}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "broken.json").write_text("{")
    tiles = find_tiles(tmp_path)
    assert [(tile.id, tile.path, tile.label) for tile in tiles] == [
        ("a.geojson/data", "/data/a b.tif", None),
        ("c/deep/d.json/data", "https://example.org/d.tif", "c"),
        ("sea/b.json/data", str(tmp_path / "b.tif"), "sea"),
    ]


def test_items_beside_their_images_are_meant_when_an_asset_is_named(tmp_path):
    save_raster(tmp_path / "x" / "scene.tif", noise((1, 32, 32)), **UTM)
    write_item(tmp_path / "x" / "item.json", data=("scene.tif", TIFF))
    assert [tile.id for tile in find_tiles(tmp_path)] == ["x/scene.tif"]
    tiles = find_tiles(tmp_path, scenes=choose("data", window=16))
    assert [tile.id for tile in tiles][:2] == [
        "x/item.json/data#0,0,16,16",
        "x/item.json/data#16,0,16,16",
    ]
    assert {tile.label for tile in tiles} == {"x"}


def test_a_folder_without_items_says_so(tmp_path):
    with pytest.raises(TilesNotFound, match=r"no STAC items in it$"):
        find_tiles(tmp_path, scenes=choose("data"))
    with pytest.raises(TilesNotFound, match=r"no tiles in it$"):
        find_tiles(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"type": "Catalog", "id": "c"}', "\xff"])
def test_a_file_that_is_no_item_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read as a STAC item"):
        find_tiles(path)
    with pytest.raises(TilesNotFound, match=r"no such file$"):
        find_tiles(tmp_path / "b.json")
