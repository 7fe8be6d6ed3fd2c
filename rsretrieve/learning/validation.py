"""How good a network is by tiles it was not trained on, with their labels as given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.learning.embedder import Embedder
from rsretrieve.learning.losses import Prototypes
from rsretrieve.learning.neighbours import knn_predictions


@dataclass(frozen=True)
class Examples:
    """Tiles to learn from or to validate by.

    Attributes:
        pixels: (N, C, S, S) preprocessed.
        labels: (N,) int64 class numbers, as given.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def standard_error(accuracy: float, tiles: int) -> float:
    """Standard error of an accuracy measured on so many tiles (of a binomial share)."""
    return math.sqrt(accuracy * (1 - accuracy) / tiles)


def accuracy(
    embedder: Embedder,
    prototypes: Prototypes,
    validation: Examples,
    gallery: Examples | None = None,
) -> float:
    """Share of validation tiles whose predicted class is their given label.

    The published protocol votes among *clean* training labels, which nobody with noisy
    labels has; here the gallery's labels, too, are those given. A training gives as gallery
    the tiles with weight m_i = 1, whose labels it trusts.

    Args:
        embedder: the network.
        prototypes: its prototypes, which predict where there is no gallery.
        validation: the tiles that are predicted.
        gallery: training tiles, of which the 10 nearest vote; or None.
    """
    vectors = embedder.embed_all(validation.pixels)
    if gallery is None:
        similarities = vectors @ prototypes.unit.detach().cpu().numpy().T
        predicted = similarities.argmax(axis=1)
    else:
        predicted = knn_predictions(vectors, embedder.embed_all(gallery.pixels), gallery.labels)
    return float((predicted == validation.labels).mean())
