"""Kinds of index over many vectors: recall, bytes a vector, build seconds, query time, memory.

Unit vectors in clusters are written to a file. Each kind is built from it with its lists on the
disk, as `rsretrieve index` does it, tuned to the recall and written in a process of its own. It is
searched from its file, memory-mapped as `rsretrieve query` does it, one query at a time. Exact
neighbours of queries that no index holds give the recall.

    OMP_NUM_THREADS=2 python benchmarks/beyond_memory.py --count 1000000
    OMP_NUM_THREADS=2 python benchmarks/beyond_memory.py --count 10000000 --kinds RaBitQ
    OMP_NUM_THREADS=2 python benchmarks/beyond_memory.py --count 10000000 --kinds exact --asked 20
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from numpy.typing import NDArray
from speed.peak_memory import watched

from rsretrieve._core.knn import knn_search
from rsretrieve.index.vectors.choose_kind import cells_for, lists_key
from rsretrieve.index.vectors.tune import draw_sample, tune
from rsretrieve.index.vectors.vector_index import VectorIndex

Vectors = NDArray[np.float32]
BLOCK = 65_536
K = 10
KINDS = "exact,Flat,SQ8,PQ64,PQ32,PQ16,PQ64x4fsr,PQ32x4fsr,RaBitQ,RaBitQfs"


def blocks(count: int, dimensions: int, clusters: int, spread: float, seed: int) -> Any:
    """Blocks of unit vectors around centres."""
    centres = np.random.default_rng(0).standard_normal((clusters, dimensions), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        block = rng.standard_normal((size, dimensions), np.float32)
        block *= spread
        block += centres[rng.integers(0, clusters, size)]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
        yield start, block


def write_vectors(path: Path, count: int, dimensions: int, clusters: int, spread: float) -> None:
    """Write the vectors block by block: they need not fit into memory."""
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, dimensions))
    for start, block in blocks(count, dimensions, clusters, spread, seed=1):
        stored[start : start + len(block)] = block
    stored.flush()


def write_truth(folder: Path, queries: Vectors) -> None:
    """Write the queries and their exact neighbours.

    The vectors are mapped here only: the system forgets no file that a program has mapped.
    """
    vectors: Vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    np.save(folder / "asked.npy", queries)
    np.save(folder / "true.npy", knn_search(queries, vectors, K, gallery_block=16_384).rows)


def build(folder: Path, key: str, recall: float) -> dict[str, Any]:
    """Build one kind of index and describe it; runs in a process of its own."""
    vectors: Vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    started, cpu = time.perf_counter(), time.process_time()
    index = VectorIndex.build(vectors, key, lists_folder=folder)
    built = time.perf_counter() - started
    measured = tune(index, vectors, draw_sample(vectors), recall)
    path = folder / "index.faiss"
    index.write(path)
    return {
        "recall": measured,
        "search": index.parameters,
        "bytes": path.stat().st_size / len(vectors),
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "tuning": time.perf_counter() - started - built,
    }


def ask(folder: Path, search: dict[str, int]) -> dict[str, Any]:
    """Search the file of an index as a query does; runs in a process of its own."""
    vectors: Vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    asked, true = np.load(folder / "asked.npy"), np.load(folder / "true.npy")
    opened = time.perf_counter()
    index = VectorIndex.read(folder / "index.faiss", None, vectors, search, mapped=True)
    opened = time.perf_counter() - opened
    times, found = [], []
    for query in asked:
        started = time.perf_counter()
        found.append(index.search(query[None], K)[1][0])
        times.append(time.perf_counter() - started)
    shared = [len(set(a.tolist()) & set(b.tolist())) / K for a, b in zip(found, true)]
    return {
        "held_out": float(np.mean(shared)),
        "ms": 1e3 * float(np.median(times)),
        "ms95": 1e3 * float(np.quantile(times, 0.95)),
        "opening": opened,
    }


def in_process(*arguments: object) -> dict[str, Any]:
    """The JSON that this program prints when called with arguments, and its `peak` in bytes.

    The peak is of memory that the system cannot take back: pages of mapped files do not count.
    """
    out, peak = watched([sys.executable, __file__, *map(str, arguments)])
    return {**json.loads(out), "peak": peak.own}


def forget(path: Path) -> None:
    """Drop a file from the system's cache, so that it is read from the disk."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def row(kind: str, built: dict[str, Any], warm: dict[str, Any], cold: dict[str, Any]) -> str:
    """A row of the table."""
    cells = [
        kind,
        " ".join(f"{name} {value}" for name, value in built["search"].items()) or "–",
        f"{built['recall']:.3f}",
        f"{warm['held_out']:.3f}",
        f"{built['bytes']:.1f}",
        f"{built['seconds']:.1f}",
        f"{built['cpu']:.1f}",
        f"{built['tuning']:.1f}",
        f"{built['peak'] / 1e6:.0f}",
        f"{warm['peak'] / 1e6:.0f}",
        f"{warm['ms']:.2f}",
        f"{cold['ms']:.2f}",
        f"{cold['ms95']:.2f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main(
    count: Annotated[int, typer.Option(help="How many vectors.")] = 1_000_000,
    dimensions: Annotated[int, typer.Option()] = 128,
    clusters: Annotated[int, typer.Option()] = 200,
    spread: Annotated[float, typer.Option(help="Deviation in every dimension.")] = 0.05,
    recall: Annotated[float, typer.Option()] = 0.95,
    kinds: Annotated[str, typer.Option(help="Codes of the vectors, by FAISS's names.")] = KINDS,
    asked: Annotated[int, typer.Option(min=1, help="Queries that are searched for.")] = 200,
    folder: Annotated[Path | None, typer.Option(help="Where the files are made.")] = None,
    part: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print a table of kinds."""
    if part and folder is not None:
        step, _, rest = part.partition(":")
        done = build(folder, rest, recall) if step == "build" else ask(folder, json.loads(rest))
        print(json.dumps(done))
        return
    print(f"{count} unit vectors of {dimensions} in {clusters} clusters, deviation {spread}")
    print(f"{faiss.omp_get_max_threads()} threads, FAISS {faiss.__version__}")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        where = Path(made)
        write_vectors(where / "vectors.npy", count, dimensions, clusters, spread)
        started = time.perf_counter()
        write_truth(where, next(blocks(asked, dimensions, clusters, spread, seed=2))[1])
        print(f"exact neighbours of {asked} queries: {time.perf_counter() - started:.0f} s")
        print(
            "| kind | search | recall@10 | of others | bytes a vector | build s | CPU s | tuning s "
            "| peak MB, building | peak MB, searching | query ms | cold ms | cold ms, 95% |"
        )
        print("|" + "---|" * 13, flush=True)
        for kind in kinds.split(","):
            key = "Flat" if kind == "exact" else f"{lists_key(cells_for(count))},{kind}"
            shared = ("--folder", where, "--recall", recall, "--part")
            built = in_process(*shared, f"build:{key}")
            for name in ("vectors.npy", "index.faiss"):
                forget(where / name)
            cold = in_process(*shared, f"ask:{json.dumps(built['search'])}")
            warm = in_process(*shared, f"ask:{json.dumps(built['search'])}")
            print(row(key, built, warm, cold), flush=True)


if __name__ == "__main__":
    typer.run(main)
