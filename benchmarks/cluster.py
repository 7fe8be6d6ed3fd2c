"""How the embedding of tiles scales with the number of Ray processes on this machine.

    python benchmarks/cluster.py --tiles 5000 --workers 1,2,4 --folder WORK

Pictures are generated once. They are indexed by the local engine and by Ray with each number of
processes. Printed are the seconds of the embedding, the processor seconds of all processes that
embed, with their decoders, and the efficiency: the processor seconds of one process, divided by
those of several. The ids must be the same and all cosine similarities at least 0.9999.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading.cache_folder import LIMIT_VARIABLE
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.index.build import index_tiles
from rsretrieve.index.cluster import embed_on_cluster
from rsretrieve.index.cluster.cluster_options import ClusterOptions
from rsretrieve.index.reuse import IndexRun
from rsretrieve.index.store.folder import open_index
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.shipped.shipped_models import shipped_path

_IN_A_FOLDER = 1000


def write_tiles(folder: Path, count: int, side_px: int) -> None:
    """Write pictures of one colour each, with noise; those that are there stay."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // _IN_A_FOLDER:04}" / f"{number:07}.png"
        values = rng.integers(0, 255, 3) + rng.normal(0, 30, (side_px, side_px, 3))
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path)


def spent(
    model: Model, tiles: TileSet, index: Path, workers: int, shards: int
) -> tuple[float, float]:
    """Seconds, and processor seconds of all processes that embed, with their decoders."""
    found: list[embed_on_cluster.ClusterEmbeddings] = []

    def noting(
        run: IndexRun, parts: embed_on_cluster.ListedParts, folder: Path, options: ClusterOptions
    ) -> embed_on_cluster.ClusterEmbeddings:
        found.append(embed(run, parts, folder, options))
        return found[-1]

    embed = embed_on_cluster.embed_on_cluster
    with patch.object(embed_on_cluster, "embed_on_cluster", noting):
        options = ClusterOptions(shards=shards, workers=workers, device="cpu")
        index_tiles(model, tiles, index, RunContext(), overwrite=True, cluster=options)
    return found[0].seconds, found[0].processor_s


def least_cosine(one: Path, other: Path) -> float:
    """The least similarity of the same tile in two indexes, whose ids must be the same."""
    a, b = open_index(one), open_index(other)
    if a.rows.column("id") != b.rows.column("id"):
        raise SystemExit("the ids differ")
    return float(np.sum(a.vectors * b.vectors, axis=1).min())


def main() -> None:
    """Generate tiles, index them with each number of processes, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=5000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--model", type=Path, help="A model folder; the model that ships.")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    os.environ[LIMIT_VARIABLE] = "0"
    write_tiles(given.folder / "tiles", given.tiles, given.side)
    tiles = find_tiles(given.folder / "tiles")
    folder = given.model or shipped_path("default")
    if folder is None:
        raise SystemExit("the model default is not installed")
    model = load_model(folder, torch.device("cpu"))
    started = time.perf_counter()
    index_tiles(model, tiles, given.folder / "local", RunContext(), overwrite=True)
    print(f"local: {time.perf_counter() - started:.0f} s with {os.cpu_count()} cores")
    print("| processes | seconds | processor seconds | efficiency | least cosine |")
    print("|--:|--:|--:|--:|--:|")
    first = 0.0
    for workers in map(int, given.workers.split(",")):
        seconds, processor_s = spent(model, tiles, given.folder / "ray", workers, given.shards)
        first = first or processor_s
        cosine = least_cosine(given.folder / "local", given.folder / "ray")
        print(
            f"| {workers} | {seconds:.0f} | {processor_s:.0f} | {first / processor_s:.3f} | "
            f"{cosine:.6f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
