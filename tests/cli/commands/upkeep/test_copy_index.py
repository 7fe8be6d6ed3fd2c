"""`rsretrieve copy-index`: what it prints, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import rsretrieve
from rsretrieve.errors import OutputRefused


@pytest.fixture
def index(run, tmp_path: Path) -> Path:
    np.save(tmp_path / "vectors.npy", np.eye(8, dtype=np.float32))
    folder = tmp_path / "index"
    run("index", "--from-embeddings", tmp_path / "vectors.npy", "--output", folder)
    return folder


@pytest.mark.medium
def test_an_index_is_copied_to_a_store_and_back(run, index, tmp_path):
    store, back = (tmp_path / "a store").as_uri(), tmp_path / "back"
    there = run("copy-index", index, "--output", store)
    assert "8 tiles" in there.out
    found = run("copy-index", store, "--output", back, "--json").json
    assert (found["index"], found["tiles"]) == (str(back), 8)
    assert found["transferred"] == found["size"] > 0
    assert run("query", "--tile", "0", "--index", back, "-k", "1").code == 0
    assert run("index", "--verify", "--output", back).code == 0


@pytest.mark.medium
def test_what_is_there_is_not_replaced(run, index, tmp_path):
    store, other = (tmp_path / "store").as_uri(), tmp_path / "other"
    run("copy-index", index, "--output", store)
    other.mkdir()
    (other / "mine.txt").write_text("kept")
    for more in ((), ("--overwrite",)):
        refused = run("copy-index", store, "--output", other, *more)
        assert refused.code == 1
        assert str(other) in refused.err
    assert (other / "mine.txt").read_text() == "kept"


def test_one_of_the_two_must_be_an_address(run, tmp_path):
    refused = run("copy-index", tmp_path, "--output", tmp_path / "b")
    assert refused.code
    assert "one of them" in refused.err


@pytest.mark.medium
def test_no_copy_is_written_into_an_index(run, index, tmp_path):
    store = (tmp_path / "store").as_uri()
    run("copy-index", index, "--output", store)
    refused = run("copy-index", store, "--output", index / "inside")
    assert refused.code
    assert "index" in refused.err
    assert not (index / "inside").exists()


@pytest.mark.medium
@pytest.mark.parametrize("inside", ["", "store"])
def test_no_store_is_made_in_an_index_or_a_model(run, index, model, tmp_path, inside):
    other = tmp_path / "other"
    shutil.copytree(index, other)
    for folder in (index, other, Path(shutil.copytree(model, tmp_path / "model"))):
        before = sorted(folder.iterdir())
        address = (folder / inside).as_uri()
        refused = run("copy-index", index, "--output", address, "--overwrite")
        assert refused.code == 1
        assert "lies in" in refused.err
        with pytest.raises(OutputRefused):
            rsretrieve.copy_index(index, address)
        assert sorted(folder.iterdir()) == before


@pytest.mark.medium
def test_a_store_that_is_copied_is_not_replaced_by_its_copy(run, index, tmp_path):
    outer = tmp_path / "outer"
    store = (outer / "store").as_uri()
    run("copy-index", index, "--output", store)
    for target in (outer, outer / "store"):
        refused = run("copy-index", store, "--output", target, "--overwrite")
        assert refused.code == 1
        assert "input" in refused.err


@pytest.mark.medium
def test_the_progress_of_a_copy_counts_blocks(run, index, tmp_path):
    for source, target in ((index, tmp_path / "store"), (tmp_path / "store", tmp_path / "back")):
        names = [path if path.name != "store" else path.as_uri() for path in (source, target)]
        ran = run("copy-index", names[0], "--output", names[1])
        assert ran.code == 0
        assert "copying blocks (" in ran.err
        assert " blocks)" in ran.err
