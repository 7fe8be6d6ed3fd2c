"""Build the classifiers of an audit: with scores of all classes, or of the likely ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.candidates import AllClasses, Candidates, Scores
from rsretrieve.audit.estimators.classifiers import (
    Classifier,
    Discriminant,
    FixedScores,
    NeighbourVotes,
    assign_folds,
)
from rsretrieve.audit.estimators.logistic_regression import Logistic
from rsretrieve.audit.estimators.unit_vectors import UnitRows

if TYPE_CHECKING:
    from rsretrieve.audit.estimators.candidates import LikelyClasses

MOST_SCORES = 10_000_000
"""Above this many tiles times classes, only the scores of the likely classes are kept."""

LIKELY = 15
"""Number of classes whose scores are then kept for each tile; so many or fewer are all kept."""

MOST_PRODUCTS = 60_000_000
"""Above this many tiles times classes times dimensions, there is no logistic regression."""

Labels = NDArray[np.int64]


class Votes(Classifier, Protocol):
    """A classifier that also tells the shares of the votes."""

    def shares(self, posterior: Scores) -> Scores:
        """See `NeighbourVotes.shares`."""
        ...


class ClassifierSource(Protocol):
    """Makes the classifiers of N tiles."""

    @property
    def candidates(self) -> Candidates:
        """The classes of the columns of their scores."""

    def discriminant(self, vectors: UnitRows) -> Classifier:
        """A discriminant of some unit vectors of the tiles."""

    def logistic(self, vectors: UnitRows) -> Logistic | None:
        """A logistic regression on some unit vectors of the tiles; None if it took too long."""

    def votes(self, vectors: UnitRows) -> Votes:
        """The votes of the neighbours by some unit vectors of the tiles."""

    def prototypes(
        self, vectors: UnitRows, prototypes: NDArray[np.float32], temperature: float
    ) -> Classifier:
        """The similarities to the (K, D) prototypes of a model, with the σ of its softmax."""


def classifier_source(
    vectors: UnitRows, labels: Labels, also: Sequence[Labels], classes: int, folds: int
) -> ClassifierSource:
    """Choose how to compute scores, by the number of tiles and classes.

    Args:
        vectors: N unit rows that do not depend on the labels; they tell the likely classes.
        labels: (N,) int64 class numbers of the given labels.
        also: (N,) int64 other classes of each tile that count as likely.
        classes: K.
        folds: number of folds for cross-fitting.
    """
    assigned = assign_folds(labels, folds)
    if len(labels) * classes <= MOST_SCORES or classes <= LIKELY:
        return OfAllClasses(assigned, AllClasses(classes))
    return OfLikelyClasses.among(vectors, labels, also, assigned, classes)


@dataclass(frozen=True)
class OfAllClasses:
    """Makes classifiers that score all classes.

    Attributes:
        folds: (N,) int64 fold of each tile.
        candidates: all classes.
    """

    folds: Labels
    candidates: AllClasses

    def discriminant(self, vectors: UnitRows) -> Classifier:
        """See `ClassifierSource.discriminant`."""
        return Discriminant(vectors[np.arange(len(vectors))], self.folds)

    def logistic(self, vectors: UnitRows) -> Logistic | None:
        """See `ClassifierSource.logistic`."""
        if len(vectors) * vectors.dimensions * self.candidates.classes > MOST_PRODUCTS:
            return None
        return Logistic(vectors[np.arange(len(vectors))], self.folds)

    def votes(self, vectors: UnitRows) -> Votes:
        """See `ClassifierSource.votes`."""
        return NeighbourVotes.among(vectors)

    def prototypes(
        self, vectors: UnitRows, prototypes: NDArray[np.float32], temperature: float
    ) -> Classifier:
        """See `ClassifierSource.prototypes`."""
        rows = vectors[np.arange(len(vectors))]
        return FixedScores(np.asarray(rows @ prototypes.T, np.float64))


@dataclass(frozen=True)
class OfLikelyClasses:
    """Makes classifiers that score the likely classes of each tile.

    Attributes:
        folds: (N,) int64 fold of each tile.
        candidates: the likely classes.
        chosen_by: the vectors that told them.
        chosen_votes: the votes by these vectors.
    """

    folds: Labels
    candidates: LikelyClasses
    chosen_by: UnitRows
    chosen_votes: NeighbourVotes

    @classmethod
    def among(
        cls, vectors: UnitRows, labels: Labels, also: Sequence[Labels], folds: Labels, classes: int
    ) -> OfLikelyClasses:
        """Choose the likely classes; see `classifier_source`."""
        from rsretrieve.audit.estimators import streamed  # it loads FAISS and SciPy

        best = streamed.most_similar_classes(vectors, labels, folds, classes, LIKELY)
        votes = NeighbourVotes.among(vectors)
        candidates = streamed.likely_classes([labels, *also], votes, labels, best, classes)
        return cls(folds, candidates, vectors, votes)

    def discriminant(self, vectors: UnitRows) -> Classifier:
        """See `ClassifierSource.discriminant`."""
        from rsretrieve.audit.estimators.streamed import StreamedDiscriminant

        return StreamedDiscriminant(vectors, self.folds, self.candidates)

    def logistic(self, vectors: UnitRows) -> Logistic | None:
        """None: it would take too long."""
        return None

    def votes(self, vectors: UnitRows) -> Votes:
        """See `ClassifierSource.votes`."""
        from rsretrieve.audit.estimators.streamed import StreamedVotes

        is_known = vectors is self.chosen_by
        votes = self.chosen_votes if is_known else NeighbourVotes.among(vectors)
        return StreamedVotes(votes, self.candidates)

    def prototypes(
        self, vectors: UnitRows, prototypes: NDArray[np.float32], temperature: float
    ) -> Classifier:
        """See `ClassifierSource.prototypes`."""
        from rsretrieve.audit.estimators.streamed import scores_of_prototypes

        return FixedScores(scores_of_prototypes(vectors, prototypes, temperature, self.candidates))
