"""Search in unit vectors with a FAISS index, on the CPU or on a GPU."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import IndexDamaged, ran_out_of_memory
from rsretrieve.index.vectors.faiss_checks import read_checked
from rsretrieve.index.vectors.faiss_loader import (
    MOST_ON_GPU,
    bytes_a_vector,
    faiss_module,
    inverted_lists_of,
    last_line,
    on_gpu,
)
from rsretrieve.index.vectors.fit import (
    build_faiss_index,
    centroid_similarities,
    update_rows,
)

_RERANKED = 1 << 25  # numbers gathered at once to rank candidates again: 128 MiB
RERANK = "rerank"


@dataclass(frozen=True)
class SearchParameter:
    """The parameter by which a search trades time for recall.

    Attributes:
        name: FAISS's.
        most: the highest value that still changes anything.
    """

    name: str
    maximum: int


class VectorIndex:
    """A FAISS index over unit vectors with the inner product, which is the cosine.

    Args:
        cpu_index: the FAISS index, in its form for the CPU.
        gpu: the number of the GPU to search on where it can, or None.
        stored: (N, D) the vectors themselves, by which candidates are ranked again.
        parameters: of search, as `adjust` takes them.
    """

    def __init__(
        self,
        cpu_index: Any,
        gpu: int | None = None,
        stored: NDArray[np.float32] | None = None,
        parameters: dict[str, int] | None = None,
    ) -> None:
        self.cpu_index, self._stored = cpu_index, stored
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
        """Whether a GPU searches: not every kind of index has a form for it."""
        return self._gpu_index is not None

    @property
    def is_exact(self) -> bool:
        """Whether it goes through every vector as it is."""
        faiss = faiss_module()
        return isinstance(faiss.downcast_index(self.cpu_index), faiss.IndexFlat)

    @property
    def is_lossy(self) -> bool:
        """Whether it holds less of a vector than there is."""
        return bytes_a_vector(self.cpu_index) < 4 * self.dimensions

    @property
    def search_parameter(self) -> SearchParameter | None:
        """What trades time for recall, or None where nothing does."""
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
        """Set a parameter of search: `nprobe`, `efSearch`, or `rerank`.

        `rerank` r makes a search take r·k candidates, of which the k most similar by the
        stored vectors are the hits.
        """
        self.parameters[name] = value
        if name == RERANK:
            return
        faiss = faiss_module()
        faiss.ParameterSpace().set_index_parameter(self.cpu_index, name, value)
        if name == "nprobe" and value > MOST_ON_GPU:
            self._gpu_index = None  # it was measured on a CPU, and searches more than a GPU can
        if self._gpu_index is not None:
            faiss.GpuParameterSpace().set_index_parameter(self._gpu_index, name, value)

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
        queries = np.ascontiguousarray(queries, np.float32)
        k = min(k, len(self))
        rerank = self.parameters.get(RERANK, 1) if self._stored is not None else 1
        similarities, rows = self._candidates(queries, min(k * rerank, len(self)))
        if rerank > 1:
            similarities = self._exact_similarities(queries, rows)
        if (similarities[:, :-1] > similarities[:, 1:]).all():  # no ties to put in order
            return similarities[:, :k], rows[:, :k]
        order = np.lexsort((rows, -similarities), axis=1)[:, :k]
        return np.take_along_axis(similarities, order, 1), np.take_along_axis(rows, order, 1)

    def _candidates(
        self, queries: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        index = self.cpu_index
        if self._gpu_index is not None and count <= MOST_ON_GPU:
            index = self._gpu_index
        try:
            similarities, rows = index.search(queries, count)
        except RuntimeError as error:
            if index is not self.cpu_index or ran_out_of_memory(error):
                raise
            raise IndexDamaged(
                f"its FAISS index cannot be searched ({last_line(error)})"
            ) from error
        rows[rows >= len(self)] = -1  # of a damaged index; none that we build has such
        return similarities, rows

    def _exact_similarities(
        self, queries: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The similarities of rows (Q, C) by the stored vectors; of row −1, the lowest there is."""
        similarities = np.empty(rows.shape, np.float32)
        stored: Any = self._stored
        block = max(1, _RERANKED // max(1, rows.shape[1] * self.dimensions))
        for start in range(0, len(rows), block):
            part = slice(start, start + block)
            vectors = stored[np.maximum(rows[part], 0)]
            similarities[part] = np.einsum("qd,qcd->qc", queries[part], vectors)
        similarities[rows < 0] = np.finfo(np.float32).min
        return similarities

    def reconstruct(self) -> NDArray[np.float32] | None:
        """(N, D) the vectors as the index holds them, or None where it holds less, or cells."""
        if not self.is_exact:
            return None
        vectors: NDArray[np.float32] = self.cpu_index.reconstruct_n(0, len(self))
        return vectors

    def centroid_similarities(self, vectors: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The similarity of vectors to the centres of their cells, (N,); None without cells."""
        return centroid_similarities(self.cpu_index, vectors)

    def update_rows(self, origin: NDArray[np.int64], vectors: NDArray[np.float32]) -> bool:
        """Bring it up to date as `vector_building.renumber` does, which see."""
        return update_rows(self.cpu_index, origin, vectors)

    def write(self, path: Path) -> None:
        """Write the index, in its form for the CPU.

        Raises:
            OSError: there is no room, or no permission.
        """
        try:
            faiss_module().write_index(self.cpu_index, str(path))
        except RuntimeError as error:  # FAISS has no other
            reason = last_line(error)
            in_brackets = reason.rpartition("(")[2].rstrip(")")  # the system's own words
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
            gpu: as of the class.
            stored: as of the class.
            parameters: as of the class.
            mapped: leave its vectors in the file, of which a search then reads what it needs.

        Raises:
            ValueError: it cannot be read.
        """
        faiss = faiss_module()
        flags = getattr(faiss, "IO_FLAG_MMAP_IFC", 0) if mapped else 0  # since FAISS 1.11
        try:
            return cls(read_checked(faiss, path, flags, stored), gpu, stored, parameters)
        except (RuntimeError, OSError) as error:
            raise ValueError(f"cannot be read ({last_line(error)})") from error

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
        return cls(build_faiss_index(vectors, key, gpu), gpu, vectors)
