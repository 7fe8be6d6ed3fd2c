"""What one command decoded, the next finds; and the command that says how much there is."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.loading import tile_cache

TINY = ("--backbone", "squeezenet1_1", "--weights", "none", "--size", 32, "--epochs", 1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RSRETRIEVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", "50MB")
    monkeypatch.setattr(tile_cache, "SETTLED_NS", 0)
    return tmp_path / "cache" / "tiles"


@pytest.mark.medium
def test_index_reads_what_train_decoded_and_gives_the_same(
    run, landscape, folder, tmp_path, monkeypatch
):
    model = tmp_path / "model"
    assert run("train", landscape, "--output", model, *TINY, "--quiet").code == 0
    kept = run("cache", "--json").json
    assert kept["cache"] == str(folder)
    assert kept["bytes"] > 100 * 6 * 32 * 32
    read = []
    as_before = tile_cache.PixelCache.get

    def noted(cache, key):
        read.append(key)
        return as_before(cache, key)

    monkeypatch.setattr(tile_cache.PixelCache, "get", noted)
    indexed = {}
    for name, limit in (("with", "50MB"), ("without", "0")):
        monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", limit)
        made = run("index", landscape, "--model", model, "--output", tmp_path / name, "--quiet")
        assert made.code == 0, made.err
        indexed[name] = np.load(tmp_path / name / "embeddings.npy")
    assert len(read) > 100
    assert np.array_equal(indexed["with"], indexed["without"])
    places = [(tmp_path / name / "tiles.parquet").read_bytes() for name in indexed]
    assert places[0] == places[1]


def test_it_says_how_much_is_kept_and_clears_it(run, folder):
    (folder / "settings").mkdir(parents=True)
    (folder / "settings" / "a.tiles").write_bytes(b"0" * 1500)
    ran = run("cache")
    assert (ran.code, ran.out) == (0, f"{folder}: 1.5 kB used of at most 50 MB\n")
    ran = run("cache", "--clear")
    assert ran.out == f"{folder}: 0 bytes used of at most 50 MB; 1.5 kB removed\n"
    found = run("cache", "--json").json
    assert found == {
        **{"cache": str(folder), "bytes": 0, "limit_bytes": 50_000_000},
        **{"files": 0, "removed_bytes": 0},
    }


def test_a_limit_that_is_no_size_is_wrong_usage(run, monkeypatch):
    monkeypatch.setenv("RSRETRIEVE_CACHE_SIZE", "-3")
    ran = run("cache")
    assert ran.code == 2
    assert ran.err.startswith("error: RSRETRIEVE_CACHE_SIZE is '-3', which is not a size")
