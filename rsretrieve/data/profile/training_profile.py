"""What a model folder records of the tiles that the model was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.pixels.extreme import MOST_STATISTIC
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.profile.tile_scale import TileScale

LEAST_TILES = 20
"""Fewer tiles are too few to tell the order of bands from."""

_MOST_BANDS = 12  # whose covariances are kept
_RIDGE = 0.05  # of the variances: the covariances of few tiles are inexact


@dataclass(frozen=True)
class TrainingProfile:
    """The tiles that a model was trained on: values, size on the ground, embeddings.

    Attributes:
        low, high: (C,) the smallest and the largest mean of a tile, in the unit of the pixels.
        deviation: (C,) the median standard deviation within a tile.
        feature_means: (2C,) the average of the tiles' means and log deviations; empty for few
            tiles or many bands.
        feature_covariances: (2C, 2C) their covariances, or empty.
        scale: the size of the tiles.
        spread: of the embeddings, see `spread_of`; None if unknown.
        class_spread: of the class whose embeddings differ least; None if unknown.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    deviation: tuple[float, ...]
    feature_means: tuple[float, ...] = ()
    feature_covariances: tuple[tuple[float, ...], ...] = ()
    scale: TileScale = field(default_factory=TileScale)
    spread: float | None = None
    class_spread: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "low": list(self.low),
            "high": list(self.high),
            "deviation": list(self.deviation),
            "feature_means": list(self.feature_means),
            "feature_covariances": [list(row) for row in self.feature_covariances],
            "scale": self.scale.to_json(),
            "spread": self.spread,
            "class_spread": self.class_spread,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], bands: int) -> TrainingProfile:
        """The inverse of `to_json`.

        Args:
            content: JSON values.
            bands: C.

        Raises:
            KeyError, TypeError, ValueError: it is not a profile of tiles with these bands.
        """
        low, high, deviation = (_numbers(content[n], bands) for n in ("low", "high", "deviation"))
        count = 2 * bands if content["feature_means"] else 0
        rows = content["feature_covariances"]
        if len(rows) != count or min(deviation) < 0:
            raise ValueError("the profile of the training tiles is damaged")
        return cls(
            low,
            high,
            deviation,
            _numbers(content["feature_means"], count),
            tuple(_numbers(row, count, MOST_STATISTIC**2) for row in rows),
            TileScale.from_json(content["scale"]),
            _spread(content["spread"]),
            _spread(content["class_spread"]),
        )


def _numbers(values: Any, count: int, limit: float = MOST_STATISTIC) -> tuple[float, ...]:
    numbers = tuple(map(float, values))
    if len(numbers) != count or not all(abs(number) < limit for number in numbers):
        raise ValueError("the profile of the training tiles is damaged")
    return numbers


def _spread(value: Any) -> float | None:
    return None if value is None else _numbers([value], 1)[0]


def profile_of(
    features: TileFeatures,
    scale: TileScale,
    spread: float | None = None,
    class_spread: float | None = None,
) -> TrainingProfile:
    """The profile of tiles with these features.

    Args:
        features: of N ≥ 1 tiles.
        scale: of the same tiles.
        spread: of their embeddings.
        class_spread: of the class whose embeddings differ least.
    """
    means, covariances = (), ()  # type: tuple[float, ...], tuple[tuple[float, ...], ...]
    count, bands = features.means.shape
    if 1 < bands <= _MOST_BANDS and count >= LEAST_TILES:
        values = joint_features(features)
        means = _tuple(values.mean(axis=0))
        covariance = np.cov(values.T)
        covariance += _RIDGE * np.diag(np.diag(covariance) + 1e-12)
        covariances = tuple(map(_tuple, covariance))
    return TrainingProfile(
        _tuple(features.means.min(axis=0)),
        _tuple(features.means.max(axis=0)),
        _tuple(np.median(features.deviations, axis=0)),
        means,
        covariances,
        scale,
        spread,
        class_spread,
    )


def joint_features(features: TileFeatures) -> NDArray[np.float64]:
    """(N, 2C): the means of the bands, then the logarithms of their deviations."""
    return np.concatenate((features.means, features.log_deviations), axis=1)


def _tuple(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())
