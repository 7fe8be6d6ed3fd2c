"""The other half of t-RNSL's optimisation: the weights m_i, given the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import Embedder
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.losses import kept, label_log_probability
from rsretrieve.training.targets.targets import Targets, taught_classes


class TruncationPolicy:
    """The published strategy: the labels stay, the weights m_i follow the truncation.

    Args:
        k: the truncation.
    """

    def __init__(self, k: float) -> None:
        self.k = k

    def update(
        self,
        embedder: Embedder,
        prototypes: Prototypes,
        pixels: NDArray[Any],
        given: Tensor,
        previous: Targets,
        progress: float,
    ) -> Targets:
        """See `TargetPolicy.update`."""
        own_log_p = plain_log_probabilities(embedder, prototypes, pixels, given)
        return Targets(given, updated_weights(own_log_p, self.k, given, previous.weights))

    def tensors(self) -> dict[str, Tensor]:
        """See `TargetPolicy.tensors`: it remembers nothing."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `TargetPolicy.restore`."""


def plain_log_probabilities(
    embedder: Embedder,
    prototypes: Prototypes,
    pixels: NDArray[Any],
    labels: Tensor,
    batch_size: int = 256,
) -> Tensor:
    """One pass over tiles as they are: not augmented, the network in evaluation mode.

    Args:
        embedder: the network that judges.
        prototypes: that network's own.
        pixels: (N, C, S, S) preprocessed tiles.
        labels: (N,) int64 class numbers, on the embedder's device.
        batch_size: tiles at a time.

    Returns:
        log p_{i,y_i}, (N,) float32.
    """
    own = []
    with torch.inference_mode():
        for start in range(0, len(pixels), batch_size):
            log_p = prototypes(embedder.embed(pixels[start : start + batch_size]))
            own.append(label_log_probability(log_p, labels[start : start + batch_size]))
    # A clone: tensors made in inference mode cannot take part in a training step.
    return torch.cat(own).clone()


def updated_weights(own_log_p: Tensor, k: float, labels: Tensor, previous: Tensor) -> Tensor:
    """m_i ← 1 if p_i > k else 0, which minimises t-RNSL over m_i with the network held fixed.

    We deviate in one case: where not one tile of a class passes, the network has not learned
    that class yet and judges nobody in it, and its previous weights stay. Left out whole, a
    class could never be learned any more.

    Args:
        own_log_p: (N,) log p_{i,y_i} on plain tiles.
        k: the truncation.
        labels: (N,) int64 class numbers.
        previous: (N,) the weights until now.

    Returns:
        (N,) of 0 and 1.
    """
    passing = kept(own_log_p, k).to(previous.dtype)
    known = taught_classes(labels, passing > 0, int(labels.max()) + 1)
    return torch.where(known[labels], passing, previous)
