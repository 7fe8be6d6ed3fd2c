"""The classifiers of an audit, from the evidence by one model or by several.

The embedding and the prototypes of a trained model are out-of-sample for tiles that the model was
not trained on. For the others they are in-sample: they may have memorised the label. Which tiles
these are is decided for each model. The in-sample classifiers of all models together get one more
factor (see `dawid_skene`). The features that the trainings started with are averaged: two models
that started with the same network see the same vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.classifier_sets import ClassifierSource, Votes, classifier_source
from rsretrieve.audit.estimators.classifiers import Classifier, Restricted
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence, mean_of_known

FEWEST_PER_CLASS = 10
"""Below this many tiles per class on average, the other classifiers are too uncertain."""

_COMPARED, _ALIKE = 200, 0.05

Labels = NDArray[np.int64]


def are_enough(tiles: NDArray[np.bool_], classes: int) -> bool:
    """Whether so many tiles, (N,) bool, are enough to fit a classifier."""
    return bool(tiles.sum() >= FEWEST_PER_CLASS * classes)


def has_starting_features(evidence: Evidence) -> bool:
    """Whether a training stored features of enough of the tiles before it learned labels."""
    return bool(_starting_views(evidence))


def is_unseen(evidence: Evidence) -> bool:
    """Whether the models were trained on none of the tiles, or on very few of them."""
    is_known = evidence.trained_on is not None
    return is_known and not are_enough(evidence.seen, len(evidence.class_names))


def classifiers_of(
    evidence: Evidence, labels: Labels, also: Sequence[Labels], folds: int
) -> tuple[ClassifierSet, Votes]:
    """Build all classifiers.

    Args:
        evidence: of N tiles.
        labels: (N,) int64 class numbers of the given labels.
        also: (N,) int64 other classes of each tile that are likely.
        folds: number of folds for cross-fitting.

    Returns:
        The classifiers, and the neighbours' votes in the embedding.
    """
    views, classes = _starting_views(evidence), len(evidence.class_names)
    source = classifier_source([*views, evidence.vectors][0], labels, also, classes, folds)
    votes = source.votes(evidence.vectors)
    models = [
        _Model(each, source, votes if each is evidence else source.votes(each.vectors))
        for each in evidence.each
    ]
    unseen = [model for model in models if is_unseen(model.evidence)]
    seen = [model for model in models if not is_unseen(model.evidence)]
    if views:
        independent = [each for view in views for each in _of_vectors(source, view)]
        others, areas = models, _areas_of(evidence, labels)
    elif unseen:
        independent = [each for model in unseen for each in model.unrestricted]
        views, others, areas = [model.evidence.vectors for model in unseen], seen, None
    else:
        independent = [c for model in models for c in (model.discriminant, model.votes)]
        views, others, areas = [model.evidence.vectors for model in models], [], None
    in_sample = [each for model in others for each in model.in_sample]
    return ClassifierSet(
        independent=independent,
        in_sample=in_sample,
        out_of_sample=[each for model in others for each in model.out_of_sample],
        areas=areas,
        candidates=source.candidates,
        logistic=None if in_sample else source.logistic(views[0]),
        views=len(views),
    ), votes


def _of_vectors(source: ClassifierSource, vectors: UnitRows) -> list[Classifier]:
    return [source.discriminant(vectors), source.votes(vectors)]


@dataclass(frozen=True)
class _Model:
    """The classifiers of one model."""

    evidence: Evidence
    source: ClassifierSource
    votes: Classifier

    @property
    def discriminant(self) -> Classifier:
        return self.source.discriminant(self.evidence.vectors)

    @property
    def prototypes(self) -> Classifier:
        evidence = self.evidence
        return self.source.prototypes(evidence.vectors, evidence.prototypes, evidence.temperature)

    @property
    def unrestricted(self) -> list[Classifier]:
        """Those of a model that was trained on very few of the tiles.

        The embedding brings tiles of a class together, so neighbours repeat what the discriminant
        says. With their votes the product was too certain, and the noise rate less exact.
        """
        return [self.discriminant, Restricted(self.prototypes, ~self.evidence.seen)]

    @property
    def in_sample(self) -> list[Classifier]:
        """For the tiles that it was trained on. A discriminant would memorise, too."""
        if is_unseen(self.evidence):
            return []
        return [Restricted(each, self.evidence.seen) for each in (self.votes, self.prototypes)]

    @property
    def out_of_sample(self) -> list[Classifier]:
        """For the tiles that it was not trained on."""
        seen = self.evidence.seen
        if seen.all():
            return []
        every = (self.discriminant, self.votes, self.prototypes)
        return [Restricted(each, ~seen) for each in every]


def _starting_views(evidence: Evidence) -> list[UnitRows]:
    """The different starting features of the models."""
    found: list[NDArray[np.float32]] = []
    for each in evidence.each:
        rows = each.starting_features
        if rows is None or not are_enough(each.seen, len(evidence.class_names)):
            continue
        if not any(_show_the_same(rows, other) for other in found):
            found.append(rows)
    return [UnitRows(rows) for rows in found]


def _show_the_same(rows: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    """Whether the similarities of some tiles are the same in both features."""
    known, of_others = rows.any(axis=1), others.any(axis=1)
    if not np.array_equal(known, of_others):
        return False
    chosen = np.flatnonzero(known)[:: max(1, int(known.sum()) // _COMPARED)]
    one, other = (each[chosen].astype(np.float32) for each in (rows, others))
    return bool(np.abs(one @ one.T - other @ other.T).mean() < _ALIKE)


def _areas_of(evidence: Evidence, labels: Labels) -> NDArray[np.float32] | None:
    """The areas under the margin that belong to these labels; NaN for the others.

    Those of several models are divided by their spread, and averaged.
    """
    found = [each.area_under_margin for each in evidence.each]
    areas = [each for each in found if each is not None and np.isfinite(each).any()]
    if not areas:
        return None
    if len(areas) > 1:
        areas = [each / max(float(np.nanstd(each)), 1e-6) for each in areas]
    return np.where(evidence.labels == labels, mean_of_known(areas), np.float32(np.nan))
