"""How often tiles unlike the training tiles are reported, and tiles like them are not.

    python -m benchmarks.misfit DATA

DATA is the folder of real tiles and scenes. No model is trained: the pixels are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.profile.misfit import value_warnings
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import TileScale
from rsretrieve.data.profile.training_profile import profile_of

Pixels = NDArray[Any]
SIZE_PX, PER_CLASS = 64, 40
CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "bands reversed": lambda x: x[:, ::-1],
    "bands rotated": lambda x: np.roll(x, 1, axis=1),
    "two bands exchanged": lambda x: x[:, [1, 0, *range(2, x.shape[1])]],
    "divided by 10,000": lambda x: x / 1e4,
    "divided by 257": lambda x: x / 257,
    "times 257": lambda x: x * 257.0,
    "plus 1,000": lambda x: x + 1000.0,
    "constant": lambda x: np.full_like(x, 100),
}
SEASONS: dict[str, Callable[[Pixels], Pixels]] = {
    "brighter by 1.3": lambda x: x * 1.3,
    "darker by 0.7": lambda x: x * 0.7,
}


def pictures(folder: Path) -> dict[str, Pixels]:
    """Some tiles of each class, (N, 3, 64, 64) float32."""
    found = {}
    for group in sorted(folder.iterdir()):
        paths = sorted(group.iterdir())[:PER_CLASS]
        tiles = [Image.open(path).convert("RGB").resize((SIZE_PX, SIZE_PX), 2) for path in paths]
        found[group.name] = np.stack([np.asarray(tile, np.float32) for tile in tiles])
        found[group.name] = found[group.name].transpose(0, 3, 1, 2)
    return found


def windows(path: Path) -> Pixels:
    """The windows of a scene, (N, 6, 64, 64) float32."""
    with rasterio.open(path) as dataset:
        pixels = dataset.read().astype(np.float32)
    rows, columns = (range(0, side - SIZE_PX + 1, SIZE_PX) for side in pixels.shape[1:])
    cut = [pixels[:, r : r + SIZE_PX, c : c + SIZE_PX] for r in rows for c in columns]
    return np.stack([window for window in cut if (window == 0).mean() < 0.5])


class Trained:
    """What a model that was trained on some tiles records of them."""

    def __init__(self, pixels: Pixels) -> None:
        bands = tuple(range(1, pixels.shape[1] + 1))
        axes = (0, 2, 3)
        mean, deviation = pixels.mean(axes), pixels.std(axes)
        low, high = (np.percentile(pixels, p, axis=axes) for p in (0.1, 99.9))
        statistics = BandStatistics(*(tuple(map(float, c)) for c in (mean, deviation, low, high)))
        self.preprocessing = Preprocessing(SIZE_PX, len(bands), bands, "float32", statistics)
        self.profile = profile_of(TileFeatures.of(pixels), TileScale())

    def reports(self, pixels: Pixels) -> bool:
        """Whether tiles are reported as unlike the training tiles."""
        features = TileFeatures.of(pixels)
        return bool(value_warnings(self.preprocessing, self.profile, features))


@dataclass(frozen=True)
class Tiles:
    """Tiles to train on, and others by class."""

    training: Pixels
    others: dict[str, Pixels]

    @property
    def together(self) -> Pixels:
        """All that are not for training."""
        return np.concatenate(list(self.others.values()))


def read_all(data: Path) -> dict[str, Tiles]:
    """Every data set of the folder; one half of each is for training."""
    sets = {}
    for name in ("ucmerced", "aid128"):
        classes = pictures(data / name)
        training = np.concatenate([tiles[::2] for tiles in classes.values()])
        sets[name] = Tiles(training, {label: tiles[1::2] for label, tiles in classes.items()})
    rng = np.random.default_rng(0)
    for path in sorted((data / "scenes").glob("*.tif")):
        cut = windows(path)
        cut = cut[rng.permutation(len(cut))]
        half = len(cut) // 2
        sets[path.stem] = Tiles(cut[:half], {"all": cut[half:]})
    return sets


def show(name: str, reported: list[bool]) -> None:
    """Print one line of the table."""
    print(f"  {name:65} reported {sum(reported):4d} of {len(reported)}")


def show_unchanged(trained: Trained, name: str, tiles: Tiles) -> None:
    """Tiles as they are: together, class by class, and each alone."""
    together = tiles.together
    show(f"{name}, all together", [trained.reports(together)])
    if len(tiles.others) > 1:
        classes = tiles.others.values()
        show(f"{name}, class by class", [trained.reports(each) for each in classes])
    single = [trained.reports(together[i : i + 1]) for i in range(len(together))]
    show(f"{name}, one by one", single)


def show_changed(trained: Trained, tiles: Tiles) -> None:
    """The same tiles in another unit, or with their bands in another order."""
    for change, function in (SEASONS | CHANGES).items():
        show(f"{change}, all together", [trained.reports(function(tiles.together))])
        if len(tiles.others) > 1:
            found = [trained.reports(function(each)) for each in tiles.others.values()]
            show(f"{change}, class by class", found)


def main(data: Path) -> None:
    """Print the tables."""
    sets = read_all(data)
    for name, own in sets.items():
        trained = Trained(own.training)
        print(f"\ntrained on {name} ({len(own.training)} tiles)")
        for other, tiles in sets.items():
            if tiles.training.shape[1] == own.training.shape[1]:
                title = "held-out tiles" if other == name else f"tiles of {other}"
                show_unchanged(trained, title, tiles)
        show_changed(trained, own)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
