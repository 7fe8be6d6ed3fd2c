"""Spreading over the graph against plain loops from the formula."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.search.finding.neighbour_graph import NeighbourGraph
from tests.support.indexes.vectors import clustered_rows, unit_rows


def dense_links(vectors: np.ndarray, k: int) -> np.ndarray:
    """S of the formula, row by row."""
    count = len(vectors)
    strength = np.zeros((count, count))
    for i in range(count):
        found = sorted((-float(vectors[i] @ vectors[j]), j) for j in range(count) if j != i)
        for negative, j in found[:k]:
            strength[i, j] = max(-negative, 0) ** 3
    strength = (strength + strength.T) / 2
    degrees = strength.sum(axis=1)
    return strength / np.sqrt(np.outer(degrees, degrees))


def test_sources_spread_as_the_formula_says():
    vectors = clustered_rows(30, 8, 3, seed=0)
    sources = np.eye(30, 2, dtype=np.float32)
    links = dense_links(vectors, 5)
    expected = np.zeros((30, 2))
    for t in range(30):
        expected += 0.1 * 0.9**t * np.linalg.matrix_power(links, t) @ sources
    expected += 0.9**30 * np.linalg.matrix_power(links, 30) @ sources
    found = NeighbourGraph.of(vectors, 5).spread(sources)
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_tiles_have_fewer_neighbours(count):
    graph = NeighbourGraph.of(unit_rows(count, 4, seed=1))
    assert np.isfinite(graph.spread(np.ones((count, 1), np.float32))).all()


def test_the_source_of_a_vector_is_its_nearest_tiles():
    vectors = clustered_rows(60, 8, 3, seed=0)
    source = NeighbourGraph.of(vectors).source_of(vectors[7])
    assert source.sum() == pytest.approx(1)
    assert source.argmax() == 7
    assert np.count_nonzero(source) <= 20


def test_a_vector_opposite_to_all_tiles_has_no_source():
    vectors = np.tile(unit_rows(1, 4, seed=0), (5, 1))
    assert not NeighbourGraph.of(vectors).source_of(-vectors[0]).any()
