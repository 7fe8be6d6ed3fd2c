"""A trained model: its network, its prototypes and its description."""

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
from rsretrieve.network.unlabelled.known_vectors import KnownVectors


class PrototypeModel(nn.Module):
    """A network and its prototypes, which are trained, averaged and stored together.

    Args:
        network: embeds tiles.
        prototypes: classify embeddings.
    """

    def __init__(self, network: EmbeddingNetwork, prototypes: Prototypes) -> None:
        super().__init__()
        self.network = network
        self.prototypes = prototypes

    def forward(self, tiles: Tensor) -> Tensor:
        """Normalised pixels (B, C, S, S) float32 → (B, K) log p_ic."""
        log_p: Tensor = self.prototypes(self.network(tiles))
        return log_p


@dataclass(frozen=True)
class Model:
    """A trained model, in memory.

    Attributes:
        folder: the folder that it was read from.
        description: the content of `model.json`.
        network: in evaluation mode, on `device`.
        prototypes: (K, D) float32, unit rows.
        temperature: σ.
        device: the device of the network.
        known: embeddings that were computed when the model was fitted, in the precision of its
            embedder; None for a model that was read from its folder.
    """

    folder: Path
    description: ModelDescription
    network: EmbeddingNetwork
    prototypes: NDArray[np.float32]
    temperature: float
    device: torch.device
    known: KnownVectors | None = None

    @property
    def device_name(self) -> str:
        """The device of the network: `cpu`, `cuda:0`."""
        return str(self.device)

    def embedder(self) -> Embedder:
        """An embedder for this model, in the precision that training chose."""
        precision = best_precision(self.device)
        # Older models do not name one; their indexes were built in the device's fastest precision.
        if self.description.training.get("embeds_in") == Precision.FLOAT32:
            precision = Precision.FLOAT32
        preprocessing = self.description.preprocessing
        network = fuse_batchnorm(self.network)
        return Embedder(network, preprocessing, self.device, precision, self.known)
