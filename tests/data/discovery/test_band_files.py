"""Bands in files of their own are recognised by their names, told, and stacked on request."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from rsretrieve.data.discovery.band_files import band_file
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.reading.raster_reader import read_raster
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import TilesNotFound
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, save_table

BIGEARTHNET = "S2A_MSIL2A_20170613T101031_26_57"
LANDSAT = "LC08_L2SP_192027_20200101_20200823_02_T1"


def band(folder, name, side=24, seed=0):
    transform = from_origin(600_000, 5_000_000, 240 / side, 240 / side)
    values = noise((1, side, side), "uint16", seed)
    return save_raster(folder / name, values, crs="EPSG:32632", transform=transform)


def stack(*names, window=None):
    return SceneChoices(window and WindowChoices(window), stack=names)


@pytest.mark.parametrize(
    ("path", "scene", "name"),
    [
        ("a/GRANULE/L1C/IMG_DATA/T32UMV_B8A.jp2", "a/GRANULE/L1C/IMG_DATA/T32UMV", "B8A"),
        ("G/IMG_DATA/R60m/T32_B01_60m.jp2", "G/IMG_DATA/T32", "B1"),
        (f"{BIGEARTHNET}/{BIGEARTHNET}_B11.tif", f"{BIGEARTHNET}/{BIGEARTHNET}", "B11"),
        (f"{LANDSAT}/{LANDSAT}_SR_B4.TIF", f"{LANDSAT}/{LANDSAT}", "B4"),
        (f"{LANDSAT}/{LANDSAT}_ST_B10.TIF", f"{LANDSAT}/{LANDSAT}", "B10"),
        ("LE07_B6_VCID_1.TIF", "LE07", "B6_VCID_1"),
        ("HLS.S30.T17SLU.2020273T190109.v2.0.B05.tif", "HLS.S30.T17SLU.2020273T190109.v2.0", "B5"),
        ("2020/S2B_33/B04.tif", "2020/S2B_33", "B4"),
        ("red.tif", "", "RED"),
        ("x/IMG_0001_NIR.tif", "x/IMG_0001", "NIR"),
        ("scene-band7.tif", "scene", "BAND7"),
        ("S1A_IW_GRDH_VV.tif", "S1A_IW_GRDH", "VV"),
        (
            "measurement/s1a-iw-grd-vh-20200101t1-20200101t2-030-037-002.tiff",
            "measurement/s1a-iw-grd-20200101t1-20200101t2-030-037",
            "VH",
        ),
    ],
)
def test_names_of_bands(path, scene, name):
    found = band_file(path)
    assert (found.scene, found.band) == (scene, name)


@pytest.mark.parametrize(
    "path",
    ["forest/forest_12.tif", "T32_TCI_10m.jp2", "x_QA_PIXEL.TIF", "MSK_CLDPRB_20m.jp2", "B04.xml"]
    + ["bored.tif", "tile_b.tif", "forest_B04.jpg", "T32_SCL_20m.jp2", "herb1.tif"],
)
def test_names_of_no_bands(path):
    assert band_file(path) is None


def test_single_bands_are_told_once_and_how_to_stack_them(tmp_path):
    for scene in ("one", "two"):
        for name in ("B02", "B03", "B8A"):
            band(tmp_path / scene, f"{scene}_{name}.tif")
    band(tmp_path / "three", "three_B02.tif")  # a scene of one band is a tile
    tiles = find_tiles(tmp_path)
    assert len(tiles) == 7
    (notice,) = tiles.notices
    for words in ("6 of 7 tiles are single bands of 2 scenes", "--stack B2,B3,B8A", "one/one"):
        assert words in notice


def test_ordinary_tiles_get_no_such_notice(tmp_path):
    for name in ("forest/forest_1.tif", "forest/forest_2.tif", "river/red.png"):
        save_picture(tmp_path / name, noise((3, 9, 9)))
    assert find_tiles(tmp_path).notices == ()


def test_a_product_in_its_own_folders_is_one_tile_of_the_finest_files(tmp_path):
    inner = tmp_path / "S2A.SAFE" / "GRANULE" / "L2A_T32" / "IMG_DATA"
    for name, side in (("B02_10m", 24), ("B02_20m", 12), ("B05_20m", 12), ("B01_60m", 4)):
        band(inner / f"R{name[-3:]}", f"T32_{name}.tif", side, seed=side)
    save_raster(inner / "R10m" / "T32_TCI_10m.tif", noise((3, 24, 24)))
    for root, above in ((tmp_path, "S2A.SAFE/"), (tmp_path / "S2A.SAFE", "")):
        tiles = find_tiles(root, scenes=stack("B05", "B02"))
        (tile,) = tiles
        assert (tile.id, tile.label) == (f"{above}GRANULE/L2A_T32/IMG_DATA/T32", None)
        assert "1 scene of the bands B5, B2; 2 other files left out" in tiles.notices[0]
    values = read_raster(tile).values
    assert values.shape == (2, 24, 24)
    for position, name in enumerate(("R20m/T32_B05_20m.tif", "R10m/T32_B02_10m.tif")):
        with rasterio.open(inner / name) as dataset:
            times = 24 // dataset.width
            expected = dataset.read(1).repeat(times, 0).repeat(times, 1)
        assert np.array_equal(values[position], expected)


def test_all_takes_the_bands_that_every_scene_has(tmp_path):
    for scene, names in (("one", ("B02", "B08", "B8A", "B10")), ("two", ("B8A", "B02", "B08"))):
        for name in names:
            band(tmp_path / scene, f"{scene}_{name}.tif")
    tiles = find_tiles(tmp_path, scenes=stack("all"))
    assert [tile.id for tile in tiles] == ["one/one", "two/two"]
    assert "bands left out that not every scene has: 'B10'" in tiles.notices[0]
    assert "2 scenes of the bands B2, B8, B8A" in tiles.notices[1]


def test_a_scene_without_a_band_fails_alone(tmp_path):
    for scene, names in (("one", ("B2", "B3", "B4")), ("two", ("B2", "B3"))):
        for name in names:
            band(tmp_path / scene, f"{scene}_{name}.tif")
    context = RunContext()
    tiles = find_tiles(tmp_path, scenes=stack("B4", "B2"), context=context)
    assert [tile.id for tile in tiles] == ["one/one"]
    assert [(bad.tile_id, bad.reason) for bad in context.failures] == [
        ("two/two", "lacks the bands B4")
    ]
    with pytest.raises(TilesNotFound, match="no scene has the bands B9") as caught:
        find_tiles(tmp_path, scenes=stack("B9"))
    assert "B2, B3, B4" in caught.value.hint


def test_two_files_of_one_band_are_not_chosen_from(tmp_path):
    for name in ("a_B02.tif", "a_B03.tif", "a_B03.tiff"):
        band(tmp_path, name)
    context = RunContext()
    with pytest.raises(TilesNotFound):
        find_tiles(tmp_path, scenes=stack("B02", "B03"), context=context)
    (tile,) = find_tiles(tmp_path, scenes=stack("B02"))
    assert tile.path == str(tmp_path / "a_B02.tif")


def test_folders_without_bands_cannot_be_stacked(tmp_path):
    save_picture(tmp_path / "forest" / "1.png", noise((3, 9, 9)))
    with pytest.raises(TilesNotFound, match="no files that are bands") as caught:
        find_tiles(tmp_path, scenes=stack("all"))
    assert "_B04" in caught.value.hint


def test_labels_are_the_folders_above_the_scenes_own(tmp_path):
    for path in ("forest/p1/p1", "forest/p2/p2", "sea/p3", "sea/p4"):
        for name in ("B02", "B03"):
            band((tmp_path / path).parent, f"{path.rpartition('/')[2]}_{name}.tif")
    tiles = find_tiles(tmp_path, scenes=stack("all"))
    assert {tile.id: tile.label for tile in tiles} == {
        **{"forest/p1/p1": "forest", "forest/p2/p2": "forest"},
        **{"sea/p3": "sea", "sea/p4": "sea"},
    }


def labels_of(root, *paths):
    """The label of each scene and the notices, of scenes of two bands by their common beginning."""
    for path in paths:
        for name in ("B02", "B03"):
            file = root / f"{path}{name}.tif"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"II*\0")
    tiles = find_tiles(root, scenes=stack("B03", "B02"))
    return {tile.id: tile.label for tile in tiles}, tiles.notices


@pytest.mark.parametrize(
    "paths",
    [
        ("Forest/Forest_0_", "Forest/Forest_1_", "River/River_0_", "River/River_1_"),
        ("Forest/Forest_0_", "River/River_0_", "River/River_1_"),
        ("Forest/Forest_0_", "Forest/Forest_1_", "Sea_Lake/SeaLake_0_", "Sea_Lake/SeaLake_1_"),
        ("Forest/", "River/River_0_", "River/River_1_"),
        ("Forest/F_", "River/R_", "River/Ri_"),
        ("Forest/Forest_0_", "River/a/x_", "River/b/x_"),
        ("Forest/a_", "River/b_", "Sea/Sea_0_"),
        ("Forest/1/B_", "Forest/2/B_", "River/1/B_"),
    ],
)
def test_a_class_folder_is_no_scenes_own_though_its_name_begins_the_files(tmp_path, paths):
    labels, notices = labels_of(tmp_path, *paths)
    assert labels == {path.rstrip("_/"): path.partition("/")[0] for path in paths}
    assert notices == ()


def test_a_scene_without_all_bands_counts_for_its_folder(tmp_path):
    (tmp_path / "Forest").mkdir()
    (tmp_path / "Forest" / "Forest_1_B02.tif").write_bytes(b"II*\0")
    labels, _ = labels_of(tmp_path, "Forest/Forest_0_", "River/River_0_")
    assert set(labels.values()) == {"Forest", "River"}


@pytest.mark.parametrize(
    "paths",
    [
        ("Forest/Forest_0_", "River/River_0_"),
        ("p1/", "p2/"),
        ("p1/p1_", "p2/p2_", "odd/x_"),
    ],
)
def test_folders_of_one_scene_each_are_decided_alike_and_told(tmp_path, paths):
    labels, notices = labels_of(tmp_path, *paths)
    assert set(labels.values()) == {None}
    assert f"{len(paths)} scenes without a label" in notices[-1]
    assert "--labels" in notices[-1]


def test_a_class_of_many_scenes_in_train_is_one_in_val(tmp_path):
    train = [f"train/{name}/{name}_{i}_" for name in ("Forest", "River") for i in range(3)]
    labels, notices = labels_of(tmp_path, *train, "val/Forest/Forest_9_", "val/River/River_9_")
    assert labels == {name: name.split("/")[1] for name in labels}
    assert len(notices) == 1


def test_parts_of_a_split_above_stacked_scenes_are_told(tmp_path):
    paths = [
        f"{part}/{name}/{name}_{i}_" for part in ("train", "val") for name in "ab" for i in "12"
    ]
    labels, notices = labels_of(tmp_path, *paths)
    assert set(labels.values()) == {"a", "b"}
    assert "parts of a split" in notices[-1]


def test_patches_in_folders_of_their_own_have_no_labels(tmp_path):
    """As in BigEarthNet, whose labels stand in a file."""
    for scene in (f"{BIGEARTHNET}_1", f"{BIGEARTHNET}_2"):
        for name, side in (("B02", 24), ("B05", 12), ("B01", 4)):
            band(tmp_path / scene, f"{scene}_{name}.tif", side)
    names = [f"{BIGEARTHNET}_{i}/{BIGEARTHNET}_{i}" for i in (1, 2)]
    labels = save_table(tmp_path / "l.csv", ["tile", "label"], *zip(names, ("sea", "fields")))
    tiles = find_tiles(tmp_path, labels, stack("B02", "B05", "B01"))
    assert [tile.label for tile in tiles] == ["sea", "fields"]
    assert find_tiles(tmp_path, scenes=stack("all")).class_names == ()


@pytest.mark.medium
def test_windows_of_a_stack_and_a_list_of_them_are_the_same_tiles(tmp_path):
    for name, side in (("B02", 48), ("B05", 24)):
        band(tmp_path / "scenes", f"x_{name}.tif", side)
    tiles = find_tiles(tmp_path / "scenes", scenes=stack("B05", "B02", window=16))
    assert [tile.id for tile in tiles][:2] == ["x#0,0,16,16", "x#16,0,16,16"]
    (tmp_path / "lists").mkdir()
    write_list(tmp_path / "lists" / "tiles.csv", tiles, overwrite=False)
    listed = find_tiles(tmp_path / "lists" / "tiles.csv")
    assert [tile.id for tile in listed] == [tile.id for tile in tiles]
    for one, other in zip(tiles, listed):
        assert one.location.absolute() == other.location.absolute()
        assert np.array_equal(read_raster(one).values, read_raster(other).values)


def test_the_bands_of_a_list_are_stacked_too(tmp_path):
    rows = [(f"b/x_{name}.tif", label) for name, label in (("B02", "sea"), ("B03", "sea"))]
    for path, _ in rows:
        band(tmp_path, path)
    path = save_table(tmp_path / "list.csv", ["tile", "label"], *rows)
    assert "2 of 2 tiles are single bands" in find_tiles(path).notices[0]
    (tile,) = find_tiles(path, scenes=stack("B03", "B02"))
    assert (tile.id, tile.label, len(tile.location.stack)) == ("b/x", "sea", 2)
    decided = [(*row, "reject", "sea") for row in rows]
    save_table(path, ["tile", "label", "decision", "given_label"], *decided)
    (tile,) = find_tiles(path, scenes=stack("B03", "B02"))
    assert tile.confirmed == find_tiles(path)[0].confirmed is not None
    save_table(path, ["tile", "label"], rows[0], ("b/x_B03.tif", "forest"))
    with pytest.raises(TilesNotFound):
        find_tiles(path, scenes=stack("B03", "B02"))
