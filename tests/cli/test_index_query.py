from __future__ import annotations

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.warp import transform

from tests.support.repository import ROOT

README = ROOT / "README.md"

INDEX_KEYS = {
    *("index", "tiles", "added", "removed", "unchanged", "failed", "faiss_key"),
    *("recall_at_10", "seconds", "tiles_per_second", "device"),
    *("resumed", "predicted_bytes", "search"),
}
HIT_KEYS = {"rank", "tile", "path", "similarity", "label", "crs", "bounds", "lon", "lat"}


@pytest.fixture
def first(landscape):
    """The first forest tile."""
    return min((landscape / "forest").iterdir())


@pytest.mark.medium
def test_index_prints_the_contract_s_json_and_writes_its_files(run, landscape, model, tmp_path):
    ran = run("index", landscape, "--model", model, "--output", tmp_path / "i", "--json")
    assert ran.code == 0
    assert set(ran.json) == INDEX_KEYS
    assert ran.json["tiles"] == ran.json["added"] == 144
    assert (ran.json["removed"], ran.json["unchanged"], ran.json["failed"]) == (0, 0, 0)
    assert ran.json["faiss_key"] == "Flat"
    assert ran.json["recall_at_10"] == 1.0
    assert {path.name for path in (tmp_path / "i").iterdir()} == {
        *("manifest.json", "index.faiss", "tiles.parquet", "embeddings.npy"),
        "config.toml",
    }


@pytest.fixture
def long_list(landscape, tmp_path, monkeypatch):
    """A list of 16 tiles that counts as long."""
    monkeypatch.setattr("rsretrieve.index.long_list.LONG_LIST_BYTES", 1)
    tiles = sorted((landscape / "forest").iterdir())
    path = tmp_path / "tiles.csv"
    path.write_text("".join(["tile,path\n", *(f"{tile.name},{tile}\n" for tile in tiles)]))
    return path


@pytest.mark.medium
def test_a_long_list_is_indexed_part_by_part(run, long_list, model, tmp_path, monkeypatch):
    monkeypatch.setattr("rsretrieve.index.build_from_list.LOCAL_PART_ROWS", 5)
    whole = {}
    monkeypatch.setattr(
        "rsretrieve.data.discovery.find_tiles.find_tiles", lambda *a: whole.update(found=a)
    )
    ran = run("index", long_list, "--model", model, "--output", tmp_path / "i", "--json")
    assert ran.code == 0
    assert set(ran.json) == INDEX_KEYS
    assert (ran.json["tiles"], ran.json["added"], ran.json["resumed"]) == (16, 16, 0)
    assert not whole
    assert {path.name for path in tmp_path.iterdir()} == {"i", "tiles.csv"}


@pytest.mark.medium
def test_a_long_list_that_repeats_a_row_is_indexed_and_told(run, long_list, model, tmp_path):
    long_list.write_text(long_list.read_text() + long_list.read_text().splitlines()[-1] + "\n")
    ran = run("index", long_list, "--model", model, "--output", tmp_path / "i", "--json")
    assert ran.code == 0
    assert ran.json["tiles"] == 16
    assert "named twice" in ran.err
    assert "1 repeated rows were ignored" in ran.err


@pytest.mark.medium
def test_a_long_list_names_the_rows_of_an_array(run, long_list, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(16, dtype=np.float32))
    vectors = ("--from-embeddings", tmp_path / "v.npy", "--output", tmp_path / "i", "--json")
    ran = run("index", long_list, *vectors)
    assert (ran.code, ran.json["tiles"]) == (0, 16)
    name = long_list.read_text().splitlines()[4].partition(",")[0]
    found = run("query", "--index", tmp_path / "i", "--tile", name, "-k", "1", "--json")
    assert found.json["queries"][0]["hits"][0]["tile"] == name


