"""Embed preprocessed tiles with a network. Training, index, query and audit all use this class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from rsretrieve.network.unlabelled.known_vectors import KnownVectors

BLOCK_TILES = 256
"""Tiles of an array that are copied and embedded together."""

_MICRO_BATCH_PIXELS = 400_000
"""Pixels that fit into a processor's caches: MobileNetV2 at 128 px takes 5.7 ms a tile in batches
of 128, 3.4 in batches of 16 or 32; at 64 px 1.0 in 128, 0.9 in 64 and 1.2 in 16 (one thread)."""

_MIN_COSINE = 0.999


def micro_batch_size(device: torch.device, size_px: int) -> int | None:
    """The micro-batch size that embeds fastest.

    Args:
        device: where the network runs.
        size_px: S, the side of a tile in pixels.

    Returns:
        A number of tiles; None on a GPU, where whole batches are fastest.
    """
    return max(8, _MICRO_BATCH_PIXELS // size_px**2) if device.type == "cpu" else None


def pixel_blocks(
    pixels: NDArray[Any], rows: NDArray[np.int64] | None = None, block_tiles: int = BLOCK_TILES
) -> Iterator[NDArray[Any]]:
    """Split an array of tiles, which may be larger than memory, into blocks.

    Args:
        pixels: (N, C, S, S).
        rows: (M,) the rows to take, in this order; by default all.
        block_tiles: tiles a block.

    Yields:
        Arrays of at most `block_tiles` tiles, (B, C, S, S). With `rows` each block is a copy.
    """
    for start in range(0, len(pixels if rows is None else rows), block_tiles):
        block = slice(start, start + block_tiles)
        yield pixels[block if rows is None else rows[block]]


class Embedder:
    """Turns preprocessed pixels into unit embeddings, in evaluation mode and without gradients.

    A batch that does not fit in memory is split. Each tile is embedded independently of the
    others, so the result is the same.

    Args:
        network: on `device`; put into evaluation mode for every batch and back afterwards.
        preprocessing: describes the pixels; None if features (B, F) take their place and the
            network's backbone passes them on as they are.
        device: where the network runs.
        precision: number format of the layers; by default the fastest that the device has.
        known: embeddings that this network has computed in this precision; `vectors` uses them.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        preprocessing: Preprocessing | None,
        device: torch.device,
        precision: Precision | None = None,
        known: KnownVectors | None = None,
    ) -> None:
        self.network = network
        self.device = device
        self._known = known
        self.precision = precision or best_precision(device)
        self._normaliser, max_size = None, None
        if preprocessing is not None:
            self._normaliser = Normaliser(preprocessing, device)
            max_size = micro_batch_size(device, preprocessing.size_px)
        self._micro_batcher = MicroBatcher(min_size=1, max_size=max_size)

    def embed(self, pixels: NDArray[Any]) -> Tensor:
        """Embed one batch: (B, C, S, S) in the tiles' dtype → (B, D) float32, on the device."""
        return self._run(self.network, pixels)

    def features(self, pixels: NDArray[Any]) -> Tensor:
        """Backbone features of one batch: (B, C, S, S) → (B, F) float32, on the device."""
        return self._run(self.network.features, pixels)

    def vectors(
        self,
        pixels: NDArray[Any],
        rows: NDArray[np.int64] | None = None,
        block_tiles: int = BLOCK_TILES,
    ) -> NDArray[np.float32]:
        """Embed any number of tiles, block by block.

        Args:
            pixels: (N, C, S, S) in the tiles' dtype; may be larger than memory.
            rows: (M,) the rows to embed, in this order; by default all.
            block_tiles: tiles a block.

        Returns:
            (M, D) float32, unit rows.
        """
        blocks = self.map_blocks(self._block_vectors, pixels, rows, block_tiles)
        return np.concatenate([vectors.cpu().numpy() for vectors in blocks])

    def map_blocks(
        self,
        work: Callable[[NDArray[Any]], Tensor],
        pixels: NDArray[Any],
        rows: NDArray[np.int64] | None = None,
        block_tiles: int = BLOCK_TILES,
    ) -> Iterator[Tensor]:
        """Run a function of this embedder on every block of an array; see `pixel_blocks`.

        Args:
            work: takes a block (B, C, S, S) and returns a row for each tile, (B, …).
            pixels: (N, C, S, S); see `vectors`.
            rows: (M,) the rows to take; by default all.
            block_tiles: tiles a block.

        Yields:
            The result of each block, in order.
        """
        return (work(block) for block in pixel_blocks(pixels, rows, block_tiles))

    def _block_vectors(self, pixels: NDArray[Any]) -> Tensor:
        if self._known is None:
            return self.embed(pixels)
        found = self._known.completed(pixels, lambda some: self.embed(some).cpu().numpy())
        return torch.from_numpy(found)

    def _network_input(self, pixels: NDArray[Any]) -> Tensor:
        if self._normaliser is None:
            return features_on(pixels, self.device)
        return self._normaliser.network_input(self._normaliser.unit_values(pixels))

    def _run(self, layers: Callable[[Tensor], Tensor], pixels: NDArray[Any]) -> Tensor:
        def run_micro_batch(rows: slice) -> Tensor:
            with torch.inference_mode(), autocast(self.precision, self.device):
                return layers(self._network_input(pixels[rows]))

        was_training = self.network.training
        self.network.eval()
        results = self._micro_batcher.map(len(pixels), run_micro_batch)
        self.network.train(was_training)
        return results[0] if len(results) == 1 else torch.cat(results)


def features_on(features: NDArray[Any], device: torch.device) -> Tensor:
    """(B, F) features as float32 on a device."""
    return torch.from_numpy(np.ascontiguousarray(features, np.float32)).to(device)


def choose_embedding_precision(
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    device: torch.device,
    pixels: NDArray[Any],
    fastest: Precision | None = None,
) -> Precision:
    """Find the fastest precision that embeds tiles nearly as float32 does.

    Embeddings of different machines are compared with each other, such as an index built on a GPU
    with a query on a laptop. In bfloat16 the cosine between a vector and its exact value is at
    least 0.9996 for ResNet-18, but 0.993 for ResNet-50 and 0.93 for MobileNetV2, whose narrow
    layers subtract large numbers from each other (UC Merced, 64 px, 2 epochs). On tiles unlike
    the training tiles it fell to 0.63.

    Args:
        network: on `device`.
        preprocessing: describes the pixels.
        device: where the network runs.
        pixels: (B, C, S, S) a few tiles like those to be embedded.
        fastest: the device's fastest precision; found by default.

    Returns:
        `fastest` if each of its vectors has a cosine of at least 0.999 with that of float32,
        else float32.
    """
    fastest = fastest or best_precision(device)
    exact, rounded = (
        Embedder(network, preprocessing, device, precision).vectors(pixels)
        for precision in (Precision.FLOAT32, fastest)
    )
    cosines = (exact * rounded).sum(axis=1)
    return fastest if cosines.min() >= _MIN_COSINE else Precision.FLOAT32
