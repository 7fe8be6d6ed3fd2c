"""The memory that an index of given embeddings takes while it is built, for lists of any length.

    python benchmarks/large_lists.py --rows 1000000,4000000 --folder WORK

For each length, a Parquet file with ids, labels and unit vectors in clusters is written row group
by row group, and `rsretrieve index --from-embeddings` runs in a process of its own. Printed are
the seconds, the peak of its own (anonymous) memory, that of all pages that it maps, of which the
system takes back those of files when it needs them, and the bytes of the FAISS index.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet
from speed.peak_memory import Peak, watched

_GROUP = 100_000
_CLUSTERS = 1_000


def write_list(path: Path, rows: int, dimensions: int) -> None:
    """Write a list with embeddings, row group by row group."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CLUSTERS, dimensions)).astype(np.float32)
    kind = pyarrow.list_(pyarrow.float32(), dimensions)
    schema = pyarrow.schema(
        [("id", pyarrow.string()), ("label", pyarrow.string()), ("embedding", kind)]
    )
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, rows, _GROUP):
            count = min(_GROUP, rows - start)
            which = rng.integers(0, _CLUSTERS, count)
            vectors = centres[which] + 0.5 * rng.normal(size=(count, dimensions))
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            flat = pyarrow.array(vectors.astype(np.float32).ravel())
            columns = [
                pyarrow.array([f"tiles/{i:09}.tif" for i in range(start, start + count)]),
                pyarrow.array([f"class {c % 40}" for c in which]),
                pyarrow.FixedSizeListArray.from_arrays(flat, dimensions),
            ]
            writer.write_table(pyarrow.table(columns, schema=schema))


def measured(source: Path, index: Path, key: str) -> tuple[dict[str, object], Peak, float]:
    """Index a list in a process of its own: its JSON, its peak and its seconds."""
    command = [sys.executable, "-m", "rsretrieve", "index", "--from-embeddings", str(source)]
    command += ["--output", str(index), "--index", key, "--json", "--quiet", "--overwrite"]
    started = time.perf_counter()
    out, peak = watched(command)
    return json.loads(out), peak, time.perf_counter() - started


def main() -> None:
    """Write and index the lists, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1000000,4000000")
    parser.add_argument("--dimensions", type=int, default=16)
    parser.add_argument("--index", default="IVF1024,SQ8")
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    print("| rows | seconds | own memory, MB | with files, MB | FAISS index, MB | own less FAISS |")
    print("|--:|--:|--:|--:|--:|--:|")
    for rows in map(int, given.rows.split(",")):
        source, index = given.folder / f"{rows}.parquet", given.folder / f"index-{rows}"
        write_list(source, rows, given.dimensions)
        _, peak, seconds = measured(source, index, given.index)
        faiss = (index / "index.faiss").stat().st_size
        megabytes = [value / 1e6 for value in (peak.own, peak.mapped, faiss, peak.own - faiss)]
        cells = " | ".join(f"{value:,.0f}" for value in megabytes)
        print(f"| {rows:,} | {seconds:.0f} | {cells} |", flush=True)
        source.unlink()
        shutil.rmtree(index)


if __name__ == "__main__":
    main()
