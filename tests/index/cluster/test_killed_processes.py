"""Processes and machines of a Ray cluster that end in the middle."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.index.store.folder import open_index
from tests.support.tiles.pictures import ended, kill, processes_named, started, write_pictures

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

TILES, SHARDS = 240, 24
# The machine of the tests is often full, and Ray would end its processes to make room.
PATIENT = {"RAY_memory_monitor_refresh_ms": "0", "RAY_raylet_start_wait_time_s": "180"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "tiles"
    write_pictures(folder, TILES)
    return folder


@pytest.fixture(scope="module")
def local(pictures):
    """The index that one process makes of the pictures."""
    index = pictures.parent / "local"
    ended(started("index", pictures, "--model", "default", "--output", index, "--json", "--quiet"))
    return open_index(index)


def on_ray(pictures, index, workers):
    return started(
        *("index", pictures, "--model", "default", "--output", index, "--json", "--quiet"),
        *("--engine", "ray", "--workers", workers, "--shards", SHARDS),
        *("--shard-folder", index.with_name("shards")),
        **PATIENT,
    )


def wait_for_shards(folder: Path, count: int) -> int:
    deadline = time.monotonic() + 300
    while len(found := list(folder.glob("*.parquet"))) < count:
        assert time.monotonic() < deadline, "no shard came"
        time.sleep(0.02)
    return len(found)


def assert_same(index, local):
    found = open_index(index)
    assert found.rows.column("id") == local.rows.column("id")
    assert (np.sum(found.vectors * local.vectors, axis=1) >= 0.9999).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_result_is_that_of_one_process(pictures, local, tmp_path, workers):
    summary = ended(on_ray(pictures, tmp_path / "index", workers))
    assert (summary["tiles"], summary["resumed"]) == (TILES, 0)
    assert_same(tmp_path / "index", local)


def test_a_process_that_is_killed_loses_nothing(pictures, local, tmp_path):
    program = on_ray(pictures, tmp_path / "index", 2)
    wait_for_shards(tmp_path / "shards", 2)
    victims = processes_named("ray::MapWorker", program.pid) or processes_named(
        "ray::MapBatches", program.pid
    )
    assert victims
    os.kill(victims[0], signal.SIGKILL)
    ended(program)
    assert len(list((tmp_path / "shards").glob("*.parquet"))) == SHARDS
    assert_same(tmp_path / "index", local)


def test_after_all_were_killed_only_what_is_missing_is_embedded(pictures, local, tmp_path):
    program = on_ray(pictures, tmp_path / "index", 2)
    wait_for_shards(tmp_path / "shards", 3)
    kill(program)
    for name in ("ray::", "gcs_server", "raylet"):
        for process in processes_named(name, program.pid):
            os.kill(process, signal.SIGKILL)
    done = len(list((tmp_path / "shards").glob("*.parquet")))
    assert 3 <= done < SHARDS
    summary = ended(on_ray(pictures, tmp_path / "index", 2))
    assert summary["resumed"] == done * TILES // SHARDS
    assert_same(tmp_path / "index", local)
