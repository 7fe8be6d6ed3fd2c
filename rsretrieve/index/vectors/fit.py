"""Train and fill FAISS indexes, update them without training again, and cluster vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.coarse_graph import visit_for_adding
from rsretrieve.index.vectors.faiss_loader import (
    faiss_module,
    inverted_lists_of,
    last_line,
    new_index,
    on_gpu,
    quiet_training,
)
from rsretrieve.index.vectors.key_checks import check_cells
from rsretrieve.index.vectors.lists_on_disk import (
    Portion,
    can_fill_on_disk,
    filled_on_disk,
)

ADD_BLOCK = 65_536  # vectors added at once
SAMPLE_IN_MEMORY_BYTES = 1 << 26
"""Up to this size the vectors that train an index lie in memory."""
_TRAINED_PER_CELL = 64  # FAISS wants at least 39, and drops what exceeds 256
_LEAST_TRAINED = 65_536
_KINDS_IN_LISTS = ("IndexIVFFlat", "IndexIVFPQ", "IndexIVFScalarQuantizer", "IndexIVFRaBitQ")


Fill = Callable[[Any, NDArray[np.float32]], Iterator[Portion]]
"""Of a trained FAISS index and all vectors, (N, D) float32: what adds them, in their order."""


def build_faiss_index(
    vectors: NDArray[np.float32],
    key: str,
    gpu: int | None,
    fill: Fill | None = None,
    lists_folder: Path | None = None,
) -> Any:
    """Train and fill an index.

    Args:
        vectors: (N, D) float32, unit rows; may be memory-mapped.
        key: kind of index in FAISS's notation.
        gpu: the number of the GPU to train and fill it on if possible, or None.
        fill: adds the vectors without a GPU; None: this process does.
        lists_folder: a folder on the disk on which the lists of cells are filled, if the kind of
            index allows it; None to fill them in memory, or on the GPU.

    Returns:
        The FAISS index on the CPU; memory-mapped, if it was filled on the disk.

    Raises:
        InvalidArgument: FAISS does not know the key, or cannot build it from these vectors.
    """
    check_cells(key, len(vectors))
    try:
        index = new_index(key, vectors.shape[1])
        there = None if gpu is None or lists_folder else _filled_on_gpu(index, vectors, gpu)
        if there is not None:
            return there
        if not index.is_trained:
            train_cells(index, _training_sample(vectors, index), gpu)
        visit_for_adding(index)
        portions = (fill or portions_here)(index, vectors)
        if lists_folder is not None and can_fill_on_disk(index):
            return filled_on_disk(index, portions, vectors, lists_folder)
        for add in portions:
            add(index)
    except RuntimeError as error:
        raise InvalidArgument(
            f"FAISS cannot build {key!r} over {len(vectors)} vectors ({last_line(error)})",
            hint="give --index Flat, which is exact and always fits, or another FAISS key",
        ) from error
    return index


def _filled_on_gpu(index: Any, vectors: NDArray[np.float32], gpu: int) -> Any | None:
    """Train and fill an index on a GPU, and copy it to the CPU; None if the GPU cannot."""
    # `exact`: the saved index must hold float32 vectors.
    there = on_gpu(index, gpu, vectors.nbytes, exact=True)
    if there is None:
        return None
    try:
        if not there.is_trained:
            train_cells(there, _training_sample(vectors, index), None)
        for add in portions_here(there, vectors):
            add(there)
        found = faiss_module().index_gpu_to_cpu(there)
        # FAISS makes a flat index of half precision of `SQfp16`, which counts as exact.
        return found if found.sa_code_size() == index.sa_code_size() else None
    except RuntimeError:  # its memory is full: other programs use it, too
        return None


def portions_here(index: Any, vectors: NDArray[np.float32]) -> Iterator[Portion]:
    """Blocks of vectors, which this process encodes; see `Fill`."""
    del index
    for start in range(0, len(vectors), ADD_BLOCK):
        yield partial(_add, np.ascontiguousarray(vectors[start : start + ADD_BLOCK], np.float32))


def _add(block: NDArray[np.float32], index: Any) -> None:
    index.add(block)


def train_cells(index: Any, sample: NDArray[np.float32], gpu: int | None) -> None:
    """Train an index on the CPU; with a GPU, its cells are still clustered there."""
    ivf = inverted_lists_of(index) if gpu is not None else None
    # FAISS keeps no reference to it.
    flat = None
    if ivf is not None and gpu is not None:
        flat = on_gpu(faiss_module().IndexFlatIP(ivf.d), gpu, 0, exact=True)
        ivf.clustering_index = flat
    with quiet_training(index):
        index.train(sample)
    if ivf is not None:
        ivf.clustering_index = None


def _training_sample(vectors: NDArray[np.float32], index: Any) -> NDArray[np.float32]:
    """Evenly spaced vectors, as many as the cells need: (S, D) float32; many lie on the disk."""
    ivf = inverted_lists_of(index)
    wanted = max(_LEAST_TRAINED, _TRAINED_PER_CELL * (ivf.nlist if ivf is not None else 0))
    rows = np.linspace(0, len(vectors) - 1, min(wanted, len(vectors))).astype(np.int64)
    if 4 * len(rows) * vectors.shape[1] <= SAMPLE_IN_MEMORY_BYTES:
        return np.ascontiguousarray(vectors[rows], np.float32)
    from rsretrieve.data.loading.batches import mapped_room  # a query does not need it

    shape = (len(rows), vectors.shape[1])
    sample = mapped_room(shape, np.dtype(np.float32), "the vectors that train the index")
    for start in range(0, len(rows), ADD_BLOCK):
        sample[start : start + ADD_BLOCK] = vectors[rows[start : start + ADD_BLOCK]]
    return sample


def update_rows(index: Any, origin: NDArray[np.int64], vectors: NDArray[np.float32]) -> bool:
    """Remove, renumber and add vectors of an index with cells, without training it again.

    Args:
        index: a FAISS index on the CPU; its ids are the old rows.
        origin: (N,) int64, for each new row its old row, or −1 for a new vector.
        vectors: (N, D) float32, all vectors; only the new ones are read.

    Returns:
        False if the kind of index does not allow it; the index is then unchanged.
    """
    ivf = inverted_lists_of(index)
    if ivf is None or not _lies_in_lists(index):
        return False
    row_now = np.full(ivf.ntotal, -1, np.int64)
    stays = origin >= 0
    row_now[origin[stays]] = np.flatnonzero(stays)
    lists = _renumbered_lists(ivf, row_now)
    ivf.replace_invlists(lists, True)
    lists.this.disown()  # the index frees them
    ivf.ntotal = index.ntotal = int(stays.sum())
    added = np.flatnonzero(~stays)
    visit_for_adding(index)
    for start in range(0, len(added), ADD_BLOCK):
        rows = added[start : start + ADD_BLOCK]
        index.add_with_ids(np.ascontiguousarray(vectors[rows], np.float32), rows)
    return True


def _lies_in_lists(index: Any) -> bool:
    """Whether all that an index stores of its vectors lies in the lists of its cells.

    Kinds that refine their hits store more; FastScan stores the lists of several vectors in one.
    """
    faiss = faiss_module()
    found = faiss.downcast_index(index)
    while isinstance(found, faiss.IndexPreTransform):
        found = faiss.downcast_index(found.index)
    return type(found).__name__ in _KINDS_IN_LISTS or isinstance(
        found, faiss.IndexIVFAdditiveQuantizer
    )


def _renumbered_lists(ivf: Any, row_now: NDArray[np.int64]) -> Any:
    faiss = faiss_module()
    lists = faiss.ArrayInvertedLists(ivf.nlist, ivf.code_size)
    for cell in range(ivf.nlist):
        size = ivf.invlists.list_size(cell)
        if size == 0:
            continue
        ids = faiss.rev_swig_ptr(ivf.invlists.get_ids(cell), size)
        codes = faiss.rev_swig_ptr(ivf.invlists.get_codes(cell), size * ivf.code_size)
        now = row_now[ids]
        kept = np.ascontiguousarray(codes.reshape(size, -1)[now >= 0])
        now = np.ascontiguousarray(now[now >= 0])
        if len(now):
            lists.add_entries(cell, len(now), faiss.swig_ptr(now), faiss.swig_ptr(kept))
    return lists


def centroid_similarities(index: Any, vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The similarity of vectors to the centroids of their cells.

    Args:
        index: a FAISS index.
        vectors: (M, D) float32, unit rows; a transform of the index, such as OPQ, is applied.

    Returns:
        (M,) float32; None if the index has no cells.
    """
    faiss = faiss_module()
    ivf = inverted_lists_of(index)
    if ivf is None:
        return None
    vectors, outer = np.ascontiguousarray(vectors, np.float32), faiss.downcast_index(index)
    if isinstance(outer, faiss.IndexPreTransform):
        for number in range(outer.chain.size()):
            vectors = faiss.downcast_VectorTransform(outer.chain.at(number)).apply(vectors)
    visit_for_adding(index)
    similarities, _ = ivf.quantizer.search(vectors, 1)
    return np.asarray(similarities[:, 0], np.float32)


def spherical_kmeans(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """Cluster unit vectors by spherical k-means.

    Args:
        vectors: (N, D) float32, unit rows.
        count: number of clusters.
        seed: random seed of the five starts, of which the best is taken.

    Returns:
        (N,) int64, cluster numbers.
    """
    kmeans = faiss_module().Kmeans(
        vectors.shape[1],
        count,
        niter=50,
        nredo=5,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=1 << 30,
    )
    kmeans.train(np.ascontiguousarray(vectors, np.float32))
    return np.asarray(kmeans.index.search(vectors, 1)[1][:, 0], np.int64)
