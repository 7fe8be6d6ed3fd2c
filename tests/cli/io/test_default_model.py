"""index, query and audit-labels without a model: chosen, fitted, stored, moved, updated, mended."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rsretrieve.index.build import index_tiles
from rsretrieve.index.store.folder import open_index
from rsretrieve.network.unlabelled import choose_embedding
from tests.conftest import run_here

pytestmark = pytest.mark.medium


@pytest.fixture(autouse=True, scope="module")
def no_weights_here(tmp_path_factory):
    """Nothing is in torchvision's cache, and no model is shipped."""
    empty = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.hub, "get_dir", lambda: str(empty))
        patch.setattr(choose_embedding, "shipped_path", lambda name: None)
        yield


@pytest.fixture(scope="module")
def first(landscape, tmp_path_factory):
    """An index for which no model was given; not to be changed."""
    path = tmp_path_factory.mktemp("first") / "index"
    ran = run_here("index", landscape, "--output", path)
    assert ran.code == 0, ran.err
    assert "random convolutional features" in ran.err
    assert "6 bands of uint16" in ran.err
    return path


@pytest.fixture
def copied(first, tmp_path):
    """A copy of that index, elsewhere."""
    return shutil.copytree(first, tmp_path / "elsewhere" / "i")


def image_of(landscape, label="forest"):
    return min((landscape / label).iterdir())


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_query_finds_the_model_in_the_index_wherever_that_lies(
    run, copied, landscape, monkeypatch
):
    monkeypatch.chdir(copied.parent)
    ran = run("query", image_of(landscape), "--index", "i", "-k", "5", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["model"] == str(Path("i", "model"))
    hits = ran.json["queries"][0]["hits"]
    assert hits[0]["tile"] == f"forest/{image_of(landscape).name}"
    assert hits[0]["similarity"] == pytest.approx(1, abs=1e-3)
    manifest = json.loads((copied / "manifest.json").read_text())
    assert manifest["model"] == "model"
    assert "model/model.json" in manifest["sha256"]


def test_info_and_verify_know_the_model(run, copied):
    ran = run("info", copied, "--json")
    assert (ran.json["model"], ran.json["model_found"]) == (str(copied / "model"), True)
    files = [path for path in copied.rglob("*") if path.is_file()]
    assert ran.json["bytes_on_disk"] == sum(path.stat().st_size for path in files)
    ran = run("index", "--verify", "--output", copied, "--json")
    assert (ran.code, ran.json["sound"], ran.json["embedded_again"]) == (0, True, 32)
    ran = run("info", copied / "model")
    assert "none" in ran.out


def test_an_update_uses_the_model_of_the_index(run, copied, landscape, tmp_path):
    tiles = shutil.copytree(landscape, tmp_path / "tiles")
    new = tiles / "forest" / "new.tif"
    shutil.copy(image_of(landscape, "beach"), new)
    before = open_index(copied).manifest.model_fingerprint
    ran = run("index", tiles, "--output", copied, "--update", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["added"], ran.json["removed"]) == (1, 0)
    assert "no model was given" not in ran.err
    store = open_index(copied)
    assert store.manifest.model_fingerprint == before
    assert run("query", new, "--index", copied).code == 0
    assert run("index", "--verify", "--output", copied).code == 0


def test_a_model_of_an_index_serves_other_tiles(run, first, landscape, tmp_path):
    ran = run("index", landscape, "--model", first / "model", "--output", tmp_path / "i")
    assert ran.code == 0, ran.err
    assert open_index(tmp_path / "i").manifest.model == str((first / "model").resolve())
    np.testing.assert_allclose(
        open_index(tmp_path / "i").vectors, open_index(first).vectors, atol=1e-4
    )


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "network.onnx"])
def test_a_damaged_model_is_told_and_replaced_by_a_copy(run, copied, first, landscape, name):
    damage(copied / "model" / name)
    ran = run("index", "--verify", "--output", copied)
    assert ran.code == 1
    assert name in ran.out
    assert run("query", image_of(landscape), "--index", copied).code == 1
    ran = run("index", "--repair", "--output", copied)
    assert ran.code == 1
    assert "--model" in ran.err
    ran = run("index", "--repair", "--output", copied, "--model", first / "model", "--json")
    assert (ran.code, ran.json["sound"]) == (0, True)
    assert "model" in ran.json["mended"][0]
    assert run("query", image_of(landscape), "--index", copied).code == 0


def test_repairing_other_files_keeps_the_model(run, copied, landscape):
    damage(copied / "index.faiss")
    assert run("index", "--repair", "--output", copied).code == 0
    assert run("query", image_of(landscape), "--index", copied).code == 0
    damage(copied / "embeddings.npy")
    damage(copied / "index.faiss")
    ran = run("index", "--repair", "--output", copied)
    assert ran.code == 0, ran.out
    assert open_index(copied).manifest.has_stored_model


def test_a_manifest_must_say_whether_the_model_is_inside(run, copied):
    from tests.support.indexes.resealed import reseal

    manifest = copied / "manifest.json"
    reseal(manifest, lambda content: content["sha256"].pop("model/model.json"))
    ran = run("query", "--tile", "a", "--index", copied)
    assert ran.code == 1
    assert "manifest.json" in ran.err


def test_options_that_contradict_each_other_are_refused(run, landscape, model, first, tmp_path):
    output = ("--output", tmp_path / "i")
    frozen = ("--weights", "imagenet")
    assert run("index", landscape, "--model", model, *frozen, *output).code == 2
    assert run("index", landscape, *output, *frozen, "--update").code == 2
    assert run("index", "--verify", *output, "--backbone", "resnet18").code == 2
    assert run("audit-labels", landscape, "--model", model, *frozen).code == 2
    assert run("index", landscape, *output, "--backbone", "resnot18").code == 2
    assert run("index", landscape, *output, "--weights", tmp_path / "none.pth").code == 1
    ran = run("index", landscape, "--output", first)
    assert ran.code == 1
    assert "already exists" in ran.err
    assert "fitting" not in ran.err


def test_the_seconds_of_an_index_are_those_of_the_whole_run(run, landscape, tmp_path, monkeypatch):
    def in_no_time(*arguments, **options):
        return replace(index_tiles(*arguments, **options), seconds=0.0)

    monkeypatch.setattr("rsretrieve.index.build.index_tiles", in_no_time)
    ran = run("index", landscape, "--output", tmp_path / "i", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["seconds"] > 0  # choosing and fitting the embedding take time, too


def test_labels_are_audited_without_a_model(run, landscape, noisy, tmp_path):
    ran = run(
        *("audit-labels", landscape, "--labels", noisy, "--truth", noisy, "--json"),
        *("--output", tmp_path / "a.csv", "--page", tmp_path / "a.html"),
    )
    assert ran.code == 0, ran.err
    assert "no model was given" in ran.err
    assert ran.json["tiles"] == 144
    assert ran.json["truth"]["average_precision"] > 0.8


def test_a_model_without_classes_audits_by_its_embeddings(run, first, landscape, noisy):
    ran = run(
        *("audit-labels", landscape, "--labels", noisy, "--truth", noisy, "--json"),
        *("--model", first / "model"),
    )
    assert ran.code == 0, ran.err
    assert "no model was given" not in ran.err
    assert ran.json["truth"]["average_precision"] > 0.8
