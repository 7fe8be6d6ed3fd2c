"""One bad tile never ends a run: bad ones among good ones, through every command."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image

from rsretrieve.synthetic.scene import make_landscape, write_tiles
from tests.conftest import run_here
from tests.support.programs import TRAINING

BAD = {
    "bad/empty.png": "the file is empty (0 bytes)",
    "bad/five_bands.tif": "has 5 bands, and 3 are expected",
    "bad/giant.png": "too large for a tile",
    "bad/nodata.tif": "every pixel is nodata",
    "bad/pixel.png": "1×1 px is too small",
    "bad/text.jpg": "not an image that can be read",
    "bad/truncated.jpg": "cannot be decoded: image file is truncated",
}


def write_geotiff(path, values, **profile):
    bands, height, width = values.shape
    with rasterio.open(
        path, "w", "GTiff", width, height, bands, dtype=values.dtype, **profile
    ) as dataset:
        dataset.write(values)


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Thirty good RGB tiles in three classes, and one bad tile of each kind."""
    folder = tmp_path_factory.mktemp("bad") / "tiles"
    made = tmp_path_factory.mktemp("made") / "tiles"
    write_tiles(make_landscape(10, 32, seed=4), 32, made)
    for name in ("forest", "road", "water"):
        (folder / name).mkdir(parents=True)
        for path in sorted((made / name).iterdir())[:10]:
            with rasterio.open(path) as dataset:
                rgb = (dataset.read([3, 2, 1]) / 16).clip(1, 255).astype(np.uint8)
            Image.fromarray(rgb.transpose(1, 2, 0)).save(folder / name / f"{path.stem}.png")
    bad = folder / "bad"
    bad.mkdir()
    (bad / "empty.png").touch()
    (bad / "text.jpg").write_text("this is no picture")
    noise = np.random.default_rng(0).integers(1, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(bad / "whole.jpg")
    (bad / "truncated.jpg").write_bytes((bad / "whole.jpg").read_bytes()[:900])
    shutil.move(bad / "whole.jpg", folder / "road" / "noise.jpg")
    Image.new("RGB", (1, 1), "red").save(bad / "pixel.png")
    Image.new("1", (20_000, 20_000), 1).save(bad / "giant.png")
    write_geotiff(bad / "five_bands.tif", np.full((5, 32, 32), 7, np.uint8))
    write_geotiff(bad / "nodata.tif", np.full((3, 32, 32), 9, np.uint8), nodata=9)
    return folder


@pytest.fixture(scope="module")
def model(tiles, tmp_path_factory):
    path = tmp_path_factory.mktemp("bad-model") / "model"
    arguments = ["train", tiles, "--output", path, *TRAINING, "--epochs", 2, "--seed", 5]
    ran = run_here(*arguments, "--json")
    assert ran.code == 3, ran.err
    assert_listed(ran.err)
    return path


def assert_listed(err):
    for tile, reason in BAD.items():
        lines = [line for line in err.splitlines() if line.startswith(f"  {tile}: ")]
        assert len(lines) == 1, err
        assert reason in lines[0]
    assert "Traceback" not in err


def test_train_leaves_them_out_lists_each_with_its_reason_and_exits_3(model):
    assert (model / "model.json").exists()


def test_index_leaves_them_out_lists_each_with_its_reason_and_exits_3(run, tiles, model, tmp_path):
    ran = run("index", tiles, "--model", model, "--output", tmp_path / "i", "--json")
    assert ran.code == 3
    assert ran.json["failed"] == len(BAD)
    assert ran.json["tiles"] == 31
    assert_listed(ran.err)


def test_audit_labels_leaves_them_out_lists_each_with_its_reason_and_exits_3(
    run, tiles, model, tmp_path
):
    labels = tmp_path / "labels.csv"
    labels.write_text("tile,label\n" + "".join(f"{tile},road\n" for tile in BAD))
    ran = run(
        *("audit-labels", tiles, "--labels", labels, "--model", model, "--json"),
        *("--output", tmp_path / "audit.csv"),
    )
    assert ran.code == 3
    assert ran.json["tiles"] == 31
    assert_listed(ran.err)


@pytest.mark.medium
@pytest.mark.parametrize("command", ["train", "index", "audit-labels"])
def test_strict_stops_at_the_first_with_exit_code_1(run, tiles, model, tmp_path, command):
    arguments = {
        "train": ["--output", tmp_path / "out", *TRAINING, "--epochs", 1],
        "index": ["--output", tmp_path / "out", "--model", model],
        "audit-labels": ["--output", tmp_path / "out", "--model", model],
    }[command]
    labels = tmp_path / "labels.csv"
    labels.write_text("tile,label\n" + "".join(f"{tile},road\n" for tile in BAD))
    ran = run(command, tiles, "--labels", labels, *arguments, "--strict")
    assert (ran.code, ran.out) == (1, "")
    messages = [line for line in ran.err.splitlines() if "error:" in line]
    assert len(messages) == 1
    assert any(f"{tile}: " in messages[0] for tile in BAD)
    assert not (tmp_path / "out").exists()


@pytest.mark.medium
def test_nothing_but_bad_tiles_is_one_error(run, tiles, model, tmp_path):
    ran = run("index", tiles / "bad", "--model", model, "--output", tmp_path / "i")
    assert ran.code == 1
    assert "none of 7 tiles can be used with this model (the first, empty.png: " in ran.err


@pytest.mark.medium
def test_a_name_that_is_not_utf8_is_listed_and_does_not_end_the_run(run, tiles, model, tmp_path):
    folder = tmp_path / "tiles"
    shutil.copytree(tiles / "forest", folder / "forest")
    good = sorted((folder / "forest").iterdir())
    bad = os.fsencode(folder / "forest") + b"/caf\xe9.png"
    try:
        shutil.copy(good[0], bad)
    except OSError:
        pytest.skip("this file system has no such names")
    arguments = ("--model", model, "--output", tmp_path / "index", "--json")
    ran = run("index", folder, *arguments)
    assert (ran.code, ran.json["tiles"], ran.json["failed"]) == (3, len(good), 1)
    assert ".png: its name is not UTF-8: rename it" in ran.err
    for path in good:
        path.unlink()
    ran = run("index", folder, *arguments, "--overwrite")
    assert (ran.code, ran.out) == (1, "")
    assert "tiles left out because their names are not UTF-8: 1" in ran.err
