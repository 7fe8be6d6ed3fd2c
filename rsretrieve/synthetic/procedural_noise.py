"""Smooth noise and hashed random numbers for the synthetic landscape."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def noise(rng: np.random.Generator, side: int, wave_px: float) -> Floats:
    """Smooth noise (side, side), mean 0 and deviation 1: white noise under cubic B-splines."""
    at = np.arange(side, dtype=np.float32) / np.float32(wave_px)
    first = at.astype(int)
    t = at - first
    taps = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    knots = rng.standard_normal((int(first[-1]) + 4,) * 2, dtype=np.float32)
    rows = sum(tap[:, None] * knots[first + k] for k, tap in enumerate(taps))
    both: Floats = sum(tap * rows[:, first + k] for k, tap in enumerate(taps))
    both -= both.mean()
    return both / np.float32(both.std())


def hash_uniform_at(salt: int, *keys: NDArray[Any]) -> Floats:
    """Uniform numbers in [0, 1), hashed from integer keys: equal keys give equal numbers."""
    mixed = np.full(keys[0].shape, salt, np.uint32)
    for key in keys:
        mixed ^= key.astype(np.int64).astype(np.uint32)
        for factor, shift in ((0x9E3779B1, 15), (0x85EBCA6B, 13)):
            mixed *= np.uint32(factor)
            mixed ^= mixed >> np.uint32(shift)
    return (mixed >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def redraw(chance: Floats, times: int) -> Floats:
    """Another number in [0, 1), from the lower digits of a first one."""
    return chance * times % 1


def nearest(x: Floats, y: Floats, gap_px: float, salt: int) -> tuple[Floats, Floats, Floats]:
    """Offset (x, y) to the nearest of random points, one a square of `gap_px`, and its number."""
    best = np.full((4, *x.shape), np.inf, np.float32)
    for step in range(9):
        col, row = np.floor(x / gap_px) + step % 3 - 1, np.floor(y / gap_px) + step // 3 - 1
        chance = hash_uniform_at(salt, col, row)
        dx = x - gap_px * (col + 0.1 + 0.8 * chance)
        dy = y - gap_px * (row + 0.1 + 0.8 * (chance * 997 % 1))
        here = np.stack((dx * dx + dy * dy, dx, dy, chance))
        np.copyto(best, here, where=here[0] < best[0])
    return best[1], best[2], best[3]
