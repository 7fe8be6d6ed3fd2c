"""Lists that are filled on the disk equal those that FAISS fills in memory, byte by byte."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.index.vectors import fit, lists_on_disk
from rsretrieve.index.vectors.faiss_loader import faiss_module
from rsretrieve.index.vectors.fit import portions_here
from rsretrieve.index.vectors.lists_on_disk import can_fill_on_disk, filled_on_disk
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import unit_rows

KEYS = ["Flat", "IVF8,Flat", "IVF8,SQ8", "IVF4,PQ4x4", "IVF8,RaBitQ", "IVF8_HNSW4,RaBitQ"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("shard_bytes", "block"), [(1, 1), (2000, 7), (1 << 28, 1 << 16)])
def test_the_file_is_the_one_that_faiss_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, shard_bytes: int, block: int
) -> None:
    monkeypatch.setattr(lists_on_disk, "SHARD_BYTES", shard_bytes)
    monkeypatch.setattr(fit, "ADD_BLOCK", block)
    vectors, faiss = unit_rows(100 if shard_bytes == 1 else 900, 16, 0), faiss_module()
    index = faiss.index_factory(16, key, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    filled = filled_on_disk(index, portions_here(index, vectors), vectors, tmp_path)
    assert list(tmp_path.iterdir()) == []
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "memory"))
    faiss.write_index(filled, str(tmp_path / "disk"))
    assert (tmp_path / "disk").read_bytes() == (tmp_path / "memory").read_bytes()


def test_there_are_few_shards_however_small_they_should_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists_on_disk, "SHARD_BYTES", 1)
    monkeypatch.setattr(lists_on_disk, "MOST_SHARDS", 3)
    monkeypatch.setattr(fit, "ADD_BLOCK", 1)
    vectors, faiss = unit_rows(100, 16, 0), faiss_module()
    index = faiss.index_factory(16, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    opened, new_file = list[object](), tempfile.TemporaryFile
    monkeypatch.setattr(
        "tempfile.TemporaryFile", lambda **choices: opened.append(1) or new_file(**choices)
    )
    filled = filled_on_disk(index, portions_here(index, vectors), vectors, tmp_path)
    assert filled.ntotal == 100
    assert len(opened) <= 1 + 4


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, faiss = unit_rows(100, 16, 0), faiss_module()
    index = faiss.index_factory(16, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)

    def fail(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        filled_on_disk(index, [fail], vectors, tmp_path)
    assert caught.value.filename == str(tmp_path)


def test_an_index_that_was_filled_on_the_disk_is_searched_and_read_again(tmp_path: Path) -> None:
    vectors = unit_rows(900, 16, 0)
    index = VectorIndex.build(vectors, "IVF8,RaBitQ", lists_folder=tmp_path)
    for name, value in (("nprobe", 8), ("rerank", 16)):
        index.set_parameter(name, value)
    assert index.search(vectors, 1)[1][:, 0].tolist() == list(range(900))
    index.write(tmp_path / "index.faiss")
    read = VectorIndex.read(tmp_path / "index.faiss", None, vectors, index.parameters, mapped=True)
    assert np.array_equal(read.search(vectors, 3)[1], index.search(vectors, 3)[1])


@pytest.mark.parametrize("key", ["HNSW8", "SQ8", "IVF4,PQ4x4fs", "PCA4,IVF4,Flat"])
def test_other_kinds_are_filled_in_memory(tmp_path: Path, key: str) -> None:
    vectors = unit_rows(300, 8, 0)
    index = VectorIndex.build(vectors, key, lists_folder=tmp_path)
    assert not can_fill_on_disk(index.cpu_index)
    assert len(index) == 300
