"""How good a network is by tiles it was not trained on, with their labels as given."""

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

_EMBEDDED_AT_ONCE = 256


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


@dataclass(frozen=True)
class Voters:
    """Some of the tiles of an array, which vote with their labels.

    Attributes:
        pixels: (N, C, S, S) preprocessed, of all tiles; they may be larger than memory.
        rows: (M,) int64, those that vote.
        labels: (M,) int64, what each of them votes for.
    """

    pixels: NDArray[Any]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]

    def embedded(self, embedder: Embedder) -> NDArray[np.float32]:
        """(M, D) float32, of a copy of a few tiles at a time."""
        starts = range(0, len(self.rows), _EMBEDDED_AT_ONCE)
        parts = [self.rows[start : start + _EMBEDDED_AT_ONCE] for start in starts]
        return np.concatenate([embedder.vectors(self.pixels[part]) for part in parts])


def standard_error(accuracy: float, tiles: int) -> float:
    """Standard error of an accuracy measured on so many tiles (of a binomial share)."""
    return math.sqrt(accuracy * (1 - accuracy) / tiles)


def accuracy(
    embedder: Embedder,
    prototypes: Prototypes,
    validation: Examples,
    voters: Voters | None = None,
) -> float:
    """Share of validation tiles whose predicted class is their given label.

    The published protocol votes among *clean* training labels, which nobody with noisy
    labels has; here the voters' labels, too, are those given. A training lets those tiles vote
    that have the weight m_i = 1, whose labels it trusts.

    Args:
        embedder: the network.
        prototypes: its prototypes, which predict where nobody votes.
        validation: the tiles that are predicted.
        voters: training tiles, of which the 10 nearest vote; or None.
    """
    vectors = embedder.embed_all(validation.pixels)
    if voters is None:
        similarities = vectors @ prototypes.unit.detach().cpu().numpy().T
        predicted = similarities.argmax(axis=1)
    else:
        predicted = knn_predictions(vectors, voters.embedded(embedder), voters.labels)
    return float((predicted == validation.labels).mean())


class BestEpoch:
    """Remembers the best of the epochs that it is told of.

    Attributes:
        number: of that epoch, from 1; 0 while there is none.
        state: the network's tensors then, or None while there is none.
    """

    def __init__(self) -> None:
        self.number = 0
        self.state: dict[str, Tensor] | None = None
        self._accuracy = 0.0

    def consider(
        self, number: int, accuracy: float, tiles: int, state: Mapping[str, Tensor]
    ) -> None:
        """Note an epoch.

        Of epochs that so few validation tiles cannot tell apart the later is the best: it has
        learned more, at a lower rate. A lucky early epoch would set the weights to the end.

        Args:
            number: of the epoch, from 1.
            accuracy: on the validation tiles.
            tiles: how many these are.
            state: the network's tensors, which are copied.
        """
        if accuracy >= self._accuracy - standard_error(self._accuracy, tiles):
            self.number = number
            self.state = {name: tensor.detach().clone() for name, tensor in state.items()}
        self._accuracy = max(accuracy, self._accuracy)

    def facts(self) -> dict[str, Any]:
        """For a checkpoint, beside `state`."""
        return {"best_accuracy": self._accuracy, "best_epoch": self.number}

    def restore(self, facts: Mapping[str, Any], state: dict[str, Tensor]) -> None:
        """The inverse of `facts`."""
        self._accuracy, self.number = facts["best_accuracy"], facts["best_epoch"]
        self.state = state or None
