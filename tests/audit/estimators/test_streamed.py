"""Classifiers of likely classes, against those of all classes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import LikelyClasses, certain_posterior
from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.streamed import (
    StreamedDiscriminant,
    StreamedVotes,
    likely_classes,
    most_similar_classes,
    scores_of_prototypes,
)
from rsretrieve.audit.estimators.unit_vectors import UnitRows

CLASSES, PER_CLASS, DIMENSIONS, KEPT = 12, 30, 10, 5
RNG = np.random.default_rng(5)
TRUE = np.repeat(np.arange(CLASSES), PER_CLASS)
CENTRES = RNG.normal(0, 1, (CLASSES, DIMENSIONS))
ROWS = CENTRES[TRUE] + RNG.normal(0, 0.7, (len(TRUE), DIMENSIONS))
ROWS = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)).astype(np.float32)
ROWS[7] = 0  # unknown
FOLDS = assign_folds(TRUE, 5)
VOTES = NeighbourVotes.among(UnitRows(ROWS))
NUMBERS = np.array([np.roll(np.arange(CLASSES), -c)[:KEPT] for c in TRUE], np.int32)
CANDIDATES = LikelyClasses(CLASSES, NUMBERS)
KEPT_POSTERIOR = RNG.dirichlet(np.ones(KEPT + 1), len(TRUE)).astype(np.float32)
KEPT_POSTERIOR[11] = 0  # held out
POSTERIOR = np.repeat(KEPT_POSTERIOR[:, -1:] / (CLASSES - KEPT), CLASSES, axis=1)
np.put_along_axis(POSTERIOR, NUMBERS.astype(np.int64), KEPT_POSTERIOR[:, :-1], 1)


def picked(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.take_along_axis(scores, NUMBERS.astype(np.int64), 1)


def test_a_discriminant_is_that_of_all_classes() -> None:
    whole = Discriminant(ROWS, FOLDS).class_scores(POSTERIOR)
    found = StreamedDiscriminant(UnitRows(ROWS), FOLDS, CANDIDATES).class_scores(KEPT_POSTERIOR)
    known = np.arange(len(TRUE)) != 7
    whole -= whole.mean(axis=1, keepdims=True)  # a constant of a tile is no matter
    np.testing.assert_allclose(found[:, :-1], picked(whole), atol=2e-3)
    assert not found[7].any()
    rest = np.where((NUMBERS[:, :, None] == np.arange(CLASSES)).any(axis=1), -np.inf, whole)
    mean = np.log(np.exp(rest).sum(axis=1) / (CLASSES - KEPT))
    assert np.abs(found[known, -1] - mean[known]).mean() < 0.6  # of seven scores, not a thousand


def test_votes_are_those_of_all_classes() -> None:
    whole = VOTES.shares(POSTERIOR)
    streamed = StreamedVotes(VOTES, CANDIDATES)
    found = streamed.shares(KEPT_POSTERIOR)
    np.testing.assert_allclose(found[:, :-1], picked(whole), atol=1e-4)
    total = found[:, :-1].sum(axis=1) + found[:, -1] * (CLASSES - KEPT)
    np.testing.assert_allclose(total, np.arange(len(TRUE)) != 7, atol=1e-4)
    np.testing.assert_allclose(streamed.class_scores(KEPT_POSTERIOR), np.log(found + 0.02))


def test_scores_of_prototypes_are_similarities_by_the_temperature() -> None:
    prototypes = (CENTRES / np.linalg.norm(CENTRES, axis=1, keepdims=True)).astype(np.float32)
    found = scores_of_prototypes(UnitRows(ROWS), prototypes, 0.25, CANDIDATES)
    scores = ROWS @ prototypes.T / 0.25
    scores -= scores.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, :-1], picked(scores), atol=1e-4)


def test_likely_classes_are_the_given_the_voted_and_the_best() -> None:
    given = np.where(np.arange(len(TRUE)) % 3 == 0, (TRUE + 5) % CLASSES, TRUE)
    best = most_similar_classes(UnitRows(ROWS), given, FOLDS, CLASSES, KEPT)
    scores = Discriminant(ROWS, FOLDS).class_scores(np.eye(CLASSES)[given])
    known = np.arange(len(TRUE)) != 7
    np.testing.assert_array_equal(best[known, 0], scores[known].argmax(axis=1))
    found = likely_classes([given], VOTES, given, best, CLASSES).numbers
    assert found.shape == (len(TRUE), KEPT)
    assert all(len(set(row)) == KEPT for row in found.tolist())
    np.testing.assert_array_equal(found[:, 0], given)
    shares = VOTES.shares(np.eye(CLASSES)[given])
    assert (found[known] == shares[known].argmax(axis=1)[:, None]).any(axis=1).all()
    assert (found == TRUE[:, None]).any(axis=1).mean() > 0.97


@pytest.mark.parametrize("row", [0, 100])
def test_the_posterior_of_a_tile_does_not_change_its_own_scores(row: int) -> None:
    posterior = certain_posterior(CANDIDATES, TRUE)
    changed = posterior.copy()
    changed[row] = np.roll(changed[row], 1)
    for classifier in (
        StreamedDiscriminant(UnitRows(ROWS), FOLDS, CANDIDATES),
        StreamedVotes(VOTES, CANDIDATES),
    ):
        before, after = classifier.class_scores(posterior), classifier.class_scores(changed)
        np.testing.assert_array_equal(after[row], before[row])
        assert not np.array_equal(after, before)
