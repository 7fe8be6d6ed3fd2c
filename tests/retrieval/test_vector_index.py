"""FAISS behind its one door: exact search against numpy, other keys, and what goes wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsretrieve.errors import IndexDamaged, InvalidArgument, MissingPackage
from rsretrieve.retrieval import vector_index as module
from rsretrieve.retrieval.vector_index import (
    VectorIndex,
    clusters_of,
    faiss_module,
    measured_recall,
    usable_gpu,
)

Vectors = NDArray[np.float32]


def unit_rows(rows: int, dimensions: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cosines_by_hand(query: Vectors, gallery: Vectors) -> list[float]:
    return [sum(float(a) * float(b) for a, b in zip(query, vector)) for vector in gallery]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 50), st.integers(0, 1000))
def test_flat_search_is_exact(rows: int, queries: int, k: int, seed: int) -> None:
    gallery, asked = unit_rows(rows, 6, seed), unit_rows(queries, 6, seed + 1)
    similarities, found = VectorIndex.build(gallery, "Flat").search(asked, k)
    assert similarities.shape == found.shape == (queries, min(k, rows))
    for query, hits, similar in zip(asked, found.tolist(), similarities.tolist()):
        cosines = cosines_by_hand(query, gallery)
        assert similar == pytest.approx(sorted(cosines, reverse=True)[:k], abs=1e-5)
        assert similar == pytest.approx([cosines[row] for row in hits], abs=1e-5)
        assert len(set(hits)) == len(hits)


def test_ties_stand_in_the_order_of_rows() -> None:
    once = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    gallery = np.concatenate([once, once, once])
    _, rows = VectorIndex.build(gallery, "Flat").search(once[:1], 9)
    assert rows.tolist() == [[0, 3, 6, 1, 4, 7, 2, 5, 8]]


def test_ties_that_are_cut_off_still_stand_in_the_order_of_rows() -> None:
    gallery = np.ones((9, 1), np.float32)
    _, rows = VectorIndex.build(gallery, "Flat").search(gallery[:1], 4)
    assert rows[0].tolist() == sorted(rows[0].tolist())


def test_more_hits_than_vectors_are_all_of_them() -> None:
    similarities, rows = VectorIndex.build(unit_rows(3, 4, 0), "Flat").search(unit_rows(2, 4, 1), 9)
    assert similarities.shape == (2, 3)
    assert sorted(rows[0].tolist()) == [0, 1, 2]


@pytest.mark.parametrize("key", ["Flat", "IVF4,Flat", "HNSW8", "SQ8"])
def test_an_index_of_any_key_survives_its_file(tmp_path: Path, key: str) -> None:
    gallery, queries = unit_rows(200, 8, 0), unit_rows(7, 8, 1)
    built = VectorIndex.build(gallery, key)
    built.write(tmp_path / "index.faiss")
    read = VectorIndex.read(tmp_path / "index.faiss")
    for one, other in zip(built.search(queries, 10), read.search(queries, 10)):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("key", ["IVF4,Flat", "HNSW8"])
def test_approximate_hits_have_falling_true_similarities(key: str) -> None:
    gallery, queries = unit_rows(200, 8, 0), unit_rows(7, 8, 1)
    similarities, rows = VectorIndex.build(gallery, key).search(queries, 5)
    assert (np.diff(similarities, axis=1) <= 0).all()
    for query, hits, cosines in zip(queries, rows, similarities):
        assert cosines.tolist() == pytest.approx((gallery[hits] @ query).tolist(), abs=1e-5)


def test_an_index_that_finds_too_few_fills_up_with_row_minus_one() -> None:
    gallery = unit_rows(200, 8, 0)
    _, rows = VectorIndex.build(gallery, "IVF10,Flat").search(gallery[:3], 200)
    there = rows >= 0
    assert not there.all()
    assert (np.diff(there.astype(int), axis=1) <= 0).all()  # only at the end


def test_vectors_of_another_layout_are_taken() -> None:
    gallery = np.asfortranarray(unit_rows(5, 4, 0)).astype(np.float64)
    _, rows = VectorIndex.build(gallery, "Flat").search(gallery[::2], 1)  # type: ignore[arg-type]
    assert rows.tolist() == [[0], [2], [4]]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("nonsense", "could not parse index string nonsense"),
        ("", "could not parse index string"),
        ("IVF400,Flat", r"Number of training points \(20\) should be at least as large"),
        ("PQ3", "should be a multiple of the number of subquantizers"),
    ],
)
def test_a_key_that_faiss_cannot_build_is_refused(key: str, reason: str) -> None:
    message = rf"^FAISS cannot build '{key}' over 20 vectors \(.*{reason}"
    with pytest.raises(InvalidArgument, match=message) as caught:
        VectorIndex.build(unit_rows(20, 8, 0), key)
    assert caught.value.hint == (
        "give --index Flat, which is exact and always fits, or another FAISS key"
    )


@pytest.mark.parametrize("content", [None, b"", b"IxFI" + bytes(20)], ids=["none", "empty", "cut"])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "index.faiss"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IndexDamaged, match=rf"^{re.escape(str(path))} cannot be read \("):
        VectorIndex.read(path)


# Recall


class Answering:
    """An index that answers with chosen similarities."""

    def __init__(self, similarities: list[list[float]]) -> None:
        self.similarities = np.array(similarities, np.float32)

    def search(self, _: Vectors, k: int) -> tuple[Vectors, Any]:
        return self.similarities[:, :k], None


def test_exact_search_finds_everything() -> None:
    vectors = unit_rows(50, 8, 0)
    assert measured_recall(VectorIndex.build(vectors, "Flat"), vectors) == 1


def test_recall_is_the_share_of_true_neighbours_found() -> None:
    # Three vectors at 0°, 60° and 180°: the two nearest of each have cosines 1 and 0.5, 1 and
    # 0.5, 1 and −0.5. Found are all, one, and none.
    vectors = np.array([[1, 0], [0.5, np.sqrt(0.75)], [-1, 0]], np.float32)
    answers: Any = Answering([[1, 0.5], [1, -0.5], [-0.9, -1]])
    assert measured_recall(answers, vectors, k=2) == pytest.approx(3 / 6)


def test_one_of_several_equal_tiles_is_as_good_as_another() -> None:
    vectors = np.repeat(unit_rows(5, 8, 0), 4, axis=0)
    assert measured_recall(VectorIndex.build(vectors, "Flat"), vectors, k=2) == 1


def test_recall_of_fewer_than_ten_vectors_is_over_all_of_them() -> None:
    vectors = unit_rows(3, 8, 0)
    assert measured_recall(VectorIndex.build(vectors, "Flat"), vectors) == 1


def test_an_approximate_index_is_measured_for_what_it_is() -> None:
    vectors = unit_rows(500, 16, 0)
    coarse = measured_recall(VectorIndex.build(vectors, "IVF20,Flat"), vectors)
    assert 0.1 < coarse < 0.9


# Clusters


def test_vectors_that_lie_apart_are_clustered_apart() -> None:
    centres = np.eye(4, dtype=np.float32)
    noise = 0.05 * np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    vectors = np.repeat(centres, 10, axis=0) + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = clusters_of(vectors, 4, seed=0)
    groups = [set(clusters[i : i + 10].tolist()) for i in range(0, 40, 10)]
    assert [len(group) for group in groups] == [1] * 4
    assert set.union(*groups) == {0, 1, 2, 3}


def test_clusters_hang_on_the_seed_alone() -> None:
    vectors = unit_rows(60, 4, 0)
    assert np.array_equal(clusters_of(vectors, 6, seed=1), clusters_of(vectors, 6, seed=1))
    assert not np.array_equal(clusters_of(vectors, 6, seed=1), clusters_of(vectors, 6, seed=2))


def test_as_many_clusters_as_vectors_are_one_each() -> None:
    assert sorted(clusters_of(unit_rows(5, 4, 0), 5, seed=0).tolist()) == [0, 1, 2, 3, 4]


# GPUs, and no FAISS at all


@pytest.mark.parametrize(
    ("device", "gpus", "usable"),
    [("cpu", 2, None), ("cuda", 2, 0), ("cuda:1", 2, 1), ("cuda:2", 2, None), ("cuda:0", 0, None)],
)
def test_a_gpu_is_usable_where_faiss_sees_it(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, usable: int | None
) -> None:
    fake = SimpleNamespace(get_num_gpus=lambda: gpus)
    monkeypatch.setattr(module, "faiss_module", lambda: fake)
    assert usable_gpu(device) == usable


class OnGpu:
    """Stands for an index on a GPU: it notes what it is asked."""

    is_trained = True

    def __init__(self, index: Any) -> None:
        self.index, self.asked = index, []

    def add(self, vectors: Vectors) -> None:
        self.index.add(vectors)

    def search(self, queries: Vectors, k: int) -> tuple[Any, Any]:
        self.asked.append(k)
        return self.index.search(queries, k)


@pytest.fixture
def gpu_index(monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
    """An index of 3000 vectors on a GPU that is made believe."""
    faiss = faiss_module()
    fake = SimpleNamespace(
        METRIC_INNER_PRODUCT=faiss.METRIC_INNER_PRODUCT,
        index_factory=faiss.index_factory,
        StandardGpuResources=object,
        index_cpu_to_gpu=lambda _, __, index: OnGpu(index),
        index_gpu_to_cpu=lambda on_gpu: on_gpu.index,
    )
    monkeypatch.setattr(module, "faiss_module", lambda: fake)
    return VectorIndex.build(unit_rows(3000, 4, 0), "Flat", gpu=0)


@pytest.mark.parametrize(("k", "asked"), [(2048, [2048]), (2049, [])])
def test_more_hits_than_a_gpu_can_give_are_found_by_the_cpu(
    gpu_index: VectorIndex, k: int, asked: list[int]
) -> None:
    _, rows = gpu_index.search(unit_rows(1, 4, 1), k)
    assert rows.shape == (1, k)
    assert gpu_index._gpu_index.asked == asked


def test_without_faiss_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    message = "^this command needs FAISS, which is not installed$"
    with pytest.raises(MissingPackage, match=message) as caught:
        faiss_module()
    assert caught.value.hint == "pip install faiss-gpu (Linux x86-64), or faiss-cpu elsewhere"
