"""Figures of tied rankings are the means over all orders, tried one by one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from rsretrieve.evaluation.retrieval_metrics import (
    LabelledVectors,
    RetrievalFigures,
    retrieval_figures,
)
from rsretrieve.evaluation.tied_ranks import TiedRanking

CUTS = (1, 5, 10, 20, 50)


def figures_of_one_order(relevant: tuple[bool, ...]) -> dict[str, float]:
    total, found, ap, ap_at_r = sum(relevant), 0, 0.0, 0.0
    for rank, hit in enumerate(relevant, start=1):
        found += hit
        if hit:
            ap += found / rank / total
            ap_at_r += found / rank / total if rank <= total else 0
    figures = {"map": ap, "map_at_r": ap_at_r}
    figures |= {f"p{k}": sum(relevant[:k]) / k for k in CUTS}
    return figures | {f"r{k}": float(any(relevant[:k])) for k in (1, 5, 10)}


def mean_over_all_orders(groups: list[tuple[bool, ...]]) -> dict[str, float]:
    """The mean over every order of every group, one after the other."""
    orders: list[tuple[bool, ...]] = [()]
    for group in groups:
        orders = [before + order for before in orders for order in permutations(group)]
    each = [figures_of_one_order(order) for order in orders]
    return {name: float(np.mean([one[name] for one in each])) for name in each[0]}


def measured(groups: list[tuple[bool, ...]], order: NDArray[np.int64]) -> dict[str, float]:
    """What the library computes of one query, with the gallery in some order of rows."""
    angles = [number for number, group in enumerate(groups, start=1) for _ in group]
    radians = np.radians(10 * np.array(angles, float)[order])
    vectors = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    labels = np.array([int(hit) for group in groups for hit in group], np.int64)[order]
    query = LabelledVectors(np.array([[1, 0]], np.float32), np.array([1], np.int64))
    found = retrieval_figures(query, LabelledVectors(vectors, labels), np.array([-1]))
    return by_name(found)


def by_name(found: RetrievalFigures) -> dict[str, float]:
    figures = {"map": found.map, "map_at_r": found.map_at_r}
    figures |= {f"p{k}": value for k, value in found.precision_at.items()}
    return figures | {f"r{k}": value for k, value in found.recall_at.items()}


@pytest.mark.parametrize(
    "groups",
    [
        [(True, False)],
        [(False, False, False, True)],
        [(True, True, False, False, False, False)],
        [(False,), (True, False, False), (True,), (False, True)],
        [(True, False, True), (False, False), (True, True)],
        [(False, False, True, False, False, False, True)],
    ],
)
def test_figures_are_the_means_over_all_orders(groups: list[tuple[bool, ...]]) -> None:
    expected = mean_over_all_orders(groups)
    count = sum(map(len, groups))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(count)
        assert measured(groups, order) == pytest.approx(expected, abs=1e-12)


ranked_groups = st.lists(
    st.lists(st.booleans(), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3
).filter(lambda groups: any(any(group) for group in groups))


@settings(deadline=None, max_examples=40)
@given(ranked_groups, st.randoms(use_true_random=False))
def test_any_tied_ranking_is_as_by_all_orders(groups: list[tuple[bool, ...]], random) -> None:  # type: ignore[no-untyped-def]
    order = list(range(sum(map(len, groups))))
    random.shuffle(order)
    expected = mean_over_all_orders(groups)
    assert measured(groups, np.array(order)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_without_ties_average_precision_equals_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    similarities = np.sort(rng.random((5, 40)).astype(np.float32), axis=1)[:, ::-1]
    relevant = rng.random((5, 40)) < 0.3
    ties = TiedRanking.of(relevant, similarities)
    found = ties.credits.sum(axis=1) / relevant.sum(axis=1)
    expected = [average_precision_score(r, s) for r, s in zip(relevant, similarities)]
    assert found == pytest.approx(expected)


def codes(rows: int, bits: int, seed: int) -> NDArray[np.float32]:
    """Binary codes, of which many are equally far from a query without being equal."""
    signs = np.random.default_rng(seed).integers(0, 2, (rows, bits)) * 2 - 1
    return (signs / np.sqrt(bits)).astype(np.float32)


def unequal(rows: int, seed: int) -> NDArray[np.float32]:
    """Few vectors, each many times."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((5, 300))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[rng.integers(0, 5, rows)].astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["codes", "copies"])
def test_the_order_of_rows_changes_no_figure(kind: str, seed: int) -> None:
    vectors = codes(150, 24, seed) if kind == "codes" else unequal(150, seed)
    labels = np.random.default_rng(seed).integers(0, 4, 150)
    order = np.random.default_rng(seed + 9).permutation(150)
    own = np.arange(150)
    first = LabelledVectors(vectors, labels)
    second = LabelledVectors(vectors[order], labels[order])
    one, other = (retrieval_figures(part, part, own) for part in (first, second))
    assert by_name(one) == pytest.approx(by_name(other), abs=1e-12)
    assert one.knn_accuracy == other.knn_accuracy


@pytest.mark.medium
def test_binary_codes_as_by_a_loop_over_integer_similarities() -> None:
    vectors, labels = codes(40, 8, 0), np.random.default_rng(1).integers(0, 3, 40)
    products = np.rint(vectors.astype(float) @ vectors.T.astype(float) * 8).astype(int)
    precisions = []
    for row in range(40):
        others = [i for i in range(40) if i != row]
        orders = []
        for seed in range(400):  # a sample of all orders
            shuffled = np.random.default_rng(seed).permutation(others)
            ranked = sorted(shuffled.tolist(), key=lambda i: -products[row, i])
            hits = np.flatnonzero(labels[ranked] == labels[row]) + 1
            orders.append(np.mean(np.arange(1, len(hits) + 1) / hits))
        precisions.append(np.mean(orders))
    part = LabelledVectors(vectors, labels)
    found = retrieval_figures(part, part, np.arange(40)).map
    assert found == pytest.approx(np.mean(precisions), abs=2e-3)


def test_tied_neighbours_at_the_tenth_place_share_what_is_left() -> None:
    """Nine neighbours are nearer; one place is left for ten that are equally far."""
    angles = np.radians([10.0] * 9 + [20.0] * 10)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    query = LabelledVectors(np.array([[1, 0]], np.float32), np.array([0], np.int64))
    for labels in ([0] * 4 + [1] * 5 + [0] * 10, [0] * 4 + [1] * 5 + [0] * 9 + [1]):
        gallery = LabelledVectors(vectors, np.array(labels, np.int64))
        assert retrieval_figures(query, gallery, np.array([-1])).knn_accuracy == 0
    even = LabelledVectors(vectors, np.array([0] * 5 + [1] * 4 + [1] * 10, np.int64))
    assert retrieval_figures(query, even, np.array([-1])).knn_accuracy == 1
