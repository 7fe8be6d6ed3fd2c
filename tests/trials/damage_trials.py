"""Change a byte at random places in every file of an index, and look at what is said.

    python -m tests.trials.damage_trials INDEX WORK --places 200

Works on a copy in WORK. After every change `--verify` must name the file, and a query must either
name it or give the very hits it gave before: as small indexes are searched, by looking at
every vector, and as large ones are, by FAISS. One line a file, and exit code 1 at the first
change of which that is not so.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np

from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import IndexStoreError
from rsretrieve.index.maintenance.verify import verify_index
from rsretrieve.index.store.folder import open_index
from rsretrieve.index.store.manifest import MANIFEST_FILE, read_manifest
from rsretrieve.search import ranking
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import QueryResult, SearchContext, run_queries

ASKED, K = 2, 12


class Unnoticed(Exception):
    """A change that was not told."""


@dataclass(frozen=True)
class Noticed:
    """Of one file: how many changes were told.

    Attributes:
        places: how many changes there were, each of which `--verify` told.
        by_looking, by_faiss: how many ended a query; the others changed no hit.
    """

    places: int
    by_looking: int
    by_faiss: int


def no_model(*_: object) -> None:
    """Verification does without: every byte is vouched for by checksums."""


def hits(folder: Path, tiles: tuple[str, ...], *, by_faiss: bool) -> list[QueryResult] | str:
    """What a query finds, or what it says instead."""
    few = 0 if by_faiss else 1 << 62
    request = QueryRequest(tiles=tiles, k=K)
    with (
        mock.patch.object(ranking, "FEW_NUMBERS", few),
        mock.patch.object(ranking, "_FEW_PRODUCTS", few),
    ):
        try:
            return run_queries(open_index(folder), request, SearchContext(no_model, RunContext()))  # type: ignore[arg-type]
        except IndexStoreError as error:
            return str(error)


def files_of(folder: Path) -> list[str]:
    """The names of an index's files."""
    return [MANIFEST_FILE, *read_manifest(folder).sha256]


def damaged_at(path: Path, count: int, rng: np.random.Generator) -> Iterator[int]:
    """Change one byte, at one random place after the other, and mend it again."""
    whole = path.read_bytes()
    try:
        for place in rng.choice(len(whole), min(count, len(whole)), replace=False).tolist():
            content = bytearray(whole)
            content[place] ^= int(rng.integers(1, 256))
            path.write_bytes(content)
            yield place
    finally:
        path.write_bytes(whole)


def trial(folder: Path, name: str, count: int, rng: np.random.Generator) -> Noticed:
    """Damage one file of an index at many places.

    Raises:
        Unnoticed: a change was not told, or changed a hit.
    """
    ids = open_index(folder).rows.column("id")
    tiles = tuple(ids[i] for i in np.linspace(0, len(ids) - 1, ASKED).astype(int))
    before = {way: hits(folder, tiles, by_faiss=way) for way in (False, True)}
    places, refused = 0, {False: 0, True: 0}
    with closing(damaged_at(folder / name, count, rng)) as damaged:
        for place in damaged:
            places += 1
            where = f"byte {place} of {name}"
            verified = verify_index(folder, no_model)
            told = not verified.sound and str(folder / name) in verified.problems[0]
            if not told or f"`rsretrieve index --repair --output {folder}`" not in verified.hint:
                raise Unnoticed(f"{where}: --verify says {verified}")
            for way, expected in before.items():
                found = hits(folder, tiles, by_faiss=way)
                refused[way] += isinstance(found, str)
                if found != expected and not (isinstance(found, str) and name in found):
                    raise Unnoticed(f"{where}: other hits, or another reason: {found}")
    if not verify_index(folder, no_model).sound:
        raise Unnoticed(f"{name} was mended, and is said to be damaged")
    return Noticed(places, refused[False], refused[True])


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--places", type=int, default=200, help="of each file")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = given.work / "index"
    shutil.copytree(given.index, folder)
    rng = np.random.default_rng(given.seed)
    try:
        for name in files_of(folder):
            found = trial(folder, name, given.places, rng)
            print(
                f"{name}: {found.places} places, all told by --verify; a query was ended by "
                f"{found.by_looking} (looking at every vector), {found.by_faiss} (by FAISS)",
                flush=True,
            )
    except Unnoticed as unnoticed:
        print(f"UNNOTICED: {unnoticed}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
