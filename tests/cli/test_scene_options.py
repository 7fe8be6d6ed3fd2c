"""Scenes by windows on the command line: every command that takes tiles."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
import rasterio.warp
import rasterio.windows

from rsretrieve.synthetic.scene import make_landscape, write_scene
from tests.conftest import CELL_PX, CELLS, Run, Served

BY_CELL = ("--window", CELL_PX)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The landscape that the model was trained on, as one scene; not to be changed."""
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    write_scene(make_landscape(CELLS, CELL_PX, seed=1), path)
    return path


@pytest.fixture(scope="module")
def labels(landscape, tmp_path_factory):
    """The cells' labels by the ids of windows."""
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["tile", "label"])
        for tile in landscape.glob("*/*.tif"):
            with rasterio.open(tile) as cell:
                col = round((cell.bounds.left - 600_000) / 2.5)
                row = round((5_340_000 - cell.bounds.top) / 2.5)
            label = tile.parent.name
            writer.writerow([f"scene.tif#{col},{row},{CELL_PX},{CELL_PX}", label])
    return path


@pytest.fixture
def scene_index(run: Run, scene, model, tmp_path):
    path = tmp_path / "index"
    ran = run("index", scene, *BY_CELL, "--model", model, "--output", path, "--json")
    assert (ran.code, ran.json["tiles"], ran.json["failed"]) == (0, CELLS * CELLS, 0)
    return path


@pytest.mark.medium
def test_a_scenes_windows_are_the_tiles_it_would_be_cut_into(
    run: Run, scene_index, landscape, scene
):
    for path in sorted(landscape.glob("*/*.tif"))[::20]:
        hit = run("query", path, "--index", scene_index, "-k", 1, "--json").json["queries"][0]
        (best,) = hit["hits"]
        assert best["similarity"] > 0.9999
        assert best["path"] == str(scene)
        with rasterio.open(path) as cell:
            assert best["bounds"] == pytest.approx(list(cell.bounds))
            assert best["crs"] == cell.crs.to_string()


def test_a_window_of_the_scene_finds_itself(run: Run, scene_index, scene):
    asked = f"{scene}#64,96,{CELL_PX},{CELL_PX}"
    ran = run("query", asked, "--index", scene_index, "-k", 3, "--json")
    assert ran.json["queries"][0]["hits"][0]["tile"] == f"scene.tif#64,96,{CELL_PX},{CELL_PX}"


@pytest.mark.medium
def test_nothing_is_read_again_in_an_update_unless_it_is_cut_differently(
    run: Run, scene_index, scene, model
):
    def update(*choices):
        ran = run(
            "index",
            scene,
            *choices,
            "--model",
            model,
            "--output",
            scene_index,
            "--update",
            "--json",
        )
        assert ran.code == 0, ran.err
        return [ran.json[key] for key in ("added", "removed", "unchanged")]

    assert update(*BY_CELL) == [0, 0, 144]
    assert update(*BY_CELL, "--stride", 16) == [23 * 23 - 144, 0, 144]
    assert update(*BY_CELL, "--stride", 64) == [0, 23 * 23 - 36, 36]
    coarse = ("--window", 16, "--resolution", 5, "--stride", 32)
    assert update(*coarse) == [36, 0, 0]  # the same windows, read at another resolution
    assert update(*coarse) == [0, 0, 36]


@pytest.mark.medium
def test_training_audit_and_evaluation_take_windows_with_labels(
    run: Run, scene, labels, model, scene_index, tmp_path
):
    by_labels = (scene, *BY_CELL, "--labels", labels, "--json")
    audit = run("audit-labels", *by_labels, "--model", model)
    assert (audit.code, audit.json["tiles"]) == (0, 144)
    tiny = ("--backbone", "squeezenet1_1", "--weights", "none", "--size", 32, "--epochs", 1)
    trained = run("train", *by_labels, *tiny, "--output", tmp_path / "model")
    assert trained.code == 0, trained.err
    assert (trained.json["tiles"], trained.json["classes"]) == (126, 9)
    labelled = tmp_path / "labelled"
    assert run("index", *by_labels, "--model", model, "--output", labelled).code == 0
    evaluation = run("evaluate", *by_labels, "--index", labelled)
    assert (evaluation.json["queries"], evaluation.json["gallery"]) == (144, 144)


@pytest.mark.medium
def test_windows_split_into_lists_are_read_from_them(run: Run, scene, labels, model, tmp_path):
    lists, noisy = tmp_path / "lists", tmp_path / "noisy.csv"
    split = run("split", scene, *BY_CELL, "--labels", labels, "--output", lists, "--json")
    assert sum(split.json[part] for part in ("train", "val", "test")) == 144
    test = lists / "test.csv"
    audit = run("audit-labels", test, "--model", model, "--json")
    assert (audit.code, audit.json["tiles"]) == (0, split.json["test"])
    corrupt = run(
        *("corrupt-labels", scene, *BY_CELL, "--labels", labels, "--rate", 0.5, "--seed", 1),
        *("--output", noisy, "--json"),
    )
    assert corrupt.json["tiles"] == 144


