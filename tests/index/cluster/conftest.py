"""The tiles and the model of these tests, and a cluster that is this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rsretrieve.index.cluster import embed_on_cluster, encode_on_cluster, shard_storage
from rsretrieve.index.cluster.ray_cluster import Machines
from tests.support.indexes.made_indexes import in_float32, model, other_model, tiles

__all__ = ["faulty_store", "in_float32", "in_this_process", "model", "other_model", "tiles"]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work for a cluster is done here, part by part, as a process of the cluster does it."""

    @contextmanager
    def connected(*_: object) -> Iterator[Machines]:
        yield Machines(cores=1, gpus=0)

    def each_done(make, items, _):
        return map(make(), items)

    for module in (embed_on_cluster, encode_on_cluster):
        monkeypatch.setattr(module, "connected", connected)
        monkeypatch.setattr(module, "each_done", each_done)


@pytest.fixture
def faulty_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A store with the interface of S3 in this process, and a bucket; it can be made to fail."""
    pytest.importorskip("moto.moto_server.werkzeug_app")
    from pyarrow import fs

    from tests.support.processes.faulty_store import BUCKET, served_store

    monkeypatch.setattr(shard_storage, "_FIRST_DELAY_S", 0.01)
    with served_store() as (endpoint, faults):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        system = fs.S3FileSystem(
            endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True
        )
        system.create_dir(BUCKET)
        yield faults
