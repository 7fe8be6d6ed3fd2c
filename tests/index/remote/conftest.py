"""The store of the tests of shards."""

from tests.index.cluster.conftest import faulty_store

__all__ = ["faulty_store"]
