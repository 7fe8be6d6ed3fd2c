"""Data sets that are made up: pictures of patterns, of few classes, of many, and of classes alike.

A class is a pattern of waves with its own directions, lengths and colours. A tile has other phases,
another brightness and noise. In the set of alike classes, the colour of a tile is drawn around that
of its class, so widely that neighbouring classes overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX, WAVES = 32, 3


@dataclass(frozen=True)
class MadeUp:
    """What is made.

    Attributes:
        classes, tiles: number of classes, and of tiles in each.
        spread: of the tiles around their class, in steps from one class to the next; 0 where
            classes have nothing in common.
    """

    classes: int
    tiles: int
    spread: float = 0.0


FEW, MANY, ALIKE = MadeUp(4, 220), MadeUp(40, 50), MadeUp(8, 90, 0.45)


def write_made_up(folder: Path, kind: MadeUp) -> None:
    """Write the tiles, one folder a class; what is there already stays."""
    for number in range(kind.classes):
        there = folder / f"class{number:02d}"
        there.mkdir(parents=True, exist_ok=True)
        for tile in range(kind.tiles):
            path = there / f"{tile:03d}.png"
            if not path.exists():
                Image.fromarray(_picture(kind, number, tile)).save(path)


def _picture(kind: MadeUp, number: int, tile: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([kind.classes, number, tile])
    of_class = np.random.default_rng([kind.classes, 0 if kind.spread else number])
    waves = of_class.uniform(-0.9, 0.9, (WAVES, 2))
    colours = of_class.uniform(-1, 1, (WAVES, 3))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    surface = np.sin(waves[:, :1, None] * y + waves[:, 1:, None] * x + phases[:, None, None])
    picture = np.tensordot(surface, colours, (0, 0)) / WAVES
    if kind.spread:
        hue = 2 * np.pi * (number + kind.spread * rng.normal()) / kind.classes
        picture = picture / 2 + np.sin(hue + np.array([0, 2, 4]) * np.pi / 3) / 2
    picture = picture + rng.normal(0, 0.15) + rng.normal(0, 0.25, picture.shape)
    return (127 + 110 * picture).clip(1, 255).astype(np.uint8)
