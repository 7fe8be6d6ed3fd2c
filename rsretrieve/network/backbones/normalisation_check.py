"""Does a pre-trained network find better neighbours if tiles are normalised in another way?

Weights expect the normalisation of their own training. A file of weights does not say which it
was, so two are tried on a sample of the tiles: the one that is used, and one that may be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsretrieve._core.knn import knn_search
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, pixel_blocks
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.network import EmbeddingNetwork

_SAMPLED_TILES, _FEWEST_TILES = 300, 50
_NEIGHBOURS = 10
_LEAST_GAIN, _LEAST_GAIN_OF_HALVES, _STANDARD_ERRORS = 0.05, 0.15, 3.0
"""How much better the other normalisation must be: in share, and in standard errors of the gain.

Measured on 295 tiles of AID and 300 of UC Merced with EfficientNet-Lite0 and MobileNetV2
(`benchmarks/normalisations.py`). By labels a normalisation that the weights do not expect loses
0.00 to 0.07 if it is of the right scale, and 0.13 and more if it is not. Halves find each other
better by their colours, too: a scale that is wrong by ten loses 0.21 and more, one that is right up
to 0.17 without the mean, and 0.03 with it.
"""


@dataclass(frozen=True)
class Agreement:
    """How well neighbours agree, tile by tile, by two normalisations.

    Attributes:
        used: (M,) 0…1 by the normalisation that is used.
        other: (M,) by the other one.
        by_labels: the share of the 10 nearest neighbours with the tile's label. Otherwise: whether
            the left half of a tile finds its right half among the 10 nearest of all.
    """

    used: NDArray[np.float64]
    other: NDArray[np.float64]
    by_labels: bool

    @property
    def is_far_better(self) -> bool:
        """Whether the other normalisation is far better, beyond chance."""
        gains = self.other - self.used
        error = gains.std() / np.sqrt(len(gains))
        gain = float(gains.mean())
        least = _LEAST_GAIN if self.by_labels else _LEAST_GAIN_OF_HALVES
        return gain >= least and gain >= _STANDARD_ERRORS * float(error)

    def notice(self, used: str, other: str) -> str:
        """A warning if the other normalisation is far better; else empty.

        Args:
            used: what tiles are normalised by, in words.
            other: the other normalisation, and how to ask for it.
        """
        if not self.is_far_better:
            return ""
        what = "have the same label" if self.by_labels else "are found by another part of the tile"
        return (
            f"the weights seem to expect another normalisation than {used}: by {other}, far more "
            f"neighbours {what} ({self.other.mean():.2f} instead of {self.used.mean():.2f} of "
            f"them, measured on {len(self.used)} tiles)"
        )


def measured_on(pixels: NDArray[Any], statistics: BandStatistics) -> BandStatistics:
    """The mean and the deviation of a sample of tiles.

    Args:
        pixels: (N, C, S, S).
        statistics: whose limits are kept.
    """
    values = pixels[_sample_rows(len(pixels))].astype(np.float32)
    deviation = np.maximum(values.std(axis=(0, 2, 3)), 1e-6)
    mean = tuple(values.mean(axis=(0, 2, 3)).tolist())
    return replace(statistics, mean=mean, deviation=tuple(deviation.tolist()))


def compare_normalisations(
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    pixels: NDArray[Any],
    other: BandStatistics,
    labels: NDArray[np.int64] | None,
) -> Agreement | None:
    """Compare the agreement of neighbours by two normalisations.

    Args:
        network: with pre-trained weights.
        preprocessing: of the tiles; its statistics are used.
        pixels: (N, C, S, S) preprocessed; a sample of them is embedded twice.
        other: the statistics that may be meant.
        labels: (N,) class numbers, some of which may be wrong; None if there are none.

    Returns:
        The agreement; None for too few tiles.
    """
    chosen = _sample_rows(len(pixels))
    if len(chosen) < _FEWEST_TILES:
        return None
    tiles, given = pixels[chosen], None if labels is None else labels[chosen]
    network = fuse_batchnorm(network)
    used, by_other = (
        _agreement(network, replace(preprocessing, statistics=statistics), tiles, given)
        for statistics in (preprocessing.statistics, other)
    )
    return Agreement(used, by_other, labels is not None)


def _sample_rows(count: int) -> NDArray[np.int64]:
    """The rows of a sample: evenly spaced."""
    return np.arange(0, count, max(1, -(-count // _SAMPLED_TILES)))


def _agreement(
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    tiles: NDArray[Any],
    labels: NDArray[np.int64] | None,
) -> NDArray[np.float64]:
    device = next(network.backbone.parameters()).device
    embedder = Embedder(network, preprocessing, device, Precision.FLOAT32)
    if labels is not None:
        vectors = _centred(_features(embedder, tiles))
        found = knn_search(vectors, vectors, _NEIGHBOURS, np.arange(len(vectors)))
        return np.asarray((labels[found.rows] == labels[:, None]).mean(axis=1), np.float64)
    side = tiles.shape[3] // 2
    left, right = tiles[..., :side], tiles[..., -side:]
    halves = [_features(embedder, _mirrored(half)) for half in (left, right)]
    vectors = _centred(np.concatenate(halves))
    queries, gallery = np.split(vectors, 2)
    found = knn_search(queries, gallery, _NEIGHBOURS)
    own = np.arange(len(queries))[:, None]
    return np.asarray((found.rows == own).any(axis=1), np.float64)


def _mirrored(half: NDArray[Any]) -> NDArray[Any]:
    """(M, C, S, S/2) → (M, C, S, S): a half of a tile beside its mirror image."""
    return np.concatenate([half, half[..., ::-1]], axis=3)


def _features(embedder: Embedder, tiles: NDArray[Any]) -> NDArray[np.float32]:
    blocks = (np.ascontiguousarray(block) for block in pixel_blocks(tiles))
    return torch.cat([embedder.features(block) for block in blocks]).cpu().numpy()


def _centred(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit rows, after the mean is removed."""
    centred = features - features.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(lengths, 1e-12), np.float32)
