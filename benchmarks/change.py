"""Whether a change makes rsretrieve slower: this working tree beside another commit, by turns.

    python benchmarks/change.py --main main [--rounds 5] [--loss 0.05]

Both run the same commands on the same made-up tiles, each in a process of its own and in turn.
Compared is the least processor time of all rounds, which other programs on the machine change
least. A command that is slower by more than `--loss` gets twice as many rounds before it counts.
Exit code 1 if one is still slower. Needs a Git checkout; run it by hand, on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rsretrieve.synthetic.scene import make_landscape, write_tiles

ROOT = Path(__file__).parents[1]
CELLS, CELL_PX = 24, 48
NETWORK = ("--backbone", "mobilenet_v2", "--weights", "none", "--size", "48")
PROGRAM = ("-m", "rsretrieve")


def commands(tiles: Path, work: Path) -> dict[str, list[str]]:
    """What is compared, by name; the first makes the model of the others."""
    model, index = str(work / "model"), str(work / "index")
    return {
        "train": ["train", str(tiles), "--output", model, *NETWORK, "--epochs", "2"],
        "index": ["index", str(tiles), "--model", model, "--output", index],
        "query": ["query", str(next(tiles.glob("*/*.tif"))), "--index", index],
        "audit-labels": ["audit-labels", str(tiles), "--model", model, "--output", f"{work}/a.csv"],
        "evaluate": ["evaluate", "--index", index],
        "--help": ["--help"],
    }


def processor_seconds(source: Path, arguments: list[str]) -> float:
    """Run one command with the sources of a folder; the processor time with its processes."""
    outputs = {"train", "index", "audit-labels"} & {arguments[0]}
    environment = {**os.environ, "PYTHONPATH": str(source), "RSRETRIEVE_CACHE_SIZE": "0"}
    command = [sys.executable, *PROGRAM, *arguments, *(["--overwrite"] if outputs else [])]
    with subprocess.Popen(
        command, cwd=source, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        said = b"" if process.stderr is None else process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} in {source}: {said.decode()[-500:]}")
    return usage.ru_utime + usage.ru_stime


def measure(
    sources: Mapping[str, Path], run: Mapping[str, list[str]], rounds: int
) -> tuple[float, ...]:
    """The least processor time of one command for each source, in turn."""
    found: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(rounds):
        for name, source in sources.items():
            found[name].append(processor_seconds(source, run[name]))
    return tuple(min(times) for times in found.values())


def compare(sources: Mapping[str, Path], work: Path, rounds: int, loss: float) -> list[str]:
    """Print a row for each command; the names of those that are slower."""
    tiles = work / "tiles"
    write_tiles(make_landscape(CELLS, CELL_PX, seed=0), CELL_PX, tiles)
    per_source = {name: commands(tiles, work / name) for name in sources}
    slower = []
    print("| command | main, s | change, s | change to main |\n|---|---|---|---|")
    for command in next(iter(per_source.values())):
        run = {name: listed[command] for name, listed in per_source.items()}
        before, after = measure(sources, run, rounds)
        if after > before * (1 + loss):
            again = measure(sources, run, 2 * rounds)
            before, after = min(before, again[0]), min(after, again[1])
        print(f"| {command} | {before:.2f} | {after:.2f} | {after / before:.3f} |", flush=True)
        if after > before * (1 + loss):
            slower.append(command)
    return slower


def main() -> None:
    """Compare, and exit with 1 if something is slower."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--main", default="main", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loss", type=float, default=0.05, help="the largest loss that passes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        other = work / "source"
        git = ["git", "-C", str(ROOT)]
        subprocess.run([*git, "worktree", "add", "--detach", str(other), given.main], check=True)
        try:
            for name in ("main", "change"):
                (work / name).mkdir()
            sources = {"main": other, "change": ROOT}
            slower = compare(sources, work, given.rounds, given.loss)
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(other)], check=True)
    if slower:
        sys.exit(f"slower by more than {given.loss:.0%}: {', '.join(slower)}")


if __name__ == "__main__":
    main()
