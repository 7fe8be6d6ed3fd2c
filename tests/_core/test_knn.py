"""K nearest neighbours against plain loops and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from rsretrieve._core import knn
from rsretrieve._core.knn import knn_predictions, knn_search, knn_votes

Vectors = NDArray[np.float32]


def unit_rows(rows: int, dimensions: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def labels_of(rows: int, classes: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, classes, rows)


def at_degrees(*angles: float) -> Vectors:
    return np.array([[math.cos(a), math.sin(a)] for a in np.radians(angles)], np.float32)


def test_votes_are_inverse_euclidean_distances() -> None:
    # Chords of 60° and 90° are 1 and √2 long.
    similarities = np.array([[0.5, 0.0, 0.0]], np.float32)
    votes = knn_votes(similarities, np.array([[1, 0, 1]]), 3)
    assert votes[0].tolist() == pytest.approx([1 / math.sqrt(2), 1 + 1 / math.sqrt(2), 0])


def test_neighbours_at_distance_zero_outvote_all_others() -> None:
    similarities = np.array([[1.0, 1.0, 0.99, 0.99, 0.99]], np.float32)
    votes = knn_votes(similarities, np.array([[2, 1, 0, 0, 0]]), 3)
    assert votes.tolist() == [[0, 1, 1]]


def test_a_neighbour_at_minus_infinity_has_no_vote() -> None:
    similarities = np.array([[0.5, -np.inf]], np.float32)
    assert knn_votes(similarities, np.array([[0, 1]]), 2)[0].tolist() == pytest.approx([1, 0])


def test_of_equal_votes_the_first_class_wins() -> None:
    gallery = at_degrees(60, -60)
    assert knn_predictions(at_degrees(0), gallery, np.array([1, 0])).tolist() == [0]


def test_only_the_ten_nearest_vote() -> None:
    gallery = at_degrees(*([30] * 6), *([40] * 4), *([50] * 50))
    labels = np.array([0] * 6 + [1] * 4 + [1] * 50)
    assert knn_predictions(at_degrees(0), gallery, labels).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_predictions_equal_scikit_learns(seed: int) -> None:
    gallery, labels = unit_rows(60, 4, seed), labels_of(60, 5, seed)
    queries = unit_rows(40, 4, seed + 100)
    oracle = KNeighborsClassifier(n_neighbors=10, weights="distance").fit(gallery, labels)
    assert knn_predictions(queries, gallery, labels).tolist() == oracle.predict(queries).tolist()


def test_tiles_that_are_in_the_gallery_are_predicted_by_themselves() -> None:
    gallery, labels = unit_rows(30, 8, 0), labels_of(30, 4, 0)
    assert knn_predictions(gallery, gallery, labels).tolist() == labels.tolist()


def test_a_gallery_smaller_than_ten_votes_as_a_whole() -> None:
    gallery, labels = at_degrees(10, 80, 85), np.array([0, 1, 1])
    # 1 / 0.1743 against 1 / 1.2856 + 1 / 1.3512
    assert knn_predictions(at_degrees(0), gallery, labels).tolist() == [0]


@pytest.mark.parametrize("k", [1, 4, 5, 29])
@pytest.mark.parametrize("gallery_block", [None, 1, 7, 30, 100])
def test_the_nearest_neighbours_are_those_of_a_plain_loop(
    k: int, gallery_block: int | None
) -> None:
    gallery = unit_rows(30, 4, 0)
    own = np.arange(0, 30, 2)
    found = knn_search(gallery[own], gallery, k, own, gallery_block)
    for row, rows, similarities in zip(own.tolist(), found.rows, found.similarities):
        others = [(-float(gallery[row] @ gallery[i]), i) for i in range(30) if i != row]
        assert rows.tolist() == [i for _, i in sorted(others)[:k]]
        assert similarities.tolist() == pytest.approx([-s for s, _ in sorted(others)[:k]], abs=1e-6)


@pytest.mark.parametrize("gallery_block", [None, 1, 2, 5])
def test_equal_neighbours_are_in_the_order_of_their_rows(gallery_block: int | None) -> None:
    gallery = at_degrees(0, 40, 40, 0, 40, 90)
    found = knn_search(at_degrees(0, 40), gallery, 3, gallery_block=gallery_block)
    assert found.rows.tolist() == [[0, 3, 1], [1, 2, 4]]


def test_no_queries_have_no_neighbours() -> None:
    found = knn_search(unit_rows(0, 4, 0), unit_rows(5, 4, 0), 2, gallery_block=3)
    assert found.rows.shape == found.similarities.shape == (0, 2)


def test_blocks_of_one_query_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    gallery, labels, queries = unit_rows(30, 4, 0), labels_of(30, 3, 0), unit_rows(9, 4, 1)
    whole = knn_predictions(queries, gallery, labels)
    monkeypatch.setattr(knn, "BLOCK_BYTES", 1)
    assert knn_predictions(queries, gallery, labels).tolist() == whole.tolist()