@pytest.mark.medium
def test_index_refuses_to_overwrite_and_overwrites_when_told(
    run, landscape, model, index, tmp_path
):
    copied = tmp_path / "i"
    shutil.copytree(index, copied)
    refused = run("index", landscape / "water", "--model", model, "--output", copied)
    assert refused.code == 1
    assert "already exists" in refused.err
    again = run(
        "index", landscape / "water", "--model", model, "--output", copied, "--overwrite", "--json"
    )
    assert again.json["tiles"] == 16
    assert [path.name for path in tmp_path.iterdir()] == ["i"]


@pytest.mark.medium
def test_update_embeds_new_and_changed_tiles_only(run, landscape, model, tmp_path):
    tiles, folder = tmp_path / "tiles", tmp_path / "i"
    shutil.copytree(landscape, tiles)
    spare = min((tiles / "road").iterdir()).rename(tmp_path / "spare.tif")
    assert run("index", tiles, "--model", model, "--output", folder).code == 0
    spare.rename(tiles / "road" / "new.tif")
    changed, touched = sorted((tiles / "water").iterdir())[:2]
    shutil.copyfile(min((tiles / "forest").iterdir()), changed)
    os.utime(changed, (1, 1))
    os.utime(touched, (1, 1))
    for gone in sorted((tiles / "beach").iterdir())[:2]:
        gone.unlink()
    ran = run("index", tiles, "--model", model, "--output", folder, "--update", "--json")
    assert ran.code == 0
    counts = {key: ran.json[key] for key in ("tiles", "added", "removed", "unchanged")}
    assert counts == {"tiles": 142, "added": 2, "removed": 2, "unchanged": 140}


@pytest.mark.medium
def test_an_index_key_of_faiss_s_is_used_and_a_wrong_one_refused(run, landscape, model, tmp_path):
    arguments = ["index", landscape, "--model", model, "--output", tmp_path / "i", "--index"]
    assert run(*arguments, "HNSW16", "--json").json["faiss_key"] == "HNSW16"
    wrong = run(*arguments, "Nonsense", "--overwrite")
    assert wrong.code == 2
    assert "FAISS cannot build 'Nonsense'" in wrong.err


def test_query_prints_the_contract_s_json(run, index, model, first):
    ran = run("query", first, "--index", index, "-k", 5, "--json")
    assert ran.code == 0
    assert set(ran.json) == {"index", "model", "queries"}
    (query,) = ran.json["queries"]
    assert set(query) == {"query", "hits"}
    assert query["query"] == str(first)
    assert [hit["rank"] for hit in query["hits"]] == [1, 2, 3, 4, 5]
    assert all(set(hit) == HIT_KEYS for hit in query["hits"])
    similarities = [hit["similarity"] for hit in query["hits"]]
    assert similarities == sorted(similarities, reverse=True)
    best = query["hits"][0]
    assert best["tile"] == f"forest/{first.name}"
    assert best["path"] == str(first)
    assert best["similarity"] > 0.999
    assert best["label"] == "forest"
    assert best["crs"] == "EPSG:32632"


def test_exclude_self_leaves_out_the_image_s_own_file_and_still_gives_k_hits(run, index, first):
    ran = run("query", first, "--index", index, "-k", 7, "--exclude-self", "--json")
    hits = ran.json["queries"][0]["hits"]
    assert [hit["rank"] for hit in hits] == list(range(1, 8))
    assert str(first) not in {hit["path"] for hit in hits}


@pytest.mark.medium
def test_several_images_csv_geojson_and_sheet(run, index, landscape, first, tmp_path):
    other = min((landscape / "water").iterdir())
    outputs = [tmp_path / name for name in ("hits.csv", "hits.geojson", "hits.png")]
    ran = run(
        *("query", first, other, first, "--index", index, "-k", 3),
        *("--csv", outputs[0], "--geojson", outputs[1], "--sheet", outputs[2]),
    )
    assert ran.code == 0
    assert f"forest/{first.name}" in ran.out
    with outputs[0].open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["query"], row["rank"]) for row in rows] == [
        (str(image), str(rank)) for image in (first, other) for rank in (1, 2, 3)
    ]
    features = json.loads(outputs[1].read_text())["features"]
    assert len(features) == 6
    for feature in features:
        assert_footprint_is_where_the_file_lies(feature)
    with Image.open(outputs[2]) as sheet:
        assert sheet.width > 4 * 128
        assert sheet.height > 2 * 128
    refused = run("query", first, "--index", index, "--csv", outputs[0])
    assert refused.code == 1
    assert "already exists" in refused.err


