"""Embedding plain tiles: the same whatever the batch, and without traces on the network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network import embedder as embedder_module
from rsretrieve.network.device import Precision
from rsretrieve.network.embedder import Embedder, choose_embedding_precision
from rsretrieve.network.network import EmbeddingNetwork, build_network
from tests.support.networks import SIZE_PX

CPU = torch.device("cpu")


@pytest.fixture
def embedder(network: EmbeddingNetwork, preprocessing: Preprocessing) -> Embedder:
    return Embedder(network, preprocessing, CPU, Precision.FLOAT32)


def one_by_one(embedder: Embedder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.array([embedder.embed(tile[None]).numpy()[0] for tile in pixels])


def test_embeddings_are_unit_rows_in_float32(embedder: Embedder, pixels: NDArray[np.uint8]) -> None:
    embeddings = embedder.embed(pixels)
    assert embeddings.shape == (7, 8)
    assert embeddings.dtype is torch.float32
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1] * 7, abs=1e-5)


def test_a_tile_is_embedded_alike_in_whatever_batch(
    embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    together = embedder.embed(pixels).numpy()
    assert np.abs(together - one_by_one(embedder, pixels)).max() < 1e-5


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_all_tiles_are_embedded_in_their_order(
    embedder: Embedder, pixels: NDArray[np.uint8], batch_size: int
) -> None:
    everything = embedder.vectors(pixels, block_tiles=batch_size)
    assert np.abs(everything - one_by_one(embedder, pixels)).max() < 1e-5


class Watched(np.ndarray):
    """An array that notes how many rows were copied at once."""

    copied: ClassVar[list[int]] = []

    def __getitem__(self, key: Any) -> Any:
        result = super().__getitem__(key)
        if isinstance(key, np.ndarray):
            self.copied.append(len(result))
        return result


def test_some_rows_are_embedded_to_the_bit_and_never_copied_as_a_whole(
    embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    many = np.tile(pixels, (90, 1, 1, 1))
    many += np.arange(len(many), dtype=np.uint8)[:, None, None, None]
    rows = np.flatnonzero(np.arange(len(many)) % 7)
    Watched.copied.clear()
    found = embedder.vectors(many.view(Watched), rows)
    assert np.array_equal(found, embedder.vectors(many[rows]))
    assert Watched.copied == [256, 256, 28]


def test_the_order_of_tiles_does_not_matter(embedder: Embedder, pixels: NDArray[np.uint8]) -> None:
    forwards, backwards = embedder.embed(pixels), embedder.embed(pixels[::-1])
    assert torch.allclose(forwards, backwards.flip(0), atol=1e-5)


def test_pixels_are_normalised_before_they_are_embedded(
    network: EmbeddingNetwork, embedder: Embedder, pixels: NDArray[np.uint8]
) -> None:
    by_hand = torch.from_numpy((pixels.astype(np.float32) - 100) / 50)
    with torch.inference_mode():
        expected = network(by_hand)
    assert torch.allclose(embedder.embed(pixels), expected, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_goes_back_to_the_mode_it_was_in(
    network: EmbeddingNetwork, embedder: Embedder, pixels: NDArray[np.uint8], training: bool
) -> None:
    network.train(training)
    embedder.embed(pixels[:1])
    assert network.training is training
    assert network.backbone.training is training


def test_embedding_in_training_mode_leaves_running_statistics_alone(
    preprocessing: Preprocessing, pixels: NDArray[np.uint8]
) -> None:
    network = build_network("shufflenet_v2_x0_5", bands=3, size_px=32, dimensions=8).train()
    before = {name: value.clone() for name, value in network.named_buffers()}
    Embedder(network, preprocessing, CPU).embed(pixels)
    assert before
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())


def test_embeddings_carry_no_gradient(embedder: Embedder, pixels: NDArray[np.uint8]) -> None:
    assert not embedder.embed(pixels[:1]).requires_grad


def test_the_precision_is_the_devices_best_by_default(
    network: EmbeddingNetwork, preprocessing: Preprocessing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedder_module, "best_precision", lambda _: Precision.BFLOAT16)
    assert Embedder(network, preprocessing, CPU).precision is Precision.BFLOAT16


def test_in_bfloat16_embeddings_are_nearly_the_same_and_unit_still(
    network: EmbeddingNetwork,
    embedder: Embedder,
    preprocessing: Preprocessing,
    pixels: NDArray[np.uint8],
) -> None:
    coarse = Embedder(network, preprocessing, CPU, Precision.BFLOAT16).embed(pixels)
    assert coarse.dtype is torch.float32
    assert coarse.norm(dim=1).tolist() == pytest.approx([1] * 7, abs=1e-5)
    assert (coarse * embedder.embed(pixels)).sum(dim=1).min() > 0.99


class Cancelling(torch.nn.Module):
    """A backbone of which bfloat16 leaves little: small differences of large numbers."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        large = functional.conv2d(pixels + 1000, torch.eye(3)[:, :, None, None])
        return (large - 1000).flatten(1)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [(torch.nn.Flatten(), Precision.BFLOAT16), (Cancelling(), Precision.FLOAT32)],
    ids=["plain", "cancelling"],
)
def test_a_model_embeds_in_bfloat16_only_where_that_says_the_same(
    backbone: torch.nn.Module, expected: Precision
) -> None:
    torch.manual_seed(0)
    network = EmbeddingNetwork(backbone, 3 * SIZE_PX**2, 8)
    statistics = BandStatistics((100.0,) * 3, (50.0,) * 3, (0.0,) * 3, (255.0,) * 3)
    preprocessing = Preprocessing(SIZE_PX, 3, (1, 2, 3), "uint8", statistics)
    shape = (6, 3, SIZE_PX, SIZE_PX)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for fastest, chosen in ((Precision.BFLOAT16, expected), (Precision.FLOAT32, Precision.FLOAT32)):
        found = choose_embedding_precision(network, preprocessing, CPU, pixels, fastest)
        assert found is chosen
