"""Keep or replace labels where the network and a tile's nearest neighbours agree.

The published truncation uses the network's own probabilities. A network memorises wrong labels
during training, and then assigns them a high probability. The neighbours of a tile were not
trained on that tile's label. A label is therefore kept only if the neighbours vote for it too,
and is replaced if the network and the neighbours agree on another one. With p̄_ic the probability
of class c, averaged over updates (as in Laine & Aila, ICLR 2017), u_ic the share of class c in
the votes of the 10 nearest other taught tiles, and y_i the given label:

    taught y_i:  p̄_{i,y_i} > k  and  u_{i,y_i} > a
    taught c:    else, if c = argmax p̄_i = argmax u_i,  c ≠ y_i  and  p̄_ic > r
    left out:    otherwise.

A neighbour votes for the label that it is taught, with weight exp(s / 0.1), s its cosine.

Probabilities are aligned first: p_ic ∝ p_ic · (n_c / N) / mean_j p_jc, with n_c the number of
tiles whose given label is c (as Berthelot et al., ICLR 2020, align the guessed labels of
semi-supervised training). Without alignment a class that the network learns slowly loses its
tiles to other classes, label by label, and never recovers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.targets.target_settings import AgreementSettings
from rsretrieve.training.targets.targets import Predictions, Targets, taught_classes

NEIGHBOURS = 10
VOTE_TEMPERATURE = 0.1
_BLOCK_BYTES = 64 << 20
_MIN_MEAN = 1e-6


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of the rule.

    Attributes:
        k: minimum probability of a label that is kept.
        share: a, minimum share of the neighbours' votes for a label that is kept.
        relabel: r, minimum probability of a label that replaces the given one; infinity
            replaces none.
    """

    k: float
    share: float
    relabel: float


class NeighborAgreementPolicy:
    """Applies the rule above and remembers the averaged probabilities.

    Args:
        k: the truncation, 0 ≤ k < 1.
        settings: the other thresholds of the rule.
        processes: share the search for neighbours.
    """

    def __init__(self, k: float, settings: AgreementSettings, processes: Processes = ALONE) -> None:
        self.k, self.settings, self._processes = k, settings, processes
        self._mean: Tensor | None = None  # (N, K) float16, to halve the memory of large sets

    def update(
        self, predictions: Predictions, given: Tensor, previous: Targets, progress: float
    ) -> Targets:
        """See `TargetPolicy.update`."""
        probabilities = align_class_frequencies(self._average(predictions.log_p.exp()), given)
        votes = neighbor_votes(
            predictions.embeddings, previous, probabilities.shape[1], processes=self._processes
        )
        relabel = self.settings.relabel if progress >= self.settings.relabel_after else math.inf
        thresholds = Thresholds(self.k, self.settings.share, relabel)
        return agreed_targets(probabilities, votes, given, previous, thresholds)

    def _average(self, probabilities: Tensor) -> Tensor:
        """Average (N, K) probabilities with those of earlier updates."""
        if self._mean is not None:
            share = self.settings.memory
            probabilities = share * self._mean.float() + (1 - share) * probabilities
        self._mean = probabilities.half()
        return probabilities

    def tensors(self) -> dict[str, Tensor]:
        """See `TargetPolicy.tensors`."""
        return {} if self._mean is None else {"mean": self._mean}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `TargetPolicy.restore`."""
        self._mean = tensors.get("mean")


def align_class_frequencies(probabilities: Tensor, given: Tensor) -> Tensor:
    """Scale probabilities so that each class is as frequent as among the given labels.

    Args:
        probabilities: (N, K), rows summing to 1.
        given: (N,) int64, y_i.

    Returns:
        (N, K), rows summing to 1: one step towards the frequencies, by the formula above.
    """
    classes = probabilities.shape[1]
    frequency = torch.bincount(given, minlength=classes).to(probabilities.dtype) / len(given)
    # A mean in half precision is rounded to 0 for a class that no tile is near.
    aligned = probabilities * frequency / probabilities.mean(dim=0).clamp_min(_MIN_MEAN)
    return aligned / aligned.sum(dim=1, keepdim=True)


def agreed_targets(
    probabilities: Tensor, votes: Tensor, given: Tensor, previous: Targets, thresholds: Thresholds
) -> Targets:
    """Apply the rule above.

    A class that no tile would be taught any more keeps its previous targets, as under the
    truncation: the network has not learned the class yet.

    Args:
        probabilities: (N, K) p̄_ic, aligned.
        votes: (N, K) u_ic, rows summing to 1, or to 0 for tiles without a voting neighbour.
        given: (N,) int64, y_i.
        previous: the current targets.
        thresholds: k, a and r.
    """
    rows = torch.arange(len(given), device=given.device)
    keep = probabilities[rows, given] > thresholds.k
    keep &= votes[rows, given] > thresholds.share
    best, nearest = probabilities.max(dim=1), votes.argmax(dim=1)
    replace = ~keep & (nearest != given) & (best.indices == nearest)
    replace &= best.values > thresholds.relabel
    labels, taught = torch.where(replace, nearest, given), keep | replace
    learned = taught_classes(labels, taught, probabilities.shape[1])[given]
    return Targets(
        torch.where(learned | replace, labels, previous.labels),
        torch.where(learned | replace, taught.to(previous.weights.dtype), previous.weights),
    )


def neighbor_votes(
    embeddings: Tensor,
    targets: Targets,
    classes: int,
    block_bytes: int = _BLOCK_BYTES,
    processes: Processes = ALONE,
) -> Tensor:
    """Let each tile's nearest other taught tiles vote.

    Args:
        embeddings: (N, D) unit rows.
        targets: which tiles vote, and for which label.
        classes: K.
        block_bytes: memory for the similarities of one block of tiles.
        processes: each one searches the neighbours of a share of the blocks.

    Returns:
        (N, K), rows summing to 1; to 0 where no other tile is taught.
    """
    voters = targets.weights.nonzero().squeeze(1)
    gallery, labels = embeddings[voters], targets.labels[voters]
    size = max(1, block_bytes // (4 * max(1, len(voters))))

    def votes_from(start: int) -> Tensor:
        rows = torch.arange(start, min(start + size, len(embeddings)), device=embeddings.device)
        similarities, nearest = _nearest_others(embeddings[rows] @ gallery.T, rows, voters)
        weights = ((similarities - 1) / VOTE_TEMPERATURE).exp()
        none = torch.zeros(len(rows), classes, device=embeddings.device)
        return none.scatter_add(1, labels[nearest], weights)

    votes, done = torch.zeros(len(embeddings), classes, device=embeddings.device), 0
    for found in processes.map(votes_from, range(0, len(embeddings), size)):
        votes[done : done + len(found)] = found
        done += len(found)
    return votes / votes.sum(dim=1, keepdim=True).clamp_min(1e-12)


def _nearest_others(similarities: Tensor, rows: Tensor, voters: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest voters of each tile, without the tile itself: similarities and positions."""
    count = min(NEIGHBOURS + 1, len(voters))  # one more than needed: the tile may find itself
    similarities, nearest = similarities.topk(count, dim=1)
    similarities[voters[nearest] == rows[:, None]] = -torch.inf
    similarities, order = similarities.sort(dim=1, descending=True, stable=True)
    return similarities[:, :NEIGHBOURS], nearest.gather(1, order)[:, :NEIGHBOURS]
