"""How labels go wrong on purpose, by class numbers."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


class Noise(StrEnum):
    """How right labels become wrong. The first three are those of `corrupt-labels`."""

    UNIFORM = "uniform"
    TABLE = "table"
    INSTANCE = "instance"
    NEXT = "next"
    SHIFTED = "shifted"
    RANDOM = "random"


def uniform(true: Labels, rate: float, rng: np.random.Generator) -> Labels:
    """A share of the labels becomes any other class."""
    classes = int(true.max()) + 1
    moved = (rng.random(len(true)) < rate) * rng.integers(1, classes, len(true))
    return np.asarray((true + moved) % classes)


def next_class(true: Labels, rate: float, rng: np.random.Generator) -> Labels:
    """A share of the labels becomes the next class, the last class the first."""
    return np.asarray((true + (rng.random(len(true)) < rate)) % (int(true.max()) + 1))


def two_others(true: Labels, rate: float, rng: np.random.Generator) -> Labels:
    """A share becomes one of two other classes: two thirds the next one, a third that after it."""
    wrong, further = rng.random(len(true)) < rate, rng.random(len(true)) < 1 / 3
    return np.asarray((true + wrong * (1 + further)) % (int(true.max()) + 1))


def by_numbers(noise: Noise, true: Labels, rate: float, seed: int) -> Labels:
    """Labels of a noise that class numbers alone decide.

    Args:
        noise: `TABLE` stands for two other classes.
        true: (N,) right labels.
        rate: share of wrong labels; random labels and shifted ones have their own.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    if noise is Noise.SHIFTED:
        return np.asarray((true + 1) % (int(true.max()) + 1))
    if noise is Noise.RANDOM:
        return rng.permutation(true)
    draws = {Noise.UNIFORM: uniform, Noise.NEXT: next_class, Noise.TABLE: two_others}
    return draws[noise](true, rate, rng)
