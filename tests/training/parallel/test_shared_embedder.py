"""Embeddings of several processes beside those of one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.parallel.shared_embedder import SharedEmbedder
from tests.support.processes.gloo_processes import in_processes

CPU = torch.device("cpu")


def vectors(
    processes: Processes,
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    pixels: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    embedder = SharedEmbedder(network, preprocessing, CPU, Precision.FLOAT32, processes)
    rows = np.array([6, 2, 2, 0])
    return embedder.vectors(pixels, None, 2), embedder.vectors(pixels, rows, 3)


@pytest.mark.medium
@pytest.mark.parametrize("count", [2, 4])
def test_shared_embeddings_are_the_same_bits(
    count: int,
    network: EmbeddingNetwork,
    preprocessing: Preprocessing,
    pixels: NDArray[np.uint8],
) -> None:
    embedder = Embedder(network, preprocessing, CPU, Precision.FLOAT32)
    whole = embedder.vectors(pixels, None, 2), embedder.vectors(pixels, np.array([6, 2, 2, 0]), 3)
    for found in in_processes(count, vectors, network, preprocessing, pixels):
        np.testing.assert_array_equal(found[0], whole[0])
        np.testing.assert_array_equal(found[1], whole[1])
