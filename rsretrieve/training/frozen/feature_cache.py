"""Features of frozen backbones, kept in memory for several trainings on the same tiles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.network.network import EmbeddingNetwork
from rsretrieve.network.unlabelled.known_vectors import KnownVectors, digest_of_tile

MOST_BYTES = 2_000_000_000


class FeatureCache:
    """Maps tiles, by their pixels, to the features that a backbone has computed.

    Args:
        most_bytes: features of the backbone that was used least recently are dropped if all take
            more memory than this.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._of_backbone: OrderedDict[str, dict[bytes, NDArray[np.float32]]] = OrderedDict()

    def completed(
        self,
        backbone: str,
        pixels: NDArray[Any],
        compute: Callable[[NDArray[Any]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """The features of a batch; only unknown tiles are computed.

        Args:
            backbone: see `backbone_key`.
            pixels: (B, C, S, S) preprocessed.
            compute: computes the features (B', F) of some of them.

        Returns:
            (B, F) float32.
        """
        known = self._of_backbone.setdefault(backbone, {})
        self._of_backbone.move_to_end(backbone)
        digests = [digest_of_tile(tile) for tile in pixels]
        unknown = [i for i, digest in enumerate(digests) if digest not in known]
        if unknown:
            found = compute(pixels[unknown] if len(unknown) < len(pixels) else pixels)
            known |= {digests[i]: row.copy() for i, row in zip(unknown, found)}
            self._bytes += found.nbytes
        rows = np.stack([known[digest] for digest in digests])
        self._shrink()
        return rows

    def _shrink(self) -> None:
        while self._bytes > self._most_bytes and self._of_backbone:
            _, dropped = self._of_backbone.popitem(last=False)
            self._bytes -= sum(row.nbytes for row in dropped.values())


def backbone_key(network: EmbeddingNetwork, preprocessing: Preprocessing) -> str:
    """What tells the features of a backbone from those of others: weights and preprocessing."""
    digest = sha256(repr(preprocessing.to_json()).encode())
    for name, value in network.backbone.state_dict().items():
        content = value.detach().cpu().contiguous().numpy()
        digest.update(f"{name} {content.shape} {content.dtype} ".encode())
        digest.update(content.tobytes())
    return digest.hexdigest()


class VectorsOfFeatures(KnownVectors):
    """Embeddings that are computed from the cached features of a frozen backbone.

    Args:
        cache: the features.
        network: the whole network; its backbone computed them.
        preprocessing: of the tiles.
        features: computes the features of tiles that are not cached.
    """

    def __init__(
        self,
        cache: FeatureCache,
        network: EmbeddingNetwork,
        preprocessing: Preprocessing,
        features: Callable[[NDArray[Any]], NDArray[np.float32]],
    ) -> None:
        self._cache, self._projection = cache, network.projection
        self._key, self._features = backbone_key(network, preprocessing), features

    def completed(
        self, pixels: NDArray[Any], embed: Callable[[NDArray[Any]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """The embeddings of a batch; see `KnownVectors.completed`."""
        rows = self._cache.completed(self._key, pixels, self._features)
        device = self._projection.weight.device
        with torch.inference_mode():
            projected = self._projection(torch.from_numpy(rows).to(device))
            return np.asarray(nn.functional.normalize(projected).cpu(), np.float32)
