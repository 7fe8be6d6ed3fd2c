"""Estimate the class of each training tile from all given labels and from vectors of the tiles.

A tile of class t is labelled y with probability T_ty. With P_it the probability of class t by the
other tiles, the posterior of tile i given its label y_i is

    q_it ∝ P_it · T_{t,y_i}

q, P and T are estimated in turn (Dawid & Skene, Applied Statistics 1979; Bekker & Goldberger,
ICASSP 2016), as the label audit does after a training. The scores of a classifier become
probabilities by a softmax with the factor that maximises the likelihood of the given labels,
Σ_i log Σ_t P_it T_{t,y_i}.

The first fit begins with uniform noise, of which only the rate is estimated: with a free matrix,
the first iterations may exchange two classes. It begins at a high rate: from a low one, wrong
labels of few classes are easily confirmed. T is counted on the more certain half of the tiles of
each class: near the border of two classes, tiles of one look like tiles of the other.

q is certain of a label that a person confirmed. For the factors, a person errs in 2 % of the
decisions. T is counted without them: they do not say how often the other labels are wrong.

With few tiles, a fit with many components of the vectors follows the noise, and one with few
components does not tell all classes apart. Their likelihoods do not tell which one is better: the
most probable labels are those of a fit that follows them. The posteriors of several numbers of
components are therefore averaged, and the last fit starts from their mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rsretrieve.training.targets.classify_by_others import (
    Neighbourhood,
    assigned_folds,
    discriminant_scores,
)
from rsretrieve.training.targets.score_factor import LEAST, best_factor, calibrated

_CERTAIN, _CERTAIN_SHARE = 0.95, 0.5
_PRIOR_TILES = 50.0
_REVIEWER_ERROR = 0.02  # as in the label audit
_START = 0.7  # as a share of the noise rate of random labels, 1 − 1/K
_FIRST_ITERATIONS, _LAST_ITERATIONS, _UPDATES = (8, 6), (2, 6), 2  # with a rate, with a matrix
_FEW = 50
_PARTS, _HELD_OUT, _INFORMS = 3, 4, 20.0


@dataclass
class LabelPosterior:
    """The estimates for N tiles.

    Attributes:
        given: (N,) int64 given labels y_i.
        confirmed: (N,) bool, labels that a person decided on: q is certain of them.
        folds: (N,) int64, see `assigned_folds`.
        transitions: (K, K) float32 T, row true class, column given label.
        posterior: (N, K) float32 q.
        by_vectors: (N, K) float32 log P by the vectors of the first fit.
    """

    given: Tensor
    confirmed: Tensor
    folds: Tensor
    transitions: Tensor
    posterior: Tensor
    by_vectors: Tensor

    @classmethod
    def fitted(
        cls,
        given: Tensor,
        confirmed: Tensor,
        classes: int,
        views: Sequence[Neighbourhood],
        seed: int,
    ) -> LabelPosterior:
        """Estimate q and T from vectors that no label has shaped.

        Args:
            given: (N,) int64 given labels.
            confirmed: (N,) bool.
            classes: K.
            views: the vectors of the tiles by numbers of their components, all of them last.
            seed: of the folds.
        """
        certain = one_hot(given, classes).float()
        rate = _START * (1 - 1 / classes)
        start = cls(
            given,
            confirmed,
            assigned_folds(given, seed),
            uniform_noise(rate, classes, given.device),
            certain,
            certain,
        )
        fits = [start._iterated(view, *_FIRST_ITERATIONS) for view in views]
        mean = torch.stack([fit.posterior for fit in fits]).mean(dim=0)
        kept = mean.gather(1, given[:, None])[start._counted(None)]
        wrong = min(rate, 1 - float(kept.mean()))
        noise = uniform_noise(max(wrong, LEAST), classes, given.device)
        start = replace(start, posterior=mean, transitions=noise)
        return start._iterated(views[-1], *_LAST_ITERATIONS)

    def _iterated(self, vectors: Neighbourhood, with_rate: int, with_matrix: int) -> LabelPosterior:
        """The estimate after iterations in which the noise is uniform, and then any."""
        fit = replace(self)
        for iteration in range(with_rate + with_matrix):
            fit.by_vectors = fit.log_p(vectors)
            for _ in range(_UPDATES):
                fit.update(fit.by_vectors, only_rate=iteration < with_rate)
        return fit

    @property
    def likelihood(self) -> Tensor:
        """(N, K) T_{t,y_i}, how likely the given label is for a tile of each class."""
        likelihood = self.transitions[:, self.given].T
        if not self.confirmed.any():
            return likelihood
        of_person = uniform_noise(_REVIEWER_ERROR, len(self.transitions), likelihood.device)
        return torch.where(self.confirmed[:, None], of_person[:, self.given].T, likelihood)

    def _counted(self, certain: Tensor | None) -> slice | Tensor:
        """The tiles that T is counted on: those without confirmed labels, if there are any.

        Args:
            certain: (N,) bool, those that are preferred; None for all.
        """
        rest = ~self.confirmed
        if rest.all() or not rest.any():
            return slice(None) if certain is None else certain
        chosen = rest if certain is None else rest & certain
        return chosen if chosen.any() else rest

    def log_p(self, vectors: Neighbourhood, known: Tensor | None = None) -> Tensor:
        """(N, K) log P by the classifiers of the vectors, fitted to q.

        Args:
            vectors: of the tiles.
            known: (N,) bool, tiles whose labels the factors are fitted to; by default all.
        """
        likelihood = self.likelihood
        scores = discriminant_scores(vectors.rows, self.folds, self.posterior)
        both = calibrated(scores, likelihood, known)
        both += calibrated(vectors.votes(self.posterior), likelihood, known)
        return calibrated(both, likelihood, known)

    def update(self, log_p: Tensor, *, only_rate: bool = False) -> None:
        """Set q from log P and T, then T from q.

        Args:
            log_p: (N, K).
            only_rate: the noise is uniform, and its rate is also counted on uncertain tiles.
        """
        odds = log_p + self.likelihood.clamp_min(LEAST).log()
        classes = odds.shape[1]
        certain = one_hot(self.given, classes).float()
        self.posterior = torch.where(self.confirmed[:, None], certain, odds.softmax(dim=1))
        rows = self._counted(None if only_rate else certain_half(log_p))
        counts = torch.zeros_like(self.transitions)
        counts = counts.index_add(0, self.given[rows], self.posterior[rows]).T
        wrong = float((1 - counts.trace() / counts.sum()).clamp(1e-6, 1 - 1e-6))
        noise = uniform_noise(wrong, classes, counts.device)
        # The row of a class with few tiles is uncertain: it is drawn towards uniform noise.
        counts = counts + _PRIOR_TILES * noise
        self.transitions = noise if only_rate else counts / counts.sum(dim=1, keepdim=True)

    def include(self, log_p: Tensor, untaught: Tensor, rounds: int) -> None:
        """Set q and T anew with the probabilities of a network beside those by the vectors.

        A network has learned the labels of the tiles that it was taught. How far it can be
        trusted is therefore measured on the others; if there are too few, nothing changes. What
        the vectors say stays as it was: refitted again and again, classes that are alike would
        merge.

        Args:
            log_p: (N, K) log p_ic of the network.
            untaught: (N,) bool, tiles that the network was not taught.
            rounds: of the estimation.
        """
        if int(untaught.sum()) < _FEW:
            return
        for _ in range(rounds):
            factor = best_factor(log_p[untaught], self.likelihood[untaught])
            by_network = (log_p * factor).log_softmax(dim=1)
            self.update((self.by_vectors + by_network).log_softmax(dim=1))

    def is_informative(self, views: Sequence[Neighbourhood]) -> bool:
        """Whether the vectors predict labels that were not used, better than frequencies do.

        The labels of a third of the tiles are left out at a time, and q is estimated from the
        others. Vectors that say nothing about the classes would confirm any fit to all labels.
        If labels do not depend on the vectors, these labels are 20 times as likely by the
        prediction as by the frequencies in 5 % of the cases at most (Markov's inequality).

        Args:
            views: of the tiles; the mean of the predictions by the first and the last one counts.
        """
        return self.informed_by(views) > math.log(_INFORMS)

    def informed_by(self, views: Sequence[Neighbourhood]) -> float:
        """How much likelier all labels are by predictions without them than by frequencies, log."""
        shares = torch.bincount(self.given, minlength=len(self.transitions)) / len(self.given)
        places = torch.arange(len(self.given), device=self.given.device)
        gain = 0.0
        for part in range(_PARTS):
            rows = (self.folds + places) % _PARTS == part
            predicted = torch.zeros(len(self.given), device=self.given.device)
            for view in (views[0], views[-1]):
                log_p = self._without_labels_of(rows, view)
                predicted += (log_p.exp() * self.likelihood).sum(dim=1) / 2
            gained = predicted.clamp_min(LEAST).log() - shares[self.given].log()
            gain += float(gained[rows].sum())
        return gain

    def _without_labels_of(self, rows: Tensor, vectors: Neighbourhood) -> Tensor:
        """(N, K) log P of an estimate in which the labels of some tiles are unknown."""
        known = replace(self, posterior=self.likelihood / self.likelihood.sum(dim=1, keepdim=True))
        known.posterior[rows] = 0
        for _ in range(_HELD_OUT):
            log_p = known.log_p(vectors, ~rows)
            known.update(log_p)
            known.posterior[rows] = 0
            known.transitions = self.transitions
        return known.log_p(vectors, ~rows)

    def certain(self) -> Tensor:
        """(N,) bool, see `certain_half`."""
        return certain_half(self.posterior.clamp_min(LEAST).log())

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint."""
        return {
            "transitions": self.transitions,
            "posterior": self.posterior,
            "by_vectors": self.by_vectors,
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Set the state to one that `tensors` returned."""
        self.transitions, self.posterior = tensors["transitions"], tensors["posterior"]
        self.by_vectors = tensors["by_vectors"]


def certain_half(log_p: Tensor) -> Tensor:
    """Find the tiles with the highest probability: half of each class, and all that are certain.

    Args:
        log_p: (N, K) log probabilities.

    Returns:
        (N,) bool. Of the tiles whose most probable class is the same, half, or more if more have
        a probability of 0.95.
    """
    top, predicted = log_p.max(dim=1)
    order = top.argsort(descending=True, stable=True)
    order = order[predicted[order].argsort(stable=True)]
    sizes = torch.bincount(predicted, minlength=log_p.shape[1])
    starts = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    rank = torch.arange(len(order), device=order.device) - starts
    chosen = top >= math.log(_CERTAIN)
    chosen[order] |= rank < (_CERTAIN_SHARE * sizes[predicted[order]]).ceil()
    return chosen


def uniform_noise(rate: float, classes: int, device: torch.device) -> Tensor:
    """(K, K) T where a label is wrong with probability `rate`, equally for all other classes."""
    noise = torch.full((classes, classes), rate / (classes - 1), device=device)
    return noise.fill_diagonal_(1 - rate)
