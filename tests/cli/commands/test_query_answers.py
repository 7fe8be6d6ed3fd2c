"""`rsretrieve query --expand`, `--no-overlap` and `--similarity-map`, and `evaluate --expand`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsretrieve.synthetic.scene import make_landscape, write_scene
from tests.support.programs import rsretrieve

SIDE = 32


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "scene.tif"
    write_scene(make_landscape(6, 32, seed=5), path)
    return path


@pytest.fixture(scope="module")
def windows(scene: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of a scene of 192 px by windows of 32 px every 16 px: 11 × 11."""
    folder = tmp_path_factory.mktemp("windows") / "index"
    cut = ("--window", SIDE, "--stride", SIDE // 2)
    ran = rsretrieve("index", scene, *cut, "--model", model, "--output", folder, "--quiet")
    assert ran.returncode == 0, ran.stderr
    return folder


def ids_of(ran) -> list[str]:
    assert ran.code == 0, ran.err
    [query] = ran.json["queries"]
    return [hit["tile"] for hit in query["hits"]]


def corner(tile: str) -> tuple[int, int]:
    col, row, *_ = map(int, tile.partition("#")[2].split(","))
    return col, row


@pytest.mark.medium
def test_hits_neither_overlap_nor_touch(run, windows, scene):
    ask = ("query", f"{scene}#64,64,32,32", "--index", windows, "--json", "-k")
    whole = ids_of(run(*ask, 121))
    wanted, taken = [], [(64, 64)]
    for tile in whole:
        col, row = corner(tile)
        if all(max(abs(col - c), abs(row - r)) > SIDE for c, r in taken):
            wanted.append(tile)
            taken.append((col, row))
    ran = run(*ask, 4, "--no-overlap")
    assert ids_of(ran) == wanted[:4]
    assert "notices" not in ran.json
    ran = run(*ask, 121, "--no-overlap")
    assert ids_of(ran) == wanted
    assert any("fewer than 121 hits" in text for text in ran.json["notices"])


@pytest.mark.medium
def test_a_scene_is_its_own_windows(run, windows, scene):
    ran = run("query", scene, "--index", windows, "--no-overlap", "--json")
    assert ids_of(ran) == []
    assert any("fewer than 10 hits" in text for text in ran.json["notices"])


@pytest.mark.medium
def test_an_expanded_query_says_so(run, windows, scene, tmp_path):
    name = f"{scene}#64,64,32,32"
    plain = run("query", name, "--index", windows, "--json", "--csv", tmp_path / "plain.csv")
    ran = run(
        *("query", name, "--index", windows, "--expand", "--json"),
        *("--csv", tmp_path / "hits.csv", "--sheet", tmp_path / "hits.png"),
    )
    assert "expanded" not in plain.json["queries"][0]
    assert ran.json["queries"][0]["expanded"] is True
    for file, columns in (("plain.csv", []), ("hits.csv", ["expanded"])):
        with (tmp_path / file).open(encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        assert header[-1 - len(columns) :] == ["lat", *columns]
        assert len(rows) == 10
    assert {row[-1] for row in rows} == {"True"}
    assert "expanded" in run("query", name, "--index", windows, "--expand").out
    assert (tmp_path / "hits.png").exists()


@pytest.mark.medium
def test_evaluate_expands(run, index):
    plain = run("evaluate", "--index", index, "--json").json
    ran = run("evaluate", "--index", index, "--expand", "--json").json
    assert ran.pop("expanded") is True
    assert set(ran) == set(plain)
    assert ran["map"] != plain["map"]
    assert ran["nmi"] == plain["nmi"]


@pytest.mark.medium
@pytest.mark.parametrize("expand", [False, True])
def test_a_map_holds_the_similarity_of_every_window(run, windows, scene, tmp_path, expand):
    file, more = tmp_path / "map.tif", ["--expand"] * expand
    ask = ("query", f"{scene}#64,64,32,32", "--index", windows, "--json", *more, "-k")
    filters = [] if expand else ["--min-similarity", 0.9]  # they choose what expands a query
    ran = run(*ask, 3, *filters, "--similarity-map", file)
    assert ran.code == 0, ran.err
    [query] = run(*ask, 121).json["queries"]
    with rasterio.open(file) as dataset, rasterio.open(scene) as source:
        values = dataset.read(1)
        assert (dataset.shape, dataset.crs) == ((11, 11), source.crs)
        pixel = source.transform.a
        for col, row in ((0.5, 0.5), (3.5, 7.5)):
            middle = col * 16 + 8, row * 16 + 8
            assert dataset.transform @ (col, row) == pytest.approx(source.transform @ middle)
        assert dataset.transform.a == pytest.approx(16 * pixel)
    assert not np.isnan(values).any()
    for hit in query["hits"]:
        col, row = corner(hit["tile"])
        assert values[row // 16, col // 16] == pytest.approx(hit["similarity"], abs=1e-6)
    refused = run(*ask, 3, "--similarity-map", file)
    assert (refused.code, refused.out) == (1, "")
    assert "--overwrite" in refused.err


@pytest.mark.medium
def test_what_has_no_map_is_refused(run, windows, index, scene, tmp_path):
    name, other = f"{scene}#64,64,32,32", f"{scene}#0,0,32,32"
    for asked, where, code, words in (
        ([name, other], windows, 2, "one query, not 2"),
        (["--tile", "scene.tif#0,0,32,32", "--at", "0,0"], windows, 2, "one query, not 2"),
        ([name], index, 1, "no windows of a scene"),
    ):
        ran = run("query", *asked, "--index", where, "--similarity-map", tmp_path / "m.tif")
        assert (ran.code, ran.out) == (code, "")
        assert words in ran.err
    np.save(tmp_path / "v.npy", np.load(windows / "embeddings.npy")[:2])
    two = tmp_path / "v.npy"
    ran = run("query", two, "--index", windows, "--similarity-map", tmp_path / "m.tif")
    assert (ran.code, "one query, not 2" in ran.err) == (2, True)
    ran = run("query", name, "--index", windows, "--similarity-map", scene, "--overwrite")
    assert ran.code == 1
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.medium
def test_maps_of_all_scenes_are_a_folder(run, windows, scene, tmp_path):
    ask = ("query", f"{scene}#64,64,32,32", "--index", windows, "--similarity-map")
    assert run(*ask, tmp_path / "maps").code == 0
    assert {p.name for p in (tmp_path / "maps").iterdir()} == {"1_scene.tif", "maps.csv"}
    assert run(*ask, tmp_path / "maps").code == 1
    assert run(*ask, tmp_path / "maps", "--overwrite").code == 0


@pytest.mark.medium
def test_a_map_goes_to_standard_output(windows, scene, tmp_path):
    import subprocess
    import sys

    command = [sys.executable, "-m", "rsretrieve", "query", f"{scene}#64,64,32,32"]
    command += ["--index", str(windows), "--similarity-map", "-"]
    ran = subprocess.run(command, capture_output=True, check=True)
    (tmp_path / "map.tif").write_bytes(ran.stdout)
    with rasterio.open(tmp_path / "map.tif") as dataset:
        assert dataset.shape == (11, 11)
