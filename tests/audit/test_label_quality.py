"""Which views are asked: those that a training did not spoil, of as many tiles as there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rsretrieve.audit.estimators.prototype_scores import score_labels
from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.evidence.evidence import Evidence
from rsretrieve.audit.findings import Verdicts
from rsretrieve.audit.issue_selection import Choice
from rsretrieve.audit.label_quality import judge
from rsretrieve.audit.posterior import Judgement
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet

CLASSES, PER_CLASS, RATE = 8, 60, 0.27
NAMES = tuple("abcdefgh")


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def evidence(known: float, seed: int = 0) -> tuple[Evidence, NDArray[np.bool_]]:
    """What a model knows by heart that was trained on some of the tiles; and who is wrong.

    Of these its embedding follows the label, right or wrong, and the first view the picture; of
    the others the embedding follows the picture.
    """
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(CLASSES), PER_CLASS)
    moved = rng.integers(1, CLASSES, len(true)) * (rng.random(len(true)) < RATE)
    given = (true + moved) % CLASSES
    trained_on = rng.random(len(true)) < known
    learned = np.where(trained_on, given, true)
    directions = np.eye(CLASSES, 24)
    embedded = unit(directions[learned] + rng.normal(0, 0.12, (len(true), 24)))
    first = unit(directions[true] + rng.normal(0, 0.17, (len(true), 24)))
    first[~trained_on] = 0
    tiles = tuple(Tile(str(i), str(i), NAMES[label]) for i, label in enumerate(given))
    sizes = np.bincount(given, minlength=CLASSES)
    found = Evidence(
        *(TileSet("here", tiles), NAMES, UnitRows(embedded)),
        *(unit(directions), 0.1, sizes),
        first_view=first if trained_on.any() else None,
    )
    return found, moved > 0


def judged(
    found: Evidence, choice: Choice | None = None, settled: NDArray[np.bool_] | None = None
) -> tuple[Judgement, Verdicts]:
    scores = score_labels(found.vectors, found.labels(), found.prototypes, found.temperature)
    nobody = np.zeros(len(found.tiles), bool)
    by_whom = nobody if settled is None else settled
    return judge(found, scores, choice or Choice(), 5, by_whom, RunContext())


@pytest.mark.parametrize("known", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0])
def test_errors_are_found_however_many_tiles_the_training_knew(known: float) -> None:
    found, wrong = evidence(known)
    judgement, said = judged(found)
    assert (said.flagged & wrong).sum() > 0.9 * wrong.sum()
    assert (said.flagged & ~wrong).sum() < 0.1 * wrong.sum()
    assert judgement.issue_probability.mean() == pytest.approx(wrong.mean(), abs=0.03)


@pytest.mark.parametrize(("known", "honest"), [(0.0, False), (0.05, False), (0.5, True), (1, True)])
def test_a_witness_is_who_did_not_learn_the_label(known: float, honest: bool) -> None:
    found, _ = evidence(known)
    judgement, said = judged(found)
    assert np.isfinite(judgement.witnessed).all() == honest
    assert np.isnan(said.witnessed_probability).all() == (not honest)


def scarce(found: Evidence) -> Evidence:
    """So few of the tiles that prototypes alone judge."""
    few = np.arange(0, len(found.tiles), 12)
    assert found.first_view is not None
    return replace(
        found,
        tiles=found.tiles.select(few.tolist()),
        vectors=UnitRows(found.vectors[few]),
        first_view=found.first_view[few],
    )


def test_prototypes_of_a_trained_model_are_no_witness() -> None:
    judgement, said = judged(scarce(evidence(1.0)[0]))
    assert not judgement.is_calibrated
    assert np.isnan(said.witnessed_probability).all()


@pytest.mark.parametrize("few", [False, True])
def test_what_a_person_settled_is_right_and_costs_no_budget(few: bool) -> None:
    found = scarce(evidence(1.0)[0]) if few else evidence(1.0)[0]
    plain, _ = judged(found)
    settled = np.zeros(len(found.tiles), bool)
    settled[np.argsort(plain.margin)[:9]] = True
    judgement, said = judged(found, Choice(budget=9), settled)
    assert judgement.is_calibrated == (not few)
    assert said.flagged.sum() == 9
    assert not (said.flagged & settled).any()
    assert judgement.issue_probability[settled].max() < 1e-6
    labels = found.labels()
    assert judgement.counts.sum() == pytest.approx(len(labels), rel=1e-4)
    gained = np.trace(judgement.counts) - np.trace(plain.counts)
    assert gained == pytest.approx(plain.issue_probability[settled].sum(), abs=0.01)
    everyone, all_said = judged(found, Choice(budget=9), np.ones_like(settled))
    assert not all_said.flagged.any()
    assert everyone.issue_probability.max() < 1e-6
