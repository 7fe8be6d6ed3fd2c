"""Query expansion against a plain loop from its definition."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsretrieve.data.run_context import RunContext
from rsretrieve.evaluation.evaluate import evaluate_index
from rsretrieve.search import ranking
from rsretrieve.search.expansion import expanded, expanded_queries
from rsretrieve.search.filters import Filters
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries
from tests.support.indexes.planet import Planet, make_planet
from tests.support.indexes.vectors import unit_rows

K, ALPHA = 10, 3


def no_model(_: int) -> object:
    raise AssertionError("no model is needed")


@pytest.fixture(scope="module")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Planet:
    return make_planet(tmp_path_factory.mktemp("planet") / "index")


def asked(planet: Planet, **request: object) -> QueryResult:
    context = SearchContext(no_model, RunContext())  # type: ignore[arg-type]
    [result] = run_queries(planet.store, QueryRequest(**request), context)  # type: ignore[arg-type]
    return result


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other))


def expanded_by_hand(
    query: list[float], vectors: list[list[float]], allowed: list[int], k: int = K
) -> list[float]:
    """q + Σ max(s, 0)^α v over the k nearest, of unit length."""
    nearest = sorted(allowed, key=lambda row: (-cosine(query, vectors[row]), row))[:k]
    total = list(query)
    for row in nearest:
        weight = max(cosine(query, vectors[row]), 0.0) ** ALPHA
        total = [t + weight * v for t, v in zip(total, vectors[row])]
    norm = math.sqrt(cosine(total, total))
    return [t / norm for t in total]


def best(query: list[float], vectors: list[list[float]], allowed: list[int]) -> list[int]:
    return sorted(allowed, key=lambda row: (-cosine(query, vectors[row]), row))


def vectors_of(planet: Planet) -> list[list[float]]:
    return [list(map(float, vector)) for vector in planet.store.vectors]


@pytest.mark.medium
@pytest.mark.parametrize("row", [0, 3, 20, 401])
@pytest.mark.parametrize("labels", [(), ("forest",)])
@pytest.mark.parametrize("excludes", [False, True])
def test_a_query_is_expanded_by_the_hits_that_pass_and_searched_again(
    planet: Planet, row: int, labels: tuple[str, ...], excludes: bool
) -> None:
    vectors, names = vectors_of(planet), planet.store.rows.column("id")
    passing = [i for i in range(len(vectors)) if not labels or planet.labels[i] in labels]
    others = [i for i in passing if i != row]
    query = expanded_by_hand(vectors[row], vectors, others)
    wanted = best(query, vectors, others if excludes else passing)[:20]
    filters = Filters(labels=labels, exclude_self=excludes)
    result = asked(planet, tiles=(names[row],), k=20, filters=filters, expand=True)
    assert [hit.found.id for hit in result.hits] == [names[i] for i in wanted]
    similarities = [cosine(query, vectors[i]) for i in wanted]
    assert [hit.similarity for hit in result.hits] == pytest.approx(similarities, abs=1e-6)
    assert result.expanded


def test_without_it_nothing_is_expanded(planet: Planet) -> None:
    result = asked(planet, tiles=(planet.store.rows[5].id,), k=3)
    assert not result.expanded
    assert result.vectors.tolist() == [planet.store.vectors[5].tolist()]


@pytest.mark.medium
def test_a_composed_query_is_composed_first(planet: Planet) -> None:
    vectors, names = vectors_of(planet), planet.store.rows.column("id")
    total = [a - 0.5 * b for a, b in zip(vectors[4], vectors[9])]
    norm = math.sqrt(cosine(total, total))
    others = [i for i in range(len(vectors)) if i not in (4, 9)]
    query = expanded_by_hand([t / norm for t in total], vectors, others)
    wanted = best(query, vectors, [*range(len(vectors))])[:12]
    result = asked(planet, likes=(names[4],), unlikes=(names[9],), k=12, expand=True)
    assert [hit.found.id for hit in result.hits] == [names[i] for i in wanted]


@pytest.mark.medium
@pytest.mark.parametrize("key", ["IVF8,SQ8", "IVF8,PQ4", "HNSW16"])
def test_compressed_indexes_expand_by_the_stored_vectors(
    tmp_path: Path, planet: Planet, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    approximate = make_planet(tmp_path / "index", key)
    monkeypatch.setattr(ranking, "FEW_NUMBERS", 0)
    name = planet.store.rows[20].id
    result = asked(approximate, tiles=(name,), k=10, expand=True)
    exact = asked(planet, tiles=(name,), k=10, expand=True)
    assert np.linalg.norm(result.vectors) == pytest.approx(1)
    assert float(result.vectors[0] @ exact.vectors[0]) > 0.9
    rows = [planet.store.rows.column("id").index(hit.found.id) for hit in result.hits]
    found = planet.store.vectors[rows].astype(float) @ result.vectors[0].astype(float)
    assert [hit.similarity for hit in result.hits] == pytest.approx(found, abs=1e-6)
    assert len(rows) == 10


@pytest.mark.medium
def test_many_queries_are_expanded_as_each_alone() -> None:
    gallery, queries = unit_rows(60, 8, seed=1), unit_rows(5, 8, seed=2)
    queries[1] = gallery[17]
    own = np.array([-1, 17, -1, -1, -1])
    found = expanded_queries(queries, gallery, own)
    plain = [list(map(float, vector)) for vector in gallery]
    for query, row, vector in zip(queries, own, found):
        others = [i for i in range(60) if i != row]
        assert vector == pytest.approx(expanded_by_hand(list(query), plain, others), abs=1e-6)


def test_dissimilar_neighbours_have_no_weight() -> None:
    query = np.array([1, 0], np.float32)
    neighbours = np.array([[-1, 0], [0, 1]], np.float32)
    for exponent in (0.0, 1.0, 3.0):
        found = expanded(query, neighbours, np.array([-1.0, 0.0]), exponent)
        assert found.tolist() == [1, 0]
    assert expanded(query, neighbours[:0], np.empty(0)).tolist() == [1, 0]


@pytest.mark.medium
def test_evaluation_expands_each_query_without_itself(planet: Planet) -> None:
    labelled = [i for i, label in enumerate(planet.labels) if label]
    vectors = vectors_of(planet)
    precisions = []
    for row in labelled[::40]:
        others = [i for i in labelled if i != row]
        ranked = best(expanded_by_hand(vectors[row], vectors, others), vectors, others)
        relevant = [planet.labels[i] == planet.labels[row] for i in ranked]
        at = [sum(relevant[: r + 1]) / (r + 1) for r, hit in enumerate(relevant) if hit]
        precisions.append(sum(at) / len(at))
    found = expanded_queries(
        np.asarray(planet.store.vectors[labelled]),
        np.asarray(planet.store.vectors[labelled]),
        np.arange(len(labelled)),
    )
    from rsretrieve.evaluation.retrieval_metrics import LabelledVectors, measure_queries

    _, classes = np.unique([str(planet.labels[i]) for i in labelled], return_inverse=True)
    gallery = LabelledVectors(np.asarray(planet.store.vectors[labelled]), classes)
    measured = measure_queries(replace(gallery, vectors=found), gallery, np.arange(len(labelled)))
    assert measured.values[::40, 0] == pytest.approx(precisions, abs=2e-3)  # few ties
    whole = evaluate_index(planet.store, 0, RunContext(), expand=True)
    assert whole.expanded
    assert whole.figures.map == pytest.approx(measured.mean().map)
    plain = evaluate_index(planet.store, 0, RunContext())
    assert (plain.expanded, plain.nmi) == (False, whole.nmi)
    assert plain.figures.map != whole.figures.map
