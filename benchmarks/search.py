"""How an index of many vectors is built and searched, beside FAISS called by hand, in one run.

Unit vectors in clusters are written to a file, indexed by `rsretrieve index --from-embeddings`
in a process of its own (whose peak memory is printed), and asked by vectors of the same
clusters that it does not hold. FAISS by hand is `read_index`, the same parameters, `search`.
On a GPU, where FAISS sees one, the same index and an exact one are searched there, too.

    OMP_NUM_THREADS=2 python benchmarks/search.py --count 1000000
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from numpy.typing import NDArray

from rsretrieve.index.store.folder import IndexStore, open_index
from rsretrieve.index.store.manifest import FAISS_FILE
from rsretrieve.index.vectors.faiss_loader import MOST_ON_GPU
from rsretrieve.index.vectors.vector_index import VectorIndex

Vectors = NDArray[np.float32]
BLOCK = 65_536
K = 10


def clustered(count: int, centres: Vectors, spread: float, seed: int) -> Vectors:
    """Unit vectors around centres; `spread` is the noise's deviation in every dimension."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((count, centres.shape[1]), np.float32)
    for start in range(0, count, BLOCK):
        block = vectors[start : start + BLOCK]
        rng.standard_normal(out=block, dtype=np.float32)
        block *= spread
        block += centres[rng.integers(0, len(centres), len(block))]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return vectors


def built(source: Path, index: Path, arguments: list[str]) -> tuple[dict[str, Any], float]:
    """The summary of the program run on a file of vectors, and its peak memory in bytes."""
    command = [sys.executable, "-m", "rsretrieve", "index", "--from-embeddings", str(source)]
    command += ["--output", str(index), "--json", *arguments]
    print("$", " ".join(["rsretrieve", *command[3:]]))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    print(f"CPU time of the build {usage.ru_utime + usage.ru_stime:.0f} s")
    return json.loads(out), usage.ru_maxrss * 1024.0


def fastest(*searches: Callable[[], Any], rounds: int = 7) -> list[tuple[float, float]]:
    """The least wall time and the least CPU time of each, taken by turns."""
    times: list[list[tuple[float, float]]] = [[] for _ in searches]
    for _ in range(rounds):
        for search, taken in zip(searches, times):
            wall, cpu = time.perf_counter(), time.process_time()
            search()
            taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return [(min(wall for wall, _ in t), min(cpu for _, cpu in t)) for t in times]


def exact_neighbours(vectors: Vectors, queries: Vectors) -> NDArray[np.int64]:
    """(Q, 10) by plain arithmetic."""
    best = np.empty((len(queries), 0), np.float32)
    rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(vectors), BLOCK):
        similarities = queries @ vectors[start : start + BLOCK].T
        found = np.argpartition(-similarities, K, axis=1)[:, :K]
        rows = np.concatenate((rows, found + start), axis=1)
        best = np.concatenate((best, np.take_along_axis(similarities, found, 1)), axis=1)
        order = np.argsort(-best, axis=1)[:, :K]
        best = np.take_along_axis(best, order, 1)
        rows = np.take_along_axis(rows, order, 1)
    return rows


