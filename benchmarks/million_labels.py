"""How well, how fast and in how much memory a million labels are audited from embeddings.

Makes unit vectors of classes that overlap (five classes are alike), with some labels wrong: half of
them by any other class, half by one that is alike. Runs the program on them as a user would
(`rsretrieve audit-labels LIST --embeddings FILE.npy --truth TRUTH`), and prints the seconds of each
stage, the peak memory above the embeddings, and the figures against the truth. Usage:

    python benchmarks/million_labels.py [--tiles 1000000] [--classes 1000] [--noise-rate 0.2]

With `--compare`, fits the same labels twice instead: with the scores of all classes, and with those
of the likely ones. `--features FILE.npz` compares on vectors `rows` of classes `true`:

    python benchmarks/million_labels.py --compare --tiles 20000 --classes 50
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit import classifier_sets
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.issue_selection import IssueSelection, select_issues
from rsretrieve.audit.posterior import posterior_from_em
from rsretrieve.evaluation.label_error_metrics import audit_figures

BLOCK = 50_000
ALIKE = 5  # classes with one common direction

Labels = NDArray[np.int64]


def blocks(given: argparse.Namespace) -> Iterator[tuple[NDArray[np.float32], Labels, Labels]]:
    """Unit vectors, their true classes and their labels, block by block."""
    rng, classes = np.random.default_rng(given.seed), given.classes
    common = rng.standard_normal((-(-classes // ALIKE), given.dimensions))
    own = rng.standard_normal((classes, given.dimensions))
    centres = 0.8 * common[np.arange(classes) // ALIKE] + 0.6 * own
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    for start in range(0, given.tiles, BLOCK):
        count = min(BLOCK, given.tiles - start)
        true = rng.integers(0, classes, count)
        deviation = rng.standard_normal((count, given.dimensions), np.float32)
        rows = centres[true] + deviation * (given.spread / np.sqrt(given.dimensions))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        anything = (true + rng.integers(1, classes, count)) % classes
        alike = true // ALIKE * ALIKE + (true + rng.integers(1, ALIKE, count)) % ALIKE
        other = np.where(rng.random(count) < 0.5, anything, np.minimum(alike, classes - 1))
        labels = np.where(rng.random(count) < given.noise_rate, other, true)
        yield rows.astype(np.float32), true, labels


def make(folder: Path, given: argparse.Namespace) -> None:
    """Write `embeddings.npy`, `list.csv` and `truth.csv` (tile,label)."""
    shape = (given.tiles, given.dimensions)
    vectors = np.lib.format.open_memmap(folder / "embeddings.npy", "w+", np.float32, shape)
    with (
        (folder / "list.csv").open("w", encoding="utf-8") as listed,
        (folder / "truth.csv").open("w", encoding="utf-8") as known,
    ):
        start = 0
        for stream in (listed, known):
            stream.write("tile,label\n")
        for rows, true, labels in blocks(given):
            vectors[start : start + len(rows)] = rows
            for stream, numbers in ((listed, labels), (known, true)):
                stream.writelines(
                    f"{start + i:07d}.jpg,class {n:04d}\n" for i, n in enumerate(numbers.tolist())
                )
            start += len(rows)
    vectors.flush()


def run(folder: Path) -> dict[str, Any]:
    """Run the audit in a process of its own: its result, its seconds and its peak bytes."""
    command = [sys.executable, __file__, "--in-folder", str(folder)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    printed = process.stdout.read() if process.stdout else b""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the audit ended with status {status}")
    in_kib = 1 if sys.platform == "darwin" else 1024
    return {
        **json.loads(printed),
        "seconds": time.perf_counter() - started,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * in_kib,
    }


def audit(folder: Path) -> None:
    """Run the program in this process, and print when each stage begins."""
    from rsretrieve.cli import main as program
    from rsretrieve.cli.terminal import Terminal
    from rsretrieve.progress import Event, Noticed, StageStarted

    started = time.perf_counter()

    def listen(_: Terminal, event: Event) -> None:
        if isinstance(event, StageStarted | Noticed):
            text = event.name if isinstance(event, StageStarted) else event.text
            seconds = f"{time.perf_counter() - started:7.1f} s, {time.process_time():7.1f} s of CPU"
            print(f"{seconds}  {text}", file=sys.stderr, flush=True)

    Terminal.listen = listen  # type: ignore[assignment,method-assign]
    files = {name: str(folder / name) for name in ("list.csv", "embeddings.npy", "truth.csv")}
    sys.argv = ["rsretrieve", "audit-labels", files["list.csv"], "--json"]
    sys.argv += ["--embeddings", files["embeddings.npy"], "--truth", files["truth.csv"]]
    sys.argv += ["--output", str(folder / "audit.csv")]
    program.main()


def print_run(given: argparse.Namespace) -> None:
    """Make, run, print."""
    with tempfile.TemporaryDirectory(dir=given.work) as name:
        folder = Path(name)
        make(folder, given)
        found = run(folder)
        embeddings = (folder / "embeddings.npy").stat().st_size
    truth, (low, high) = found["truth"], found["noise_interval"]
    print(f"{given.tiles} tiles, {given.classes} classes, {given.dimensions} dimensions")
    print(f"time        {found['seconds']:.1f} s, {found['cpu_seconds']:.1f} s of CPU")
    print(
        f"memory      {found['peak_bytes'] / 1e9:.2f} GB at its peak, "
        f"{(found['peak_bytes'] - embeddings) / 1e9:.2f} GB above the embeddings"
    )
    print(f"noise rate  {truth['noise_rate']:.4f}, estimated {found['noise_rate']:.4f}", end="")
    print(f" ({low:.4f} to {high:.4f})")
    for figure in ("average_precision", "auroc", "precision", "recall", "f1"):
        print(f"{figure:18}{truth[figure]:.4f}")
    print(f"suggestions right {truth['suggestion_accuracy']:.4f}")


def compare(given: argparse.Namespace) -> None:
    """Print a line of figures for scores of all classes, and one for those of the likely ones."""
    if given.features is not None:
        content = np.load(given.features)
        rows, true, classes = content["rows"], content["true"], int(content["true"].max()) + 1
        rng = np.random.default_rng(given.seed)
        moved = (rng.random(len(true)) < given.noise_rate) * rng.integers(1, classes, len(true))
        order = rng.permutation(len(true))
        rows, true, labels = rows[order], true[order], ((true + moved) % classes)[order]
    else:
        rows, true, labels = (np.concatenate(parts) for parts in zip(*blocks(given)))
        classes = given.classes
    print("scores | true rate | estimate | 95 % interval | average precision | F1 | right | s")
    for name, most in (("of all classes", sys.maxsize), ("of likely classes", 0)):
        print(f"{name} | {fitted(UnitRows(rows), true, labels, classes, most)}", flush=True)


def fitted(rows: UnitRows, true: Labels, labels: Labels, classes: int, most: int) -> str:
    """A line of figures; `most` is the number of scores above which the likely ones are kept."""
    classifier_sets.MOST_SCORES = most
    started = time.perf_counter()
    source = classifier_sets.classifier_source(rows, labels, [], classes, 5)
    classifiers = [source.discriminant(rows), source.votes(rows)]
    found = fit_dawid_skene(
        labels, classes, ClassifierSet(classifiers, candidates=source.candidates)
    )
    seconds, posterior = time.perf_counter() - started, posterior_from_em(found, labels)
    probability = posterior.issue_probability
    flagged = select_issues(probability, posterior.margin, IssueSelection(), is_calibrated=True)
    wrong, right = labels != true, posterior.ranked[:, 0] == true
    figures = audit_figures(-posterior.margin, flagged, wrong, right)
    return (
        f"{wrong.mean():.4f} | {probability.mean():.4f} | {found.rates.low:.4f} to "
        f"{found.rates.high:.4f} | {figures.average_precision:.5f} | {figures.f1:.4f} | "
        f"{figures.suggestion_accuracy:.4f} | {seconds:.1f}"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--noise-rate", type=float, default=0.2)
    parser.add_argument("--spread", type=float, default=1.5, help="of a class, of its centre's 1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="folder for the files, 1 GB for a million")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--features", type=Path, help="with --compare: .npz with rows and true")
    parser.add_argument("--in-folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_folder is not None:
        audit(given.in_folder)
    elif given.compare or given.features is not None:
        compare(given)
    else:
        print_run(given)


if __name__ == "__main__":
    main()
