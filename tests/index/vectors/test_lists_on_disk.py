"""Lists that are filled on the disk equal those that FAISS fills in memory, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsretrieve.index.vectors.faiss_loader import faiss_module
from rsretrieve.index.vectors.lists_on_disk import can_fill_on_disk, filled_on_disk
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.vectors import unit_rows

KEYS = ["IVF8,Flat", "IVF8,SQ8", "IVF4,PQ4x4", "IVF8,RaBitQ", "IVF8_HNSW4,RaBitQ"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("shard_bytes", [1, 2000, 1 << 28])
def test_the_file_is_the_one_that_faiss_writes(tmp_path: Path, key: str, shard_bytes: int) -> None:
    vectors, faiss = unit_rows(100 if shard_bytes == 1 else 900, 16, 0), faiss_module()
    index = faiss.index_factory(16, key, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    filled = filled_on_disk(index, vectors, tmp_path, shard_bytes)
    assert list(tmp_path.iterdir()) == []
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "memory"))
    faiss.write_index(filled, str(tmp_path / "disk"))
    assert (tmp_path / "disk").read_bytes() == (tmp_path / "memory").read_bytes()


def test_an_index_that_was_filled_on_the_disk_is_searched_and_read_again(tmp_path: Path) -> None:
    vectors = unit_rows(900, 16, 0)
    index = VectorIndex.build(vectors, "IVF8,RaBitQ", lists_folder=tmp_path)
    for name, value in (("nprobe", 8), ("rerank", 16)):
        index.set_parameter(name, value)
    assert index.search(vectors, 1)[1][:, 0].tolist() == list(range(900))
    index.write(tmp_path / "index.faiss")
    read = VectorIndex.read(tmp_path / "index.faiss", None, vectors, index.parameters, mapped=True)
    assert np.array_equal(read.search(vectors, 3)[1], index.search(vectors, 3)[1])


@pytest.mark.parametrize("key", ["Flat", "HNSW8", "IVF4,PQ4x4fs", "PCA4,IVF4,Flat"])
def test_other_kinds_are_filled_in_memory(tmp_path: Path, key: str) -> None:
    vectors = unit_rows(300, 8, 0)
    index = VectorIndex.build(vectors, key, lists_folder=tmp_path)
    assert not can_fill_on_disk(index.cpu_index)
    assert len(index) == 300
