"""Class prototypes from embeddings with wrong labels among them.

1. *Central half.* The prototype is the mean of the half of the class that is nearest to this
   mean, found by iteration: the concentration step of least trimmed squares (Rousseeuw & Van
   Driessen, Technometrics 1999; here with cosines). Up to half of the labels may be wrong.
2. *Reassignment*, twice. The prototype is the mean of the tiles that belong to no other class.
   A tile does not belong to another class if its own prototype is the nearest, or if it lies
   outside the nearest class: farther than 1.5 times the angle of the central half. This adds the
   outer half, and the second kind of scene of a class that has two.
3. *Temperature.* σ maximises the likelihood of the given labels. The model draws each label from
   the softmax of the tile's similarities with probability 1 − ε, and uniformly from all classes
   with probability ε. ε is fitted too: without it, wrong labels would make σ too large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import LeftOut, nearest_classes
from rsretrieve.audit.estimators.unit_vectors import UnitRows, blocks_of

_ROUNDS = 2
_STEPS = 20
_REACH = 1.5
_MOST_OF_A_CLASS = 20_000
_SAMPLE = 4_000
_TEMPERATURES = np.geomspace(0.01, 1.0, 25)


@dataclass(frozen=True)
class ClassPrototypes:
    """Prototypes of K classes.

    Attributes:
        vectors: (K, D) float32, unit rows.
        temperature: σ.
        left_out: removes a tile from its own prototype.
    """

    vectors: NDArray[np.float32]
    temperature: float
    left_out: LeftOut


def robust_prototypes(
    vectors: UnitRows,
    labels: NDArray[np.int64],
    classes: int,
    advance: Callable[[int], None] = lambda _: None,
    order: NDArray[np.int64] | None = None,
) -> ClassPrototypes:
    """Estimate a prototype for every class.

    Args:
        vectors: N unit rows.
        labels: (N,) int64 class numbers; every class has a tile.
        classes: K ≥ 2.
        advance: called with the number of tiles after each block; in all `PASSES` times N.
        order: (N,) int64, all rows in the order in which they are sampled where there are many;
            None for that in which they were given.

    Returns:
        The prototypes of the K classes.
    """
    if order is None:
        order = np.arange(len(labels))
    prototypes, reach = _central_halves(vectors, labels, classes, advance, order)
    members = np.zeros(len(labels), bool)
    sums = prototypes.astype(np.float64)
    for _ in range(_ROUNDS):
        nearest, similarity = nearest_classes(vectors, prototypes, advance)
        members = (nearest == labels) | (similarity < reach[nearest])
        sums = _class_sums(vectors, labels, members, classes)
        # A class that lost all its tiles keeps its prototype.
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        prototypes = np.where(norms > 0, sums / np.maximum(norms, 1e-12), prototypes)
        prototypes = prototypes.astype(np.float32)
    left_out = LeftOut(np.linalg.norm(sums, axis=1), members)
    sample = order[:: max(1, len(labels) // _SAMPLE)]
    temperature = _fitted_temperature(vectors, labels, prototypes, left_out, sample)
    return ClassPrototypes(prototypes, temperature, left_out)


PASSES = 1 + _ROUNDS
"""Number of passes of `robust_prototypes` over all tiles."""


def _central_halves(
    vectors: UnitRows,
    labels: NDArray[np.int64],
    classes: int,
    advance: Callable[[int], None],
    order: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(K, D) prototypes, and (K,) the similarity below which a tile lies outside each class."""
    order = order[np.argsort(labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    prototypes = np.empty((classes, vectors.dimensions), np.float32)
    reach = np.empty(classes, np.float32)
    for number, rows in enumerate(np.split(order, ends[:-1])):
        sample = rows[:: max(1, len(rows) // _MOST_OF_A_CLASS)]
        members = vectors[sample]
        prototypes[number] = central_half(members)
        # The median is the farthest tile of the central half.
        angle = np.arccos(np.clip(np.median(members @ prototypes[number]), -1, 1))
        reach[number] = np.cos(min(_REACH * float(angle), np.pi))
        advance(len(rows))
    return prototypes, reach


def central_half(members: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the half of some unit rows that is nearest to this mean, L2-normalised.

    Args:
        members: (n, D) float32, unit rows.

    Returns:
        (D,) float32.
    """
    half = (len(members) + 1) // 2
    kept = np.arange(len(members))
    for _ in range(_STEPS):
        mean = members[kept].mean(axis=0)
        nearest = np.sort(np.argsort(-(members @ mean), kind="stable")[:half])
        if np.array_equal(nearest, kept):
            break
        kept = nearest
    mean = members[kept].mean(axis=0, dtype=np.float64)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def _class_sums(
    vectors: UnitRows, labels: NDArray[np.int64], members: NDArray[np.bool_], classes: int
) -> NDArray[np.float64]:
    """(K, D) float64 sum of the member vectors of every class."""
    sums = np.zeros((classes, vectors.dimensions), np.float64)
    for rows in blocks_of(len(vectors), vectors.dimensions):
        chosen = np.flatnonzero(members[rows]) + rows.start
        chosen = chosen[np.argsort(labels[chosen], kind="stable")]
        if not len(chosen):
            continue
        present, starts = np.unique(labels[chosen], return_index=True)
        # Ten times as fast as `np.add.reduceat`.
        parts = np.split(vectors[chosen], starts[1:])
        sums[present] += np.stack([part.sum(axis=0, dtype=np.float64) for part in parts])
    return sums


def _fitted_temperature(
    vectors: UnitRows,
    labels: NDArray[np.int64],
    prototypes: NDArray[np.float32],
    left_out: LeftOut,
    sample: NDArray[np.int64],
) -> float:
    """σ that maximises the likelihood of the labels of a sample of the tiles."""
    similarities = vectors[sample] @ prototypes.T
    at_own = (np.arange(len(sample)), labels[sample])
    of_sample = LeftOut(left_out.sum_norms, left_out.members[sample])
    everything = slice(0, len(sample))
    similarities[at_own] = of_sample.own_similarity(
        similarities[at_own], labels[sample], everything
    )
    likelihoods = [_log_likelihood(similarities / np.float32(t), at_own) for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmax(likelihoods))])


def _log_likelihood(
    logits: NDArray[np.float32], at_own: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> float:
    """Log likelihood of labels from a softmax mixed with a uniform distribution."""
    top = logits.max(axis=1, keepdims=True)
    p = np.exp((logits[at_own] - top[:, 0]).astype(np.float64))
    p /= np.exp(logits - top).sum(axis=1, dtype=np.float64)
    uniform, wrong = 1 / logits.shape[1], 0.1
    for _ in range(20):  # expectation maximisation of ε
        wrong = float((wrong * uniform / ((1 - wrong) * p + wrong * uniform)).mean())
    return float(np.log((1 - wrong) * p + wrong * uniform).sum())
