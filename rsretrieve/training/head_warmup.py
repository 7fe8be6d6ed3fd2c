"""Teach the projection and the prototypes before the backbone learns.

Both start at random, and what they send back in the first epochs is noise that spoils a
pre-trained backbone. On its features, which stand still, they are learned in seconds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.losses import label_log_probability, rnsl
from rsretrieve.training.validate import Examples

MOST_TILES = 50_000
"""Of more tiles a sample is as good: there are few parameters to learn."""

_BATCH_SIZE = 64
_EMBEDDED_AT_ONCE = 256
_LEARNING_RATE = 0.05  # falls to 0 by a cosine
_DROPPED = 0.2  # share of the features left out at random, a step


def warm_up_head(
    model: PrototypeModel, embedder: Embedder, examples: Examples, q: float, epochs: int, seed: int
) -> None:
    """Fit projection and prototypes to fixed features by RNSL, in place.

    Args:
        model: whose backbone gives the features; it is left as it is.
        embedder: of that model's network.
        examples: N training tiles, with labels as given.
        q: of RNSL, which wrong labels cannot mislead much.
        epochs: passes over the features.
        seed: of the sample, the order and the dropout.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(examples))[:MOST_TILES])
    features = _features(embedder, examples.pixels, chosen)
    labels = torch.from_numpy(examples.labels[chosen]).to(features.device)
    generator = torch.Generator(features.device).manual_seed(seed)
    parameters = [*model.network.projection.parameters(), model.prototypes.weight]
    optimizer = torch.optim.SGD(
        parameters, lr=_LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    for epoch in range(epochs):
        rate = _LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
        optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(len(features), generator=generator, device=features.device)
        for start in range(0, len(order), _BATCH_SIZE):
            batch = order[start : start + _BATCH_SIZE]
            embeddings = model.network.embed_features(_dropped(features[batch], generator))
            log_p = label_log_probability(model.prototypes(embeddings), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            rnsl(log_p, q).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _features(embedder: Embedder, pixels: NDArray[Any], chosen: NDArray[np.int64]) -> Tensor:
    """(N, F) float32 features of plain tiles."""
    parts = np.array_split(chosen, math.ceil(len(chosen) / _EMBEDDED_AT_ONCE))
    # A clone: tensors made in inference mode cannot take part in a training step.
    return torch.cat([embedder.features(pixels[part]) for part in parts]).clone()


def _dropped(features: Tensor, generator: torch.Generator) -> Tensor:
    """Dropout by a generator of its own."""
    chance = torch.rand(features.shape, generator=generator, device=features.device)
    return features * (chance >= _DROPPED) / (1 - _DROPPED)
