"""Groups of tiles that are distinct: labels that differ from the group are wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rsretrieve.audit.estimators.candidates import AllClasses, Scores, log_softmax
from rsretrieve.audit.estimators.classifiers import Discriminant, NeighbourVotes, assign_folds
from rsretrieve.audit.estimators.dawid_skene import ClassifierSet, fit_dawid_skene
from rsretrieve.audit.estimators.em_state import EMState, uniform_noise
from rsretrieve.audit.estimators.starts.fits import Fit
from rsretrieve.audit.estimators.starts.groups import is_certain, with_groups
from rsretrieve.audit.estimators.starts.several_starts import first_fit
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


@pytest.mark.parametrize("by_prototypes", [False, True])
def test_groups_by_prototypes_are_distinct_only_if_the_labels_make_a_fit_certain(
    by_prototypes: bool,
) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 60)
    given = (groups + rng.integers(1, 4, 240) * (rng.random(240) < 0.4)) % 4

    def refit(state: EMState) -> Callable[[], Scores]:
        """Certain where it is fitted to the groups themselves, and not where to the labels."""
        is_fitted_to_groups = np.allclose(state.posterior, np.eye(4)[groups])
        return lambda: log_softmax(np.eye(4)[groups] * (20.0 if is_fitted_to_groups else 1.5))

    found = first_fit(given, AllClasses(4), refit, by_prototypes=by_prototypes)
    assert found.is_distinct is not by_prototypes
    unsure = Fit(EMState(given, uniform_noise(0.4, 4)))
    sure = Fit(EMState(groups, uniform_noise(0.4, 4)))
    assert not is_certain([unsure], refit)
    assert is_certain([unsure, sure], refit)
