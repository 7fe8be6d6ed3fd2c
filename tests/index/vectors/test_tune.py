"""Recall against plain loops, and search set by it."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.index.vectors.tune import Sample, draw_sample, recall_per_query, tune
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import Vectors, clustered_rows, unit_rows


def neighbours_by_hand(vectors: Vectors, row: int, count: int) -> list[float]:
    others = [float(vectors[row] @ vectors[i]) for i in range(len(vectors)) if i != row]
    return sorted(others, reverse=True)[:count]


def test_the_true_neighbours_of_a_sample_equal_a_plain_loop() -> None:
    vectors = unit_rows(60, 8, 0)
    sample = draw_sample(vectors, size=13, nearest=5)
    assert sample is not None
    assert len(sample.rows) == 13
    for row, bound in zip(sample.rows, sample.kth_similarities):
        assert bound == pytest.approx(neighbours_by_hand(vectors, int(row), 5)[-1], abs=1e-5)


class Answering:
    """An index that answers with chosen rows."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.rows = np.array(rows, np.int64)

    def search(self, _: Vectors, k: int) -> tuple[None, np.ndarray]:
        return None, self.rows[:, :k]


def test_recall_is_the_share_of_the_others_that_are_found() -> None:
    # At 0°, 10°, 30° and 180°. The two nearest others of the first are 1 and 2.
    angles = np.radians([0, 10, 30, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sample = draw_sample(vectors, size=1, nearest=2)
    assert sample is not None
    for found, recall in [([0, 1, 2], 1), ([0, 1, 3], 0.5), ([0, 3, -1], 0), ([1, 2, -1], 1)]:
        index: object = Answering([found])
        assert recall_per_query(index, vectors, sample).tolist() == [recall]  # type: ignore[arg-type]


def test_one_of_several_equal_tiles_is_as_good_as_another() -> None:
    vectors = np.repeat(unit_rows(5, 8, 0), 4, axis=0)
    sample = draw_sample(vectors, nearest=2)
    assert sample is not None
    assert recall_per_query(VectorIndex.build(vectors, "Flat"), vectors, sample).mean() == 1


def test_exact_search_finds_everything_and_has_nothing_to_set() -> None:
    vectors = unit_rows(50, 8, 0)
    index = VectorIndex.build(vectors, "Flat")
    assert tune(index, vectors, draw_sample(vectors), 0.95) == 1
    assert index.parameters == {}


def test_a_single_vector_has_no_neighbours_to_miss() -> None:
    vectors = unit_rows(1, 8, 0)
    assert draw_sample(vectors) is None
    assert tune(VectorIndex.build(vectors, "Flat"), vectors, None, 0.95) == 1


def test_two_vectors_are_measured_by_what_they_have() -> None:
    vectors = unit_rows(2, 8, 0)
    assert tune(VectorIndex.build(vectors, "HNSW8"), vectors, draw_sample(vectors), 0.95) == 1


@pytest.mark.medium
@pytest.mark.parametrize(
    "key",
    ["IVF64,Flat", "IVF64,SQ4", "IVF64,PQ8x4", "HNSW8", "SQ4", "PQ8x4"]
    + ["IVF64,RaBitQ", "IVF64,PQ8x4fsr"],
)
def test_search_is_set_so_that_the_recall_is_reached_and_no_wider(key: str) -> None:
    vectors, asked = clustered_rows(3000, 16, 30, 0), clustered_rows(200, 16, 30, 1)
    index = VectorIndex.build(vectors, key)
    measured = tune(index, vectors, draw_sample(vectors), 0.9)
    assert measured > 0.87  # of the half that nothing was set by
    true = np.sort(asked @ vectors.T, axis=1)[:, -10:]
    found, _ = index.search(asked, 10)
    assert (found >= true[:, :1] - 1e-5).mean() > 0.8
    if key == "IVF64,Flat":
        assert set(index.parameters) == {"nprobe"}
        assert index.parameters["nprobe"] < 32
    assert ("rerank" in index.parameters) == (key not in ("IVF64,Flat", "HNSW8"))


def test_a_lower_target_is_searched_for_less() -> None:
    vectors = unit_rows(2000, 16, 0)
    index, sample = VectorIndex.build(vectors, "IVF64,Flat"), draw_sample(vectors)
    efforts = []
    for target in (0.5, 0.9, 0.99, 1.0):
        tune(index, vectors, sample, target)
        efforts.append(index.parameters["nprobe"])
    assert efforts == sorted(efforts)
    assert efforts[0] < efforts[-1] / 3


def test_a_target_out_of_reach_gets_the_widest_search() -> None:
    vectors = unit_rows(20_000, 16, 0)
    index = VectorIndex.build(vectors, "IVF16,PQ1x4")
    recall = tune(index, vectors, draw_sample(vectors), 1.0)
    assert index.parameters == {"rerank": 128, "nprobe": 16}
    assert recall < 1


def test_cells_that_bring_nothing_are_not_searched() -> None:
    """What one code for many vectors cannot tell apart, more cells do not find either."""
    vectors = clustered_rows(48_000, 32, 3, 0)
    index = VectorIndex.build(vectors, "IVF100,PQ1x4")
    asked = []
    search = index.search

    def counted(queries: Vectors, k: int) -> object:
        asked.append(index.parameters["nprobe"])
        return search(queries, k)

    index.search = counted  # type: ignore[method-assign, assignment]
    assert tune(index, vectors, draw_sample(vectors), 0.999) < 0.999
    assert max(asked) < 100
    assert index.parameters["nprobe"] < 100
    assert index.parameters["rerank"] == 128


@pytest.mark.parametrize("code", ["PQ4x4", "PQ4x4fs", "RaBitQ"])
def test_coarse_codes_get_more_candidates_if_that_reaches_the_target(code: str) -> None:
    vectors = unit_rows(8000, 16, 0)
    index = VectorIndex.build(vectors, f"IVF16,{code}")
    sample = draw_sample(vectors)
    assert sample is not None
    assert tune(index, vectors, sample, 0.95) > 0.94
    assert index.parameters["rerank"] > 32
    index.set_parameter("rerank", 32)
    assert recall_per_query(index, vectors, sample).mean() < 0.93


def test_the_halves_of_a_sample_share_nothing() -> None:
    sample = draw_sample(unit_rows(50, 4, 0), size=11)
    assert isinstance(sample, Sample)
    one, other = sample.every_second(0).rows.tolist(), sample.every_second(1).rows.tolist()
    assert sorted(one + other) == sample.rows.tolist()
    assert not set(one) & set(other)
