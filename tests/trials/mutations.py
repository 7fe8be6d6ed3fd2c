"""Mutated files of every kind that we read, through the commands that read them.

    python -m tests.trials.mutations WORK --count 10000

Tiles and their sidecars lie in folders of hundreds, which `index`, `audit-labels` and `query` read;
files of a model, of an index and lists are changed one at a time. Prints a line a kind: how many
files, how the commands ended, the longest time. Exit code 1 where a command crashed (70), was
ended, or changed a file that is not its output.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow
import rasterio
from pyarrow import parquet
from rasterio.transform import from_origin

from tests.conftest import Outcome, run_here

Chance = random.Random
CLASSES, SIDE = ("a", "b"), 32
TILE_FORMATS = {
    "GTiff": ".tif", "PNG": ".png", "JPEG": ".jpg", "JP2OpenJPEG": ".jp2", "WEBP": ".webp",
}  # fmt: skip
SIDECARS = {
    ".aux.xml": b"<PAMDataset><SRS>EPSG:32618</SRS><GeoTransform>5e5,10,0,4e6,0,-10</GeoTransform>"
    b'<Metadata domain="OVERVIEWS"><MDI key="A">b</MDI></Metadata></PAMDataset>',
    ".tfw": b"10\n0\n0\n-10\n500000\n4000000\n",
    ".prj": b'PROJCS["a",GEOGCS["b",DATUM["c",SPHEROID["d",6378137,298]]]]',
}
ALLOWED = (0, 1, 3)


@dataclass
class Tally:
    """How the commands ended over the files of one kind."""

    files: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    longest_s: float = 0.0
    changed: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        return bool(self.changed) or any(code not in ALLOWED for code in self.codes)


def mutated(content: bytes, chance: Chance) -> bytes:
    """Another content: bits flipped, bytes overwritten, cut, doubled, or numbers made absurd."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(max(1, min(len(data), chance.choice((64, 512, 1 << 30)))))
        match chance.randrange(6):
            case 0:
                data[place : place + 1] = bytes([data[place] ^ 1 << chance.randrange(8)])
            case 1:
                data[place : place + 4] = chance.choice(
                    (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff")
                )
            case 2:
                del data[place:]
            case 3:
                data[place:place] = data[place : place + chance.randrange(1, 200)]
            case 4:
                data[place : place + 8] = chance.randbytes(8)
            case _:
                del data[place : place + chance.randrange(1, 40)]
        if not data:
            return bytes(chance.randrange(3))
    return bytes(data)


def write_tile(path: Path, driver: str, seed: int) -> None:
    """A sound tile, with a place."""
    pixels = np.random.default_rng(seed).integers(1, 255, (3, SIDE, SIDE), np.uint8)
    place = {"crs": "EPSG:32618", "transform": from_origin(5e5, 4e6, 10, 10)}
    shape = {"height": SIDE, "width": SIDE, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver=driver, **shape, **place) as dataset:
        dataset.write(pixels)


class Ground:
    """A sound model and index, and the folder that everything is written to."""

    def __init__(self, work: Path) -> None:
        self.work, self.tiles = work, work / "tiles"
        for number, label in enumerate(CLASSES * 20):
            path = self.tiles / label / f"{number:02}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_tile(path, "GTiff", number)
        self.model, self.index = work / "model", work / "index"
        small = ("--backbone", "mobilenet_v2", "--weights", "none", "--size", "32")
        self.sound("train", self.tiles, *small, "--epochs", "1", "--output", self.model)
        self.sound("index", self.tiles, "--model", self.model, "--output", self.index)
        self.image = self.tiles / "a" / "00.tif"
        self.user = work / "user"
        self.user.mkdir()
        (self.user / "profile").write_text("# the user's own\n")

    def sound(self, *arguments: object) -> None:
        outcome = run_here(*arguments, "--quiet")
        if outcome.code:
            raise SystemExit(outcome.err)

    def commands(self, tiles: Path, model: Path, index: Path) -> list[tuple[object, ...]]:
        """Those that read tiles, a model and an index."""
        out = self.work / "out"
        return [
            ("index", tiles, "--model", model, "--output", out / "index", "--overwrite"),
            ("audit-labels", tiles, "--model", model, "--output", out / "a.csv", "--overwrite"),
            ("query", self.image, "--index", index, "--model", model),
            ("query", "--tile", "a/00.tif", "--index", index, "--sheet", out / "s.png",
             "--overwrite"),
        ]  # fmt: skip

    def state(self) -> dict[str, tuple[int, int]]:
        """Size and time of every file that no command may change."""
        folders = (self.user, self.tiles, self.model, self.index)
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in files}

    def run(self, tally: Tally, files: int, *arguments: object) -> Outcome:
        """Run a command, and note how it ended and how long a file took."""
        before, started = self.state(), time.perf_counter()
        outcome = run_here(*arguments, "--quiet", "--json")
        tally.longest_s = max(tally.longest_s, (time.perf_counter() - started) / files)
        tally.codes[outcome.code] += 1
        after = self.state()
        tally.changed += [path for path in before if before[path] != after.get(path)]
        if outcome.code not in ALLOWED:
            print(arguments, outcome.code, outcome.err[-500:], file=sys.stderr)
        return outcome


