"""Check that a training learned something: a model that diverged is not written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.data.profile.spread import least_class_spread, spread_of
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TrainingDiverged
from rsretrieve.network.embedder import Embedder
from rsretrieve.training.targets.targets import Targets
from rsretrieve.training.validate import Examples

_SMALLER_STEPS = "give a smaller --learning-rate, or look for tiles with absurd values"
_SAMPLED = 1000  # training tiles that are embedded at the end
_LEAST_SPREAD = 1e-4  # a similarity of 0.9999: no tile can be told from another
_LEAST_TAUGHT, _FEW_TAUGHT = 0.05, 0.3  # shares of the training tiles


@dataclass(frozen=True)
class SampledEmbeddings:
    """Embeddings of evenly spaced training tiles by the finished model.

    Attributes:
        vectors: (M, D) float32 unit rows.
        labels: (M,) int64, the classes that the tiles are taught; −1 for none.
    """

    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, embedder: Embedder, train: Examples, targets: Targets) -> SampledEmbeddings:
        """Embed some training tiles.

        Args:
            embedder: of the finished model.
            train: the training tiles.
            targets: what they are taught.
        """
        rows = np.arange(0, len(train), -(-len(train) // _SAMPLED))
        taught = torch.where(targets.weights > 0, targets.labels, -1).cpu().numpy()
        return cls(embedder.vectors(train.pixels, rows), taught[rows])

    @property
    def spread(self) -> float | None:
        """See `spread_of`."""
        return spread_of(self.vectors)

    @property
    def class_spread(self) -> float | None:
        """See `least_class_spread`."""
        return least_class_spread(self.vectors, self.labels)


def require_finite(model: nn.Module, epoch: int) -> None:
    """Raise `TrainingDiverged` if a value of a model is not finite.

    Args:
        model: after the epoch.
        epoch: counted from 0.
    """
    tensors: list[Tensor] = [t for t in model.state_dict().values() if t.is_floating_point()]
    # One result for all tensors: each answer from a GPU takes as long as a step.
    finite = torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all()
    if not bool(finite):
        raise TrainingDiverged(
            f"the weights are no longer finite numbers after epoch {epoch + 1}",
            hint=_SMALLER_STEPS,
        )


def require_distinct(embeddings: SampledEmbeddings) -> None:
    """Raise `TrainingDiverged` if embeddings are not finite, or nearly the same for all tiles."""
    if not np.isfinite(embeddings.vectors).all():
        raise TrainingDiverged(
            "the embeddings of the training tiles are not finite numbers", hint=_SMALLER_STEPS
        )
    spread = embeddings.spread
    if spread is not None and spread < _LEAST_SPREAD:
        raise TrainingDiverged(
            "the trained network gives all tiles nearly the same embedding (mean similarity "
            f"{1 - spread:.5f})",
            hint="give a smaller --learning-rate, more --epochs, or pre-trained --weights; look "
            "for tiles that are all alike",
        )


def require_taught(taught: float, passing: float | None, k: float, context: RunContext) -> None:
    """Check that labels were learned from.

    Args:
        taught: the share of the training tiles that are taught a label at the end, 0…1.
        passing: the share whose label had a probability above the truncation at the last update;
            None if the loss has no truncation.
        k: the truncation.
        context: is told if few labels are taught.

    Raises:
        TrainingDiverged: no label, or nearly none, is taught or passes.
    """
    hint = "give a smaller --truncation, more --epochs, or another --learning-rate"
    if taught < _LEAST_TAUGHT:
        raise TrainingDiverged(
            f"only {taught:.1%} of the labels are learned from at the end of the training; "
            "the others are left out as wrong",
            hint=hint,
        )
    if passing is not None and passing < _LEAST_TAUGHT:
        raise TrainingDiverged(
            f"only {passing:.1%} of the labels have a probability above {k:g} (--truncation): "
            "the network did not learn them",
            hint=hint,
        )
    if taught < _FEW_TAUGHT:
        context.notice(
            f"only {taught:.0%} of the labels are learned from at the end of the training, the "
            "others are left out: give more --epochs, or a smaller --truncation"
        )
