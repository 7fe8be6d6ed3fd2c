"""Retrieval figures against hand-worked rankings, slow loops and scikit-learn."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMAP, RetrievalPrecision
from torchmetrics.retrieval.base import RetrievalMetric

from rsretrieve.errors import InputError
from rsretrieve.evaluation import retrieval_metrics
from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    RetrievalFigures,
    normalized_mutual_information,
    rank_gallery,
    retrieval_figures,
)

Vectors = NDArray[np.float32]
CUTS = (1, 5, 10, 20, 50)


def at_degrees(*angles: float) -> Vectors:
    return np.array([[math.cos(a), math.sin(a)] for a in np.radians(angles)], np.float32)


def unit_rows(rows: int, seed: int, dimensions: int = 5) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def side(vectors: Vectors, labels: list[int] | NDArray[np.int64]) -> LabelledVectors:
    return LabelledVectors(vectors, np.asarray(labels, np.int64))


def random_side(rows: int, classes: int, seed: int) -> LabelledVectors:
    return side(unit_rows(rows, seed), np.random.default_rng(seed).integers(0, classes, rows))


def none_own(queries: LabelledVectors) -> NDArray[np.int64]:
    return np.full(len(queries.labels), -1)


def figures_of_relevance(*relevant: int) -> RetrievalFigures:
    """The figures of one query whose ranking has relevant tiles where there is a one."""
    gallery = side(at_degrees(*range(1, len(relevant) + 1)), [1 - found for found in relevant])
    query = side(at_degrees(0), [0])
    return retrieval_figures(query, gallery, none_own(query))


# By hand


@pytest.mark.parametrize(
    ("relevant", "ap", "ap_at_r"),
    [
        ((1,), 1, 1),
        ((1, 1, 0, 0), 1, 1),
        ((0, 1), 1 / 2, 0),
        ((1, 0, 1, 0, 0, 1), (1 / 1 + 2 / 3 + 3 / 6) / 3, (1 / 1 + 2 / 3) / 3),
        ((0, 1, 1, 0), (1 / 2 + 2 / 3) / 2, (1 / 2) / 2),
        ((0, 0, 0, 1), 1 / 4, 0),
        ((0, 0, 1, 1), (1 / 3 + 2 / 4) / 2, 0),
    ],
)
def test_average_precision_by_hand(relevant: tuple[int, ...], ap: float, ap_at_r: float) -> None:
    figures = figures_of_relevance(*relevant)
    assert figures.map == pytest.approx(ap)
    assert figures.map_at_r == pytest.approx(ap_at_r)


@pytest.mark.parametrize(
    ("relevant", "precision", "recall"),
    [
        ((1, 0, 1, 0, 0, 1), (1, 2 / 5, 3 / 10, 3 / 20, 3 / 50), (1, 1, 1)),
        ((0, 0, 0, 0, 0, 1), (0, 0, 1 / 10, 1 / 20, 1 / 50), (0, 0, 1)),
        ((0,) * 4 + (1,) * 8, (0, 1 / 5, 6 / 10, 8 / 20, 8 / 50), (0, 1, 1)),
        ((0,) * 10 + (1,) * 50, (0, 0, 0, 10 / 20, 40 / 50), (0, 0, 0)),
    ],
)
def test_precision_and_recall_at_k_by_hand(
    relevant: tuple[int, ...], precision: tuple[float, ...], recall: tuple[float, ...]
) -> None:
    figures = figures_of_relevance(*relevant)
    assert figures.precision_at == pytest.approx(dict(zip(CUTS, precision)))
    assert figures.recall_at == dict(zip((1, 5, 10), recall))


def test_figures_are_means_over_queries() -> None:
    gallery = side(at_degrees(0, 10, 90, 100), [0, 1, 1, 0])
    queries = side(at_degrees(0, 90), [0, 0])
    # Rankings: 0 1 1 0 and 1 0 1 0, seen from label 0.
    figures = retrieval_figures(queries, gallery, none_own(queries))
    assert figures.map == pytest.approx(((1 + 2 / 4) / 2 + (1 / 2 + 2 / 4) / 2) / 2)
    assert figures.recall_at[1] == pytest.approx(1 / 2)
    assert figures.queries == 2


# Slow loops


def ranking_by_hand(query: Vectors, gallery: Vectors, own_row: int) -> list[int]:
    cosines = gallery @ query
    rows = [row for row in range(len(gallery)) if row != own_row]
    return sorted(rows, key=lambda row: (-cosines[row], row))


def figures_by_hand(
    queries: LabelledVectors, gallery: LabelledVectors, own_rows: NDArray[np.int64]
) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    counted = 0
    for vector, label, own in zip(queries.vectors, queries.labels, own_rows):
        rows = ranking_by_hand(vector, gallery.vectors, own)
        relevant = [bool(gallery.labels[row] == label) for row in rows]
        total = sum(relevant)
        if total == 0:
            continue
        counted += 1
        found = 0
        for rank, hit in enumerate(relevant, start=1):
            found += hit
            if hit:
                sums["map"] += found / rank / total
                sums["map_at_r"] += (found / rank / total) if rank <= total else 0
        for k in CUTS:
            sums[f"p{k}"] += sum(relevant[:k]) / k
        for k in (1, 5, 10):
            sums[f"r{k}"] += any(relevant[:k])
    return {"queries": counted, **{name: total / counted for name, total in sums.items()}}


def assert_as_by_hand(
    figures: RetrievalFigures,
    queries: LabelledVectors,
    gallery: LabelledVectors,
    own_rows: NDArray[np.int64],
) -> None:
    assert {
        "queries": figures.queries,
        "map": figures.map,
        "map_at_r": figures.map_at_r,
        **{f"p{k}": value for k, value in figures.precision_at.items()},
        **{f"r{k}": value for k, value in figures.recall_at.items()},
    } == pytest.approx(
        {**dict.fromkeys(["map_at_r"], 0), **figures_by_hand(queries, gallery, own_rows)}
    )


@pytest.mark.parametrize(("rows", "classes"), [(3, 2), (12, 3), (70, 4), (70, 30)])
def test_queries_from_elsewhere_as_by_hand(rows: int, classes: int) -> None:
    queries, gallery = random_side(20, classes, 1), random_side(rows, classes, 2)
    figures = retrieval_figures(queries, gallery, none_own(queries))
    assert_as_by_hand(figures, queries, gallery, none_own(queries))


@pytest.mark.parametrize(("rows", "classes"), [(4, 2), (12, 3), (70, 4), (40, 15)])
def test_leaving_one_out_as_by_hand(rows: int, classes: int) -> None:
    gallery = random_side(rows, classes, 3)
    own = np.arange(rows)
    assert_as_by_hand(retrieval_figures(gallery, gallery, own), gallery, gallery, own)


@pytest.mark.parametrize("block_bytes", [1, 8 * 30 * 7])
def test_the_size_of_blocks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    gallery, own = random_side(30, 4, 0), np.arange(30)
    whole = retrieval_figures(gallery, gallery, own)
    monkeypatch.setattr(retrieval_metrics, "BLOCK_BYTES", block_bytes)
    assert retrieval_figures(gallery, gallery, own) == whole


@pytest.mark.parametrize("block_bytes", [1, 8 * 30, 8 * 30 * 7])
def test_no_more_queries_are_ranked_at_once_than_memory_is_set_aside_for(
    monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(retrieval_metrics, "BLOCK_BYTES", block_bytes)
    at_once: list[int] = []

    def noted(
        queries: Vectors, gallery: Vectors, own_rows: NDArray[np.int64]
    ) -> retrieval_metrics.GalleryRanking:
        at_once.append(len(queries))
        return rank_gallery(queries, gallery, own_rows)

    monkeypatch.setattr(retrieval_metrics, "rank_gallery", noted)
    gallery = random_side(30, 4, 0)
    retrieval_figures(gallery, gallery, np.arange(30))
    assert sum(at_once) == 30
    assert max(at_once) <= max(1, block_bytes // (8 * 30))


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(12)), st.permutations(range(8)))
def test_the_order_of_tiles_changes_nothing(gallery_order: list[int], order: list[int]) -> None:
    queries, gallery = random_side(8, 3, 0), random_side(12, 3, 1)
    before = retrieval_figures(queries, gallery, none_own(queries))
    moved = side(queries.vectors[order], queries.labels[order])
    shuffled = side(gallery.vectors[gallery_order], gallery.labels[gallery_order])
    after = retrieval_figures(moved, shuffled, none_own(moved))
    assert (after.map, after.map_at_r) == pytest.approx((before.map, before.map_at_r))
    assert after.precision_at == pytest.approx(before.precision_at)
    assert after.knn_accuracy == pytest.approx(before.knn_accuracy)


# scikit-learn


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_scikit_learns_where_no_similarities_tie(seed: int) -> None:
    queries, gallery = random_side(10, 3, seed), random_side(50, 3, seed + 10)
    expected = [
        average_precision_score(gallery.labels == label, gallery.vectors @ vector)
        for vector, label in zip(queries.vectors, queries.labels)
    ]
    found = retrieval_figures(queries, gallery, none_own(queries)).map
    assert found == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("seed", range(4))
def test_knn_accuracy_equals_scikit_learns(seed: int) -> None:
    queries, gallery = random_side(40, 5, seed), random_side(60, 5, seed + 10)
    oracle = KNeighborsClassifier(n_neighbors=10, weights="distance")
    expected = oracle.fit(gallery.vectors, gallery.labels).score(queries.vectors, queries.labels)
    found = retrieval_figures(queries, gallery, none_own(queries)).knn_accuracy
    assert found == pytest.approx(expected)


def test_knn_accuracy_leaving_one_out_equals_scikit_learns() -> None:
    gallery = random_side(40, 4, 5)
    right = 0
    for row in range(40):
        rest = np.delete(np.arange(40), row)
        oracle = KNeighborsClassifier(n_neighbors=10, weights="distance")
        oracle.fit(gallery.vectors[rest], gallery.labels[rest])
        right += int(oracle.predict(gallery.vectors[row : row + 1])[0] == gallery.labels[row])
    figures = retrieval_figures(gallery, gallery, np.arange(40))
    assert figures.knn_accuracy == pytest.approx(right / 40)


# torchmetrics


@pytest.mark.parametrize("seed", range(3))
def test_retrieval_figures_equal_torchmetrics(seed: int) -> None:
    queries, gallery = random_side(12, 4, seed), random_side(70, 4, seed + 10)
    # Only what has a positive score counts as retrieved there.
    similarities = torch.from_numpy(queries.vectors @ gallery.vectors.T) + 2
    relevant = torch.from_numpy(queries.labels[:, None] == gallery.labels[None, :])
    asked = torch.arange(12)[:, None].expand_as(similarities)

    def oracle(metric: RetrievalMetric) -> float:
        return float(metric(similarities.flatten(), relevant.flatten(), indexes=asked.flatten()))

    figures = retrieval_figures(queries, gallery, none_own(queries))
    assert figures.map == pytest.approx(oracle(RetrievalMAP()))
    for k in CUTS:
        assert figures.precision_at[k] == pytest.approx(oracle(RetrievalPrecision(top_k=k)))
    for k in (1, 5, 10):
        assert figures.recall_at[k] == pytest.approx(oracle(RetrievalHitRate(top_k=k)))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30))
def test_mutual_information_equals_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    one, other = np.array(pairs).T
    expected = normalized_mutual_info_score(one, other)
    assert normalized_mutual_information(one, other) == pytest.approx(expected, abs=1e-9)


def mutual_information_by_hand(one: list[int], other: list[int]) -> float:
    n = len(one)

    def entropy(counts: Counter[object]) -> float:
        return -sum(count / n * math.log(count / n) for count in counts.values())

    separate = entropy(Counter(one)) + entropy(Counter(other))
    return 2 * (separate - entropy(Counter(zip(one, other)))) / separate


def test_mutual_information_by_hand() -> None:
    one, other = [0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1]
    found = normalized_mutual_information(np.array(one), np.array(other))
    assert found == pytest.approx(mutual_information_by_hand(one, other))


def test_mutual_information_of_trivial_clusterings() -> None:
    same, parted = np.zeros(4, int), np.arange(4)
    assert normalized_mutual_information(same, same) == 1
    assert normalized_mutual_information(same, parted) == 0
    assert normalized_mutual_information(same, np.array([0, 0, 0, 1])) == 0
    assert normalized_mutual_information(parted, parted) == pytest.approx(1)


# Own rows, and queries that cannot be answered


def test_an_own_row_is_never_a_hit() -> None:
    gallery = side(at_degrees(0, 20, 40), [0, 1, 0])
    own = retrieval_figures(gallery, gallery, np.arange(3))
    assert own.recall_at[1] == 0
    assert own.map == pytest.approx(1 / 2)
    assert own.without_relevant == 1


def test_an_own_row_does_not_vote() -> None:
    gallery = side(at_degrees(0, 20, 21, 60), [0, 1, 1, 0])
    assert retrieval_figures(gallery, gallery, np.arange(4)).knn_accuracy == pytest.approx(2 / 4)
    assert retrieval_figures(gallery, gallery, none_own(gallery)).knn_accuracy == 1


def test_the_own_row_stands_last_at_minus_infinity() -> None:
    gallery = at_degrees(0, 30, 60)
    ranking = rank_gallery(gallery, gallery, np.array([0, -1, 2]))
    assert ranking.rows.tolist() == [[1, 2, 0], [1, 0, 2], [1, 0, 2]]
    assert np.isneginf(ranking.similarities[:, 2]).tolist() == [True, False, True]


def test_ties_stand_in_the_order_of_rows() -> None:
    ranking = rank_gallery(at_degrees(0), at_degrees(30, 0, -30, 0, 30), np.array([-1]))
    assert ranking.rows[0].tolist() == [1, 3, 0, 2, 4]
    # Short rows are sorted in a way of their own.
    angles = np.random.default_rng(0).choice([0, 10, 20], 200)
    ranking = rank_gallery(at_degrees(0), at_degrees(*angles), np.array([-1]))
    expected = sorted(range(200), key=lambda row: (angles[row], row))
    assert ranking.rows[0].tolist() == expected


def test_queries_without_a_relevant_tile_are_left_out_of_all_figures() -> None:
    gallery = side(at_degrees(0, 10), [0, 0])
    queries = side(at_degrees(0, 5, 10), [0, 7, 8])
    figures = retrieval_figures(queries, gallery, none_own(queries))
    assert (figures.queries, figures.without_relevant) == (1, 2)
    assert figures.map == 1
    assert figures.knn_accuracy == 1


def test_queries_of_which_none_can_be_answered_are_refused() -> None:
    queries, gallery = side(at_degrees(0), [1]), side(at_degrees(0), [0])
    message = "^no query has a tile of its label in the gallery$"
    with pytest.raises(InputError, match=message):
        retrieval_figures(queries, gallery, none_own(queries))


def test_a_gallery_of_the_query_alone_answers_nothing() -> None:
    alone = side(at_degrees(0), [0])
    with pytest.raises(InputError, match=r"no query has a tile"):
        retrieval_figures(alone, alone, np.array([0]))


@pytest.mark.parametrize(
    ("vectors", "labels"),
    [(np.zeros((2, 3)), [0]), (np.zeros(3), [0, 0, 0]), (np.zeros((1, 3)), [[0]])],
)
def test_labels_that_do_not_fit_the_vectors_are_refused(vectors: Vectors, labels: object) -> None:
    with pytest.raises(InputError, match=r"^\(.*\) labels for \(.*\) vectors$"):
        side(vectors, labels)  # type: ignore[arg-type]


def test_figures_lie_between_zero_and_one() -> None:
    gallery = random_side(25, 3, 0)
    figures = retrieval_figures(gallery, gallery, np.arange(25))
    numbers = [*astuple(figures)[2:5], *figures.precision_at.values()]
    assert all(0 <= number <= 1 for number in numbers)
