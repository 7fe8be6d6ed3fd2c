"""Several TILES, stacked bands and STAC collections on the command line."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio

from rsretrieve.synthetic.scene import make_landscape, write_scene
from tests.conftest import CELL_PX, CELLS, Run

BANDS = ("B04", "B03", "B02", "B08", "B11", "B12")


@pytest.fixture(scope="module")
def two_folders(landscape, tmp_path_factory):
    """The tiles in two folders: every second class in each."""
    root = tmp_path_factory.mktemp("two")
    for number, folder in enumerate(sorted(path for path in landscape.iterdir() if path.is_dir())):
        shutil.copytree(folder, root / ("a", "b")[number % 2] / folder.name)
    return root / "a", root / "b"


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_split_takes_the_tiles_of_all_places(run: Run, two_folders, landscape, tmp_path):
    assert run("split", *two_folders, "--output", tmp_path / "l").code == 0
    rows = [
        row for part in ("train", "val", "test") for row in rows_of(tmp_path / "l" / f"{part}.csv")
    ]
    ids = sorted(path.relative_to(landscape).as_posix() for path in landscape.glob("*/*.tif"))
    assert sorted(row["tile"] for row in rows) == ids
    for row in rows:
        assert (tmp_path / "l" / row["path"]).resolve().is_file()


def test_corrupt_labels_takes_the_tiles_of_all_places(run: Run, two_folders, landscape, tmp_path):
    ran = run(
        "corrupt-labels", *two_folders, "--rate", 0.2, "--output", tmp_path / "n.csv", "--json"
    )
    assert ran.json["tiles"] == len(list(landscape.glob("*/*.tif")))


@pytest.mark.parametrize("command", ["index", "train", "split", "corrupt-labels", "audit-labels"])
def test_none_of_several_inputs_is_overwritten(run: Run, two_folders, tmp_path, command):
    copies = [shutil.copytree(folder, tmp_path / folder.name) for folder in two_folders]
    output = copies[1] if command in ("index", "train") else next(copies[1].glob("*/*.tif"))
    before = sorted(copies[1].rglob("*"))
    given = {
        "index": ("--model", tmp_path / "m"),
        "train": ("--weights", "none"),
        "split": (),
        "corrupt-labels": ("--rate", 0.1),
        "audit-labels": ("--model", tmp_path / "m"),
    }[command]
    ran = run(command, *copies, *given, "--output", output, "--overwrite")
    assert ran.code in (1, 2)
    assert sorted(copies[1].rglob("*")) == before


@pytest.mark.medium
def test_index_evaluate_and_audit_take_several_places(
    run: Run, two_folders, model, landscape, tmp_path
):
    count = len(list(landscape.glob("*/*.tif")))
    index = tmp_path / "index"
    ran = run("index", *two_folders, "--model", model, "--output", index, "--json")
    assert (ran.code, ran.json["tiles"]) == (0, count)
    again = run("index", *two_folders, "--update", "--model", model, "--output", index, "--json")
    assert (again.json["unchanged"], again.json["added"], again.json["removed"]) == (count, 0, 0)
    assert run("evaluate", *two_folders, "--index", index, "--json").json["queries"] == count
    audited = run("audit-labels", *two_folders, "--model", model, "--json")
    assert audited.json["tiles"] == count


@pytest.fixture(scope="module")
def band_files(tmp_path_factory):
    """The landscape's scene, and its bands in files of their own."""
    folder = tmp_path_factory.mktemp("bands")
    write_scene(make_landscape(CELLS, CELL_PX, seed=1), folder / "scene.tif")
    (folder / "product").mkdir()
    with rasterio.open(folder / "scene.tif") as scene:
        profile = {**scene.profile, "count": 1, "photometric": "minisblack"}
        for band, name in enumerate(BANDS, 1):
            path = folder / "product" / f"T32_{name}.tif"
            with rasterio.open(path, "w", **profile) as dataset:
                dataset.write(scene.read(band), 1)
    return folder


def embeddings_of(index):
    return np.load(index / "embeddings.npy")


@pytest.mark.medium
def test_stacked_bands_are_the_scene_they_came_from(run: Run, band_files, model, tmp_path):
    window = ("--window", CELL_PX, "--model", model, "--json")
    ran = run("index", band_files / "scene.tif", *window, "--output", tmp_path / "scene")
    stack = ("--stack", ",".join(BANDS))
    stacked = run("index", band_files / "product", *window, *stack, "--output", tmp_path / "stack")
    assert stacked.json["tiles"] == ran.json["tiles"] == CELLS * CELLS
    assert np.allclose(
        embeddings_of(tmp_path / "scene"), embeddings_of(tmp_path / "stack"), atol=1e-3
    )
    again = run(
        "index", band_files / "product", *window, *stack, "--update", "--output", tmp_path / "stack"
    )
    assert again.json["unchanged"] == CELLS * CELLS
    asked = run(
        "query", "--tile", f"T32#0,0,{CELL_PX},{CELL_PX}", "--index", tmp_path / "stack", "--json"
    )
    best = asked.json["queries"][0]["hits"][0]
    assert best["lon"] is not None
    assert json.loads(best["path"].removeprefix("stack:"))[0].endswith(f"T32_{BANDS[0]}.tif")


@pytest.mark.medium
def test_several_assets_of_an_item_are_one_scene(run: Run, band_files, model, tmp_path):
    assets = {name: {"href": f"product/T32_{name}.tif", "type": "image/tiff"} for name in BANDS}
    item = {
        **{"type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": None, "links": []},
        **{"properties": {"datetime": "2024-01-01T00:00:00Z"}, "assets": assets},
    }
    source = band_files / "items.json"
    bad = {**item, "id": "y", "assets": {"B04": {"href": 7}}}
    source.write_text(json.dumps({"type": "FeatureCollection", "features": [bad, item]}))
    chosen = [text for name in assets for text in ("--asset", name)]
    ran = run(
        *("index", source, "--window", CELL_PX, "--model", model, *chosen, "--json"),
        *("--output", tmp_path / "index"),
    )
    assert (ran.code, ran.json["tiles"]) == (3, CELLS * CELLS)
    assert "items.json/y" in ran.err


@pytest.mark.medium
def test_single_bands_get_a_notice_before_anything_is_done(run: Run, band_files, tmp_path):
    ran = run("split", band_files / "product", "--window", CELL_PX, "--output", tmp_path / "l")
    assert "single bands" in ran.err
    assert "--stack B2,B3,B4,B8,B11,B12" in ran.err


@pytest.mark.parametrize(
    ("given", "words"),
    [(("--stack", ","), "names of bands"), (("--stack", "B4", "--asset", "x"), "--asset")],
)
def test_wrong_stacks_are_wrong_usage(run: Run, band_files, tmp_path, given, words):
    ran = run("split", band_files / "product", *given, "--output", tmp_path / "l")
    assert ran.code == 2
    assert words in ran.err


def test_a_band_of_a_stack_is_never_overwritten(run: Run, band_files, tmp_path):
    product = shutil.copytree(band_files / "product", tmp_path / "product")
    labels = tmp_path / "l.csv"
    labels.write_text("tile,label\nT32,sea\n")
    output = product / "T32_B03.tif"
    before = output.read_bytes()
    ran = run(
        *("corrupt-labels", product, "--stack", "B04,B03", "--labels", labels, "--rate", 0),
        *("--output", output, "--overwrite"),
    )
    assert ran.code == 1
    assert output.read_bytes() == before
