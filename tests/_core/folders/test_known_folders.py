"""Which folders are indexes and models of ours, and which files in them; not by a name alone."""

from __future__ import annotations

import json

import pytest

from rsretrieve._core.folders.known_folders import INDEX_FOLDER, MODEL_FOLDER
from rsretrieve.index.store import manifest
from rsretrieve.network import metadata

DATA = ("index.faiss", "tiles.parquet", "embeddings.npy")
NAMES = {"manifest.json", *DATA, "skipped.parquet", "config.toml"}
CONTENT = {
    **{"model": "/models/one", "model_fingerprint": "f", "faiss_key": "Flat", "metric": "inner"},
    **{"tiles": 3, "dimensions": 4, "recall_at_10": 1.0, "sha256": {}},
}


@pytest.fixture
def index(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(CONTENT, indent=2))
    for name in DATA:
        (tmp_path / name).touch()
    return tmp_path


def test_the_names_are_those_of_the_modules_that_write_the_folders():
    assert INDEX_FOLDER.marker == manifest.MANIFEST_FILE
    own = (manifest.MANIFEST_FILE, manifest.SKIPPED_FILE, manifest.CONFIG_FILE)
    assert {*own, *manifest.DATA_FILES} == NAMES
    models = {f"{manifest.STORED_MODEL}/{name}" for name in MODEL_FOLDER.writes}
    assert INDEX_FOLDER.writes == NAMES | models
    assert MODEL_FOLDER.marker == metadata.DESCRIPTION_FILE
    read = {metadata.WEIGHTS_FILE, metadata.GRAPH_FILE, metadata.TILES_FILE, metadata.PROGRAM_FILE}
    assert read < MODEL_FOLDER.writes


def test_an_index_has_files_of_fixed_names(index):
    assert INDEX_FOLDER.own_files(index) == NAMES
    assert INDEX_FOLDER.own_files(index / "gone") == frozenset()


@pytest.mark.parametrize("name", DATA)
def test_an_index_that_lost_files_is_still_one(index, name):
    (index / name).unlink()
    assert INDEX_FOLDER.is_own(index)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\x00", b"null", b"half"])
def test_an_index_with_a_damaged_manifest_is_still_one_if_nothing_is_missing(index, damage):
    path = index / "manifest.json"
    path.write_bytes(path.read_bytes()[:150] if damage == b"half" else damage)
    assert INDEX_FOLDER.is_own(index)
    (index / "tiles.parquet").unlink()
    assert INDEX_FOLDER.is_own(index) == (damage == b"half")


@pytest.mark.parametrize(
    "foreign", [{"files": []}, {"name": "app", "icons": []}, {"model": 1, "tiles": 2, "metric": 3}]
)
@pytest.mark.parametrize("names", [(), ("tiles.parquet",), DATA])
def test_a_manifest_of_another_program_makes_no_index(tmp_path, foreign, names):
    (tmp_path / "manifest.json").write_text(json.dumps(foreign))
    for name in names:
        (tmp_path / name).touch()
    assert not INDEX_FOLDER.is_own(tmp_path)


def test_a_manifest_without_data_files_makes_no_index(index):
    for name in DATA:
        (index / name).unlink()
    assert not INDEX_FOLDER.is_own(index)


def test_a_model_in_an_index_is_ours_only_if_the_index_says_so(index):
    """And only files that a model may have: a stranger's description may name any."""
    (index / "model").mkdir()
    files = {"files": {"history.csv": "0", "notes.md": "0", "../a.csv": "0", "/b/history.csv": "0"}}
    (index / "model" / "model.json").write_text(json.dumps(files))
    assert INDEX_FOLDER.own_files(index) == NAMES
    (index / "manifest.json").write_text(json.dumps({**CONTENT, "model": "model"}))
    model = {"model/model.json", "model/model.safetensors", "model/history.csv"}
    assert INDEX_FOLDER.own_files(index) == NAMES | model


def test_the_files_of_a_model_are_those_that_it_names(tmp_path):
    keys = ("architecture", "preprocessing", "class_names", "recipe", "weights_sha256")
    content = {**dict.fromkeys(keys), "files": {"history.csv": "0"}}
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert not MODEL_FOLDER.is_own(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert MODEL_FOLDER.own_files(tmp_path) == {"model.json", "model.safetensors", "history.csv"}
    content.pop("files")
    (tmp_path / "model.json").write_text(json.dumps(content))
    assert MODEL_FOLDER.own_files(tmp_path) == MODEL_FOLDER.writes
    (tmp_path / "model.json").write_text('{"modelTopology": {}}')
    assert not MODEL_FOLDER.is_own(tmp_path)


def test_what_is_no_file_describes_nothing(index):
    (index / "manifest.json").unlink()
    (index / "manifest.json").mkdir()
    assert not INDEX_FOLDER.is_own(index)
