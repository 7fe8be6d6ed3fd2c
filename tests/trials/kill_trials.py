"""Kill `index`, `index --update` and `index --repair` at random moments, and look at what is left.

    python -m tests.trials.kill_trials TILES MODEL WORK --kills 50

After every `kill -9` the index is the old one or the new one, whole (or not there yet, or, in a
repair, as damaged as it was); the same command then completes, reads no tile that was
finished, and leaves nothing beside the index. One line a trial, a last one that counts what was
left, and exit code 1 at the first that is not so.

Half of the moments are spread evenly over the whole of a run, by chance within their parts. A
run takes seconds and the exchange of the old index for the new one far less than a
millisecond, so the run is held for a moment before it, and the other half lie within that
moment, in the next one as long, and from there to the end of the run.

Every run is a fork of this process, which has imported all it needs and
computes nothing itself, so that a trial takes a second and not ten.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss  # noqa: F401  (imported before the forks)
import torch

from rsretrieve._core import atomic_write
from rsretrieve.cli import main as app
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.reading.chunk_reader import ChunkReader
from rsretrieve.errors import IndexStoreError
from rsretrieve.index import build, common_packing, embed_tiles
from rsretrieve.index.journal import Journal
from rsretrieve.index.maintenance import verify
from rsretrieve.index.maintenance.verify import content_problems
from rsretrieve.index.store.folder import open_index

BATCH = 4  # tiles, so that there are many moments between two of them
HELD_S = 0.01
KINDS = ("index", "update", "repair the search", "repair the vectors")


@dataclass(frozen=True)
class Place:
    """Where everything lies.

    Attributes:
        work: a folder for all of it.
        model: a model folder.
    """

    work: Path
    model: Path

    @property
    def index(self) -> Path:
        """The index that is killed; alone in its folder."""
        return self.work / "here" / "index"

    @property
    def reads(self) -> Path:
        """The ids of the tiles that a run read, a line each."""
        return self.work / "reads.txt"

    def arguments(self, kind: str) -> list[str]:
        """Of a kind of run."""
        if kind.startswith("repair"):
            return ["--repair", "--output", str(self.index)]
        tiles = self.work / ("old.csv" if kind == "index" else "new.csv")
        given = [str(tiles), "--model", str(self.model), "--output", str(self.index)]
        return [*given, "--update"] if kind == "update" else given


class Broken(Exception):
    """A trial found what must not be."""


def forked(work: Callable[[], Any]) -> int:
    """Start work in a fork that ends with it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = int(work() or 0)
        finally:
            os._exit(code)
    return pid


def told(work: Callable[[], Any], place: Place) -> Any:
    """What work gives back, done in a fork."""
    answer = place.work / "answer.json"
    answer.unlink(missing_ok=True)
    pid = forked(lambda: answer.write_text(json.dumps(work())) and 0)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise Broken("looking at the index failed")
    return json.loads(answer.read_text())


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Attributes:
        wait_s: how long to wait.
        at_exchange: from `HELD_S` before the new index is switched in; else from the start.
    """

    wait_s: float
    at_exchange: bool


def program(place: Place, arguments: list[str], exchange: int | None = None) -> int:
    """Run `rsretrieve index ARGUMENTS` here, noting every tile that is read.

    Into the descriptor `exchange` a byte is written `HELD_S` before the new index is switched in.
    """
    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    if not os.environ.get("KILL_TRIALS_LOUD"):
        os.dup2(silence, 2)
    embed_tiles.BATCH_SIZE = BATCH
    # A repair ends with a check that embeds a sample again, as it should: not counted here.
    verify.EMBEDDED_AGAIN = 0
    # A run reads the size and the headers of some tiles again, as it should: not counted, either.
    build.measure_scale = lambda *_: TileScale(None, None, None)
    common_packing.declared_packings = lambda *_: []
    noted = os.open(place.reads, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    read = ChunkReader.read

    def noting(reader: Any, slot: Any, chunk: Any) -> Any:
        os.write(noted, "".join(f"{tile.id}\n" for run in chunk for tile in run).encode())
        return read(reader, slot, chunk)

    ChunkReader.read = noting
    switch_in = atomic_write._move_into_place

    def telling(aside: Path, path: Path) -> None:
        if exchange is not None:
            os.write(exchange, b"!")
            time.sleep(HELD_S)
        switch_in(aside, path)

    atomic_write._move_into_place = telling
    sys.argv = ["rsretrieve", "index", *arguments]
    try:
        app.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def finished_ids(place: Place) -> list[str]:
    """The tiles that the journal beside the index holds."""
    description = json.loads((place.model / "model.json").read_text())
    fingerprint = json.loads((place.work / "old" / "manifest.json").read_text())
    dimensions = description["architecture"]["dimensions"]
    journal = Journal(place.index, fingerprint["model_fingerprint"], dimensions)
    return [row.id for row in journal.read().rows]


def state_of(index: Path) -> dict[str, Any]:
    """The ids and the vectors of an index, or why it cannot be opened."""
    try:
        store = open_index(index)
        problems = content_problems(store)
    except IndexStoreError as error:
        return {"error": type(error).__name__}
    if problems:
        return {"error": problems[0]}
    vectors = store.vectors.astype(float).round(3).tolist()
    return {"ids": store.rows.column("id"), "vectors": vectors}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two indexes hold the same tiles, with the same vectors but for rounding."""
    if "error" in one or "error" in other:
        return one == other
    pairs = zip(one["vectors"], other["vectors"])
    near = all(abs(a - b) < 0.02 for v, w in pairs for a, b in zip(v, w))
    return one["ids"] == other["ids"] and near


