"""Features are computed once for each tile and backbone, and are the same as without a cache."""

from __future__ import annotations

import numpy as np
import torch

from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.training.frozen.feature_cache import (
    FeatureCache,
    VectorsOfFeatures,
    backbone_key,
)


class Computed:
    """Counts the tiles that are computed; features are sums of rows."""

    def __init__(self):
        self.tiles = 0

    def __call__(self, pixels):
        self.tiles += len(pixels)
        return pixels.reshape(len(pixels), 4, -1).sum(axis=2).astype(np.float32)


PIXELS = np.random.default_rng(0).integers(0, 255, (6, 1, 4, 4), np.uint8)


def test_a_tile_is_computed_once_wherever_it_stands():
    cache, compute = FeatureCache(), Computed()
    first = cache.completed("a", PIXELS[:4], compute)
    again = cache.completed("a", PIXELS[[5, 3, 0, 3]], compute)
    assert compute.tiles == 5
    np.testing.assert_array_equal(first, Computed()(PIXELS[:4]))
    np.testing.assert_array_equal(again, Computed()(PIXELS[[5, 3, 0, 3]]))


def test_another_backbone_has_other_features_and_the_oldest_are_dropped():
    cache, compute = FeatureCache(most_bytes=6 * 16), Computed()
    cache.completed("a", PIXELS, compute)
    cache.completed("b", PIXELS[:1], compute)
    assert compute.tiles == 7
    cache.completed("b", PIXELS[:1], compute)
    assert compute.tiles == 7
    cache.completed("a", PIXELS[:1], compute)
    assert compute.tiles == 8


def preprocessing(size_px=8):
    return Preprocessing(
        size_px, 1, (1,), "uint8", BandStatistics(*[(float(i),) for i in range(4)])
    )


def network():
    torch.manual_seed(1)
    backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 4))
    return EmbeddingNetwork(backbone, 4, 3)


def test_the_key_knows_weights_and_preprocessing_but_not_the_head():
    one, other = network(), network()
    with torch.no_grad():
        other.projection.weight += 1
    assert backbone_key(one, preprocessing()) == backbone_key(other, preprocessing())
    assert backbone_key(one, preprocessing()) != backbone_key(one, preprocessing(16))
    with torch.no_grad():
        other.backbone[1].weight += 1
    assert backbone_key(one, preprocessing()) != backbone_key(other, preprocessing())


def test_vectors_of_features_are_those_of_the_network():
    whole = network().eval()

    def features(pixels):
        with torch.inference_mode():
            return whole.features(torch.from_numpy(pixels).float()).numpy()

    known = VectorsOfFeatures(FeatureCache(), whole, preprocessing(), features)
    with torch.inference_mode():
        expected = whole(torch.from_numpy(PIXELS).float()).numpy()
    np.testing.assert_allclose(known.completed(PIXELS, lambda _: 1 / 0), expected, atol=1e-6)
