"""Train the projection and the prototypes alone, before the whole network.

Both start from random values. In the first epochs their gradients are noise that damages a
pre-trained backbone. The backbone's features are therefore computed once, and the two layers are
fitted to them, which takes seconds.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from rsretrieve.data.preprocessing.augment import BatchShare
from rsretrieve.network.embedder import Embedder
from rsretrieve.network.model import PrototypeModel
from rsretrieve.training.losses import label_log_probability, rnsl
from rsretrieve.training.targets.targets import Targets
from rsretrieve.training.validate import Examples

MAX_TILES = 50_000
"""A sample of this size suffices: the two layers have few parameters."""

_BATCH_SIZE = 64
_LEARNING_RATE = 0.05  # falls to 0 along a cosine
_DROPOUT = 0.2


def warm_up_head(
    model: PrototypeModel,
    embedder: Embedder,
    examples: Examples,
    *,
    q: float,
    epochs: int,
    seed: int,
    max_tiles: int = MAX_TILES,
    targets: Targets | None = None,
) -> None:
    """Fit the projection and the prototypes to fixed features with RNSL, in place.

    Args:
        model: the model; its backbone is not changed.
        embedder: of the model's network.
        examples: N training tiles with given labels.
        q: of RNSL, which wrong labels influence little.
        epochs: passes over the features.
        seed: of the sample, the order and the dropout.
        max_tiles: of more tiles a random sample of this size is used.
        targets: what tiles are taught; by default their given labels.
    """
    taught = np.arange(len(examples))
    if targets is not None:
        taught = np.flatnonzero(targets.weights.cpu().numpy())
    chosen = np.sort(taught[np.random.default_rng(seed).permutation(len(taught))[:max_tiles]])
    blocks = embedder.map_blocks(embedder.features, examples.pixels, chosen)
    # A clone: tensors made in inference mode cannot take part in a training step.
    features = torch.cat([*blocks]).clone()
    given = examples.labels if targets is None else targets.labels.cpu().numpy()
    labels = torch.from_numpy(given[chosen]).to(features.device)
    generator = torch.Generator(features.device).manual_seed(seed)
    optimizer = _optimizer(model)
    for epoch in range(epochs):
        rate = _LEARNING_RATE * (1 + math.cos(math.pi * epoch / epochs)) / 2
        optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(len(features), generator=generator, device=features.device)
        for batch in torch.split(order, _BATCH_SIZE):
            embeddings = model.network.embed_features(dropout(features[batch], generator))
            log_p = label_log_probability(model.prototypes(embeddings), labels[batch])
            optimizer.zero_grad(set_to_none=True)
            rnsl(log_p, q).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _optimizer(model: PrototypeModel) -> torch.optim.Optimizer:
    parameters = [*model.network.projection.parameters(), model.prototypes.weight]
    return torch.optim.SGD(
        parameters, lr=_LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=1e-4
    )


def dropout(
    features: Tensor, generator: torch.Generator, share: BatchShare | None = None
) -> Tensor:
    """Dropout that draws from its own generator, which `torch.nn.Dropout` cannot.

    Args:
        features: (B, F).
        generator: the random numbers, on the features' device.
        share: which rows of a whole batch they are; by default all.
    """
    share = share or BatchShare.whole(len(features))
    shape = (share.tiles, *features.shape[1:])
    uniform = torch.rand(shape, generator=generator, device=features.device)[share.rows]
    return features * (uniform >= _DROPOUT) / (1 - _DROPOUT)