def shared(found: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Share of the true neighbours that are among those found."""
    return float(np.mean([len(set(a) & set(b)) / K for a, b in zip(found, true)]))


def by_hand(store: IndexStore) -> Any:
    """The index as a user of FAISS would open it."""
    index = faiss.read_index(str(store.folder / FAISS_FILE))
    for name in ("nprobe", "efSearch"):
        if name in store.manifest.search:
            faiss.ParameterSpace().set_index_parameter(index, name, store.manifest.search[name])
    return index


def compare_search(store: IndexStore, queries: Vectors) -> None:
    """Print both speeds on the CPU, and their ratio."""
    ours, plain = store.open_vector_index(), by_hand(store)
    (our_wall, our_cpu), (wall, cpu) = fastest(
        lambda: ours.search(queries, K), lambda: plain.search(queries, K)
    )
    print(f"{len(queries)} queries in a batch, least of seven, wall (CPU):")
    print(f"  rsretrieve     {1e3 * our_wall:8.1f} ms ({1e3 * our_cpu:.1f} ms)")
    print(f"  FAISS by hand  {1e3 * wall:8.1f} ms ({1e3 * cpu:.1f} ms)")
    print(f"ratio of speed to FAISS by hand: {wall / our_wall:.3f} (CPU {cpu / our_cpu:.3f})")
    (one, _), (one_by_hand, _) = fastest(
        lambda: ours.search(queries[:1], K), lambda: plain.search(queries[:1], K)
    )
    print(f"one query: {1e3 * one:.2f} ms; by hand {1e3 * one_by_hand:.2f} ms")


def compare_gpu(store: IndexStore, vectors: Vectors, queries: Vectors) -> None:
    """Print, for the index and for an exact one, what a GPU gains and whether it agrees."""
    exact = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), BLOCK):
        exact.add(vectors[start : start + BLOCK])
    indexes = {"exact": exact, store.manifest.faiss_key: by_hand(store)}
    for name, index in indexes.items():
        parameters = dict(store.manifest.search) if index is not exact else {}
        if parameters.get("nprobe", 0) > MOST_ON_GPU:
            parameters["nprobe"] = MOST_ON_GPU
        cpu = VectorIndex(index, None, vectors, parameters)
        gpu = VectorIndex(index, 0, vectors, parameters)
        if not gpu.runs_on_gpu:
            print(f"{name}: the GPU cannot hold or run it")
            continue
        gpu.search(queries, K)
        (cpu_wall, _), (gpu_wall, _) = fastest(
            partial(cpu.search, queries, K),
            partial(gpu.search, queries, K),
            rounds=3,
        )
        agreeing = shared(gpu.search(queries, K)[1], cpu.search(queries, K)[1])
        print(
            f"{name} on the GPU: {1e3 * gpu_wall:.1f} ms, on the CPU {1e3 * cpu_wall:.1f} ms, "
            f"{cpu_wall / gpu_wall:.1f} times as fast; {agreeing:.4f} of the hits agree"
        )


def main(
    count: Annotated[int, typer.Option(help="How many vectors.")] = 1_000_000,
    dimensions: Annotated[int, typer.Option()] = 128,
    clusters: Annotated[int, typer.Option()] = 200,
    spread: Annotated[float, typer.Option(help="Deviation in every dimension.")] = 0.05,
    queries: Annotated[int, typer.Option(help="How many, in one batch.")] = 1_000,
    recall: Annotated[float, typer.Option()] = 0.95,
    memory: Annotated[str, typer.Option(help="What the index may take.")] = "1GB",
    key: Annotated[str, typer.Option(help="auto, or a FAISS key.")] = "auto",
    folder: Annotated[Path | None, typer.Option(help="Where the files are made.")] = None,
) -> None:
    """Print build time, peak memory, measured recall, and speed beside FAISS by hand."""
    print(f"{count} unit vectors of {dimensions} in {clusters} clusters, deviation {spread}")
    print(f"{faiss.omp_get_max_threads()} threads, {faiss.get_num_gpus()} GPUs")
    centres = clustered(clusters, np.zeros((1, dimensions), np.float32), 1.0, seed=0)
    asked = clustered(queries, centres, spread, seed=2)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        source, index = Path(made, "vectors.npy"), Path(made, "index")
        np.save(source, clustered(count, centres, spread, seed=1))
        arguments = ["--index", key, "--recall", str(recall), "--memory", memory]
        summary, peak = built(source, index, arguments)
        print(f"built {summary['faiss_key']} {summary['search']} in {summary['seconds']:.1f} s")
        print(f"peak memory of the build: {peak / 1e9:.2f} GB ({peak / 2**30:.2f} GiB)")
        print(f"predicted {summary['predicted_bytes'] / 1e6:.1f} MB, ", end="")
        print(f"is {(index / FAISS_FILE).stat().st_size / 1e6:.1f} MB")
        print(f"recall@10 as the manifest says: {summary['recall_at_10']:.4f}")
        store = open_index(index)
        true = exact_neighbours(store.vectors, asked)
        found = store.open_vector_index().search(asked, K)[1]
        print(f"recall@10 of {queries} queries that it does not hold: {shared(found, true):.4f}")
        compare_search(store, asked)
        if faiss.get_num_gpus():
            compare_gpu(store, store.vectors, asked)


if __name__ == "__main__":
    typer.run(main)
