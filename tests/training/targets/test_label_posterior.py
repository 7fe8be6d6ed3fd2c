"""The classes of tiles are estimated from wrong labels and vectors that no label has shaped."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rsretrieve.training.targets.classify_by_others import Neighbourhood
from rsretrieve.training.targets.label_posterior import (
    LabelPosterior,
    certain_half,
    uniform_noise,
)
from rsretrieve.training.targets.score_factor import best_factor

CPU = torch.device("cpu")


def groups(
    classes: int, tiles: int, rate: float, spread: float, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Unit rows around a direction of each class, true labels, and labels with uniform noise."""
    chance = np.random.default_rng(seed)
    true = np.arange(classes * tiles) % classes
    rows = np.eye(classes, 24)[true] + spread * chance.normal(size=(len(true), 24))
    moved = (chance.random(len(true)) < rate) * chance.integers(1, classes, len(true))
    given = torch.from_numpy((true + moved) % classes)
    unit = torch.nn.functional.normalize(torch.from_numpy(rows).float(), dim=1)
    return unit, torch.from_numpy(true), given


def fitted(rows: Tensor, given: Tensor, classes: int) -> LabelPosterior:
    nobody = torch.zeros(len(given), dtype=torch.bool)
    return LabelPosterior.fitted(given, nobody, classes, Neighbourhood.views(rows), 0)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("classes", "rate", "least"), [(6, 0.0, 0.99), (6, 0.5, 0.95), (12, 0.7, 0.9), (3, 0.4, 0.93)]
)
def test_most_classes_are_found_among_wrong_labels(classes: int, rate: float, least: float) -> None:
    rows, true, given = groups(classes, 60, rate, 0.2)
    found = fitted(rows, given, classes)
    assert float((found.posterior.argmax(dim=1) == true).float().mean()) >= least
    wrong = 1 - float(found.posterior.gather(1, given[:, None]).mean())
    assert wrong == pytest.approx(float((given != true).float().mean()), abs=0.05)


@pytest.mark.medium
def test_the_classes_that_wrong_labels_are_of_are_found_in_the_matrix() -> None:
    rows, true, _ = groups(8, 250, 0, 0.2)  # many: few are drawn towards uniform noise
    chance = np.random.default_rng(1)
    wrong, further = chance.random(len(true)) < 0.3, chance.random(len(true)) < 1 / 3
    given = (true + torch.from_numpy(wrong * (1 + further))) % 8
    found = fitted(rows, given, 8)
    assert float((found.posterior.argmax(dim=1) == true).float().mean()) > 0.95
    for shift, share in ((1, 0.2), (2, 0.1), (3, 0.0)):
        of_shift = torch.tensor([float(found.transitions[c, (c + shift) % 8]) for c in range(8)])
        assert float(of_shift.mean()) == pytest.approx(share, abs=0.05)


@pytest.mark.medium
@pytest.mark.parametrize("seed", range(3))
def test_labels_are_informative_if_vectors_predict_labels_that_the_fit_did_not_use(
    seed: int,
) -> None:
    nothing = torch.randn(200, 8, generator=torch.Generator().manual_seed(seed))
    given = torch.arange(200) % 4
    nobody = torch.zeros(200, dtype=torch.bool)
    vectors = Neighbourhood.of(torch.nn.functional.normalize(nothing, dim=1))
    assert not LabelPosterior.fitted(given, nobody, 4, [vectors], 0).is_informative([vectors])
    rows, _, given = groups(4, 50, 0.5, 0.2, seed)
    assert fitted(rows, given, 4).is_informative(Neighbourhood.views(rows))


def test_a_confirmed_label_is_certain() -> None:
    rows, true, given = groups(3, 20, 0, 0.1)
    confirmed = torch.zeros(len(given), dtype=torch.bool)
    confirmed[4], given[4] = True, (true[4] + 1) % 3
    found = LabelPosterior.fitted(given, confirmed, 3, Neighbourhood.views(rows), 0)
    assert float(found.posterior[4, given[4]]) == 1.0