def prepare(place: Place, tiles: Path) -> dict[str, dict[str, Any]]:
    """Two lists of tiles, the indexes of both, and what they hold."""
    place.index.parent.mkdir(parents=True)
    found = find_tiles(tiles)
    count = min(len(found), 48)
    write_list(place.work / "old.csv", found.select(range(count - 12)), overwrite=False)
    write_list(place.work / "new.csv", found.select(range(6, count)), overwrite=False)
    return {name: _made(place, name) for name in ("old", "new")}


def _made(place: Place, name: str) -> dict[str, Any]:
    index = place.work / name
    given = [str(place.work / f"{name}.csv"), "--model", str(place.model), "--output", str(index)]
    pid = forked(lambda: program(place, given))
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise Broken("an index cannot be made at all")
    return told(lambda: state_of(index), place)


def set_up(place: Place, kind: str) -> None:
    """What is there before a run of this kind."""
    shutil.rmtree(place.index.parent)
    place.index.parent.mkdir()
    place.reads.unlink(missing_ok=True)
    if kind != "index":
        shutil.copytree(place.work / "old", place.index)
    damaged = {"repair the search": ["index.faiss"]}.get(kind, ["index.faiss", "embeddings.npy"])
    for name in damaged if kind.startswith("repair") else ():
        content = bytearray((place.index / name).read_bytes())
        content[len(content) // 2] ^= 255
        (place.index / name).write_bytes(content)


def started(place: Place, kind: str) -> tuple[int, int]:
    """Start a run: its process, and a descriptor that tells of the exchange."""
    here, there = os.pipe()
    pid = forked(lambda: program(place, place.arguments(kind), there))
    os.close(there)  # so that a run that ends without an exchange is heard of, too
    return pid, here


def trial(place: Place, kind: str, moment: Moment, states: dict[str, dict[str, Any]]) -> str:
    """One run, killed at a moment; raises `Broken` where something is not as it must be.

    Returns:
        What was left: the old or the new index.
    """
    set_up(place, kind)
    pid, exchange = started(place, kind)
    with os.fdopen(exchange, "rb", 0) as told_of:
        if moment.at_exchange:
            told_of.read(1)
        time.sleep(moment.wait_s)
        os.kill(pid, signal.SIGKILL)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    goal = states["new" if kind == "update" else "old"]
    before = {"index": {"error": "IndexNotFound"}, "update": states["old"]}.get(
        kind, {"error": "IndexDamaged"}
    )
    left = told(lambda: state_of(place.index), place)
    if not same(left, before) and not same(left, goal):
        raise Broken(f"neither the old index nor the new one is left: {left.get('error', left)}")
    finished = set(told(lambda: finished_ids(place), place))
    place.reads.unlink(missing_ok=True)
    if not (kind == "index" and same(left, goal)):  # done: it would refuse to overwrite
        pid = forked(lambda: program(place, place.arguments(kind)))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise Broken(f"the same command again ended with {code}")
    if not same(told(lambda: state_of(place.index), place), goal):
        raise Broken("the same command again did not complete")
    read = set(place.reads.read_text().split("\n")) if place.reads.exists() else set()
    if read & finished:
        raise Broken(f"finished tiles were read again: {sorted(read & finished)}")
    beside = sorted(p.name for p in place.index.parent.iterdir() if p != place.index)
    if beside and not (kind == "index" and same(left, goal)):
        raise Broken(f"left beside the index: {beside}")
    what = "old" if same(left, before) else "new"
    return f"{'killed' if killed else 'was done'}, {what} index left, {len(finished)} finished"


def durations(place: Place, kind: str) -> tuple[float, float]:
    """How long a run of this kind takes, and how long from the exchange to its end."""
    set_up(place, kind)
    begun = time.perf_counter()
    pid, exchange = started(place, kind)
    with os.fdopen(exchange, "rb", 0) as told_of:
        told_of.read(1)
        exchanged = time.perf_counter()
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise Broken(f"{kind} fails")
    ended = time.perf_counter()
    return ended - begun, ended - exchanged


def moments(lengths: tuple[float, float], count: int, chance: random.Random) -> list[Moment]:
    """Half of them all along a run, a chance moment in each of equal parts; half at its end."""
    whole = [
        Moment(lengths[0] * (i + chance.random()) / (count - count // 2), at_exchange=False)
        for i in range(count - count // 2)
    ]
    lasts = (2 * HELD_S, 2 * HELD_S, lengths[1])
    end = [Moment(lasts[i % 3] * chance.random(), at_exchange=True) for i in range(count // 2)]
    mixed = [*whole, *end]
    chance.shuffle(mixed)
    return mixed


def main() -> int:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tiles", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    place = Place(given.work.resolve(), given.model.resolve())
    chance = random.Random(given.seed)
    counted: Counter[str] = Counter()
    try:
        states = prepare(place, given.tiles)
        kinds = [KINDS[i % len(KINDS)] for i in range(given.kills)]
        lengths = {kind: durations(place, kind) for kind in set(kinds)}
        ahead = {kind: moments(lengths[kind], kinds.count(kind), chance) for kind in lengths}
        for i, kind in enumerate(kinds, start=1):
            moment = ahead[kind].pop()
            after = "its exchange" if moment.at_exchange else f"0 of {lengths[kind][0]:.3f} s"
            outcome = trial(place, kind, moment, states)
            counted[outcome.split(", ")[1]] += 1
            print(f"{i}: {kind}, {moment.wait_s:.4f} s after {after}: {outcome}", flush=True)
        print(", ".join(f"{what}: {count}" for what, count in sorted(counted.items())))
    except Broken as broken:
        print(f"BROKEN: {broken}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
