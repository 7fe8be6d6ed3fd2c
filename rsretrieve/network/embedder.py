"""Embed plain tiles with a network, the one way that training, index, query and audit share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.preprocessing.normalize import Normaliser
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision, autocast, best_precision
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.runtime.micro_batches import MicroBatcher

_PIXELS_AT_ONCE = 400_000
"""What a processor's caches bear: MobileNetV2 at 128 px takes 5.7 ms a tile in batches of 128,
3.4 in batches of 16 or 32; at 64 px 1.0 in 128, 0.9 in 64 and 1.2 in 16 (one thread)."""

_LEAST_COSINE = 0.999


def micro_batch_size(device: torch.device, size_px: int) -> int | None:
    """How many tiles a processor embeds fastest at once; None on a GPU: as many as it is given."""
    return max(8, _PIXELS_AT_ONCE // size_px**2) if device.type == "cpu" else None


class Embedder:
    """Preprocessed pixels in, unit embeddings out, in evaluation mode and without gradients.

    What does not fit in memory at once is embedded in parts: each tile by itself, they say the
    same.

    Args:
        network: on `device`; put into evaluation mode for every batch and then back.
        preprocessing: how the pixels were made.
        device: where it computes.
        precision: in what; by default what the device gains by.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        preprocessing: Preprocessing,
        device: torch.device,
        precision: Precision | None = None,
    ) -> None:
        self.network = network
        self.device = device
        self.precision = precision or best_precision(device)
        self._normaliser = Normaliser(preprocessing, device)
        self._micro_batcher = MicroBatcher(
            min_size=1, max_size=micro_batch_size(device, preprocessing.size_px)
        )

    def embed(self, pixels: NDArray[Any]) -> Tensor:
        """(B, C, S, S) in the tiles' type → (B, D) float32 unit rows, on the device."""
        return self._through(self.network, pixels)

    def vectors(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """As `embed`, off the device."""
        return self.embed(pixels).cpu().numpy()

    def features(self, pixels: NDArray[Any]) -> Tensor:
        """(B, C, S, S) in the tiles' type → (B, F) float32 of the backbone, on the device."""
        return self._through(self.network.features, pixels)

    def _through(self, layers: Callable[[Tensor], Tensor], pixels: NDArray[Any]) -> Tensor:
        def of_part(part: slice) -> Tensor:
            with torch.inference_mode(), autocast(self.precision, self.device):
                values = self._normaliser.unit_values(pixels[part])
                return layers(self._normaliser.network_input(values))

        was_training = self.network.training
        self.network.eval()
        results = self._micro_batcher.map(len(pixels), of_part)
        self.network.train(was_training)
        return results[0] if len(results) == 1 else torch.cat(results)

    def embed_all(self, pixels: NDArray[Any], batch_size: int = 256) -> NDArray[np.float32]:
        """(N, C, S, S) → (N, D) float32, in batches."""
        starts = range(0, len(pixels), batch_size)
        batches = [self.vectors(pixels[i : i + batch_size]) for i in starts]
        return np.concatenate(batches)


def choose_embedding_precision(
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    device: torch.device,
    pixels: NDArray[Any],
) -> Precision:
    """The coarsest precision in which a network embeds tiles as in float32.

    Vectors are compared that were computed elsewhere: an index made on a GPU with a query on a
    laptop. In bfloat16 a vector's cosine with the exact one is at least 0.9996 for ResNet-18, but
    0.993 for ResNet-50 and 0.93 for MobileNetV2, whose narrow layers take small differences of
    large numbers (UC Merced, 64 px, 2 epochs); of tiles unlike those 0.63.

    Args:
        network: on `device`.
        preprocessing: how the pixels were made.
        device: where it computes; float32 where that gains nothing by another precision.
        pixels: (B, C, S, S) a few tiles like those that will be embedded.

    Returns:
        bfloat16 where each vector has a cosine of at least 0.999 with that of float32.
    """
    coarse = best_precision(device)
    exact, rough = (
        Embedder(network, preprocessing, device, precision).vectors(pixels)
        for precision in (Precision.FLOAT32, coarse)
    )
    cosines = (exact * rough).sum(axis=1)
    return coarse if cosines.min() >= _LEAST_COSINE else Precision.FLOAT32
