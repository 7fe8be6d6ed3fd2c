"""Tiles whose embeddings are known are not embedded again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsretrieve.data.run_context import RunContext
from rsretrieve.network.model_folder import load_model
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.unlabelled import choose_embedding
from rsretrieve.network.unlabelled.choose_embedding import EmbeddingRequest, embedding_for
from rsretrieve.network.unlabelled.known_vectors import KnownVectors
from rsretrieve.network.unlabelled.sample import read_sample

CPU = torch.device("cpu")


def numbered(count, seed=0):
    """Tiles of two bands, and a vector for each."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 9000, (count, 2, 5, 5), dtype=np.uint16)
    return pixels, rng.random((count, 3), dtype=np.float32)


@pytest.mark.parametrize("batch", [[], [4], [0, 1, 2], [9, 0, 8, 3, 3], [8, 9]])
def test_only_unknown_tiles_are_embedded(batch):
    pixels, vectors = numbered(10)
    known, asked = KnownVectors(pixels[:8], vectors[:8]), []

    def embed(some):
        asked.extend(some)
        rows = [int((pixels == tile).all(axis=(1, 2, 3)).argmax()) for tile in some]
        return vectors[rows]

    found = known.completed(pixels[batch], embed)
    np.testing.assert_array_equal(found, vectors[batch])
    expected = pixels[[row for row in batch if row >= 8]]
    assert len(asked) == len(expected)
    assert all((one == other).all() for one, other in zip(asked, expected))


@pytest.mark.parametrize("change", [lambda t: t.view(np.int16), lambda t: t.reshape(3, 1, 10, 5)])
def test_a_tile_of_another_type_or_shape_is_another_tile(change):
    pixels, vectors = numbered(3)
    known, asked = KnownVectors(pixels, vectors), []
    known.completed(change(pixels), lambda some: asked.extend(some) or vectors)
    assert len(asked) == 3


@pytest.mark.medium
def test_the_tiles_that_an_embedding_is_fitted_to_are_embedded_once(
    six_band_tiles, tmp_path, monkeypatch
):
    monkeypatch.setattr(choose_embedding, "shipped_path", lambda name: None)
    model = embedding_for(six_band_tiles, EmbeddingRequest(), tmp_path, CPU, RunContext())
    sample = read_sample(six_band_tiles, model.description.preprocessing, 0, RunContext())
    expected = load_model(tmp_path, CPU).embedder().vectors(sample.pixels)
    seen = []
    forward = EmbeddingNetwork.forward
    monkeypatch.setattr(
        EmbeddingNetwork,
        "forward",
        lambda self, some: seen.append(len(some)) or forward(self, some),
    )
    np.testing.assert_allclose(model.embedder().vectors(sample.pixels), expected, atol=1e-5)
    assert seen == []
    other = sample.pixels.copy()
    other[0, 0, 0, 0] += 1
    model.embedder().vectors(other)
    assert seen == [1]
