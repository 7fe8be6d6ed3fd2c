"""`rsretrieve query` by tiles, places, vectors and examples, its filters and its outputs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pyarrow
import pytest
import rasterio
from PIL import Image
from pyarrow import parquet
from rasterio.warp import transform_bounds

from rsretrieve.index.store.manifest import read_manifest, write_manifest
from rsretrieve.network.metadata import read_description
from tests.support.indexes.resealed import reseal
from tests.support.programs import rsretrieve

RESULT_KEYS = {"index", "model", "queries"}
HIT_KEYS = {"rank", "tile", "path", "similarity", "label", "crs", "bounds", "lon", "lat"}


@pytest.fixture(scope="module")
def modelless(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index, with a model that is gone."""
    folder = tmp_path_factory.mktemp("modelless") / "index"
    shutil.copytree(index, folder)
    manifest = replace(read_manifest(folder), model="/nowhere")
    write_manifest(folder / "manifest.json", manifest)
    return folder


@pytest.fixture(scope="module")
def foreign(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same embeddings, of which nobody says what made them."""
    folder = tmp_path_factory.mktemp("foreign")
    exported, made = folder / "exported.parquet", folder / "index"
    assert rsretrieve("index", "--export", exported, "--output", index).returncode == 0
    table = parquet.read_table(exported).replace_schema_metadata({})
    parquet.write_table(table.drop_columns(["path", "crs"]), exported)
    ran = rsretrieve("index", "--from-embeddings", exported, "--output", made)
    assert ran.returncode == 0, ran.stderr
    return made


@pytest.fixture(scope="module")
def tile(index: Path) -> str:
    ids: list[str] = parquet.read_table(index / "tiles.parquet").column("id").to_pylist()
    return min(name for name in ids if name.startswith("forest/"))


def hits(ran) -> list[dict]:
    assert ran.code == 0, ran.err
    [query] = ran.json["queries"]
    return query["hits"]


@pytest.mark.medium
def test_a_tile_is_found_without_its_model_and_without_torch(modelless, tile):
    from tests.test_architecture import loaded_after

    ran = rsretrieve("query", "--tile", tile, "--index", modelless, "-k", 3, "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    content = json.loads(ran.stdout)
    assert set(content) == RESULT_KEYS
    assert content["queries"][0]["query"] == tile
    best = content["queries"][0]["hits"][0]
    assert set(best) == HIT_KEYS
    assert (best["tile"], best["similarity"]) == (tile, pytest.approx(1, abs=1e-6))
    needed = loaded_after("query", "--tile", tile, "--index", str(modelless), "--json")
    assert needed == {"pyarrow"}


@pytest.mark.medium
def test_an_image_is_embedded_without_torch(index, landscape, tile):
    from tests.test_architecture import loaded_after

    needed = loaded_after("query", str(landscape / tile), "--index", str(index), "--json")
    assert needed == {"pyarrow"}


def test_a_point_finds_the_tile_that_holds_it(run, modelless, landscape, tile):
    with rasterio.open(landscape / tile) as dataset:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    point = f"{(west + east) / 2},{(south + north) / 2}"
    ran = run("query", "--at", point, "--index", modelless, "--json")
    assert ran.json["queries"][0]["query"] == tile
    lost = run("query", "--at", "-100.5,40", "--index", modelless)
    assert (lost.code, lost.out) == (1, "")
    assert "no tile of the index contains the point -100.5,40; the centre of the" in lost.err


def test_vectors_give_what_their_tiles_give(run, modelless, tile, tmp_path):
    ids = parquet.read_table(modelless / "tiles.parquet").column("id").to_pylist()
    vectors = np.load(modelless / "embeddings.npy")
    np.save(tmp_path / "v.npy", vectors[[ids.index(tile), 3]] * 7)
    ran = run("query", tmp_path / "v.npy", "--index", modelless, "--json")
    by_tile = run("query", "--tile", tile, "--tile", ids[3], "--index", modelless, "--json")
    for found, wanted in zip(ran.json["queries"], by_tile.json["queries"]):
        assert [h["tile"] for h in found["hits"]] == [h["tile"] for h in wanted["hits"]]
    names = [query["query"] for query in ran.json["queries"]]
    assert names == [f"{tmp_path / 'v.npy'}[0]", f"{tmp_path / 'v.npy'}[1]"]


@pytest.mark.medium
def test_an_index_without_a_model_is_asked_by_tile_place_and_vector(
    run, index, foreign, tile, landscape, tmp_path
):
    ids = parquet.read_table(index / "tiles.parquet").column("id").to_pylist()
    np.save(tmp_path / "v.npy", np.load(index / "embeddings.npy")[ids.index(tile)])
    wanted = run("query", "--tile", tile, "--index", index, "--json", "-k", 7)
    point = "{lon},{lat}".format(**hits(wanted)[0])
    for asked in (["--tile", tile], ["--at", point], [tmp_path / "v.npy"], ["--like", tile]):
        ran = run("query", *asked, "--index", foreign, "--json", "-k", 7, "--distinct-scene")
        assert [hit["tile"] for hit in hits(ran)] == [hit["tile"] for hit in hits(wanted)]
        assert ran.json["model"] is None
    sheet = tmp_path / "sheet.png"
    ran = run("query", "--tile", tile, "--index", foreign, "--exclude-self", "--sheet", sheet)
    assert (ran.code, sheet.exists()) == (0, True)
    refused = run("query", landscape / tile, "--index", foreign)
    assert (refused.code, refused.out) == (1, "")
    assert "no known model can embed an image" in refused.err
    assert "--tile ID" in refused.err


def test_another_preprocessing_is_refused_with_both_fingerprints(
    run, index, model, tile, landscape, tmp_path
):
    other = tmp_path / "other"
    shutil.copytree(model, other)
    reseal(other / "model.json", lambda said: said["preprocessing"].update(bands=[2, *range(2, 7)]))
    fingerprints = [read_description(folder).fingerprint[:12] for folder in (model, other)]
    for asked in ([landscape / tile], ["--tile", tile]):
        ran = run("query", *asked, "--index", index, "--model", other)
        assert (ran.code, ran.out) == (1, "")
        assert f"was built with the model {fingerprints[0]}" in ran.err
        assert f"is {fingerprints[1]}: their vectors cannot be compared" in ran.err


@pytest.mark.medium
def test_every_filter_is_heard(run, modelless, tile, tmp_path):
    ask = ("query", "--tile", tile, "--index", modelless, "--json", "-k")
    whole = hits(run(*ask, 144))
    lons = sorted(hit["lon"] for hit in whole)
    box = f"{lons[0] - 1},0,{lons[40]},80"
    boxed = hits(run(*ask, 144, "--bbox", box))
    assert 40 <= len(boxed) < 144
    west, east = lons[0] - 1, lons[40]
    ring = [[west, 0], [east, 0], [east, 80], [west, 80], [west, 0]]
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    inside = hits(run(*ask, 144, "--within", area))
    assert 0 < len(inside) < len(boxed)
    assert {hit["tile"] for hit in inside} < {hit["tile"] for hit in boxed}
    labelled = hits(run(*ask, 5, "--label", "water", "--label", "road", "--exclude-self"))
    assert [hit["label"] in ("water", "road") for hit in labelled] == [True] * 5
    least = whole[20]["similarity"]
    assert len(hits(run(*ask, 144, "--min-similarity", least))) == 21
    assert tile not in {hit["tile"] for hit in hits(run(*ask, 9, "--exclude-self"))}
    assert len(hits(run(*ask, 144, "--distinct-scene"))) == 144  # every tile is its own file
    folded = hits(run(*ask, 144, "--duplicate-similarity", "-1"))
    assert [hit["tile"] for hit in folded] == [tile]
    assert len(hits(run(*ask, 144, "--fold-duplicates"))) <= 144


def test_examples_are_one_query(run, modelless, tile, landscape):
    water = f"water/{min((landscape / 'water').iterdir()).name}"
    ran = run("query", "--like", f"{tile}@2", "--unlike", water, "--index", modelless, "--json")
    assert ran.json["queries"][0]["query"] == f"like {tile}@2 unlike {water}"
    assert hits(ran)[0]["tile"] == tile


def test_json_lines_are_the_objects_of_the_json(run, modelless, tile):
    ask = ("query", "--tile", tile, "--tile", tile, "--index", modelless)
    lines = run(*ask, "--jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == run(*ask, "--json").json["queries"]
    assert len(lines) == 2
    both = run(*ask, "--jsonl", "--json")
    assert both.code == 2
    assert "--json and --jsonl cannot be combined" in both.err


@pytest.mark.medium
def test_hits_open_in_geopandas_where_the_tiles_lie(run, modelless, tile, tmp_path):
    files = (tmp_path / "h.parquet", tmp_path / "h.geojson", tmp_path / "h.png")
    ran = run(
        *("query", "--tile", tile, "--index", modelless, "-k", 6),
        *("--geoparquet", files[0], "--geojson", files[1], "--sheet", files[2]),
    )
    assert ran.code == 0, ran.err
    for table in (geopandas.read_parquet(files[0]), geopandas.read_file(files[1])):
        assert len(table) == 6
        utm = table.to_crs("EPSG:32632")
        for path, shape in zip(table["path"], utm.geometry):
            with rasterio.open(path) as dataset:
                assert shape.bounds == pytest.approx(tuple(dataset.bounds), abs=0.01)
    with Image.open(files[2]) as sheet:
        assert sheet.width > 7 * 128


def test_the_table_shows_the_path_of_every_hit(run, modelless, tile, landscape):
    ran = run("query", "--tile", tile, "--index", modelless, "-k", 2)
    assert str(landscape / tile) in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no query is given"),
        (["--unlike", "x"], "needs at least one --like"),
        (["--at", "1"], "expected 2 numbers"),
        (["--tile", "x", "--bbox", "1,2,3"], "expected 4 numbers"),
        (["--tile", "x", "--bbox", "a,b,c,d"], "is not a list of numbers"),
        (["--tile", "x", "--min-similarity", "nan"], "similarity"),
        (["--tile", "x", "--device", "tpu"], "no such device"),
    ],
)
def test_wrong_usage_exits_with_2(run, modelless, arguments, message):
    ran = run("query", "--index", modelless, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


def test_what_is_not_there_exits_with_1(run, modelless, tile, tmp_path):
    for arguments, message in {
        ("--tile", "nope"): "has no tile with the id 'nope'",
        ("--like", "nope"): "is neither a tile of",
        ("--tile", tile, "--label", "forrest"): "Did you mean forest?",
        ("--tile", tile, "--within", str(tmp_path / "no.geojson")): "no such file",
        (str(tmp_path / "no.npy"),): "no such file",
    }.items():
        ran = run("query", "--index", modelless, *arguments)
        assert (ran.code, ran.out) == (1, "")
        assert message in ran.err


def test_a_picture_says_which_files_are_no_longer_there(run, landscape, model, tmp_path):
    here = Path(shutil.copytree(landscape / "forest", tmp_path / "here"))
    index, sheet = tmp_path / "index", tmp_path / "sheet.png"
    assert run("index", here, "--model", model, "--output", index).code == 0
    tile = next(here.glob("*.tif")).name
    asked = ("query", "--tile", tile, "--index", index, "-k", 3, "--sheet", sheet, "--overwrite")
    assert "no longer there" not in run(*asked).err
    here.rename(tmp_path / "there")
    moved = run(*asked)
    assert moved.code == 0
    assert "3 (" in moved.err
    assert "--update" in moved.err


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of six vectors: of three days, of a time in another zone, and of no date."""
    folder = tmp_path_factory.mktemp("dated")
    texts = ["2020-01-01", "2020-06-30", "2020-12-31", "2020-12-31T23:30:00-02:00", None, None]
    vectors = [[1.0, i / 10] for i in range(6)]
    table = pyarrow.table({"id": list("abcdef"), "datetime": texts, "embedding": vectors})
    parquet.write_table(table, folder / "e.parquet")
    made = folder / "index"
    ran = rsretrieve("index", "--from-embeddings", folder / "e.parquet", "--output", made)
    assert ran.returncode == 0, ran.stderr
    return made


@pytest.mark.medium
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--from", "2020-06-30"), "bcd"),
        (("--to", "2020-06-30"), "ab"),
        (("--from", "2020", "--to", "2020"), "abc"),
        (("--datetime", "2020-01-02/2020-12-31"), "bc"),
        (("--datetime", "../2020-12-31"), "abc"),
        (("--datetime", "2021"), "d"),
        (("--datetime", "2021-01-01T01:30:00Z"), "d"),
        (("--datetime", "2020-06-30T12:00:00Z"), "b"),
        (("--datetime", "2022"), ""),
    ],
    ids=str,
)
def test_hits_by_date_and_tiles_without_a_date_are_counted(run, dated, options, expected):
    ran = run("query", "--tile", "f", "--index", dated, "--json", *options)
    found = hits(ran)
    assert "".join(sorted(hit["tile"] for hit in found)) == expected
    assert any("2 of 6 tiles of the index have no date" in text for text in ran.json["notices"])
    shown = {"a": "2020-01-01", "d": "2021-01-01T01:30:00Z"}
    assert all(hit["datetime"] == shown.get(hit["tile"], hit["datetime"]) for hit in found)


@pytest.mark.medium
def test_a_hit_without_a_date_has_the_keys_of_the_contract(run, dated):
    keys = {
        hit["tile"]: set(hit)
        for hit in hits(run("query", "--tile", "f", "--index", dated, "--json"))
    }
    assert keys["f"] == HIT_KEYS
    assert keys["a"] == {*HIT_KEYS, "datetime"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "soon"), "not a date"),
        (("--to", "2020-02-30"), "not a date"),
        (("--datetime", "2021/2020"), "empty"),
        (("--datetime", "../.."), "at least one end"),
        (("--datetime", ""), "not a date"),
        (("--from", "2021", "--to", "2020"), "empty"),
        (("--from", "2021", "--datetime", "2020"), "cannot be combined"),
    ],
    ids=str,
)
def test_what_is_no_interval_is_refused_before_the_index_is_opened(run, tmp_path, options, said):
    ran = run("query", "--tile", "f", "--index", tmp_path / "none", *options)
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.medium
def test_an_index_without_dates_says_so(run, foreign, tile):
    ran = run("query", "--tile", tile, "--index", foreign, "--from", "2020")
    assert ran.code == 1
    assert "no tile of the index has a date" in ran.err
