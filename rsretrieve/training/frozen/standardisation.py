"""Give features of any backbone the same scale while a head is trained on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_BLOCK = 4096


@dataclass(frozen=True)
class Standardisation:
    """The mean and the scale of features, which a linear layer can include afterwards.

    Attributes:
        mean: (F,) float32.
        scale: the root mean square distance of a feature from its mean, over all features.
    """

    mean: NDArray[np.float32]
    scale: float

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> Standardisation:
        """Measure (N, F) features."""
        mean = features.mean(axis=0, dtype=np.float64)
        total = sum(
            float(np.square(features[start : start + _BLOCK] - mean).sum())
            for start in range(0, len(features), _BLOCK)
        )
        scale = (total / features.size) ** 0.5
        return cls(mean.astype(np.float32), scale if scale > 0 else 1.0)

    def apply(self, features: NDArray[np.float32]) -> None:
        """Standardise (N, F) features in place."""
        for start in range(0, len(features), _BLOCK):
            block = features[start : start + _BLOCK]
            block -= self.mean
            block /= self.scale

    def folded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The linear layer of features as they are, from that of standardised features."""
        mean = torch.from_numpy(self.mean).to(weight)
        return weight / self.scale, bias - weight @ mean / self.scale

    def unfolded(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse of `folded`."""
        mean = torch.from_numpy(self.mean).to(weight)
        return weight * self.scale, bias + weight @ mean


def set_linear(layer: nn.Linear, values: tuple[Tensor, Tensor]) -> None:
    """Set the weight and the bias of a linear layer."""
    with torch.no_grad():
        layer.weight.copy_(values[0])
        layer.bias.copy_(values[1])
