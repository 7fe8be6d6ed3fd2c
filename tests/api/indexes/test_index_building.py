"""The options that an index built from Python keeps, and the command that makes it anew."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rsretrieve
from tests.conftest import run_here


def options_of(index: rsretrieve.Index) -> dict[str, object]:
    text = (index.path / "config.toml").read_text(encoding="utf-8")
    options: dict[str, object] = tomllib.loads(text)["index"]
    return options


@pytest.mark.medium
def test_the_command_makes_the_same_index(made: Path, landscape: Path, tmp_path: Path) -> None:
    model = made / "models" / "mine"
    kind = {"index": "IVF2,Flat", "recall": 0.9, "memory": "1GB"}
    index = rsretrieve.build_index(landscape, str(model), tmp_path / "index", **kind)
    assert options_of(index) == {
        **{"tiles": [str(landscape)], "model": str(model), "seed": 0, "engine": "local"},
        **{"index": "IVF2,Flat", "recall": 0.9, "memory": "1000000000B"},
        "output": str(tmp_path / "index"),
    }
    again = tmp_path / "again"
    ran = run_here("index", "--config", index.path / "config.toml", "--output", again)
    assert ran.code == 0, ran.err
    other = rsretrieve.open_index(again)
    assert np.array_equal(index.embeddings, other.embeddings)
    assert index.store.manifest.goal == other.store.manifest.goal


@pytest.mark.medium
def test_an_update_keeps_model_and_kind_and_objects_are_not_stored(
    made: Path, landscape: Path, tmp_path: Path
) -> None:
    model = rsretrieve.load_model(made / "models" / "mine", device="cpu")
    tiles = rsretrieve.open_tiles(landscape)
    output = tmp_path / "index"
    index = rsretrieve.build_index(tiles[:20], model, output, index="IVF2,Flat")
    assert options_of(index)["model"] == str(model.path)
    index = rsretrieve.build_index(tiles[:30], None, output, update=True)
    options = options_of(index)
    assert (options["model"], options["index"]) == (str(model.path), "IVF2,Flat")
    assert "tiles" not in options
    assert "update" not in options


def test_embeddings_made_elsewhere_keep_their_options(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(4, dtype=np.float32) + 0.1)
    output = tmp_path / "index"
    index = rsretrieve.build_index_from_embeddings(tmp_path / "v.npy", output, dimensions=3)
    assert options_of(index) == {
        **{"from-embeddings": str(tmp_path / "v.npy"), "dims": 3, "output": str(output)},
    }
    ran = run_here("index", "--config", output / "config.toml", "--output", tmp_path / "again")
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("given", [{"recall": 0.8}, {"memory": "2MB"}, {"append_only": True}])
def test_an_update_keeps_what_is_not_given_of_the_goal(tmp_path: Path, given: Any) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((60, 8)))
    source, output = tmp_path / "v.npy", tmp_path / "index"
    rsretrieve.build_index_from_embeddings(source, output, index="HNSW16", memory="1MB", recall=0.9)
    with pytest.warns(UserWarning, match="stays HNSW16"):
        index = rsretrieve.build_index_from_embeddings(source, output, update=True, **given)
    goal = {"index": "HNSW16", "recall": 0.9, "memory": "1000000B"} | given
    goal["memory"] = goal["memory"].replace("2MB", "2000000B")
    assert {n: options_of(index)[n.replace("_", "-")] for n in goal} == goal
    assert index.store.manifest.faiss_key == "HNSW16"
    kinds = {"index": "Flat", "recall": 0.7}
    index = rsretrieve.build_index_from_embeddings(source, output, update=True, **kinds)
    assert {n: options_of(index)[n.replace("_", "-")] for n in goal} == goal | kinds


def test_options_of_an_update_keep_what_is_not_typed(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.random.default_rng(0).standard_normal((60, 8)))
    arguments = ("index", "--from-embeddings", tmp_path / "v.npy", "--output", tmp_path / "index")
    assert run_here(*arguments, "--index", "HNSW16", "--memory", "1MB").code == 0
    for options, key in ((["--recall", "0.8"], "HNSW16"), (["--index", "auto"], "Flat")):
        ran = run_here(*arguments, "--update", *options)
        assert ran.code == 0, ran.err
        assert ("stays HNSW16" in ran.err) is (key == "HNSW16")
        manifest = rsretrieve.open_index(tmp_path / "index").store.manifest
        assert manifest.faiss_key == key
        assert (manifest.goal["memory_bytes"], manifest.goal["recall"]) == (10**6, 0.8)
