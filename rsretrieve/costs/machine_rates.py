"""Measure in a few seconds how fast this machine indexes and searches vectors."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve._core.knn import knn_search
from rsretrieve.index.external.table_rows import numbered_ids, table_of
from rsretrieve.index.store.tile_table import write_table
from rsretrieve.index.vectors.choose_kind import HNSW_LINKS
from rsretrieve.index.vectors.coarse_graph import FILLING_EFFORT
from rsretrieve.index.vectors.faiss_loader import faiss_module, inverted_lists_of, new_index
from rsretrieve.index.vectors.tune import COMPARED_BLOCK, SAMPLED

TRAINING_ITERATIONS = 10  # of the k-means that finds cells; FAISS's own number
_VECTORS, _CELLS = 32_768, 1024
_ROWS, _FILE_BYTES = 20_000, 1 << 26
_ASKED = 200
_TRAINED = 256  # vectors: as many as a product quantizer has centroids


@dataclass(frozen=True)
class MachineRates:
    """What the steps of an index take on this machine, for vectors of one length.

    Rates are seconds of processor time, which other programs change little; only `write_s` is
    measured by the clock.

    Attributes:
        dimensions: D.
        cores: how many cores the measurement got: processor time by the clock's.
        compare_s: to compare a vector with a centroid when vectors are assigned to cells.
        train_s: the same while centroids are trained, with all that training takes besides.
        graph_s: to find the cell of an added vector by a graph over 1024 centroids.
        codebook_s: to train the code of the kind, by the code.
        encode_s: to store a vector in its cell, by the code of the kind (Flat, SQ8, PQ64 …).
        scan_s: to compare a query with a stored code, by the code of the kind.
        exact_s: to compare a vector with the 400 vectors that measure the recall.
        norm_s: to read a vector and check its length.
        row_s, row_bytes: to write a row of the table of tiles, and its size on disk.
        write_s: to write a byte and flush it, by the clock.
        write_processor_s: the same, of processor time.
        digest_s: to compute a byte's share of a checksum.
    """

    dimensions: int
    cores: float
    compare_s: float
    train_s: float
    graph_s: float
    codebook_s: dict[str, float]
    encode_s: dict[str, float]
    scan_s: dict[str, float]
    exact_s: float
    norm_s: float
    row_s: float
    row_bytes: float
    write_s: float
    digest_s: float
    write_processor_s: float = 0.0

    def on_one_core(self, processor_s: float) -> float:
        """Seconds by the clock of work that one thread does."""
        return processor_s / min(1.0, self.cores)


def measure_machine(dimensions: int, codes: tuple[str, ...]) -> MachineRates:
    """Measure the rates.

    Args:
        dimensions: D of the vectors.
        codes: how vectors are stored, in FAISS's notation: `Flat`, `SQ8`, `PQ64`, `RaBitQ` …

    Returns:
        The rates, with all threads that FAISS uses.
    """
    faiss = faiss_module()
    started, processor = time.perf_counter(), time.process_time()
    vectors = _some_vectors(dimensions)
    cells = new_index(f"IVF{_CELLS},Flat", dimensions)
    cells.cp.min_points_per_centroid = 1
    training = _seconds(lambda: cells.train(vectors[: 16 * _CELLS]), once=True)
    compared = len(vectors) * _CELLS
    compare = _seconds(lambda: cells.quantizer.search(vectors, 1)) / compared
    rates = {code: _code_rates(vectors, code, compare) for code in codes}
    graph = faiss.IndexHNSWFlat(dimensions, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.add(vectors[:_CELLS])
    graph.hnsw.efSearch = FILLING_EFFORT
    exact = _seconds(lambda: knn_search(vectors[:SAMPLED], vectors, 10, None, COMPARED_BLOCK))
    cores = (time.process_time() - processor) / (time.perf_counter() - started)
    with tempfile.TemporaryDirectory(prefix="rsretrieve-rates-") as made:
        row_s, row_bytes = _table_rates(Path(made))
        write, write_processor, digest = _file_rates(Path(made) / "bytes")
    return MachineRates(
        dimensions=dimensions,
        cores=max(cores, 0.01),
        compare_s=compare,
        train_s=training / (TRAINING_ITERATIONS * 16 * _CELLS * _CELLS),
        graph_s=_seconds(lambda: graph.search(vectors[:4096], 1)) / 4096,
        codebook_s={code: codebook for code, (codebook, _, _) in rates.items()},
        encode_s={code: encode for code, (_, encode, _) in rates.items()},
        scan_s={code: scan for code, (_, _, scan) in rates.items()},
        exact_s=exact / len(vectors),
        norm_s=_seconds(lambda: _lengths(vectors)) / len(vectors),
        row_s=row_s,
        row_bytes=row_bytes,
        write_s=write,
        digest_s=digest,
        write_processor_s=write_processor,
    )


def _some_vectors(dimensions: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).standard_normal((_VECTORS, dimensions), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _seconds(
    work: Callable[[], Any],
    *,
    once: bool = False,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """The median of the processor time of three runs, or that of one."""
    taken = []
    for _ in range(1 if once else 3):
        started = clock()
        work()
        taken.append(clock() - started)
    return sorted(taken)[len(taken) // 2]


def _code_rates(
    vectors: NDArray[np.float32], code: str, compare: float
) -> tuple[float, float, float]:
    """Seconds to train a code, to store a vector, and to compare a query with a stored one."""
    cells = 16
    index = new_index(f"IVF{cells},{code}", vectors.shape[1])
    ivf: Any = inverted_lists_of(index)
    for part in (ivf, getattr(index, "pq", None)):  # FAISS warns on standard error of few points
        if part is not None:
            part.cp.min_points_per_centroid = 1
    index.train(vectors[:_TRAINED])
    adding = _seconds(lambda: index.add(vectors), once=True) / len(vectors)
    ivf.nprobe = cells // 2
    searching = _seconds(lambda: index.search(vectors[:_ASKED], 100)) / _ASKED
    scanned = len(vectors) / 2
    return _codebook_s(index), max(0.0, adding - cells * compare), searching / scanned


def _codebook_s(index: Any) -> float:
    """Seconds to train the code of an index; only product quantizers need long.

    Their k-means is run for one part of the vectors, with as many of them as FAISS takes, and
    counted for each part.
    """
    quantizer = getattr(index, "pq", None)
    if quantizer is None:
        return 0.0
    one = faiss_module().ProductQuantizer(quantizer.dsub, 1, quantizer.nbits)
    count = quantizer.cp.max_points_per_centroid * quantizer.ksub
    points = np.random.default_rng(0).standard_normal((count, quantizer.dsub), np.float32)
    return int(quantizer.M) * _seconds(lambda: one.train(points), once=True)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(np.asarray(vectors, np.float64), axis=1))


def _table_rates(folder: Path) -> tuple[float, float]:
    """Seconds and bytes a row of the table of tiles."""
    path = folder / "tiles.parquet"
    table = table_of({"id": numbered_ids(0, _ROWS)}, _ROWS)
    seconds = _seconds(lambda: write_table(path, table), once=True)
    return seconds / _ROWS, path.stat().st_size / _ROWS


def _file_rates(path: Path) -> tuple[float, float, float]:
    """Seconds to write a byte to the disk, by the clock and of a processor; and to digest it."""
    content = np.random.default_rng(0).bytes(_FILE_BYTES)

    def write() -> None:
        with path.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    processor = time.process_time()
    writing = _seconds(write, once=True, clock=time.perf_counter)
    processor = time.process_time() - processor
    digesting = _seconds(lambda: sha256_of_file(path))
    return writing / _FILE_BYTES, processor / _FILE_BYTES, digesting / _FILE_BYTES