def decided(given: Tensor, true: Tensor, share: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The labels after a person decided on a share of them, and which ones these are."""
    confirmed = torch.from_numpy(np.random.default_rng(seed).random(len(given)) < share)
    return torch.where(confirmed, true, given), confirmed


@pytest.mark.medium
@pytest.mark.parametrize(("share", "rate"), [(0.3, 0.5), (0.7, 0.5), (0.95, 0.5), (0.7, 0.2)])
def test_confirmed_labels_do_not_lower_the_noise_rate_of_the_others(
    share: float, rate: float
) -> None:
    rows, true, given = groups(5, 100, rate, 0.2)
    now, confirmed = decided(given, true, share)
    found = LabelPosterior.fitted(now, confirmed, 5, Neighbourhood.views(rows), 0)
    left = float((now != true)[~confirmed].float().mean())
    assert 1 - float(found.transitions.diag().mean()) == pytest.approx(left, abs=0.08)
    wrong = 1 - found.posterior.gather(1, now[:, None])[~confirmed, 0]
    assert float(wrong.mean()) == pytest.approx(left, abs=0.05)


def test_a_confirmed_label_is_more_likely_right_than_another() -> None:
    rows, true, given = groups(3, 20, 0.5, 0.1)
    now, confirmed = decided(given, true, 0.5)
    found = LabelPosterior.fitted(now, confirmed, 3, Neighbourhood.views(rows), 0)
    own = found.likelihood.gather(1, now[:, None])[:, 0]
    assert own[confirmed].tolist() == pytest.approx([0.98] * int(confirmed.sum()))
    assert torch.equal(own[~confirmed], found.transitions.diag()[now[~confirmed]])


@pytest.mark.parametrize("left", [0, 1])
def test_all_or_nearly_all_labels_may_be_confirmed(left: int) -> None:
    rows, true, given = groups(3, 20, 0.0, 0.2)
    confirmed = torch.ones(60, dtype=torch.bool)
    confirmed[:left] = False
    found = LabelPosterior.fitted(given, confirmed, 3, Neighbourhood.views(rows), 0)
    assert torch.equal(found.posterior.argmax(dim=1), true)
    assert bool(found.transitions.isfinite().all())
    uncertain = torch.full((60, 3), math.log(1 / 3))
    uncertain[1:, 0] = 0  # the one label that nobody confirmed is of no certain tile
    found.update(uncertain)
    assert bool(found.transitions.isfinite().all())


def test_the_factor_is_the_most_likely_one_of_a_fine_search() -> None:
    chance = np.random.default_rng(0)
    scores = torch.from_numpy(chance.normal(size=(400, 3)))
    given = torch.distributions.Categorical(logits=3 * scores).sample()
    likelihood = uniform_noise(0.2, 3, CPU)[:, given].T.double()

    def log_likelihood(factor: float) -> float:
        return float(((scores * factor).softmax(1) * likelihood).sum(1).log().sum())

    tried = np.geomspace(0.02, 200, 4001)
    best = float(tried[np.argmax([log_likelihood(float(each)) for each in tried])])
    assert best_factor(scores, likelihood) == pytest.approx(best, rel=0.05)


def test_the_certain_half_is_half_of_each_class_and_all_that_are_certain() -> None:
    first = [0.97, 0.96, 0.955, 0.6, 0.55, 0.52]  # of class 0: three are certain
    second = [0.9, 0.8, 0.7, 0.6]  # of class 1: none is certain, half are two
    p = torch.tensor([[each, 1 - each] for each in first] + [[1 - each, each] for each in second])
    assert certain_half(p.log()).tolist() == [True] * 3 + [False] * 3 + [True] * 2 + [False] * 2


def test_a_network_counts_as_far_as_it_predicts_tiles_that_it_was_not_taught() -> None:
    rows, true, given = groups(4, 60, 0.4, 0.6)
    found = fitted(rows, given, 4)
    before = float((found.posterior.argmax(dim=1) == true).float().mean())
    untaught = torch.arange(len(true)) % 2 == 0
    right = uniform_noise(0.05, 4, CPU)[true].log()
    memorised = uniform_noise(0.01, 4, CPU)[given].log()
    chance = torch.full((len(true), 4), math.log(0.25))
    found.include(torch.where(untaught[:, None], right, memorised), untaught, 3)
    after = float((found.posterior.argmax(dim=1) == true)[untaught].float().mean())
    assert after > before
    again = fitted(rows, given, 4)
    again.include(torch.where(untaught[:, None], chance, memorised), untaught, 3)
    kept = (again.posterior.argmax(dim=1) == given)[~untaught & (given != true)]
    assert float(kept.float().mean()) < 0.6
