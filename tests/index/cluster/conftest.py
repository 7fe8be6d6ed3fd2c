"""The tiles and the model of these tests, and a cluster that is this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rsretrieve.index.cluster import embed_on_cluster
from rsretrieve.index.cluster.ray_cluster import Machines
from tests.support.indexes import in_float32, model, other_model, tiles

__all__ = ["in_float32", "in_this_process", "model", "other_model", "tiles"]


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work for a cluster is done here, part by part, as a process of the cluster does it."""

    @contextmanager
    def connected(*_: object) -> Iterator[Machines]:
        yield Machines(cores=1, gpus=0)

    def each_done(make, items, _):
        return map(make(), items)

    monkeypatch.setattr(embed_on_cluster, "connected", connected)
    monkeypatch.setattr(embed_on_cluster, "each_done", each_done)
