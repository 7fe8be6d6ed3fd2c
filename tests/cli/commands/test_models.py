"""`models` lists what rsretrieve comes with, and `--model NAME` takes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsretrieve.index.store.folder import open_index
from rsretrieve.network.shipped.shipped_models import shipped_path
from tests.conftest import Run, run_here


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 8-bit RGB tiles of two classes; not to be changed."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(8):
        grain = (4, 32)[number % 2]
        coarse = random.integers(0, 256, (64 // grain, 64 // grain, 3), dtype=np.uint8)
        path = folder / ("fine", "coarse")[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(coarse.repeat(grain, axis=0).repeat(grain, axis=1)).save(path)
    return folder


@pytest.fixture(scope="module")
def by_name(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of them, by the default model; not to be changed."""
    path = tmp_path_factory.mktemp("by_name") / "index"
    ran = run_here("index", photographs, "--model", "default", "--output", path)
    assert ran.code == 0, ran.err
    return path


def test_the_list_says_what_each_model_is(run: Run) -> None:
    listed = run("models", "--json").json["models"]
    first = {model["name"]: model for model in listed}["default"]
    assert first["path"] == str(shipped_path("default"))
    assert first["bytes"] <= 10_000_000
    assert {"backbone", "size_px", "bands", "dtype", "dimensions", "trained_on"} <= {*first}
    assert {"licence", "fingerprint", "figures", "summary"} <= {*first}
    shown = run("models")
    assert shown.code == 0
    assert "default" in shown.out
    assert first["licence"] in shown.out


def test_info_knows_the_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("info", "default", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["kind"], ran.json["changed_files"]) == ("model", [])


def test_a_slip_is_refused_before_a_tile_is_read(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    for command in (("index", photographs, "--output", tmp_path / "i"), ("audit-labels", "x")):
        ran = run(*command[:1], photographs, *command[2:], "--model", "defualt")
        assert ran.code == 1
        assert "did you mean default" in ran.err
    ran = run("info", "defualt")
    assert (ran.code, "did you mean default" in ran.err) == (1, True)


@pytest.mark.medium
def test_a_query_finds_the_model_without_its_name(
    run: Run, photographs: Path, by_name: Path, tmp_path: Path
) -> None:
    """It lies in the index, which may be moved to where there is no such model."""
    moved = shutil.copytree(by_name, tmp_path / "elsewhere")
    assert open_index(moved).manifest.has_stored_model
    image = photographs / "fine" / "0.png"
    ran = run("query", image, "--index", moved, "--json")
    assert ran.code == 0, ran.err
    first = ran.json["queries"][0]["hits"][0]
    assert (first["tile"], ran.json["model"]) == ("fine/0.png", str(moved / "model"))
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert run("query", image, "--index", moved, "--model", "default").code == 0
    assert run("index", "--verify", "--output", moved).code == 0
    ran = run("evaluate", photographs, "--index", moved, "--model", "default", "--json")
    assert ran.code == 0, ran.err


@pytest.mark.medium
def test_neither_the_list_nor_a_query_needs_torch(photographs: Path, by_name: Path) -> None:
    from tests.test_architecture import loaded_after

    assert loaded_after("models") == set()
    image = str(photographs / "fine" / "0.png")
    assert loaded_after("query", image, "--index", str(by_name), "--json") == {"pyarrow"}


@pytest.mark.medium
def test_tiles_of_8_bit_rgb_take_it_without_a_name(
    run: Run, photographs: Path, by_name: Path, tmp_path: Path
) -> None:
    ran = run("index", photographs, "--output", tmp_path / "i", "--json")
    assert ran.code == 0, ran.err
    [said] = [text for text in ran.json["notices"] if "no model was given" in text]
    assert "the model default" in said
    assert "8-bit RGB" in said
    fingerprints = {
        open_index(path).manifest.model_fingerprint for path in (tmp_path / "i", by_name)
    }
    assert len(fingerprints) == 1  # too few tiles for components of their own
    assert open_index(tmp_path / "i").manifest.has_stored_model


@pytest.mark.medium
def test_a_folder_of_the_user_comes_first(
    run: Run, photographs: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, "default")
    ran = run("info", "default", "--json")
    assert ran.json["classes"] > 0
    assert "the model in the folder default is used" in " ".join(ran.json["notices"])
    ran = run("audit-labels", photographs, "--model", "default")
    assert "the model in the folder default is used" in ran.err
