"""Classify each training tile by the other tiles, in vectors that were not trained on its label.

Two classifiers use the same vectors:

- a linear discriminant (Fisher 1936), v_i·Σ⁻¹μ_c − ½ μ_c·Σ⁻¹μ_c + log π_c, with means, shared
  covariance Σ (a tenth of it replaced by a multiple of the identity) and class frequencies π of
  the tiles of other folds, each of which counts for every class with its probability;
- the votes of the 15 nearest other tiles, log(Σ_j w_ij q_jc + 0.02), w_ij ∝ exp(s_ij / 0.1), with
  s_ij the cosine.

The label audit uses the same two (`audit/estimators/classifiers.py`), in NumPy and for any number
of views.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from rsretrieve.training.parallel.processes import ALONE, Processes

NEIGHBOURS = 15
COMPONENTS = (16, 32, 64)
FOLDS = 5
_VOTE_TEMPERATURE = 0.1
_NO_VOTE = 0.02
_LEAST = 1e-12
_SHRINKAGE = 0.1
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Neighbourhood:
    """Vectors of N tiles, and the nearest other tiles of each.

    Attributes:
        rows: (N, D) float32 unit rows.
        nearest: (N, k) int64 the nearest other tiles.
        weights: (N, k) float32 of their votes; rows sum to 1.
    """

    rows: Tensor
    nearest: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, rows: Tensor, processes: Processes = ALONE, block_bytes: int = _BLOCK_BYTES
    ) -> Neighbourhood:
        """Search the neighbours.

        Args:
            rows: (N, D) float32 unit rows, at least two.
            processes: each one searches the neighbours of a share of the blocks.
            block_bytes: memory for the similarities of one block of tiles.
        """
        count, size = min(NEIGHBOURS, len(rows) - 1), max(1, block_bytes // (4 * len(rows)))

        def similarities_from(start: int) -> Tensor:
            some = torch.arange(start, min(start + size, len(rows)), device=rows.device)
            similarities = rows[some] @ rows.T
            similarities.scatter_(1, some[:, None], -torch.inf)
            near = similarities.topk(count, dim=1)
            # Numbers of tiles are exact in float64, and both travel in one tensor.
            return torch.cat([near.values.double(), near.indices.double()], dim=1)

        found = torch.cat([*processes.map(similarities_from, range(0, len(rows), size))])
        weights = (found[:, :count].float() / _VOTE_TEMPERATURE).softmax(dim=1)
        return cls(rows, found[:, count:].long(), weights)

    @classmethod
    def views(cls, rows: Tensor, processes: Processes = ALONE) -> list[Neighbourhood]:
        """Search the neighbours by few components of the vectors, by more, and by all.

        Args:
            rows: (N, D) float32 unit rows, whose last components have the largest variances.
            processes: see `of`.

        Returns:
            By the last 16, 32 and 64 components, as far as there are more, and by all.
        """
        sizes = [size for size in COMPONENTS if size < rows.shape[1]]
        few = [cls.of(normalize(rows[:, -size:]), processes) for size in sizes]
        return [*few, cls.of(rows, processes)]

    def votes(self, posterior: Tensor) -> Tensor:
        """(N, K) scores by the votes of the neighbours, who vote by (N, K) probabilities.

        Neighbours whose probabilities are zeros do not vote.
        """
        votes = torch.zeros_like(posterior)
        for nearest, weights in zip(self.nearest.T, self.weights.T):
            votes += weights[:, None] * posterior[nearest]
        votes /= votes.sum(dim=1, keepdim=True).clamp_min(_LEAST)
        return (votes + _NO_VOTE).log()


def assigned_folds(labels: Tensor, seed: int) -> Tensor:
    """Assign the tiles of every class in turn to folds, in random order.

    Args:
        labels: (N,) int64 class numbers.
        seed: of the order.

    Returns:
        (N,) int64 fold of each tile, 0…4.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator).to(labels.device)
    order = order[labels[order].argsort(stable=True)]
    folds = torch.empty_like(labels)
    folds[order] = torch.arange(len(labels), device=labels.device) % FOLDS
    return folds


def discriminant_scores(rows: Tensor, folds: Tensor, posterior: Tensor) -> Tensor:
    """Score the classes of each tile by the discriminant of the other folds.

    Args:
        rows: (N, D) unit rows.
        folds: (N,) int64, see `assigned_folds`.
        posterior: (N, K) probabilities of the tiles' classes; zeros if they must not be used.

    Returns:
        (N, K) scores in the dtype of the posterior.
    """
    exact = rows.double()
    used = exact * posterior.any(dim=1)[:, None]
    parts = [folds == fold for fold in range(FOLDS)]
    scatters = torch.stack([used[part].T @ used[part] for part in parts])
    sizes = torch.stack([posterior[part].double().sum(dim=0) for part in parts])
    sums = torch.stack([posterior[part].double().T @ exact[part] for part in parts])
    scores = torch.empty_like(posterior)
    for fold, part in enumerate(parts):
        others = [number for number in range(FOLDS) if number != fold]
        weights, offsets = _discriminant(
            scatters[others].sum(dim=0), sizes[others].sum(dim=0), sums[others].sum(dim=0)
        )
        scores[part] = (exact[part] @ weights.T + offsets).to(posterior.dtype)
    return scores


def _discriminant(scatter: Tensor, sizes: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """(K, D) weights and (K,) offsets, from Σ v·vᵀ, the class sizes and the sums of their rows."""
    total = sizes.sum().clamp_min(1)
    # The overall mean counts as one tile: it is the mean of a class without tiles.
    means = (sums + sums.sum(dim=0) / total) / (sizes[:, None] + 1)
    covariance = (scatter - (means.T * sizes) @ means) / total
    spread = covariance.trace() / len(covariance)
    covariance *= 1 - _SHRINKAGE
    covariance.diagonal().add_(_SHRINKAGE * spread + 1e-9)
    weights = torch.linalg.solve(covariance, means.T).T
    offsets = ((sizes + 1) / (sizes + 1).sum()).log() - (weights * means).sum(dim=1) / 2
    return weights, offsets
