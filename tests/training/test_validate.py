"""Validation accuracy by prototypes and by neighbours, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.validate import Examples, Voters, accuracy, standard_error

LABELS = np.array([0, 2, 1, 1, 0, 2, 2])


@pytest.fixture
def embedder(network: EmbeddingNetwork, preprocessing: Preprocessing) -> Embedder:
    return Embedder(network, preprocessing, torch.device("cpu"), Precision.FLOAT32)


def test_without_a_gallery_the_nearest_prototype_predicts(
    embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    prototypes = Prototypes(3, 8, 0.05, generator=torch.Generator().manual_seed(1))
    vectors, units = embedder.embed(pixels).tolist(), prototypes.unit.detach().tolist()
    right = 0
    for vector, label in zip(vectors, LABELS):
        cosines = [sum(a * b for a, b in zip(unit, vector)) for unit in units]
        right += cosines.index(max(cosines)) == label
    assert accuracy(embedder, prototypes, Examples(pixels, LABELS)) == pytest.approx(right / 7)


def test_prototypes_on_the_tiles_themselves_predict_every_label(
    embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    prototypes = Prototypes(7, 8, 0.05)
    prototypes.weight.data = embedder.embed(pixels).clone()
    assert accuracy(embedder, prototypes, Examples(pixels, np.arange(7))) == 1


def test_a_gallery_votes_with_its_labels_as_given(
    embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    # Every tile is its own nearest neighbour in the gallery and takes its label from there.
    gallery = Voters(pixels, np.arange(7), np.array([0, 2, 1, 1, 0, 2, 0]))
    prototypes = Prototypes(3, 8, 0.05)
    found = accuracy(embedder, prototypes, Examples(pixels, LABELS), gallery)
    assert found == pytest.approx(6 / 7)


@pytest.mark.parametrize(
    ("share", "tiles", "error"), [(0.5, 25, 0.1), (0.9, 36, 0.05), (0.0, 9, 0.0), (1.0, 9, 0.0)]
)
def test_the_standard_error_of_an_accuracy_is_that_of_a_share(
    share: float, tiles: int, error: float
) -> None:
    assert standard_error(share, tiles) == pytest.approx(error)


def test_examples_are_as_many_as_their_labels(pixels: NDArray[np.uint8]) -> None:
    assert len(Examples(pixels, LABELS)) == 7
