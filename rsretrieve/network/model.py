"""A trained model: the network, the prototypes, and the record of what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.network.device import Precision, best_precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.fuse_batchnorm import fuse_batchnorm
from rsretrieve.network.metadata import ModelDescription
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes

__all__ = ["Model", "ModelDescription", "PrototypeModel"]


class PrototypeModel(nn.Module):
    """The network and the prototypes, which are trained, averaged and stored together."""

    def __init__(self, network: EmbeddingNetwork, prototypes: Prototypes) -> None:
        super().__init__()
        self.network = network
        self.prototypes = prototypes

    def forward(self, tiles: Tensor) -> Tensor:
        """Normalised pixels (B, C, S, S) → (B, K) log p_ic."""
        log_p: Tensor = self.prototypes(self.network(tiles))
        return log_p


@dataclass(frozen=True)
class Model:
    """A trained model, in memory.

    Attributes:
        folder: where it was read from.
        description: what it is.
        network: in evaluation mode, on `device`.
        prototypes: (K, D) float32, unit rows.
        temperature: σ.
        device: where the network is.
    """

    folder: Path
    description: ModelDescription
    network: EmbeddingNetwork
    prototypes: NDArray[np.float32]
    temperature: float
    device: torch.device

    @property
    def device_name(self) -> str:
        """Where the network is: `cpu`, `cuda:0`."""
        return str(self.device)

    def embedder(self) -> Embedder:
        """What embeds tiles with this model."""
        precision = best_precision(self.device)
        # Models of before do not say; their indexes were made in what the device gains by.
        if self.description.training.get("embeds_in") == Precision.FLOAT32:
            precision = Precision.FLOAT32
        preprocessing = self.description.preprocessing
        return Embedder(fuse_batchnorm(self.network), preprocessing, self.device, precision)
