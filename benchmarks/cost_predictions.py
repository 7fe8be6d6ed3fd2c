"""How well `rsretrieve explain` predicts what indexing given embeddings really takes.

For each number of vectors: writes unit vectors in clusters, runs `rsretrieve explain` and then
`rsretrieve index --from-embeddings`, and compares processor seconds and seconds by the clock of the
whole command, peak memory (without pages of files) and bytes on disk.

    python benchmarks/cost_predictions.py --counts 100000,1000000
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from speed.peak_memory import watched

BLOCK = 65_536


def write_vectors(path: Path, count: int, dimensions: int) -> None:
    """Unit vectors in 200 clusters, block by block."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((200, dimensions), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(count, dimensions))
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        block = 0.05 * rng.standard_normal((size, dimensions), np.float32)
        block += centres[rng.integers(0, 200, size)]
        stored[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    stored.flush()


def program(*arguments: object) -> list[str]:
    """The command line of the program."""
    return [sys.executable, "-m", "rsretrieve", *map(str, arguments), "--json", "--quiet"]


def predicted(count: int, dimensions: int, memory: str) -> dict[str, float]:
    """What `rsretrieve explain` says: a value for each quantity."""
    asked = ("--at-scale", count, "--dimensions", dimensions, "--memory", memory)
    said = subprocess.run(
        program("explain", *asked, "--commands", "index"),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    one = json.loads(said.stdout)["predictions"][0]
    return {
        "processor seconds": one["processor_seconds"],
        "seconds by the clock": one["seconds"],
        "peak memory, MB": one["memory_bytes"] / 1e6,
        "bytes on disk, MB": one["disk_bytes"] / 1e6,
    }


def indexed(source: Path, index: Path, memory: str) -> tuple[str, dict[str, float]]:
    """The kind of index that the program makes, and what it really takes."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    given = ("--from-embeddings", source, "--output", index, "--memory", memory)
    out, peak = watched(program("index", *given))
    seconds, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return json.loads(out)["faiss_key"], {
        "processor seconds": now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime,
        "seconds by the clock": seconds,
        "peak memory, MB": peak.own / 1e6,
        "bytes on disk, MB": sum(path.stat().st_size for path in index.iterdir()) / 1e6,
    }


def main(
    counts: Annotated[str, typer.Option(help="Numbers of vectors.")] = "100000,1000000",
    dimensions: Annotated[int, typer.Option()] = 128,
    memory: Annotated[str, typer.Option(help="What the index may take.")] = "1GB",
    folder: Annotated[Path | None, typer.Option(help="Where the files are made.")] = None,
) -> None:
    """Print predicted and real costs, and their ratio."""
    print("| vectors | index type | what | predicted | real | predicted / real |")
    print("|---|---|---|---|---|---|")
    for count in map(int, counts.split(",")):
        with tempfile.TemporaryDirectory(dir=folder) as made:
            source = Path(made, "vectors.npy")
            write_vectors(source, count, dimensions)
            said = predicted(count, dimensions, memory)
            key, real = indexed(source, Path(made, "index"), memory)
        for name, found in real.items():
            cells = f"{said[name]:.1f} | {found:.1f} | {said[name] / found:.2f}"
            print(f"| {count:,} | {key} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
