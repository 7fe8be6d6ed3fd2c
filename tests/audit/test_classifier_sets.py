"""Large sets: with the scores of the likely classes alone, an audit finds the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from rsretrieve.audit import classifier_sets, label_quality
from rsretrieve.audit.estimators.candidates import AllClasses, LikelyClasses
from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.robust_prototypes import robust_prototypes
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.label_quality import AssessmentOptions, assess_labels
from rsretrieve.audit.posterior import LabelPosterior
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

CLASSES, PER_CLASS, RATE = 24, 60, 0.25
NAMES = tuple(f"class {number:02d}" for number in range(CLASSES))


def evidence() -> tuple[Evidence, np.ndarray]:
    """Embeddings of classes that overlap a little; and which labels are wrong."""
    rng = np.random.default_rng(8)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    moved = rng.integers(1, CLASSES, len(true)) * (rng.random(len(true)) < RATE)
    rows = rng.normal(0, 1, (CLASSES, 32))[true] + rng.normal(0, 1, (len(true), 32))
    vectors = UnitRows((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    labels = (true + moved) % CLASSES
    tiles = tuple(Tile(str(i), str(i), NAMES[label]) for i, label in enumerate(labels))
    found = robust_prototypes(vectors, labels, CLASSES)
    sizes = np.bincount(labels, minlength=CLASSES)
    of = Evidence(TileSet("here", tiles), NAMES, vectors, found.vectors, found.temperature, sizes)
    return replace(of, left_out=found.left_out).in_order_of_ids(), moved > 0


def judged(found: Evidence, confirmed: np.ndarray | None = None) -> LabelPosterior:
    scores = score_labels(found.vectors, found.labels, found.prototypes, found.temperature)
    if confirmed is not None:
        decided = [found.tiles[row] for row in np.flatnonzero(confirmed).tolist()]
        kept = {tile.id: ConfirmedLabel(Rule.REJECT, tile.label) for tile in decided}
        found = replace(found, tiles=found.tiles.with_confirmed(kept))
    return assess_labels(found, scores, AssessmentOptions(), RunContext())[0]


@pytest.mark.medium
@pytest.mark.parametrize("most_for_starts", [100_000, 500])
def test_likely_classes_give_the_figures_of_all_classes(
    monkeypatch: pytest.MonkeyPatch, most_for_starts: int
) -> None:
    found, wrong = evidence()
    wrong = wrong[[int(tile.id) for tile in found.tiles]]
    whole = judged(found)
    monkeypatch.setattr(classifier_sets, "MOST_SCORES", 1000)
    monkeypatch.setattr(label_quality, "MOST_FOR_STARTS", most_for_starts)
    kept = judged(found)
    ranked = [average_precision_score(wrong, -each.margin) for each in (whole, kept)]
    assert ranked[0] > 0.95
    assert ranked[1] == pytest.approx(ranked[0], abs=0.002)
    rates = [each.issue_probability.mean() for each in (whole, kept)]
    assert rates[1] == pytest.approx(rates[0], abs=0.005)
    assert rates[0] == pytest.approx(wrong.mean(), abs=0.02)
    assert kept.rates.low < wrong.mean() < kept.rates.high
    assert (kept.ranked[:, 0] == whole.ranked[:, 0]).mean() > 0.99
    np.testing.assert_allclose(kept.expected_counts.sum(), len(wrong), rtol=1e-4)
    np.testing.assert_allclose(kept.expected_counts, whole.expected_counts, atol=1.5)


@pytest.mark.medium
def test_confirmed_labels_and_those_of_unseen_tiles_work_with_likely_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(classifier_sets, "MOST_SCORES", 1000)
    found, _ = evidence()
    unseen = replace(found, trained_on=np.zeros(len(found.tiles), bool), left_out=None)
    confirmed = np.zeros(len(found.tiles), bool)
    confirmed[::7] = True
    posterior = judged(unseen, confirmed)
    assert posterior.issue_probability[confirmed].max() < 1e-6
    assert posterior.is_calibrated
    names = np.array([(found.labels + 1) % CLASSES]).ravel()
    tiles = tuple(Tile(t.id, t.path, NAMES[n]) for t, n in zip(found.tiles, names))
    shifted = judged(replace(unseen, tiles=TileSet("here", tiles)))
    assert shifted.issue_probability.mean() > 0.9


def test_the_scores_of_all_classes_are_kept_while_they_are_few() -> None:
    found, _ = evidence()
    labels = found.labels
    few = classifier_sets.classifier_source(found.vectors, labels, [], CLASSES, 5)
    assert isinstance(few.candidates, AllClasses)
    assert few.candidates.columns == CLASSES
    assert not isinstance(few.candidates, LikelyClasses)
