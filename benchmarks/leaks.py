"""How many test windows of scenes overlap a training window, after a plain split and by place.

Each split is checked by comparing all pairs of windows, by their pixels in the scene.

    python benchmarks/leaks.py scenes --window 64 --stride 16
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.splitting.split_tiles import PARTS, SplitChoices, split_tiles
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneChoices, WindowChoices

FRACTIONS = (0.7, 0.1, 0.2)


def main() -> None:
    """Print a row of figures for each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--stride", type=int, default=16)
    given = parser.parse_args()
    windows = WindowChoices(given.window, given.stride)
    tiles = find_tiles(given.scenes, None, SceneChoices(windows), RunContext())
    print(f"{len(tiles)} windows\n\n| split | seed | train, val, test | in no list | overlap |")
    print("|---|---|---|---|---|")
    for name, buffer_m in (("plain", 0.0), ("--by-place", 0.0), ("--buffer-m 500", 500.0)):
        for seed in (0, 1, 2):
            place = name != "plain"
            choices = SplitChoices(FRACTIONS, seed, by_place=place, buffer_m=buffer_m)
            split = split_tiles(tiles, choices, RunContext())
            lists = dict(zip(PARTS, split.parts))
            share = share_overlapping(lists["test"], lists["train"])
            sizes = ", ".join(f"{len(part):,}" for part in split.parts)
            print(f"| {name} | {seed} | {sizes} | {len(split.left_out):,} | {share:.1%} |")


def share_overlapping(tiles: TileSet, others: TileSet) -> float:
    """The share of windows that have a pixel in common with one of the others."""
    rest: dict[str, list[tuple[int, ...]]] = {}
    for tile in others:
        rest.setdefault(tile.path, []).append(_edges(tile))
    count = sum(
        _meets(np.array(_edges(tile)), np.array(rest.get(tile.path, [(0, 0, 0, 0)])))
        for tile in tiles
    )
    return count / max(len(tiles), 1)


def _edges(tile: Tile) -> tuple[int, ...]:
    window = tile.window or Window(0, 0, 1, 1)  # every tile here is a window
    return window.col, window.row, window.col + window.width, window.row + window.height


def _meets(one: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    shared = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    return bool((shared > 0).all(axis=1).any())


if __name__ == "__main__":
    main()
