"""A graph that finds the cells of an index finds those that an exact search finds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.index.vectors import faiss_checks
from rsretrieve.index.vectors.coarse_graph import FILLING_EFFORT, effort_for
from rsretrieve.index.vectors.faiss_loader import faiss_module, inverted_lists_of
from rsretrieve.index.vectors.fit import portions_here
from rsretrieve.index.vectors.lists_on_disk import Portion
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import clustered_rows, unit_rows

Vectors = NDArray[np.float32]
CELLS, DIMENSIONS = 256, 16
GRAPHS = [
    f"IVF{CELLS}_HNSW4,Flat",
    f"IVF{CELLS}_HNSW4,SQ8",
    f"IVF{CELLS}_NSG8,Flat",
    f"IVF{CELLS}(RR{DIMENSIONS},HNSW4),Flat",
    f"PCA{DIMENSIONS},IVF{CELLS}_HNSW4,Flat",
]


@pytest.fixture(scope="module")
def gallery() -> Vectors:
    return clustered_rows(4_000, DIMENSIONS, 50, 0)


@pytest.fixture(scope="module")
def queries() -> Vectors:
    return clustered_rows(80, DIMENSIONS, 50, 1)


def share_of_cells(index: VectorIndex, queries: Vectors, probes: int) -> float:
    """The share of the nearest cells that an index finds."""
    faiss = faiss_module()
    outer, ivf = faiss.downcast_index(index.cpu_index), inverted_lists_of(index.cpu_index)
    if isinstance(outer, faiss.IndexPreTransform):
        queries = faiss.downcast_VectorTransform(outer.chain.at(0)).apply(queries)
    centres = ivf.quantizer.reconstruct_n(0, ivf.nlist)
    nearest = np.argsort(-queries @ centres.T, axis=1)[:, :probes]
    found = ivf.quantizer.search(np.ascontiguousarray(queries), probes)[1]
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(nearest, found)]))


@pytest.mark.parametrize("key", GRAPHS)
@pytest.mark.parametrize("probes", [16, 64])
def test_the_graph_finds_the_nearest_cells(
    key: str, probes: int, gallery: Vectors, queries: Vectors
) -> None:
    index = VectorIndex.build(gallery, key)
    index.set_parameter("nprobe", probes)
    assert share_of_cells(index, queries, probes) > 0.97


def test_the_recall_is_that_of_cells_found_exactly() -> None:
    """Of vectors without clusters, whose neighbours lie in many cells."""
    vectors, asked = unit_rows(4_000, DIMENSIONS, 0), unit_rows(80, DIMENSIONS, 1)
    _, true = VectorIndex.build(vectors, "Flat").search(asked, 50)
    recalls = []
    for key in (f"IVF{CELLS},Flat", f"IVF{CELLS}_HNSW4,Flat"):
        index = VectorIndex.build(vectors, key)
        index.set_parameter("nprobe", CELLS // 4)
        _, found = index.search(asked, 50)
        recalls.append(np.mean([np.isin(one, other).mean() for one, other in zip(true, found)]))
    assert recalls[1] == pytest.approx(recalls[0], abs=0.002)
    assert recalls[0] > 0.9


@pytest.mark.parametrize("mapped", [False, True])
def test_a_stored_index_is_searched_as_widely_as_its_parameters_need(
    mapped: bool, tmp_path: Path, gallery: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of an earlier version says 16."""
    monkeypatch.setattr(faiss_checks, "MAPPED_FROM_BYTES", 0)
    path = tmp_path / "index.faiss"
    built = VectorIndex.build(gallery, GRAPHS[0])
    graph_of(built.cpu_index).efSearch = 16
    built.write(path)
    read = VectorIndex.read(path, None, gallery, {"nprobe": 40}, mapped=mapped)
    assert graph_of(read.cpu_index).efSearch == 160
    inverted_lists_of(built.cpu_index).nprobe = 20
    built.write(path)
    assert graph_of(VectorIndex.read(path, mapped=mapped).cpu_index).efSearch == 80


def graph_of(index: Any) -> Any:
    return faiss_module().downcast_index(inverted_lists_of(index).quantizer).hnsw


@pytest.mark.parametrize("folder", [None, "lists"])
def test_vectors_are_added_with_a_wide_search_for_their_cell(
    folder: str | None, tmp_path: Path, gallery: Vectors
) -> None:
    """Also where other processes add them: they get the trained index as bytes."""
    efforts = []

    def fill(index: Any, vectors: Vectors) -> Iterator[Portion]:
        faiss = faiss_module()
        sent = faiss.deserialize_index(np.array(faiss.serialize_index(index)))
        for add in portions_here(index, vectors):

            def seen(part: Any, add: Portion = add) -> None:
                efforts.append((graph_of(sent).efSearch, graph_of(part).efSearch))
                add(part)

            yield seen

    place = None if folder is None else tmp_path / folder
    index = VectorIndex.build(gallery, GRAPHS[0], fill=fill, lists_folder=place)
    assert efforts == [(FILLING_EFFORT, FILLING_EFFORT)]
    assert graph_of(index.cpu_index).efSearch == effort_for(1, CELLS)


def test_an_update_adds_with_a_wide_search_and_then_searches_as_before(gallery: Vectors) -> None:
    index = VectorIndex.build(gallery[:3_000], GRAPHS[0])
    index.set_parameter("nprobe", 5)
    origin = np.concatenate([np.arange(3_000), np.full(1_000, -1)])
    assert index.update_rows(origin, gallery)
    ivf = inverted_lists_of(index.cpu_index)
    ids = [
        faiss_module().rev_swig_ptr(ivf.invlists.get_ids(cell), ivf.invlists.list_size(cell))
        for cell in range(CELLS)
    ]
    cell_of = np.empty(4_000, np.int64)
    for cell, rows in enumerate(ids):
        cell_of[rows] = cell
    centres = ivf.quantizer.reconstruct_n(0, CELLS)
    nearest = np.argmax(gallery[3_000:] @ centres.T, axis=1)
    assert (cell_of[3_000:] == nearest).mean() > 0.995
    similarities = index.centroid_similarities(gallery[3_000:])
    assert similarities is not None
    assert np.mean(np.isclose(similarities, (gallery[3_000:] @ centres.T).max(1), atol=1e-5)) > 0.99
    assert graph_of(index.cpu_index).efSearch == effort_for(5, CELLS) == 20


def test_a_graph_never_visits_more_cells_than_there_are() -> None:
    assert [effort_for(probes, 100) for probes in (1, 4, 5, 25, 100)] == [16, 16, 20, 100, 100]
    assert effort_for(1, 8) == 8
