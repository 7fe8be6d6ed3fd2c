"""How many near-duplicates under other labels an audit finds, and whom it accuses wrongly.

Copies tiles, shifted by 2 px and re-compressed, puts other labels on the copies, and runs
`rsretrieve audit-labels` on all tiles together. Then gives every tile a label of its own,
so that each of its 20 nearest tiles is a pair of two labels, and counts those called twins. Usage:

    python benchmarks/audit_twins.py TILES --model DIR [--copies 50]
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rsretrieve.audit.duplicates.find import (
    NEIGHBOURS_WITH_PIXELS,
    near_duplicates_by_pixels,
    pairs_of_two_labels,
)
from rsretrieve.audit.estimators.neighbors import nearest_neighbours
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.reading.preview import read_preview
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model_folder import load_model

SHIFTS = ((2, 0), (0, 2), (2, 2), (-2, 0), (0, -2))
QUALITIES = (40, 50, 60, 75, 90)


def copies_of(tiles: TileSet, count: int, folder: Path) -> dict[str, Tile]:
    """Id of a tile → its shifted, re-compressed copy under another label."""
    rng = np.random.default_rng(0)
    names, copies = tiles.class_names, {}
    for number, row in enumerate(rng.choice(len(tiles), count, replace=False).tolist()):
        tile = tiles[row]
        with Image.open(tile.path) as image:
            size = max(image.size)
        pixels = np.asarray(read_preview(tile, size))
        path = folder / f"copy{number:03d}.jpg"
        shifted = np.roll(pixels, SHIFTS[number % 5], (0, 1))
        Image.fromarray(shifted).save(path, quality=QUALITIES[number * 5 // count])
        other = (names.index(str(tile.label)) + 1 + int(rng.integers(len(names) - 1))) % len(names)
        copies[tile.id] = Tile(f"copies/{path.name}", str(path), names[other])
    return copies


def named_twins(tiles: TileSet, model: Path, folder: Path) -> dict[str, str]:
    """Tile id → its twin's id, by the program."""
    write_list(folder / "list.csv", tiles, overwrite=True)
    command = [sys.executable, "-m", "rsretrieve", "audit-labels", str(folder / "list.csv")]
    command += ["--model", str(model), "--output", str(folder / "audit.csv"), "--json", "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    with (folder / "audit.csv").open(encoding="utf-8", newline="") as stream:
        return {row["tile"]: row["twin"] for row in csv.DictReader(stream) if row["twin"]}


def main() -> None:
    """Copy, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=50)
    given = parser.parse_args()
    tiles = find_tiles(given.tiles).labelled()
    with tempfile.TemporaryDirectory() as name:
        copies = copies_of(tiles, given.copies, Path(name))
        both = TileSet(tiles.source, (*tiles.tiles, *copies.values()))
        twins = named_twins(both, given.model, Path(name))
    found = sum(twins.get(copy.id) == original for original, copy in copies.items())
    print(f"{found} of {len(copies)} copies under other labels are named as their twins")
    embedded = embed_tiles(load_model(given.model, torch.device("cpu")), tiles, RunContext())
    own = np.arange(len(embedded.tiles))
    neighbours = nearest_neighbours(UnitRows(embedded.vectors), own, NEIGHBOURS_WITH_PIXELS)
    twin = near_duplicates_by_pixels(embedded.tiles, neighbours, own, RunContext()).other
    pairs = {tuple(sorted((int(i), int(twin[i])))) for i in np.flatnonzero(twin >= 0)}
    print(f"of {len(pairs_of_two_labels(neighbours, own))} pairs of tiles, called twins:")
    for one, other in sorted(pairs):
        print(f"  {embedded.tiles[one].id}  {embedded.tiles[other].id}")


if __name__ == "__main__":
    main()
