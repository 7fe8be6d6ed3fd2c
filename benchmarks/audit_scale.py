"""How long a million labels take to audit from embeddings, and how much memory.

Makes embeddings of known classes, block by block, with some labels wrong; runs the program
on them as a user would (`rsretrieve audit-labels LIST --embeddings FILE.npy`), and prints
its time, its peak memory and what it found. Usage:

    python benchmarks/audit_scale.py [--tiles 1000000] [--classes 1000] [--dimensions 128]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BLOCK = 50_000
SPREAD = 1.2  # length of a tile's deviation from its class's centre, of length 1


def make(folder: Path, tiles: int, classes: int, dimensions: int, noise_rate: float) -> None:
    """Write `embeddings.npy`, `list.csv` (tile,label) and `wrong.npy`."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, dimensions), np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = np.lib.format.open_memmap(
        folder / "embeddings.npy", "w+", np.float32, (tiles, dimensions)
    )
    wrong = np.empty(tiles, bool)
    with (folder / "list.csv").open("w", encoding="utf-8") as stream:
        stream.write("tile,label\n")
        for start in range(0, tiles, BLOCK):
            count = min(BLOCK, tiles - start)
            true = rng.integers(0, classes, count)
            deviation = rng.standard_normal((count, dimensions), np.float32)
            block = centres[true] + deviation * np.float32(SPREAD / np.sqrt(dimensions))
            vectors[start : start + count] = block
            wrong[start : start + count] = rng.random(count) < noise_rate
            moved = wrong[start : start + count] * rng.integers(1, classes, count)
            given = (true + moved) % classes
            stream.writelines(
                f"{start + i:07d}.jpg,class {label:04d}\n" for i, label in enumerate(given)
            )
    vectors.flush()
    np.save(folder / "wrong.npy", wrong)


def run(folder: Path) -> dict[str, float]:
    """Run the audit in a process of its own: what it printed, its seconds and its peak bytes."""
    command = [sys.executable, "-m", "rsretrieve", "audit-labels", str(folder / "list.csv")]
    command += ["--embeddings", str(folder / "embeddings.npy"), "--json"]
    command += ["--output", str(folder / "audit.csv")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr)
    printed = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"the audit ended with status {status}")
    in_kib = 1 if sys.platform == "darwin" else 1024
    return {
        "issues": json.loads(printed)["issues"],
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * in_kib,
    }


def quality(folder: Path) -> tuple[float, float]:
    """Precision and recall of the flags."""
    wrong = np.load(folder / "wrong.npy")
    flagged = np.zeros(len(wrong), bool)
    with (folder / "audit.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            flagged[int(row["tile"][:7])] = row["is_label_issue"] == "True"
    hits = (flagged & wrong).sum()
    return hits / max(1, flagged.sum()), hits / max(1, wrong.sum())


def main() -> None:
    """Make, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--noise-rate", type=float, default=0.2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, given.tiles, given.classes, given.dimensions, given.noise_rate)
        found = run(folder)
        precision, recall = quality(folder)
        embeddings_bytes = (folder / "embeddings.npy").stat().st_size
    above = found["peak_bytes"] - embeddings_bytes
    print(f"{given.tiles} tiles, {given.classes} classes, {given.dimensions} dimensions")
    print(f"time    {found['seconds']:.1f} s, {found['cpu_seconds']:.1f} s of CPU")
    print(
        f"memory  {found['peak_bytes'] / 2**30:.2f} GiB at its peak, {above / 2**30:.2f} GiB "
        f"above the embeddings' {embeddings_bytes / 2**30:.2f}"
    )
    print(f"found   {found['issues']:.0f} issues, precision {precision:.4f}, recall {recall:.4f}")


if __name__ == "__main__":
    main()
