"""Real imagery, read from the folder in RSRETRIEVE_DATA; skipped where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.windows
import shapely
from rasterio.warp import transform, transform_bounds
from rasterio.windows import Window

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.window import split_window
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from tests.conftest import Run

pytestmark = pytest.mark.real
WINDOW_PX = 96


@pytest.fixture(scope="module")
def weights(real_data: Path) -> Path:
    path = real_data.parent / "weights" / "mobilenet_v2_imagenet1k.safetensors"
    if not path.exists():
        pytest.skip("no ImageNet weights beside the real tiles")
    return path


@pytest.fixture(scope="module")
def some_ucmerced(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty tiles each of six classes, as links."""
    folder = tmp_path_factory.mktemp("ucmerced")
    for name in ("airplane", "beach", "chaparral", "forest", "harbor", "parkinglot"):
        (folder / name).mkdir()
        for path in sorted((real_data / "ucmerced" / name).iterdir())[:30]:
            (folder / name / path.name).symlink_to(path)
    return folder


@pytest.mark.medium
def test_the_data_sets_are_found_whole(real_data):
    ucmerced, aid = find_tiles(real_data / "ucmerced"), find_tiles(real_data / "aid128")
    assert (len(ucmerced), len(ucmerced.class_names)) == (2_100, 21)
    assert (len(aid), len(aid.class_names)) == (10_000, 30)


@pytest.mark.medium
def test_a_third_of_wrong_labels_is_found_and_the_embedding_stays_good(
    run: Run, some_ucmerced, weights, tmp_path
):
    noisy, model, index = (tmp_path / name for name in ("noisy.csv", "model", "index"))
    assert run("corrupt-labels", some_ucmerced, "--rate", 0.3, "--output", noisy).code == 0
    trained = run(
        *("train", some_ucmerced, "--labels", noisy, "--output", model, "--size", 64),
        *("--backbone", "mobilenet_v2", "--weights", weights, "--epochs", 8),
    )
    assert trained.code == 0, trained.err
    assert "260 of 260 tensors matched" in trained.err
    audit = run(
        "audit-labels",
        some_ucmerced,
        "--labels",
        noisy,
        "--model",
        model,
        "--truth",
        noisy,
        "--json",
    ).json
    assert audit["truth"]["auroc"] > 0.9
    assert audit["truth"]["suggestion_accuracy"] > 0.7
    assert run("index", some_ucmerced, "--model", model, "--output", index).code == 0
    evaluation = run("evaluate", "--index", index, "--json").json
    assert evaluation["knn_accuracy"] > 0.9
    assert evaluation["map"] > 0.7
    # The data set holds this picture twice.
    twin = some_ucmerced / "airplane" / "airplane01.jpg"
    answer = run("query", twin, "--index", index, "-k", 2, "--json").json
    hits = answer["queries"][0]["hits"]
    assert {hit["tile"] for hit in hits} == {f"airplane/airplane0{i}.jpg" for i in (1, 2)}
    assert min(hit["similarity"] for hit in hits) > 0.999


