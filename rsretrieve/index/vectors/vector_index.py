"""Search unit vectors with a FAISS index, on the CPU or on a GPU."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve.errors import IndexDamaged, ran_out_of_memory
from rsretrieve.index.vectors.coarse_graph import visit_for_search
from rsretrieve.index.vectors.faiss_checks import read_checked
from rsretrieve.index.vectors.faiss_loader import (
    MOST_ON_GPU,
    bytes_a_vector,
    faiss_module,
    inverted_lists_of,
    is_compressed,
    last_line,
    on_gpu,
)
from rsretrieve.index.vectors.fit import (
    Fill,
    build_faiss_index,
    centroid_similarities,
    update_rows,
)
from rsretrieve.index.vectors.named_files import refuse_named_files
from rsretrieve.index.vectors.read_ahead import MOST_ROWS, read_ahead

RERANKED = 1 << 25  # numbers gathered at once for reranking: 128 MiB
RERANK = "rerank"


@dataclass(frozen=True)
class SearchParameter:
    """The FAISS parameter that trades search time for recall.

    Attributes:
        name: `nprobe` or `efSearch`.
        maximum: the highest value that has an effect.
    """

    name: str
    maximum: int


class VectorIndex:
    """A FAISS index of unit vectors; the inner product is the cosine similarity.

    Args:
        cpu_index: the FAISS index on the CPU.
        gpu: the number of the GPU to search on if it can hold the index, or None.
        stored: (N, D) float32, the vectors themselves, for reranking.
        parameters: search parameters; see `set_parameter`.
    """

    def __init__(
        self,
        cpu_index: Any,
        gpu: int | None = None,
        stored: NDArray[np.float32] | None = None,
        parameters: dict[str, int] | None = None,
    ) -> None:
        self.cpu_index, self._stored = cpu_index, stored
        visit_for_search(cpu_index)
        self._gpu_index = None
        if gpu is not None:
            size = cpu_index.ntotal * bytes_a_vector(cpu_index)
            self._gpu_index = on_gpu(cpu_index, gpu, size, exact=False)
        self.parameters: dict[str, int] = {}
        for name, value in (parameters or {}).items():
            self.set_parameter(name, value)

    def __len__(self) -> int:
        return int(self.cpu_index.ntotal)

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.cpu_index.d)

    @property
    def runs_on_gpu(self) -> bool:
        """Whether a GPU searches; not every kind of index can run on one."""
        return self._gpu_index is not None

    @property
    def is_exact(self) -> bool:
        """Whether a search compares every vector, uncompressed."""
        faiss = faiss_module()
        return isinstance(faiss.downcast_index(self.cpu_index), faiss.IndexFlat)

    @property
    def is_lossy(self) -> bool:
        """Whether the index compresses vectors."""
        return is_compressed(self.cpu_index)

    @property
    def search_parameter(self) -> SearchParameter | None:
        """The parameter that trades time for recall, or None if there is none."""
        ivf = inverted_lists_of(self.cpu_index)
        if ivf is not None:
            maximum = int(ivf.nlist)
            return SearchParameter(
                "nprobe", min(maximum, MOST_ON_GPU) if self.runs_on_gpu else maximum
            )
        if hasattr(faiss_module().downcast_index(self.cpu_index), "hnsw"):
            return SearchParameter("efSearch", min(len(self), 4096))
        return None

    def set_parameter(self, name: str, value: int) -> None:
        """Set a search parameter. A graph that finds cells is searched as widely as `nprobe` needs.

        Args:
            name: `nprobe`, `efSearch` or `rerank`. With `rerank` r, a search takes r·k candidates
                and returns the k that are most similar by the stored vectors.
            value: at least 1.
        """
        self.parameters[name] = value
        if name == RERANK:
            return
        faiss = faiss_module()
        faiss.ParameterSpace().set_index_parameter(self.cpu_index, name, value)
        visit_for_search(self.cpu_index)
        if name == "nprobe" and value > MOST_ON_GPU:
            self._gpu_index = None  # chosen for a CPU, and beyond the limit of a GPU
        if self._gpu_index is not None:
            faiss.GpuParameterSpace().set_index_parameter(self._gpu_index, name, value)

    def search(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the nearest vectors of each query.

        Args:
            queries: (Q, D) float32, unit rows.
            k: number of neighbours.

        Returns:
            Similarities (Q, k') float32, falling, and rows (Q, k') int64, with k' = min(k, N);
            equal similarities are in the order of rows. An approximate index that finds fewer
            pads with row −1.

        Raises:
            IndexDamaged: FAISS cannot search the index.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        k = min(k, len(self))
        rerank = self.parameters.get(RERANK, 1) if self._stored is not None else 1
        similarities, rows = self._candidates(queries, min(k * rerank, len(self)))
        if rerank > 1:
            similarities = self._exact_similarities(queries, rows)
        if (similarities[:, :-1] > similarities[:, 1:]).all():  # no ties to order
            return similarities[:, :k], rows[:, :k]
        order = np.lexsort((rows, -similarities), axis=1)[:, :k]
        return np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1)

    def _candidates(
        self, queries: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        if self._gpu_index is not None and count <= MOST_ON_GPU:
            try:
                similarities, rows = self._gpu_index.search(queries, count)
            except RuntimeError:  # another program filled its memory: the same index is here
                self._gpu_index = None
                return self._candidates(queries, count)
            rows[rows >= len(self)] = -1  # only in a damaged index
            return similarities, rows
        try:
            similarities, rows = self.cpu_index.search(queries, count)
        except RuntimeError as error:
            if ran_out_of_memory(error):
                raise
            raise IndexDamaged(
                f"its FAISS index cannot be searched ({last_line(error)})"
            ) from error
        rows[rows >= len(self)] = -1
        return similarities, rows

    def _exact_similarities(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(Q, C) float32, similarities by the stored vectors; row −1 has the lowest float."""
        similarities = np.empty(rows.shape, np.float32)
        stored: Any = self._stored
        most = RERANKED // self.dimensions
        if rows.size > MOST_ROWS and stored.nbytes > available_bytes():
            # Each row is read from the disk: with megabytes around it, if nobody says which ones.
            most = MOST_ROWS
        block = max(1, most // max(1, rows.shape[1]))
        for start in range(0, len(rows), block):
            part = slice(start, start + block)
            read_ahead(stored, rows[part])
            vectors = stored[np.maximum(rows[part], 0)]
            similarities[part] = np.einsum("qd,qcd->qc", queries[part], vectors)
        similarities[rows < 0] = np.finfo(np.float32).min
        return similarities

    def reconstruct(self) -> NDArray[np.float32] | None:
        """(N, D) float32, the vectors of an exact index; None for any other kind."""
        if not self.is_exact:
            return None
        vectors: NDArray[np.float32] = self.cpu_index.reconstruct_n(0, len(self))
        return vectors

    def centroid_similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The similarity of vectors to the centroids of their cells; see `fit`."""
        try:
            return centroid_similarities(self.cpu_index, vectors)
        finally:
            visit_for_search(self.cpu_index)

    def update_rows(self, origin: NDArray[np.int64], vectors: NDArray[np.float32]) -> bool:
        """Update the index in place; see `rsretrieve.index.vectors.fit.update_rows`."""
        try:
            return update_rows(self.cpu_index, origin, vectors)
        finally:
            visit_for_search(self.cpu_index)

    def write(self, path: Path) -> None:
        """Write the index to a file.

        Raises:
            OSError: the disk is full, or the folder is read-only.
        """
        try:
            faiss_module().write_index(self.cpu_index, str(path))
        except RuntimeError as error:  # the only kind of error that FAISS raises
            reason = last_line(error)
            in_brackets = reason.rpartition("(")[2].rstrip(
                ")"
            )  # the message of the operating system
            raise OSError(errno.EIO, in_brackets or reason, str(path)) from error

    @classmethod
    def read(
        cls,
        path: Path,
        gpu: int | None = None,
        stored: NDArray[np.float32] | None = None,
        parameters: dict[str, int] | None = None,
        *,
        mapped: bool = False,
    ) -> VectorIndex:
        """Read an index.

        Args:
            path: the file.
            gpu: see the class.
            stored: see the class.
            parameters: see the class.
            mapped: memory-map the file instead of reading it.

        Raises:
            ValueError: the file cannot be read, names another file, or is inconsistent.
        """
        faiss = faiss_module()
        flags = getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if mapped else 0  # since FAISS 1.11
        try:
            refuse_named_files(path)
            index = read_checked(faiss, path, flags, stored)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"cannot be read ({last_line(error)})") from error
        return cls(index, gpu, stored, parameters)

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        key: str,
        gpu: int | None = None,
        fill: Fill | None = None,
        lists_folder: Path | None = None,
    ) -> VectorIndex:
        """Train and fill an index.

        Args:
            vectors: (N, D) float32, unit rows.
            key: kind of index in FAISS's notation: `Flat`, `IVF256,Flat`, `HNSW32` …
            gpu: the number of the GPU to build and search on, or None.
            fill: see `build_faiss_index`.
            lists_folder: see `build_faiss_index`.

        Raises:
            InvalidArgument: FAISS does not know the key, or cannot build it from these vectors.
        """
        return cls(build_faiss_index(vectors, key, gpu, fill, lists_folder), gpu, vectors)
