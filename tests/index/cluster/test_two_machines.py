"""A Ray cluster of two nodes, of which one ends in the middle."""

import threading

import numpy as np
import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.index.build import index_tiles
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.store.folder import open_index
from rsretrieve.progress import Advanced
from tests.support.tiles.pictures import write_pictures

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

TILES, SHARDS = 240, 24


@pytest.fixture
def cluster(monkeypatch):
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "0")
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "180")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_machine_that_ends_loses_nothing(cluster, model, tmp_path):
    write_pictures(tmp_path / "tiles", TILES)
    from rsretrieve.network.model_folder import load_model
    from rsretrieve.network.shipped.shipped_models import shipped_path

    shipped = load_model(shipped_path("default"), model.device)
    second = cluster.add_node(num_cpus=1)
    ended = threading.Event()

    def end_second(event):
        if isinstance(event, Advanced) and not ended.is_set():
            ended.set()
            cluster.remove_node(second, allow_graceful=False)

    found = find_tiles(tmp_path / "tiles")
    options = ClusterOptions(cluster.address, SHARDS, 2, str(tmp_path / "shards"), "cpu")
    context = RunContext(listener=end_second)
    summary = index_tiles(shipped, found, tmp_path / "index", context, cluster=options)
    assert ended.is_set()
    assert (summary.tiles, summary.failed) == (TILES, 0)
    assert len(list((tmp_path / "shards").glob("*.parquet"))) == SHARDS
    index_tiles(shipped, found, tmp_path / "local", RunContext())
    one, other = open_index(tmp_path / "index"), open_index(tmp_path / "local")
    assert one.rows.column("id") == other.rows.column("id")
    assert (np.sum(one.vectors * other.vectors, axis=1) >= 0.9999).all()
