"""Training targets: the label that each tile is taught, and whether it is taught at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import BLOCK_TILES, Embedder
from rsretrieve.network.prototypes import Prototypes


@dataclass(frozen=True)
class Targets:
    """The targets of N tiles.

    Attributes:
        labels: (N,) int64 class numbers: the given ones, or others that replace them.
        weights: (N,) m_i, 1 for tiles that are taught and 0 for tiles that are left out.
    """

    labels: Tensor
    weights: Tensor

    @classmethod
    def as_given(cls, labels: Tensor) -> Targets:
        """Every tile is taught its given label."""
        return cls(labels, torch.ones(len(labels), device=labels.device))

    def with_confirmed(self, given: Tensor, confirmed: Tensor) -> Targets:
        """The same targets, with confirmed labels taught as they are.

        Args:
            given: (N,) int64 given labels.
            confirmed: (N,) bool, labels that a person decided on.
        """
        if not confirmed.any():
            return self
        return Targets(
            torch.where(confirmed, given, self.labels),
            torch.where(confirmed, torch.ones_like(self.weights), self.weights),
        )

    def kept_mask(self, given: Tensor) -> Tensor:
        """(N,) 1 for tiles that are taught their given label, else 0."""
        return self.weights * (self.labels == given)

    def relabelled_mask(self, given: Tensor) -> Tensor:
        """(N,) 1 for tiles that are taught another label than the given one, else 0."""
        return self.weights * (self.labels != given)


def taught_classes(labels: Tensor, taught: Tensor, classes: int) -> Tensor:
    """Find the classes that at least one tile is taught.

    Args:
        labels: (N,) int64 class numbers.
        taught: (N,) bool.
        classes: K.

    Returns:
        (K,) bool.
    """
    counts = torch.zeros(classes, device=labels.device)
    return counts.index_add(0, labels, taught.float()) > 0


@dataclass(frozen=True)
class Predictions:
    """What a model computes for N tiles without augmentation.

    Attributes:
        embeddings: (N, D) float32, unit rows.
        log_p: (N, K) float32, log p_ic.
    """

    embeddings: Tensor
    log_p: Tensor


def predict(
    embedder: Embedder,
    prototypes: Prototypes,
    pixels: NDArray[Any],
    block_tiles: int = BLOCK_TILES,
) -> Predictions:
    """Run a model once over tiles, not augmented, in evaluation mode.

    Args:
        embedder: of the model's network.
        prototypes: of the same model.
        pixels: (N, C, S, S) preprocessed tiles.
        block_tiles: tiles a block.

    Returns:
        Predictions on the embedder's device, usable in a training step.
    """
    embeddings, log_p = [], []
    with torch.inference_mode():
        for vectors in embedder.map_blocks(embedder.embed, pixels, block_tiles=block_tiles):
            embeddings.append(vectors)
            log_p.append(prototypes(vectors))
    # Clones: tensors made in inference mode cannot take part in a training step.
    return Predictions(torch.cat(embeddings).clone(), torch.cat(log_p).clone())


class TargetPolicy(Protocol):
    """Sets targets anew from the predictions of a model."""

    @property
    def k(self) -> float | None:
        """The truncation; None if it has no share in the targets."""
        ...

    def update(
        self,
        predictions: Predictions,
        given: Tensor,
        previous: Targets,
        progress: float,
    ) -> Targets:
        """Return the new targets.

        Args:
            predictions: for the N training tiles.
            given: (N,) int64 given labels, on the same device.
            previous: the current targets.
            progress: finished share of the training, 0…1.
        """
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What the policy remembers between updates, for a checkpoint."""
        ...

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the state to one that `tensors` returned."""
        ...
