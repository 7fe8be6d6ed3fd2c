"""How widely a graph is searched that finds the cells of an index (`IVF32768_HNSW32,…`).

FAISS visits 16 cells, or as many as are probed. A graph then misses many of the nearest cells: of
128 among 2,048 it finds 63 %, and nearly all if it visits four times as many as are probed.
"""

from __future__ import annotations

from typing import Any

from rsretrieve.index.vectors.faiss_loader import faiss_module, inverted_lists_of

FILLING_EFFORT = 64
"""Cells that are visited to find the one of a vector that is added: with 16, one vector in 180
was not in its nearest cell of 16,384; with 64, none of 20,000. It takes 57 µs instead of 24."""
_LEAST_EFFORT, _VISITED_PER_PROBE = 16, 4
_EFFORTS = (("hnsw", "efSearch"), ("nsg", "search_L"))  # of each kind of graph


def effort_for(probes: int, cells: int) -> int:
    """Number of cells that a graph visits to find the nearest ones.

    >>> effort_for(1, 32_768), effort_for(100, 32_768), effort_for(1_000, 2_048)
    (16, 400, 2048)
    """
    return min(max(_LEAST_EFFORT, _VISITED_PER_PROBE * probes), cells)


def visit_for_search(index: Any) -> None:
    """Let the graph visit as many cells as `nprobe` needs; an index without one stays as it is."""
    ivf = inverted_lists_of(index)
    if ivf is not None:
        _set_effort(ivf, effort_for(int(ivf.nprobe), int(ivf.nlist)))


def visit_for_adding(index: Any) -> None:
    """Let the graph visit enough cells to find the nearest one of a vector that is added."""
    ivf = inverted_lists_of(index)
    if ivf is not None:
        _set_effort(ivf, min(FILLING_EFFORT, int(ivf.nlist)))


def _set_effort(ivf: Any, effort: int) -> None:
    faiss = faiss_module()
    quantizer = faiss.downcast_index(ivf.quantizer)
    while isinstance(quantizer, faiss.IndexPreTransform):
        quantizer = faiss.downcast_index(quantizer.index)
    for graph, name in _EFFORTS:
        if hasattr(quantizer, graph):
            setattr(getattr(quantizer, graph), name, effort)