@pytest.fixture(scope="module")
def scene_tiles(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both scenes cut into six-band uint16 tiles by rasterio, a class for each sensor."""
    folder = tmp_path_factory.mktemp("scenes") / "tiles"
    for path in sorted((real_data / "scenes").glob("*.tif")):
        (folder / path.name.split("_")[0]).mkdir(parents=True)
        with rasterio.open(path) as scene:
            for row in range(0, scene.height - WINDOW_PX, WINDOW_PX):
                for col in range(0, scene.width - WINDOW_PX, WINDOW_PX):
                    _cut(scene, Window(col, row, WINDOW_PX, WINDOW_PX), folder, path)
    return folder


def _cut(scene, window, folder, path):
    profile = scene.profile | {
        **{"width": WINDOW_PX, "height": WINDOW_PX, "transform": scene.window_transform(window)},
        **{"tiled": False, "driver": "GTiff"},
    }
    profile = {key: profile[key] for key in profile if not key.startswith("block")}
    name = f"{path.stem}_{window.row_off}_{window.col_off}.tif"
    with rasterio.open(folder / path.name.split("_")[0] / name, "w", **profile) as tile:
        tile.write(scene.read(window=window))


@pytest.mark.medium
def test_six_band_scenes_are_trained_indexed_and_found_where_they_lie(
    run: Run, scene_tiles, weights, real_data, tmp_path
):
    model, index, written = (tmp_path / name for name in ("model", "index", "hits.geojson"))
    trained = run(
        *("train", scene_tiles, "--output", model, "--weights", weights, "--size", 48),
        *("--backbone", "mobilenet_v2", "--epochs", 3),
    )
    assert trained.code == 0, trained.err
    description = json.loads((model / "model.json").read_text())
    assert description["preprocessing"]["dtype"] == "uint16"
    assert description["preprocessing"]["bands"] == [1, 2, 3, 4, 5, 6]
    assert run("index", scene_tiles, "--model", model, "--output", index).code == 0
    image = sorted((scene_tiles / "sentinel2").iterdir())[40]
    table = tmp_path / "hits.parquet"
    ran = run(
        "query", image, "--index", index, "--geojson", written, "--geoparquet", table, "--json"
    )
    assert ran.json["queries"][0]["hits"][0]["path"] == str(image)
    for feature in json.loads(written.read_text())["features"]:
        name = Path(feature["properties"]["path"]).stem
        scene, row, col = name.rsplit("_", 2)
        with rasterio.open(real_data / "scenes" / f"{scene}.tif") as dataset:
            corners = [(0, 0), (WINDOW_PX, 0), (WINDOW_PX, WINDOW_PX), (0, WINDOW_PX)]
            places = [dataset.xy(int(row) + r, int(col) + c, offset="ul") for r, c in corners]
            lons, lats = transform(dataset.crs, "EPSG:4326", *zip(*places))
        ring = feature["geometry"]["coordinates"][0]
        np.testing.assert_allclose(ring[:-1], list(zip(lons, lats)), atol=1e-6)
    with rasterio.open(real_data / "scenes" / "sentinel2_18SVG_20160112_20m.tif") as scene:
        whole = shapely.box(*transform_bounds(scene.crs, "EPSG:4326", *scene.bounds))
    for found in (geopandas.read_file(written), geopandas.read_parquet(table)):
        assert found.crs.to_authority() in {("EPSG", "4326"), ("OGC", "CRS84")}
        of_scene = found[found["tile"].str.startswith("sentinel2/")]
        assert len(of_scene) > 0
        assert of_scene.within(whole).all()


@pytest.mark.medium
def test_every_window_of_a_scene_lies_where_rasterio_says(
    run: Run, real_data, scene_tiles, tmp_path
):
    """A window of 64 px every 32 px, in the table, in JSON, and in GeoJSON as others read it."""
    path = real_data / "scenes" / "sentinel2_18SVG_20160112_20m.tif"
    model, index, written = (tmp_path / name for name in ("model", "index", "hits.geojson"))
    tiny = ("--backbone", "squeezenet1_1", "--weights", "none", "--size", 32, "--epochs", 1)
    assert run("train", scene_tiles, *tiny, "--output", model).code == 0
    by_window = ("--window", 64, "--stride", 32)
    ran = run("index", path, *by_window, "--model", model, "--output", index, "--json")
    assert (ran.code, ran.json["tiles"], ran.json["failed"]) == (0, 29 * 29, 0)
    asked = f"{path}#320,480,64,64"
    ran = run("query", asked, "--index", index, "-k", 841, "--geojson", written, "--json")
    hits = ran.json["queries"][0]["hits"]
    assert len({hit["tile"] for hit in hits}) == 841
    footprints = geopandas.read_file(written)
    assert footprints.crs == "EPSG:4326"
    with rasterio.open(path) as dataset:
        crs, bounds = dataset.crs, dataset.bounds
        for hit, footprint in zip(hits, footprints.geometry):
            part = split_window(hit["tile"])[1]
            window = Window(part.col, part.row, part.width, part.height)
            left, bottom, right, top = rasterio.windows.bounds(window, dataset.transform)
            assert hit["bounds"] == pytest.approx([left, bottom, right, top], abs=1e-6)
            assert hit["crs"] == "EPSG:32618"
            corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
            lons, lats = transform(crs, "EPSG:4326", *zip(*corners))
            ring = np.array(footprint.exterior.coords)[:-1]
            np.testing.assert_allclose(ring, list(zip(lons, lats)), atol=1e-6)
            assert hit["lon"] == pytest.approx(np.mean(lons), abs=1e-6)
            assert hit["lat"] == pytest.approx(np.mean(lats), abs=1e-6)
    on_the_ground = footprints.to_crs(crs.to_wkt())
    together = on_the_ground.union_all()
    # All windows together are the scene but for the few pixels beyond the last ones.
    assert together.bounds == pytest.approx(
        (bounds.left, bounds.top - 960 * 20, bounds.left + 960 * 20, bounds.top), abs=0.1
    )
    assert together.area == pytest.approx((960 * 20) ** 2, rel=1e-4)


@pytest.mark.medium
def test_a_large_scene_coarser_is_cut_on_the_ground(real_data):
    """Both scenes at 60 m, of pixels of 20 m and of 30 m: windows of the same size on Earth."""
    choices = SceneChoices(WindowChoices(64, resolution_m=60.0))
    tiles = find_tiles(real_data / "scenes", scenes=choices)
    sizes = {tile.path: (tile.window.width, tile.window.height) for tile in tiles}
    assert sorted(sizes.values()) == [(128, 128), (192, 192)]
    for tile in (tiles[0], tiles[len(tiles) - 1]):
        raw = read_raw(tile)
        assert raw.values.shape == (6, 64, 64)
        left, bottom, right, top = raw.place.bounds
        assert (right - left, top - bottom) == (64 * 60, 64 * 60)
