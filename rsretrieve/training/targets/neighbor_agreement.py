"""Keep and mend labels where a network and a tile's neighbours agree.

The published truncation asks the network alone, which comes to believe the wrong labels it
has learned by heart. A tile's neighbours did not learn that tile's label: where they do not
vote for it, it is left out, and where both agree on another label, that one is taught
instead. With p̄_ic the probability of class c, averaged over updates (as Laine & Aila, ICLR
2017, do), u_ic the share of class c in the votes of tile i's 10 nearest other taught tiles,
and y_i the given label,

    taught y_i:  p̄_{i,y_i} > k  and  u_{i,y_i} > a
    taught c:    else, c = argmax p̄_i = argmax u_i,  c ≠ y_i  and  p̄_ic > r
    left out:    else.

A neighbour's vote, for the label that it is taught, weighs exp(s / 0.1), s its cosine.

Aligned: p_ic ∝ p_ic · (n_c / N) / mean_j p_jc, n_c the tiles that were given label c (as
Berthelot et al., ICLR 2020, align the guesses of a semi-supervised training). Without it a
class that the network is slow to learn loses its tiles to others, label by label, for good.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from rsretrieve.network.embedder import Embedder
from rsretrieve.network.prototypes import Prototypes
from rsretrieve.training.recipe import AgreementSettings
from rsretrieve.training.targets.targets import Targets, taught_classes

NEIGHBOURS = 10
VOTE_TEMPERATURE = 0.1
_BLOCK_BYTES = 64 << 20
_LEAST_MEAN = 1e-6
_EMBEDDED_AT_ONCE = 256


class NeighborAgreementPolicy:
    """The strategy, and the probabilities that it remembers.

    Args:
        k: the truncation.
        asked: what is asked beside it.
    """

    def __init__(self, k: float, asked: AgreementSettings) -> None:
        self.k, self.asked = k, asked
        self._mean: Tensor | None = None  # (N, K) float16: half of what else a large set takes

    def update(
        self,
        embedder: Embedder,
        prototypes: Prototypes,
        pixels: NDArray[Any],
        given: Tensor,
        previous: Targets,
        progress: float,
    ) -> Targets:
        """See `TargetPolicy.update`."""
        embeddings, probabilities = _outlook(embedder, prototypes, pixels)
        if self._mean is not None:
            share = self.asked.memory
            probabilities = share * self._mean.float() + (1 - share) * probabilities
        self._mean = probabilities.half()
        probabilities = aligned(probabilities, given)
        may_relabel = progress >= self.asked.relabel_after
        votes = neighbour_votes(embeddings, previous, probabilities.shape[1])
        return agreed_targets(
            probabilities, votes, given, previous, self.k, self.asked, relabel=may_relabel
        )

    def tensors(self) -> dict[str, Tensor]:
        """See `TargetPolicy.tensors`."""
        return {} if self._mean is None else {"mean": self._mean}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `TargetPolicy.restore`."""
        self._mean = tensors.get("mean")


def aligned(probabilities: Tensor, given: Tensor) -> Tensor:
    """Make each class as frequent, summed over all tiles, as among the given labels.

    Args:
        probabilities: (N, K), rows summing to 1.
        given: (N,) int64, y_i.

    Returns:
        (N, K), rows summing to 1; one step towards that frequency, by the rule above.
    """
    classes = probabilities.shape[1]
    frequency = torch.bincount(given, minlength=classes).to(probabilities.dtype) / len(given)
    # A mean kept in half precision may be 0 where nobody is near a class.
    aligned = probabilities * frequency / probabilities.mean(dim=0).clamp_min(_LEAST_MEAN)
    return aligned / aligned.sum(dim=1, keepdim=True)


def agreed_targets(
    probabilities: Tensor,
    votes: Tensor,
    given: Tensor,
    previous: Targets,
    k: float,
    asked: AgreementSettings,
    *,
    relabel: bool,
) -> Targets:
    """Decide by the rule above.

    A class of which nobody would be taught any more keeps its previous targets, as in the
    alternation of t-RNSL: the network has not learned it yet, and judges nobody in it.

    Args:
        probabilities: (N, K) p̄_ic, aligned.
        votes: (N, K) u_ic, rows summing to 1, or to 0 where nobody votes.
        given: (N,) int64, y_i.
        previous: the targets until now.
        k: the truncation.
        asked: a and r.
        relabel: labels may be mended now.
    """
    rows = torch.arange(len(given), device=given.device)
    keep = probabilities[rows, given] > k
    keep &= votes[rows, given] > asked.share
    best, nearest = probabilities.max(dim=1), votes.argmax(dim=1)
    mend = ~keep & (nearest != given) & (best.indices == nearest)
    mend &= (best.values > asked.relabel) & relabel
    labels, taught = torch.where(mend, nearest, given), keep | mend
    known = taught_classes(labels, taught, probabilities.shape[1])[given]
    return Targets(
        torch.where(known | mend, labels, previous.labels),
        torch.where(known | mend, taught.to(previous.weights.dtype), previous.weights),
    )


def neighbour_votes(embeddings: Tensor, targets: Targets, classes: int) -> Tensor:
    """Votes of each tile's nearest other taught tiles, block by block.

    Args:
        embeddings: (N, D) unit rows.
        targets: who is taught, and as what.
        classes: K.

    Returns:
        (N, K), rows summing to 1; to 0 where no other tile is taught.
    """
    voters = targets.weights.nonzero().squeeze(1)
    gallery, labels = embeddings[voters], targets.labels[voters]
    count = min(NEIGHBOURS + 1, len(voters))  # one more, for a tile that finds itself
    size = max(1, _BLOCK_BYTES // (4 * max(1, len(voters))))
    votes = torch.zeros(len(embeddings), classes, device=embeddings.device)
    for start in range(0, len(embeddings), size):
        rows = torch.arange(start, min(start + size, len(embeddings)), device=embeddings.device)
        similarities, nearest = (embeddings[rows] @ gallery.T).topk(count, dim=1)
        similarities[voters[nearest] == rows[:, None]] = -torch.inf
        similarities, order = similarities.sort(dim=1, descending=True, stable=True)
        chosen, similarities = (
            nearest.gather(1, order)[:, :NEIGHBOURS],
            similarities[:, :NEIGHBOURS],
        )
        weights = ((similarities - 1) / VOTE_TEMPERATURE).exp()
        votes[rows] = votes[rows].scatter_add(1, labels[chosen], weights)
    return votes / votes.sum(dim=1, keepdim=True).clamp_min(1e-12)


def _outlook(
    embedder: Embedder, prototypes: Prototypes, pixels: NDArray[Any]
) -> tuple[Tensor, Tensor]:
    """(N, D) embeddings and (N, K) probabilities of tiles as they are."""
    embeddings, probabilities = [], []
    with torch.inference_mode():
        for start in range(0, len(pixels), _EMBEDDED_AT_ONCE):
            block = embedder.embed(pixels[start : start + _EMBEDDED_AT_ONCE])
            embeddings.append(block)
            probabilities.append(prototypes(block).exp())
    # Clones: tensors made in inference mode cannot take part in a training step.
    return torch.cat(embeddings).clone(), torch.cat(probabilities).clone()
