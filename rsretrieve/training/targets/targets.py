"""What a training teaches of each tile: which label, and whether at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import Embedder
from rsretrieve.network.prototypes import Prototypes


@dataclass(frozen=True)
class Targets:
    """What is taught of N tiles.

    Attributes:
        labels: (N,) int64 class numbers: those given, or put in their place.
        weights: (N,) m_i, 1 where the tile is taught and 0 where it is left out.
    """

    labels: Tensor
    weights: Tensor

    @classmethod
    def as_given(cls, labels: Tensor) -> Targets:
        """Every tile is taught as it is labelled."""
        return cls(labels, torch.ones(len(labels), device=labels.device))

    def kept_mask(self, given: Tensor) -> Tensor:
        """(N,) 1 where a tile is taught the label it was given, else 0."""
        return self.weights * (self.labels == given)

    def relabelled_mask(self, given: Tensor) -> Tensor:
        """(N,) 1 where a tile is taught another label than it was given, else 0."""
        return self.weights * (self.labels != given)


def taught_classes(labels: Tensor, taught: Tensor, classes: int) -> Tensor:
    """(K,) bool: whether any tile is taught as that class.

    Args:
        labels: (N,) int64.
        taught: (N,) bool.
        classes: K.
    """
    counts = torch.zeros(classes, device=labels.device)
    return counts.index_add(0, labels, taught.float()) > 0


class TargetPolicy(Protocol):
    """How targets are set anew from what a network makes of the tiles."""

    def update(
        self,
        embedder: Embedder,
        prototypes: Prototypes,
        pixels: NDArray[Any],
        given: Tensor,
        previous: Targets,
        progress: float,
    ) -> Targets:
        """Look once at each tile as it is and decide.

        Args:
            embedder: the network that judges, in evaluation mode.
            prototypes: that network's own.
            pixels: (N, C, S, S) preprocessed tiles, not augmented.
            given: (N,) int64 labels as given, on the embedder's device.
            previous: the targets until now.
            progress: the share of the training that is done, 0…1.
        """
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it remembers from one update to the next, for a checkpoint."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        ...
