"""The layout of the synthetic landscape: motorways, cells, and regions with irregular borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.synthetic.procedural_noise import Floats, noise

CLASS_NAMES: tuple[str, ...] = (
    *("bare_soil", "beach", "dense_houses", "fields", "forest"),
    *("orchard", "road", "sparse_houses", "water"),
)
CLASS_INDICES = range(len(CLASS_NAMES))
DOMINANCE = 0.75
"""The least share of a cell's pixels that are of the cell's class."""

Classes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Motorways:
    """Where the motorways run.

    Attributes:
        off_px: (H, W), signed distance to the middle of the nearest; large where none is near.
        along_px: (H, W), the way along it.
        crossed: (cells, cells), the cells that it crosses by enough to be of the class road.
    """

    off_px: Floats
    along_px: Floats
    crossed: Mask


def make_motorways(rng: np.random.Generator, cells: int, cell_px: int) -> Motorways:
    """Make motorways until they cross their share of the cells."""
    side = cells * cell_px
    way = np.arange(side)
    off, along = np.full((2, side, side), 1e4, np.float32)
    crossed = np.zeros((cells, cells), bool)
    wanted, start = cells * cells // len(CLASS_NAMES), rng.uniform()
    while crossed.sum() < wanted:
        start = (start + 0.382) % 1  # the golden section keeps them apart
        middle = side * (0.15 + 0.7 * start + 0.06 * noise(rng, side, side / 3)[0])
        middle += rng.uniform(-0.5, 0.5) * (way - side / 2)
        stretch = np.hypot(1, np.gradient(middle))
        here = ((way[:, None] - middle) / stretch).astype(np.float32)
        near = (np.abs(here) < 12) & (way < _cross(crossed, middle, cell_px, wanted))
        np.copyto(off, here, where=near)
        np.copyto(along, np.cumsum(stretch).astype(np.float32), where=near)
        off, along, crossed = off.T, along.T, crossed.T  # the next one runs the other way
    return Motorways(off, along, crossed)


def _cross(crossed: Mask, middle: NDArray[Any], cell_px: int, wanted: int) -> int:
    """Mark the cells that a motorway crosses, up to `wanted` in all; return where it ends."""
    rows = np.floor(middle / cell_px).astype(int).reshape(-1, cell_px)
    for col, seen in enumerate(rows):
        for row in sorted(set(seen.tolist()) & set(range(len(crossed)))):
            if (seen == row).mean() > 0.45:
                if crossed.sum() == wanted:
                    return col * cell_px
                crossed[row, col] = True
    return middle.size


def lay_out(rng: np.random.Generator, road_cells: Mask) -> Classes:
    """Give every cell a class, (cells, cells): smooth regions, all classes equally often."""
    affinity = {name: noise(rng, len(road_cells), 3.0) for name in CLASS_NAMES if name != "road"}
    affinity["beach"] += affinity["water"]
    affinity["dense_houses"] += affinity["sparse_houses"]
    odds = np.exp(2 * np.stack(list(affinity.values()))).reshape(len(affinity), -1)
    for _ in range(50):  # Sinkhorn: balance the classes over the cells
        odds /= odds.sum(axis=1, keepdims=True)
        odds /= odds.sum(axis=0)
    free = ~road_cells.ravel()
    quota = (free.sum() + rng.permutation(len(affinity))) // len(affinity)
    layout = np.full(free.size, CLASS_NAMES.index("road"), np.uint8)
    for best in np.argsort(-odds, axis=None, kind="stable"):
        class_index, cell = divmod(int(best), free.size)
        if free[cell] and quota[class_index]:
            layout[cell], free[cell] = CLASS_NAMES.index(list(affinity)[class_index]), False
            quota[class_index] -= 1
    return layout.reshape(road_cells.shape)


def make_regions(
    rng: np.random.Generator, layout: Classes, cell_px: int, motorways: Motorways
) -> Classes:
    """Class of every pixel, (H, W): the layout's, with rounded corners and irregular borders.

    Where a cell would lose its dominance, the irregularity is reduced step by step, then removed,
    and at last the motorway across a corner is left out.
    """
    side = len(layout) * cell_px
    wild = [noise(rng, side, 0.7 * cell_px) * 0.14 * cell_px for _ in "yx"]
    irregularity = np.stack([way + noise(rng, side, 5.0) for way in wild])
    whole = _by_pixel(layout, cell_px)
    rounded = _rounded(whole, int(0.3 * cell_px))
    damping = np.zeros(layout.shape, int)
    while True:
        rest = _by_pixel(np.array([1, 0.8, 0.6, 0.4, 0.2, 0, -1])[damping], cell_px)
        rows, cols = (np.indices((side, side)) + rest * irregularity).clip(0, side - 1).astype(int)
        classes: Classes = rounded[rows, cols]
        np.copyto(classes, whole, where=rest <= 0)
        classes[(np.abs(motorways.off_px) < 8) & (rest >= 0)] = CLASS_NAMES.index("road")
        weak = shares_of_cells(classes == whole, cell_px) < DOMINANCE
        if not weak.any():
            return classes
        damping += weak


def _rounded(classes: Classes, reach_px: int) -> Classes:
    """Every pixel's most frequent class within a square around it."""
    most, winner = np.zeros(classes.shape, np.int32), classes.copy()
    for index in CLASS_INDICES:
        count = (classes == index).astype(np.int32)
        for _ in range(2):
            padded = np.pad(count, ((reach_px + 1, reach_px), (0, 0)), mode="edge")
            sums = padded.cumsum(axis=0, dtype=np.int32)
            count = (sums[2 * reach_px + 1 :] - sums[: -2 * reach_px - 1]).T
        winner[count > most] = index
        most = np.maximum(most, count)
    return winner


def _by_pixel(values: NDArray[Any], cell_px: int) -> NDArray[Any]:
    return values.repeat(cell_px, axis=0).repeat(cell_px, axis=1)


def shares_of_cells(mask: Mask, cell_px: int) -> NDArray[np.float64]:
    """The share of every cell's pixels that are set, (cells, cells)."""
    cells = len(mask) // cell_px
    return np.asarray(mask.reshape(cells, cell_px, cells, cell_px).mean(axis=(1, 3)))
