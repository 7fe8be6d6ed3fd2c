"""How well `rsretrieve explain` predicts what indexing given embeddings really takes.

For each number of vectors: measures the machine, predicts, writes unit vectors in clusters, runs
`rsretrieve index --from-embeddings` in a process of its own, and compares processor seconds,
seconds by the clock, peak memory (without pages of files) and bytes on disk. Processor seconds are
those of the manifest.

    python benchmarks/cost_predictions.py --counts 100000,1000000
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from speed.peak_memory import watched

from rsretrieve.costs.explanation import CostQuestion, explain_costs
from rsretrieve.index.store.manifest import read_manifest
from rsretrieve.index.vectors.choose_kind import IndexGoal

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


def indexed(source: Path, index: Path, arguments: list[str]) -> dict[str, Any]:
    """Run the program; its seconds, its cost, its peak memory and the size of its folder."""
    command = [sys.executable, "-m", "rsretrieve", "index", "--from-embeddings", str(source)]
    command += ["--output", str(index), "--json", "--quiet", *arguments]
    out, peak = watched(command)
    cost = read_manifest(index).cost
    return {
        **json.loads(out),
        "processor_seconds": cost["processor_seconds"],
        "peak": peak.own,
        "disk": sum(path.stat().st_size for path in index.iterdir()),
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
        goal = IndexGoal(memory_bytes=int(float(memory.removesuffix("GB")) * 1e9))
        question = CostQuestion((count,), dimensions, goal)
        with tempfile.TemporaryDirectory(dir=folder) as made:
            source, index = Path(made, "vectors.npy"), Path(made, "index")
            write_vectors(source, count, dimensions)
            said = explain_costs(question).predictions[0]
            real = indexed(source, index, ["--memory", memory])
        for name, predicted, found in (
            ("processor seconds", said.processor_seconds, real["processor_seconds"]),
            ("seconds by the clock", said.total_seconds, real["seconds"]),
            ("peak memory, MB", said.memory_bytes / 1e6, real["peak"] / 1e6),
            ("bytes on disk, MB", said.disk_bytes / 1e6, real["disk"] / 1e6),
        ):
            cells = f"{predicted:.1f} | {found:.1f} | {predicted / found:.2f}"
            print(f"| {count:,} | {real['faiss_key']} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
