"""Flip one bit after the other in every file of a model and of an index, and look at what is said.

    python -m tests.support.indexes.folder_flips MODEL INDEX TILES WORK --flips 200

TILES is the folder that INDEX is of. Works on copies in WORK. After every flip the commands that
read the folder must give the answer that they gave before, or say that something is wrong. One
line a file, with counts; exit code 1 where an answer changed without a word, or a command crashed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.conftest import Outcome, run_here

SAME, REFUSED, TOLD = "same answer", "refused", "other answer, told"
SILENT, CRASHED = "OTHER ANSWER, UNTOLD", "CRASHED"
BAD = (SILENT, CRASHED)
FOR_PEOPLE = ("README.md", "history.csv", "training.png")
Command = tuple[object, ...]


@dataclass(frozen=True)
class Place:
    """Copies of a model and of an index, the tiles, and where to write."""

    model: Path
    index: Path
    tiles: Path
    work: Path

    @property
    def image(self) -> Path:
        """A tile to ask by."""
        return next(path for path in sorted(self.tiles.rglob("*")) if path.is_file())

    def commands(self, path: Path) -> list[Command]:
        """The commands that read a file of one of the folders."""
        by_image = ("query", self.image, "--index", self.index, "--model", self.model, "--json")
        by_tile = ("query", "--tile", self.image.relative_to(self.tiles).as_posix())
        if path.parent == self.index:
            return [by_image, (*by_tile, "--index", self.index, "--json"),
                    ("info", self.index, "--json")]  # fmt: skip
        audit = ("audit-labels", self.tiles, "--model", self.model, "--output",
                 self.work / "audit.csv", "--overwrite", "--json")  # fmt: skip
        shown = [by_image, ("info", self.model, "--json")]
        return shown if path.name in FOR_PEOPLE else [*shown, audit]

    def answer(self, command: Command) -> tuple[Outcome, str]:
        """What a command says, and what it wrote."""
        written = self.work / "audit.csv"
        written.unlink(missing_ok=True)
        ran = run_here(*command)
        return ran, written.read_text(encoding="utf-8") if written.exists() else ""


def flipped(path: Path, count: int, rng: np.random.Generator) -> Iterator[int]:
    """Flip a bit at one random place after the other, and mend it again."""
    whole = path.read_bytes()
    try:
        for place in rng.choice(8 * len(whole), min(count, 8 * len(whole)), replace=False).tolist():
            content = bytearray(whole)
            content[place // 8] ^= 1 << place % 8
            path.write_bytes(content)
            yield place
    finally:
        path.write_bytes(whole)


def judged(before: tuple[Outcome, str], now: tuple[Outcome, str]) -> str:
    """How an answer is to that of the whole folder."""
    (old, old_file), (new, new_file) = before, now
    if new.code not in (0, 1, 3):
        return CRASHED
    if new.code == 1:
        return REFUSED if "error:" in new.err else CRASHED
    if (old.code, old.out, old_file) == (new.code, new.out, new_file):
        return SAME
    return TOLD if new.err != old.err else SILENT


def trial(place: Place, path: Path, count: int, rng: np.random.Generator) -> Counter[str]:
    """Flip bits of one file, and count what the commands that read it say."""
    commands = place.commands(path)
    before = [place.answer(command) for command in commands]
    counts: Counter[str] = Counter()
    for _ in flipped(path, count, rng):
        for command, whole in zip(commands, before):
            counts[judged(whole, place.answer(command))] += 1
    return counts


def files_of(place: Place) -> Sequence[Path]:
    """Every file of the model and of the index."""
    return sorted([*place.model.iterdir(), *place.index.iterdir()])


def copied(model: Path, index: Path, tiles: Path, work: Path) -> Place:
    """Copies of both folders in `work`."""
    place = Place(work / "model", work / "index", tiles, work)
    shutil.copytree(model, place.model)
    shutil.copytree(index, place.index)
    return place


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("model", "index", "tiles", "work"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--flips", type=int, default=200, help="of each file")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    place = copied(given.model, given.index, given.tiles, given.work)
    rng, all_told = np.random.default_rng(given.seed), True
    for path in files_of(place):
        counts = trial(place, path, given.flips, rng)
        said = ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))
        print(f"{path.parent.name}/{path.name}: {said}", flush=True)
        all_told &= not any(counts[kind] for kind in BAD)
    return 0 if all_told else 1


if __name__ == "__main__":
    sys.exit(main())
