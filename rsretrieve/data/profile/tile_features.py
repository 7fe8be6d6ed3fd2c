"""A few numbers of each tile: the mean and the deviation of each band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEP = 4  # every fourth pixel, along both axes
MOST_TILES = 5000


@dataclass(frozen=True)
class TileFeatures:
    """Band statistics of single tiles.

    Attributes:
        means: (N, C) float64, the mean of each band, in the unit of the pixels.
        deviations: (N, C) float64, the standard deviation of each band within the tile.
    """

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.means)

    @classmethod
    def of(cls, pixels: NDArray[np.generic]) -> TileFeatures:
        """The features of preprocessed tiles (N, C, S, S); every fourth pixel is used."""
        some = pixels[..., ::_STEP, ::_STEP].astype(np.float64)
        return cls(some.mean(axis=(2, 3)), some.std(axis=(2, 3)))

    @property
    def log_deviations(self) -> NDArray[np.float64]:
        """(N, C) the logarithms of the deviations; those of constant bands are bounded."""
        floor = 1e-3 * max(float(self.deviations.mean()), 1e-12)
        return np.asarray(np.log(self.deviations + floor), np.float64)


class FeatureSample:
    """Collects the features of evenly spaced tiles of a stream of known length.

    Args:
        tiles: N, the number of tiles that will come at most.
        bands: C.
    """

    def __init__(self, tiles: int, bands: int) -> None:
        self._apart = -(-max(1, tiles) // MOST_TILES)  # rounded up
        self._bands, self._seen = bands, 0
        self._parts: list[TileFeatures] = []

    def add(self, pixels: NDArray[np.generic]) -> None:
        """Add the next batch of the stream, (B, C, S, S) preprocessed."""
        first = -self._seen % self._apart
        self._seen += len(pixels)
        if first < len(pixels):
            self._parts.append(TileFeatures.of(pixels[first :: self._apart]))

    @property
    def features(self) -> TileFeatures:
        """The features of the tiles so far."""
        none = np.empty((0, self._bands))
        return TileFeatures(
            np.concatenate([none, *(part.means for part in self._parts)]),
            np.concatenate([none, *(part.deviations for part in self._parts)]),
        )
