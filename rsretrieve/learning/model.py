"""A trained model: the network, the prototypes, and the record of what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsretrieve.learning.embedder import Embedder
from rsretrieve.learning.losses import Prototypes
from rsretrieve.learning.network import EmbeddingNetwork
from rsretrieve.storage import sha256_of_json
from rsretrieve.tiles.preprocessing import Preprocessing

SCHEMA_VERSION = 1


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
class ModelDescription:
    """What `model.json` holds.

    Attributes:
        backbone: a torchvision classification model.
        dimensions: D.
        preprocessing: of every tile.
        class_names: the K classes, in the prototypes' order.
        recipe: every hyper-parameter.
        training: a summary of the training.
        versions: of the libraries that trained it.
        weights_sha256: of `model.safetensors`.
    """

    backbone: str
    dimensions: int
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    recipe: Mapping[str, Any]
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    weights_sha256: str

    @property
    def fingerprint(self) -> str:
        """What an embedding hangs on: architecture, preprocessing and weights, as a SHA-256."""
        content = self.to_json()
        return sha256_of_json(
            {key: content[key] for key in ("architecture", "preprocessing", "weights_sha256")}
        )

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "schema_version": SCHEMA_VERSION,
            "architecture": {"backbone": self.backbone, "dimensions": self.dimensions},
            "preprocessing": asdict(self.preprocessing),
            "class_names": list(self.class_names),
            "recipe": dict(self.recipe),
            "training": dict(self.training),
            "versions": dict(self.versions),
            "weights_sha256": self.weights_sha256,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ModelDescription:
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: not a description.
        """
        return cls(
            backbone=str(content["architecture"]["backbone"]),
            dimensions=int(content["architecture"]["dimensions"]),
            preprocessing=Preprocessing.from_json(content["preprocessing"]),
            class_names=tuple(map(str, content["class_names"])),
            recipe=dict(content["recipe"]),
            training=dict(content["training"]),
            versions=dict(content["versions"]),
            weights_sha256=str(content["weights_sha256"]),
        )


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

    def embedder(self) -> Embedder:
        """What embeds tiles with this model."""
        return Embedder(self.network, self.description.preprocessing, self.device)
