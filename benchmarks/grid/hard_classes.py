"""Real tiles of few classes that are easily taken for each other, and of classes of unequal size.

Copies of some tiles of UC Merced; their folder is made once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

_RESIDENTIAL = ("denseresidential", "mediumresidential")
_FIELDS = ("agricultural", "forest", "golfcourse")
_FIVE = (*_RESIDENTIAL, "buildings", "mobilehomepark", "sparseresidential")
CLASSES = {2: _RESIDENTIAL, 3: _FIELDS, 5: _FIVE, 8: (*_FIVE, *_FIELDS)}
LARGEST_TO_SMALLEST = 20


def write_few(folder: Path, source: Path, classes: int) -> None:
    """Copy the tiles of 2, 3, 5 or 8 classes, one folder a class."""
    for name in CLASSES[classes]:
        _copy(sorted((source / name).iterdir()), folder / name)


def write_unequal(folder: Path, source: Path) -> None:
    """Copy fewer and fewer tiles of each class: the first has 20 times as many as the last."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for tiles, path in _with_share(classes):
        _copy(tiles, folder / path.name)


def _with_share(classes: list[Path]) -> Iterator[tuple[list[Path], Path]]:
    for number, path in enumerate(classes):
        tiles = sorted(path.iterdir())
        share = LARGEST_TO_SMALLEST ** -(number / (len(classes) - 1))
        yield tiles[: round(share * len(tiles))], path


def _copy(tiles: list[Path], folder: Path) -> None:
    if folder.exists():
        return
    aside = folder.with_name(f".{folder.name}.unfinished")
    aside.mkdir(parents=True, exist_ok=True)
    for tile in tiles:
        shutil.copyfile(tile, aside / tile.name)
    aside.rename(folder)
