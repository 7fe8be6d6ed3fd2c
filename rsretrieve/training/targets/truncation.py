"""The published target policy: the truncation of t-RNSL sets the weights m_i.

Kang et al. minimise t-RNSL by alternating convex search. The network is trained with the weights
held fixed; then the weights are set with the network held fixed.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rsretrieve.training.losses import label_log_probability, truncation_weights
from rsretrieve.training.targets.targets import Predictions, Targets, taught_classes


class TruncationPolicy:
    """Keeps the given labels and sets the weights m_i by the truncation.

    Args:
        k: the truncation, 0 ≤ k < 1.
    """

    def __init__(self, k: float) -> None:
        self.k = k

    def update(
        self, predictions: Predictions, given: Tensor, previous: Targets, progress: float
    ) -> Targets:
        """See `TargetPolicy.update`."""
        log_p = label_log_probability(predictions.log_p, given)
        return Targets(given, update_weights(log_p, self.k, given, previous.weights))

    def tensors(self) -> dict[str, Tensor]:
        """See `TargetPolicy.tensors`: there is no state."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `TargetPolicy.restore`."""


def update_weights(log_p: Tensor, k: float, labels: Tensor, previous: Tensor) -> Tensor:
    """Set m_i = 1 if p_i > k, else 0. This minimises t-RNSL over m_i for a fixed network.

    One case deviates from the paper. If no tile of a class has p_i > k, the network has not
    learned that class yet, and the class keeps its previous weights. Otherwise all its tiles
    would be left out and it could never be learned.

    Args:
        log_p: (N,) log p_{i,y_i}, of tiles without augmentation.
        k: the truncation.
        labels: (N,) int64 class numbers.
        previous: (N,) the current weights.

    Returns:
        (N,) new weights, 0 or 1, in the dtype of `previous`.
    """
    passing = truncation_weights(log_p, k).to(previous.dtype)
    learned = taught_classes(labels, passing > 0, int(labels.max()) + 1)
    return torch.where(learned[labels], passing, previous)
