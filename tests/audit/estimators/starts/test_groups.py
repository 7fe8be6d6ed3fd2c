"""Groups of tiles that are distinct: labels that differ from the group are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.fits import Fit
from rsretrieve.audit.estimators.starts.groups import with_groups
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.posterior import posterior_from_em


@pytest.mark.medium
@pytest.mark.parametrize(("classes", "rate"), [(2, 0.25), (3, 0.4), (4, 0.5), (5, 0.5)])
@pytest.mark.parametrize("seed", range(2))
def test_few_classes_that_do_not_overlap_have_one_noise_rate(
    classes: int, rate: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(classes), 100))
    rows = 5.0 * np.eye(classes, 128)[true] + rng.normal(0, 1, (len(true), 128))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    moved = rng.integers(1, classes, len(true)) * (rng.random(len(true)) < rate)
    given = np.asarray((true + moved) % classes)
    votes = NeighbourVotes.among(UnitRows(rows))
    classifiers = ClassifierSet([Discriminant(rows, assign_folds(given, 5)), votes])
    found = fit_dawid_skene(given, classes, classifiers)
    share = float((given != true).mean())
    assert found.rates.low <= share <= found.rates.high
    assert found.rates.can_be_told
    estimate = float(posterior_from_em(found, given).issue_probability.mean())
    assert estimate == pytest.approx(share, abs=0.02)


def test_fits_with_distinct_groups_are_preferred() -> None:
    state = EMState(np.array([0, 1]), uniform_noise(0.2, 2))
    other, distinct = Fit(state), Fit(state, is_distinct=True)
    assert [*with_groups([other, distinct])] == [distinct]
    assert [*with_groups([other])] == [other]
