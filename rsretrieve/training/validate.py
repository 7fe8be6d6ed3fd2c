"""Validation: how well a network predicts the given labels of tiles that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve._core.knn import knn_predictions
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.prototypes import Prototypes


@dataclass(frozen=True)
class Examples:
    """Tiles to train on or to validate with.

    Attributes:
        pixels: (N, C, S, S) preprocessed; or features (N, F) of a frozen backbone.
        labels: (N,) int64 class numbers, as given.
        confirmed: (N,) bool, a person decided on the label; None if nobody decided on any.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.int64]
    confirmed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, most: int) -> int:
        """The number of batches, of nearly equal sizes; one of one tile would break batch norm.

        Args:
            most: tiles in a batch, at most.
        """
        return max(1, min(math.ceil(len(self) / most), len(self) // 2))


@dataclass(frozen=True)
class Voters:
    """Some tiles of an array, which vote with their labels.

    Attributes:
        pixels: (N, C, S, S) preprocessed, of all tiles; may be larger than memory.
        rows: (M,) int64, the tiles that vote.
        labels: (M,) int64, the class that each of them votes for.
    """

    pixels: NDArray[Any]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


def standard_error(accuracy: float, tiles: int) -> float:
    """Standard error of an accuracy on `tiles` tiles (binomial distribution)."""
    return math.sqrt(accuracy * (1 - accuracy) / tiles)


def accuracy(
    embedder: Embedder,
    prototypes: Prototypes,
    validation: Examples,
    voters: Voters | None = None,
) -> float:
    """Share of validation tiles whose predicted class is their given label.

    The published protocol lets *clean* training labels vote, which users with noisy labels do
    not have. Here the voters' labels are the given ones too; during training only tiles with
    weight m_i = 1 vote.

    Args:
        embedder: of the network.
        prototypes: of the same model; they predict if there are no voters.
        validation: the tiles to predict.
        voters: training tiles, of which the 10 nearest vote; or None.

    Returns:
        The accuracy, 0…1.
    """
    vectors = embedder.vectors(validation.pixels)
    if voters is None:
        similarities = vectors @ prototypes.unit.detach().cpu().numpy().T
        predicted = similarities.argmax(axis=1)
    else:
        gallery = embedder.vectors(voters.pixels, voters.rows)
        predicted = knn_predictions(vectors, gallery, voters.labels)
    return float((predicted == validation.labels).mean())


@dataclass(frozen=True)
class KeptEpoch:
    """The epoch whose model is written, from 1, or 0 without epochs, and why, in words."""

    number: int
    why: str


class BestEpoch:
    """Keeps the best model of the epochs seen so far.

    Attributes:
        number: the best epoch, from 1; 0 before the first.
        state: the model's tensors after that epoch, or None before the first.
    """

    def __init__(self) -> None:
        self.number = 0
        self.state: dict[str, Tensor] | None = None
        self._accuracy = 0.0

    def update(self, number: int, accuracy: float, tiles: int, state: Mapping[str, Tensor]) -> None:
        """Compare an epoch with the best one.

        Between epochs that differ by less than a standard error, the later one is better: it has
        learned more, at a lower learning rate. Otherwise an early epoch that is best by chance
        would be kept to the end.

        Args:
            number: the epoch, from 1.
            accuracy: its validation accuracy, 0…1.
            tiles: the number of validation tiles.
            state: the model's tensors; they are copied.
        """
        if accuracy >= self._accuracy - standard_error(self._accuracy, tiles):
            self.number = number
            self.state = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._accuracy = max(accuracy, self._accuracy)

    def facts(self) -> dict[str, Any]:
        """The state beside `state`, as JSON values for a checkpoint."""
        return {"best_accuracy": self._accuracy, "best_epoch": self.number}

    def restore(self, facts: Mapping[str, Any], state: dict[str, Tensor]) -> None:
        """Set the state to one that `facts` returned."""
        self._accuracy, self.number = facts["best_accuracy"], facts["best_epoch"]
        self.state = state or None
