"""Vectors and FAISS: build an index, search it, measure it, cluster. Its only user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import IndexDamaged, InvalidArgument, MissingPackage

EXACT_KEY = "Flat"
_MOST_HITS_ON_GPU = 2048  # of FAISS's GPU indexes


class VectorIndex:
    """A FAISS index over unit vectors with the inner product, which is the cosine.

    Args:
        cpu_index: the FAISS index, in its form for the CPU.
        gpu: the number of the GPU to search on, or None.
    """

    def __init__(self, cpu_index: Any, gpu: int | None = None) -> None:
        self._cpu_index = cpu_index
        self._gpu_index = None if gpu is None else _on_gpu(cpu_index, gpu)

    def search(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest vectors.

        Args:
            queries: (Q, D) float32, unit rows.
            k: how many; fewer come where the index has fewer.

        Returns:
            Similarities (Q, k'), falling, and rows (Q, k'), ties in the order of rows. An
            approximate index that finds too few fills up with row −1.
        """
        k = min(k, self._cpu_index.ntotal)
        index = self._cpu_index
        if self._gpu_index is not None and k <= _MOST_HITS_ON_GPU:
            index = self._gpu_index
        similarities, rows = index.search(np.ascontiguousarray(queries, np.float32), k)
        order = np.lexsort((rows, -similarities), axis=1)
        return np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1)

    def write(self, path: Path) -> None:
        """Write the index, in its form for the CPU."""
        faiss_module().write_index(self._cpu_index, str(path))

    @classmethod
    def read(cls, path: Path, gpu: int | None = None) -> VectorIndex:
        """Read an index.

        Raises:
            IndexDamaged: it cannot be read.
        """
        try:
            return cls(faiss_module().read_index(str(path)), gpu)
        except RuntimeError as error:
            raise IndexDamaged(f"{path} cannot be read ({error})") from error

    @classmethod
    def build(cls, vectors: NDArray[np.float32], key: str, gpu: int | None = None) -> VectorIndex:
        """Train and fill an index.

        Args:
            vectors: (N, D) float32, unit rows.
            key: in FAISS's notation: `Flat`, `IVF256,Flat`, `HNSW32` …
            gpu: the number of the GPU to build and search on, or None.

        Raises:
            InvalidArgument: a key that FAISS does not know, or that these vectors do not fit.
        """
        faiss = faiss_module()
        vectors = np.ascontiguousarray(vectors, np.float32)
        try:
            index = faiss.index_factory(vectors.shape[1], key, faiss.METRIC_INNER_PRODUCT)
            index = index if gpu is None else _on_gpu(index, gpu)
            if not index.is_trained:
                index.train(vectors)
            index.add(vectors)
        except RuntimeError as error:
            reason = str(error).strip().split("\n")[-1]
            raise InvalidArgument(
                f"FAISS cannot build {key!r} over {len(vectors)} vectors ({reason})",
                hint="give --index Flat, which is exact and always fits, or another FAISS key",
            ) from error
        return cls(index if gpu is None else faiss.index_gpu_to_cpu(index), gpu)


def measured_recall(index: VectorIndex, vectors: NDArray[np.float32], k: int = 10) -> float:
    """Share of the true k nearest that an index finds, over a sample of at most 200 vectors.

    A hit counts when it is as similar as the true k-th neighbour, so that ties, of which
    tiles stored twice make many, are not held against the index.
    """
    k = min(k, len(vectors))
    sample = np.linspace(0, len(vectors) - 1, min(200, len(vectors))).astype(np.int64)
    found, _ = index.search(vectors[sample], k)
    # Against plain arithmetic, not against FAISS itself.
    true = np.sort(vectors[sample] @ vectors.T, axis=1)[:, -k]
    return float((found >= true[:, None] - 1e-5).mean())


def clusters_of(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.int64]:
    """Cluster unit vectors by spherical k-means.

    Args:
        vectors: (N, D) float32.
        count: how many clusters.
        seed: of the starts; the best of five counts.

    Returns:
        (N,) cluster numbers.
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


def usable_gpu(device: str) -> int | None:
    """The number of the GPU that FAISS can use on this device, or None for the CPU."""
    kind, _, number = device.partition(":")
    count = faiss_module().get_num_gpus() if kind == "cuda" else 0
    return int(number or 0) if int(number or 0) < count else None


def faiss_module() -> Any:
    """FAISS, imported when it is first needed.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise MissingPackage(
            "this command needs FAISS, which is not installed",
            hint="pip install faiss-gpu (Linux x86-64), or faiss-cpu elsewhere",
        ) from error
    return faiss


def _on_gpu(index: Any, gpu: int) -> Any:
    faiss = faiss_module()
    resources = faiss.StandardGpuResources()
    on_gpu = faiss.index_cpu_to_gpu(resources, gpu, index)
    on_gpu.resources = resources  # they must live as long as the index does
    return on_gpu