def tiles_round(ground: Ground, chance: Chance, count: int, tallies: dict[str, Tally]) -> None:
    """A folder of mutated tiles and sidecars, and some sound ones, through every command."""
    folder = ground.work / "mutated"
    shutil.rmtree(folder, ignore_errors=True)
    sources = ground.work / "sources"
    sources.mkdir(exist_ok=True)
    tally = tallies["tiles and sidecars"]
    for number in range(count):
        label = chance.choice(CLASSES)
        driver, suffix = chance.choice(list(TILE_FORMATS.items()))
        path = folder / label / f"{number:05}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        source = sources / f"{number % 40}{suffix}"
        if not source.exists():
            write_tile(source, driver, number)
        beside = chance.random() < 0.25
        path.write_bytes(source.read_bytes() if beside else mutated(source.read_bytes(), chance))
        if beside:
            write_sidecar(path, chance, ground)
    tally.files += count
    shutil.copytree(ground.tiles, folder, dirs_exist_ok=True)
    for command in ground.commands(folder, ground.model, ground.index)[:2]:
        ground.run(tally, count, *command)
    windows = ("--window", "16", "--max-windows", "10000")
    ground.run(tally, count, *ground.commands(folder, ground.model, ground.index)[0], *windows)
    for path in sorted(folder.rglob("*"))[: max(1, count // 100)]:
        if path.is_file():
            ground.run(tally, 1, "query", path, "--index", ground.index)


def write_sidecar(path: Path, chance: Chance, ground: Ground) -> None:
    """A mutated sidecar: a place, or a raster in the place of overviews or of a mask."""
    suffix = chance.choice((*SIDECARS, ".ovr", ".msk"))
    content = SIDECARS.get(suffix) or ground.image.read_bytes()
    if suffix in (".tfw", ".prj"):
        path.with_suffix(suffix).write_bytes(mutated(content, chance))
    else:
        path.with_name(path.name + suffix).write_bytes(mutated(content, chance))


def folder_round(ground: Ground, chance: Chance, tallies: dict[str, Tally]) -> None:
    """One mutated file of a model or an index, sealed anew where it can be, through a command."""
    kind = chance.choice(("model", "index"))
    source = ground.model if kind == "model" else ground.index
    copy = ground.work / f"mutated-{kind}"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    names = sorted(p.name for p in copy.iterdir() if p.suffix not in (".md", ".png", ".csv"))
    name = chance.choice(names)
    path = copy / name
    path.write_bytes(mutated(path.read_bytes(), chance))
    reseal(copy, kind, name)
    model = copy if kind == "model" else ground.model
    index = copy if kind == "index" else ground.index
    tally = tallies[f"{kind}: {name}"]
    tally.files += 1
    ground.run(tally, 1, *chance.choice(ground.commands(ground.tiles, model, index)[1:]))


def reseal(folder: Path, kind: str, name: str) -> None:
    """Write the checksum of a changed file anew, as a stranger does."""
    from rsretrieve._core.atomic_write import sha256_of_file
    from rsretrieve._core.sealing import write_sealed

    head = folder / ("model.json" if kind == "model" else "manifest.json")
    try:
        content = json.loads(head.read_text())
        content.pop("digest", None)
        digest = sha256_of_file(folder / name)
        old = {"model.safetensors": "weights_sha256"}
        sums = content["files" if kind == "model" else "sha256"]
        if name in sums:
            sums[name] = digest
        if kind == "model" and name in old:
            content[old[name]] = digest
        write_sealed(head, content)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, RecursionError):
        pass  # the head itself was changed beyond that


def table_round(ground: Ground, chance: Chance, tallies: dict[str, Tally]) -> None:
    """A mutated list, label file, embeddings file or STAC item."""
    kind = chance.choice(("list.csv", "list.parquet", "embeddings.parquet", "item.json", "e.npy"))
    path, out = ground.work / kind, ground.work / "out" / "index"
    ids = [p.relative_to(ground.tiles).as_posix() for p in sorted(ground.tiles.rglob("*.tif"))]
    table = {"tile": ids, "path": [str(ground.tiles / i) for i in ids], "label": ["a"] * len(ids)}
    vectors = np.random.default_rng(0).normal(size=(len(ids), 8)).astype(np.float32)
    if kind == "list.csv":
        rows = zip(*table.values())
        path.write_text("tile,path,label\n" + "".join(",".join(row) + "\n" for row in rows))
    elif kind == "e.npy":
        np.save(path, vectors)
    elif kind == "item.json":
        item = {"type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None,
                "properties": {"datetime": "2020-01-01T00:00:00Z"}, "links": [],
                "assets": {"data": {"href": str(ground.image), "type": "image/tiff"}}}  # fmt: skip
        path.write_text(json.dumps(item))
    else:
        columns = {**table, "embedding": list(vectors)} if kind.startswith("emb") else table
        parquet.write_table(pyarrow.table(columns), path)
    path.write_bytes(mutated(path.read_bytes(), chance))
    tally = tallies[f"table: {kind}"]
    tally.files += 1
    embeddings = kind.startswith("emb") or kind.endswith(".npy")
    if embeddings:
        command = ("index", "--from-embeddings", path, "--output", out, "--overwrite")
    elif kind == "item.json":
        command = ("split", path, "--window", "16", "--output", ground.work / "out" / "lists",
                   "--overwrite")  # fmt: skip
    else:
        command = ("audit-labels", path, "--model", ground.model, "--output",
                   ground.work / "out" / "b.csv", "--overwrite")  # fmt: skip
    ground.run(tally, 1, *command)


def main() -> None:
    """Mutate, run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance, tallies = Chance(asked.seed), Tallies()
    shutil.rmtree(asked.work, ignore_errors=True)
    ground = Ground(asked.work)
    started, tile_files = time.perf_counter(), 0
    rounds: tuple[Callable[[Ground, Chance, dict[str, Tally]], None], ...]
    rounds = (folder_round, folder_round, table_round)
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))  # ends with the table
    while tile_files < 0.85 * asked.count and not stopped:
        count = min(500, int(0.85 * asked.count) - tile_files + 1)
        tiles_round(ground, chance, count, tallies)
        tile_files += count
        for number in range(count // 6):
            rounds[number % 3](ground, chance, tallies)
    for kind, tally in sorted(tallies.items()):
        codes = ", ".join(f"exit {code}: {n}" for code, n in sorted(tally.codes.items()))
        print(f"{kind:28} {tally.files:6} files  {codes}  longest {tally.longest_s:.2f} s a file")
    ours, workers = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    peaks = [resource.getrusage(which).ru_maxrss >> 10 for which in (ours, workers)]
    print(f"{time.perf_counter() - started:.0f} s; peak {peaks[0]} MB here, {peaks[1]} MB a worker")
    changed = [path for tally in tallies.values() for path in tally.changed]
    print(f"files changed outside the outputs: {len(changed)} {changed[:3]}")
    raise SystemExit(any(tally.bad for tally in tallies.values()))


class Tallies(dict[str, Tally]):
    """A tally a kind, made when it is first asked for."""

    def __missing__(self, kind: str) -> Tally:
        self[kind] = Tally()
        return self[kind]


if __name__ == "__main__":
    main()
