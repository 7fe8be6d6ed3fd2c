"""Embed tiles with all processes of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import BLOCK_TILES, Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.parallel.processes import Processes


class SharedEmbedder(Embedder):
    """An embedder whose blocks of tiles are shared among processes; all get all results.

    The blocks are those of a single process, so that the embeddings are the same bits on the same
    machine.

    Args:
        network, preprocessing, device, precision: see `Embedder`.
        processes: each one calls the same methods with the same tiles.
    """

    def __init__(
        self,
        network: EmbeddingNetwork,
        preprocessing: Preprocessing | None,
        device: torch.device,
        precision: Precision | None,
        processes: Processes,
    ) -> None:
        super().__init__(network, preprocessing, device, precision)
        self._processes = processes

    def map_blocks(
        self,
        work: Callable[[NDArray[Any]], Tensor],
        pixels: NDArray[Any],
        rows: NDArray[np.int64] | None = None,
        block_tiles: int = BLOCK_TILES,
    ) -> Iterator[Tensor]:
        """See `Embedder.map_blocks`."""
        starts = range(0, len(pixels if rows is None else rows), block_tiles)

        def of_block(start: int) -> Tensor:
            block = slice(start, start + block_tiles)
            return work(pixels[block if rows is None else rows[block]])

        return self._processes.map(of_block, starts)