def assert_footprint_is_where_the_file_lies(feature):
    with rasterio.open(feature["properties"]["path"]) as dataset:
        corners = [(0, 0), (0, dataset.height), (dataset.width, dataset.height), (dataset.width, 0)]
        xs, ys = zip(*(dataset.xy(row, col, offset="ul") for col, row in corners))
        lons, lats = transform(dataset.crs, "EPSG:4326", xs, ys)
    ring = feature["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    np.testing.assert_allclose(ring[:-1], list(zip(lons, lats)), atol=1e-9)
    assert min(lons) < feature["properties"]["lon"] < max(lons)
    assert min(lats) < feature["properties"]["lat"] < max(lats)


@pytest.mark.medium
def test_a_window_of_a_scene_is_a_query_and_tiles_without_a_place_have_nulls(
    run, model, landscape, tmp_path
):
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in sorted((landscape / "forest").iterdir())[:3]:
        with rasterio.open(path) as dataset:
            values = dataset.read()
        with rasterio.open(plain / path.name, "w", "GTiff", 32, 32, 6, dtype="uint16") as written:
            written.write(values)
    assert run("index", plain, "--model", model, "--output", tmp_path / "i").code == 0
    path = min(plain.iterdir())
    ran = run("query", f"{path}#0,0,16,16", "--index", tmp_path / "i", "--json")
    hits = ran.json["queries"][0]["hits"]
    assert len(hits) == 3
    assert all(hit[key] is None for hit in hits for key in ("crs", "bounds", "lon", "lat"))
    written = tmp_path / "h.geojson"
    ran = run("query", path, "--index", tmp_path / "i", "--geojson", written)
    assert "3 hits have no georeference" in ran.err
    assert json.loads(written.read_text())["features"][0]["geometry"] is None


@pytest.mark.medium
def test_images_that_cannot_be_read_are_listed_and_the_others_answered(run, index, first):
    ran = run("query", first, "absent.tif", "--index", index, "--json")
    assert ran.code == 3
    assert len(ran.json["queries"]) == 1
    assert "  absent.tif: no such file" in ran.err
    nothing = run("query", "absent.tif", "--index", index)
    assert (nothing.code, nothing.out) == (1, "")
    assert "absent.tif: no such file" in nothing.err


@pytest.mark.medium
def test_another_model_is_refused_with_both_fingerprints(run, index, landscape, first, tmp_path):
    other = tmp_path / "other"
    ran = run(
        *("train", landscape, "--output", other, "--weights", "none", "--size", 32),
        *("--backbone", "squeezenet1_1", "--epochs", 1),
    )
    assert ran.code == 0, ran.err
    ran = run("query", first, "--index", index, "--model", other)
    assert (ran.code, ran.out) == (1, "")
    wanted = json.loads((index / "manifest.json").read_text())["model_fingerprint"][:12]
    assert wanted in ran.err
    assert f"{other} is " in ran.err


@pytest.mark.medium
def test_a_moved_model_is_asked_for_and_taken_from_where_it_is(run, landscape, model, tmp_path):
    copied, moved, folder = tmp_path / "m", tmp_path / "moved", tmp_path / "i"
    shutil.copytree(model, copied)
    assert run("index", landscape / "water", "--model", copied, "--output", folder).code == 0
    copied.rename(moved)
    image = min((landscape / "water").iterdir())
    lost = run("query", image, "--index", folder)
    assert lost.code == 1
    assert "--model DIR" in lost.err
    assert run("query", image, "--index", folder, "--model", moved).code == 0


@pytest.mark.parametrize("name", ["manifest.json", "embeddings.npy", "tiles.parquet"])
def test_an_edited_index_is_refused(run, index, first, tmp_path, name):
    copied = tmp_path / "i"
    shutil.copytree(index, copied)
    path = copied / name
    path.write_bytes(path.read_bytes()[:-40])
    ran = run("query", first, "--index", copied)
    assert (ran.code, ran.out) == (1, "")
    assert str(path) in ran.err


@pytest.mark.medium
def test_an_edited_faiss_file_is_told_and_misleads_no_query(run, index, first, tmp_path):
    """Few queries over few tiles are answered from the stored vectors, without that file."""
    copied = tmp_path / "i"
    shutil.copytree(index, copied)
    path = copied / "index.faiss"
    path.write_bytes(path.read_bytes()[:-40])
    ran = run("index", "--verify", "--output", copied)
    assert ran.code == 1
    assert "index.faiss" in ran.out + ran.err
    sound, edited = (run("query", first, "--index", i, "--json") for i in (index, copied))
    assert edited.code == 0
    assert edited.json["queries"] == sound.json["queries"]


def test_no_index_there(run, first, tmp_path):
    ran = run("query", first, "--index", tmp_path)
    assert ran.code == 1
    assert "holds no index" in ran.err


@pytest.mark.medium
@pytest.mark.parametrize("command", ["index", "train", "demo"])
def test_overwrite_never_replaces_a_folder_of_the_user_s(run, landscape, model, tmp_path, command):
    mine = tmp_path / "tiles"
    shutil.copytree(landscape / "forest", mine / "forest")
    arguments = {
        "index": [landscape, "--model", model, "--output", mine],
        "train": [landscape, "--weights", "none", "--output", mine],
        "demo": ["--output", tmp_path],
    }[command]
    ran = run(command, *arguments, "--overwrite")
    assert ran.code == 1
    assert f"{mine} is a folder that rsretrieve did not write" in ran.err
    assert len(list((mine / "forest").iterdir())) == 16


@pytest.mark.medium
def test_the_output_in_the_readme_is_that_of_the_program(run, index, landscape):
    (shown,) = re.findall(r"```text\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    image = min((landscape / "beach").iterdir())
    title, *rows = run("query", image, "--index", index, "-k", 3).out.splitlines()
    assert title.strip() == str(image)
    for line, expected in zip(shown.splitlines()[1:], rows, strict=True):
        assert len(line.split()) == len(expected.split())
    assert shown.splitlines()[1].split() == rows[0].split()


@pytest.mark.medium
def test_what_was_ignored_of_tiles_is_said_once_with_its_count(
    run, landscape, model, index, tmp_path
):
    """A band of measurements that is tagged as alpha, in an index and in queries."""
    (tmp_path / "t").mkdir()
    for number, path in enumerate(sorted((landscape / "forest").iterdir())[:3]):
        with rasterio.open(path) as source:
            values, profile, meanings = source.read(), source.profile, source.colorinterp
        profile["count"] += 1
        with rasterio.open(tmp_path / "t" / f"{number}.tif", "w", **profile) as out:
            out.colorinterp = [*meanings, rasterio.enums.ColorInterp.alpha]
            out.write(np.concatenate([values, values[:1] // 2 + 300]))
    indexed = run("index", tmp_path / "t", "--model", model, "--output", tmp_path / "i", "--json")
    asked = run("query", *sorted((tmp_path / "t").iterdir()), "--index", index, "-k", 1, "--json")
    assert (indexed.code, asked.code) == (0, 0), indexed.err + asked.err
    for ran in (indexed, asked):
        assert ran.err.count("tagged as alpha") == 1
        assert re.search(r"3 tiles \(such as .*0\.tif\)", ran.err)
    for path, query in zip(sorted((landscape / "forest").iterdir()), asked.json["queries"]):
        assert query["hits"][0]["tile"] == f"forest/{path.name}"