@pytest.mark.medium
def test_edges_nodata_and_small_scenes_are_said_and_counted(run: Run, scene, model, tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    with rasterio.open(scene) as source:
        profile, values = source.profile, source.read()
    values[:, :, :40] = 0
    for name, part in (("a.tif", values[:, :100, :100]), ("small.tif", values[:, :20, 60:90])):
        size = {"height": part.shape[1], "width": part.shape[2], "nodata": 0}
        with rasterio.open(folder / name, "w", **profile | size) as target:
            target.write(part)
    index = ("index", folder, *BY_CELL, "--model", model, "--json", "--overwrite", "--output")
    dropped = run(*index, tmp_path / "index")
    assert dropped.json["tiles"] == 9 - 3  # the first column is nodata, a quarter of the second
    assert "note: windows skipped for more nodata than --max-nodata allows: 3" in dropped.err
    assert "note: scenes left out as smaller than a window: 1" in dropped.err
    padded = run(*index, tmp_path / "index", "--edges", "pad", "--max-nodata", 0.9)
    # Of the last column and row an eighth is there: enough, but not in the corner, and not
    # where a quarter of the rest is nodata. And small.tif.
    assert padded.json["tiles"] == 3 * 3 + 1 + 1
    rows = {
        hit["tile"]
        for hit in run(
            "query", folder / "small.tif", "--index", tmp_path / "index", "-k", 99, "--json"
        ).json["queries"][0]["hits"]
    }
    assert "small.tif#0,0,32,32" in rows
    assert "a.tif#64,96,32,32" in rows  # an eighth of it is there
    assert "a.tif#96,96,32,32" not in rows
    strict = run(*index, tmp_path / "index", "--strict")
    assert strict.code == 0  # what is skipped is no failure


@pytest.mark.medium
def test_a_scene_that_cannot_be_opened_is_listed_and_the_run_goes_on(
    run: Run, scene, model, tmp_path
):
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.copy(scene, folder / "a.tif")
    (folder / "b.tif").write_bytes(scene.read_bytes()[:5000])
    (folder / "c.tif").write_bytes(b"")
    ran = run("index", folder, *BY_CELL, "--model", model, "--output", tmp_path / "index", "--json")
    assert ran.code == 3
    assert ran.json["tiles"] == 144
    assert "c.tif: the file is empty (0 bytes)" in ran.err
    assert "b.tif" in ran.err


@pytest.mark.medium
def test_many_windows_that_fail_alike_share_a_line(run: Run, scene, model, tmp_path):
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.copy(scene, folder / "a.tif")
    with rasterio.open(scene) as source:
        profile, values = source.profile, source.read([1, 2])
    for name, side in (("many.tif", 4 * CELL_PX), ("few.tif", 3 * CELL_PX)):
        size = {"count": 2, "width": side, "height": side}
        with rasterio.open(folder / name, "w", **profile | size) as target:
            target.write(values[:, :side, :side])
    ran = run("index", folder, *BY_CELL, "--model", model, "--output", tmp_path / "index")
    assert ran.code == 3
    lines = ran.err.splitlines()
    assert "25 tiles could not be used:" in lines
    why = "has 2 bands, and 6 are expected"
    assert f"  many.tif#0,0,32,32 to #96,96,32,32, 16 windows: {why}" in lines
    assert sum(line.startswith("  few.tif#") and line.endswith(why) for line in lines) == 9


@pytest.mark.parametrize(
    ("choices", "code", "message"),
    [
        (("--stride", 16), 2, "--stride needs --window PX"),
        (("--resolution", 5), 2, "--resolution needs --window PX"),
        (("--edges", "pad"), 2, "--edges needs --window PX"),
        (("--max-nodata", 0), 2, "--max-nodata needs --window PX"),
        (("--window", 4), 2, "a window's side must be in 8…8192 px, not 4"),
        (("--window", 32, "--edges", "fold"), 2, "'fold' is not one of"),
        (("--window", 999), 1, "no scene is as large as a window of 999 px"),
        ((), 1, "a scene is cut into tiles by --window PX"),
        (("--window", 32, "--asset", "red"), 1, "is not a STAC item"),
    ],
)
def test_choices_that_do_not_fit_end_in_one_message(
    run: Run, scene, model, tmp_path, choices, code, message
):
    ran = run("index", scene, *choices, "--model", model, "--output", tmp_path / "index")
    assert ran.code == code
    assert message in ran.err
    assert not (tmp_path / "index").exists()


def test_windows_are_of_queries_in_evaluate(run: Run, scene_index):
    ran = run("evaluate", "--index", scene_index, *BY_CELL)
    assert ran.code == 2
    assert "--window applies to QUERIES, which are missing" in ran.err


@pytest.mark.medium
def test_a_scene_behind_a_url_is_indexed_and_its_update_says_what_it_cannot_see(
    run: Run, scene, model, tmp_path, served: Served
):
    shutil.copy(scene, served.folder / "scene.tif")
    url, index = f"{served.url}/scene.tif", tmp_path / "index"
    made = run("index", url, *BY_CELL, "--model", model, "--output", index, "--json")
    assert (made.code, made.json["tiles"]) == (0, 144), made.err
    sent = served.sent_bytes
    again = run("index", url, *BY_CELL, "--model", model, "--output", index, "--update", "--json")
    assert [again.json[key] for key in ("added", "unchanged")] == [0, 144]
    assert "note: files behind a URL: 1;" in again.err
    assert served.sent_bytes - sent < 40_000
    hit = run("query", f"{url}#32,32,32,32", "--index", index, "-k", 1, "--json")
    assert hit.json["queries"][0]["hits"][0]["path"] == url
    excluding = ("query", f"{url}#32,32,32,32", "--index", index, "-k", 1, "--exclude-self")
    (other,) = run(*excluding, "--json").json["queries"][0]["hits"]
    assert other["tile"] != "scene.tif#32,32,32,32"


def test_hits_of_windows_lie_where_rasterio_says(run: Run, scene_index, scene, tmp_path):
    written = tmp_path / "hits.geojson"
    run("query", f"{scene}#0,0,32,32", "--index", scene_index, "-k", 20, "--geojson", written)
    features = json.loads(written.read_text())["features"]
    assert len(features) == 20
    for feature in features:
        col, row, *size = map(int, feature["properties"]["tile"].split("#")[1].split(","))
        with rasterio.open(scene) as dataset:
            window = rasterio.windows.Window(col, row, *size)
            left, bottom, right, top = rasterio.windows.bounds(window, dataset.transform)
            xs, ys = [left, left, right, right], [top, bottom, bottom, top]
            expected = rasterio.warp.transform(dataset.crs, "EPSG:4326", xs, ys)
        ring = feature["geometry"]["coordinates"][0]
        assert np.allclose(ring[:-1], list(zip(*expected)), atol=1e-9)


@pytest.mark.medium
def test_skipped_windows_are_not_read_again_unless_more_or_fewer_would_be(
    run: Run, scene, model, tmp_path
):
    """Of the left half one window in eight has no nodata, of the right half all have much."""
    path, index = tmp_path / "scene.tif", tmp_path / "index"
    with rasterio.open(scene) as dataset:
        profile, values = dataset.profile | {"nodata": 0}, dataset.read()
    values[:, :20, 192:] = 0
    values[:, 64:, 192:] = 0
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)

    def indexed(*choices):
        ran = run("index", path, *BY_CELL, *choices, "--model", model, "--output", index, "--json")
        assert ran.code == 0, ran.err
        counts = ran.json["added"], ran.json["unchanged"], ran.json["removed"]
        read = [line for line in ran.err.splitlines() if line.startswith("embedding tiles")]
        return counts, read, [line for line in ran.err.splitlines() if "skipped for" in line]

    counts, read, skipped = indexed()
    assert (counts, read) == ((78, 0, 0), ["embedding tiles (144 tiles)"])
    again = indexed("--update")
    assert again == ((0, 78, 0), ["embedding tiles"], skipped)
    counts, read, _ = indexed("--update", "--max-nodata", 0.7)
    assert (counts, read) == ((6, 78, 0), ["embedding tiles (66 tiles)"])
    counts, read, _ = indexed("--update", "--max-nodata", 0.3)
    assert (counts, read) == ((78, 0, 0), ["embedding tiles (144 tiles)"])
    assert run("index", "--verify", "--output", index).code == 0
    (index / "skipped.parquet").write_bytes(b"damaged")
    assert run("index", "--verify", "--output", index).code == 1
    ran = run("index", "--repair", "--output", index)
    assert (ran.code, "an update reads those windows again" in ran.out) == (0, True)


@pytest.mark.medium
def test_a_window_is_asked_as_coarse_as_the_index_was_read(run: Run, scene, model, tmp_path):
    index = tmp_path / "index"
    coarse = ("--window", 16, "--resolution", 10)  # four pixels of the scene's to one
    assert run("index", scene, *coarse, "--model", model, "--output", index).code == 0
    assert run("index", "--verify", "--output", index).code == 0
    window, tile = f"{scene}#64,128,64,64", "scene.tif#64,128,64,64"
    asked = run("query", window, "--index", index, "--json").json["queries"][0]["hits"]
    stored = run("query", "--tile", tile, "--index", index, "--json").json["queries"][0]["hits"]
    assert [hit["tile"] for hit in asked] == [hit["tile"] for hit in stored]
    similarities = [hit["similarity"] for hit in stored]
    assert [hit["similarity"] for hit in asked] == pytest.approx(similarities, abs=1e-5)
