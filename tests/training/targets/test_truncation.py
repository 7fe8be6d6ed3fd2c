"""Setting the weights m_i: one plain pass over the tiles, then a threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.losses import label_log_probability
from rsretrieve.training.targets.targets import predict
from rsretrieve.training.targets.truncation import update_weights

SIGMA = 0.5
LABELS = (0, 2, 1, 1, 0, 2, 2)


@pytest.fixture
def embedder(network: EmbeddingNetwork, preprocessing: Preprocessing) -> Embedder:
    return Embedder(network, preprocessing, torch.device("cpu"), Precision.FLOAT32)


@pytest.fixture
def prototypes() -> Prototypes:
    return Prototypes(3, 8, SIGMA, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 256])
def test_the_plain_pass_gives_log_p_of_every_tiles_label(
    embedder: Embedder, prototypes: Prototypes, pixels: NDArray[np.uint8], batch_size: int
) -> None:
    labels = torch.tensor(LABELS)
    predictions = predict(embedder, prototypes, pixels, batch_size)
    own = label_log_probability(predictions.log_p, labels)
    for i, label in enumerate(LABELS):
        vector = embedder.embed(pixels[i : i + 1])[0].tolist()
        cosines = [
            sum(a * b for a, b in zip(row, vector)) for row in prototypes.unit.detach().tolist()
        ]
        total = sum(math.exp(cosine / SIGMA) for cosine in cosines)
        assert float(own[i]) == pytest.approx(cosines[label] / SIGMA - math.log(total), abs=1e-4)


def test_the_plain_pass_looks_in_evaluation_mode_and_goes_back(
    network: EmbeddingNetwork,
    embedder: Embedder,
    prototypes: Prototypes,
    pixels: NDArray[np.uint8],
) -> None:
    modes: list[bool] = []
    network.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    network.train()
    predict(embedder, prototypes, pixels, 4)
    assert modes == [False, False]
    assert network.training


def test_the_result_can_take_part_in_a_training_step(
    embedder: Embedder, prototypes: Prototypes, pixels: NDArray[np.uint8]
) -> None:
    predictions = predict(embedder, prototypes, pixels)
    for tensor in (predictions.embeddings, predictions.log_p):
        assert not tensor.is_inference()
        assert not tensor.requires_grad


ONE_CLASS = torch.zeros(5, dtype=torch.int64)


def test_a_tile_is_kept_where_p_is_above_the_truncation() -> None:
    own_log_p = torch.tensor([0.1, 0.49, 0.5, 0.51, 0.99]).log()
    assert update_weights(own_log_p, 0.5, ONE_CLASS, torch.ones(5)).tolist() == [0, 0, 0, 1, 1]


def test_a_tile_once_left_out_can_come_back() -> None:
    own_log_p, previous = torch.tensor([0.9, 0.1]).log(), torch.tensor([0.0, 1.0])
    assert update_weights(own_log_p, 0.5, ONE_CLASS[:2], previous).tolist() == [1, 0]


@pytest.mark.parametrize("previous", [[1.0, 1.0], [0.0, 1.0]])
def test_where_nobody_of_all_passes_the_previous_weights_stay(previous: list[float]) -> None:
    own_log_p = torch.tensor([0.2, 0.3]).log()
    weights = update_weights(own_log_p, 0.5, torch.tensor([0, 1]), torch.tensor(previous))
    assert weights.tolist() == previous


def test_where_nobody_of_a_class_passes_the_previous_weights_of_that_class_stay() -> None:
    own_log_p = torch.tensor([0.9, 0.1, 0.2, 0.3, 0.1]).log()
    labels, previous = torch.tensor([0, 0, 2, 2, 2]), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    assert update_weights(own_log_p, 0.5, labels, previous).tolist() == [1, 0, 1, 0, 1]


def test_weights_keep_their_type() -> None:
    own_log_p = torch.tensor([-0.1]).double()
    weights = update_weights(own_log_p, 0.5, ONE_CLASS[:1], torch.ones(1))
    assert weights.dtype is torch.float32


judged_tiles = st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 3)), min_size=1, max_size=20)


@settings(deadline=None, max_examples=50)
@given(judged_tiles, st.floats(0, 0.99))
def test_weights_follow_the_rule_class_by_class(tiles: list[tuple[float, int]], k: float) -> None:
    own_log_p = torch.tensor([p for p, _ in tiles], dtype=torch.float64).log()
    labels = torch.tensor([label for _, label in tiles])
    expected = []
    for p, label in tiles:
        learned = any(
            math.log(other) > (math.log(k) if k else -math.inf)
            for other, same in tiles
            if same == label
        )
        passes = math.log(p) > (math.log(k) if k else -math.inf)
        expected.append(float(passes) if learned else 0.25)
    previous = torch.full((len(tiles),), 0.25)
    assert update_weights(own_log_p, k, labels, previous).tolist() == expected
