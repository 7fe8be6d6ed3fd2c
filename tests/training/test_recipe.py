"""The recipes: the published values, when weights are updated, how the learning rate goes."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsretrieve.enums import LossName, ModelSelection, OptimizerName, RecipeName, Schedule, Symmetry
from rsretrieve.errors import InvalidArgument
from rsretrieve.training.recipe import (
    PAPER,
    ROBUST,
    ROBUST_BY_AGREEMENT,
    ROBUST_FROM_NOTHING,
    ROBUST_FROZEN,
    Recipe,
    recipe_for,
)
from rsretrieve.training.targets.target_settings import PosteriorSettings


def test_the_papers_recipe_is_as_published() -> None:
    assert (PAPER.backbone, PAPER.size_px, PAPER.dimensions) == ("resnet18", 256, 128)
    assert (PAPER.loss, PAPER.temperature, PAPER.q, PAPER.k) == (LossName.T_RNSL, 0.05, 0.7, 0.5)
    assert (PAPER.optimizer, PAPER.momentum) == (OptimizerName.SGD, 0.9)
    assert (PAPER.learning_rate, PAPER.weight_decay) == (0.1, 1e-4)
    assert (PAPER.epochs, PAPER.batch_size) == (130, 256)
    assert (PAPER.schedule, PAPER.weights_by, PAPER.keep) == ("halving", "best", "best")
    assert PAPER.imagenet_statistics
    assert not PAPER.learn_temperature


def test_the_papers_tiles_are_varied_as_published() -> None:
    augmentation = PAPER.augmentation
    jitter = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    assert (*jitter, augmentation.hue) == (0.4, 0.4, 0.4, 0.4)
    assert augmentation.grayscale == 0.2
    assert augmentation.symmetry is Symmetry.HORIZONTAL
    assert (augmentation.zoom, augmentation.shift) == (0, 0)


@pytest.mark.parametrize("weights", ["imagenet", "none", "a.pth"])
@pytest.mark.parametrize("name", RecipeName)
def test_each_recipe_knows_its_name(name: RecipeName, weights: str) -> None:
    assert recipe_for(name, weights).name == name


def test_from_nothing_the_robust_recipe_takes_larger_steps_and_judges_later() -> None:
    assert recipe_for(RecipeName.ROBUST, "some.pth") == ROBUST
    assert recipe_for(RecipeName.PAPER, "none") == PAPER
    from_nothing = recipe_for(RecipeName.ROBUST, "none")
    assert from_nothing == ROBUST_FROM_NOTHING
    assert from_nothing.learning_rate > ROBUST.learning_rate
    assert min(from_nothing.update_epochs) > min(ROBUST.update_epochs)


def test_a_frozen_backbone_has_a_recipe_of_its_own() -> None:
    assert recipe_for(RecipeName.ROBUST, "imagenet", freeze_backbone=True) == ROBUST_FROZEN
    assert recipe_for(RecipeName.ROBUST, "none", freeze_backbone=True) == ROBUST_FROZEN
    paper = recipe_for(RecipeName.PAPER, "imagenet", freeze_backbone=True)
    assert paper == PAPER.changed(freeze_backbone=True)
    assert ROBUST_FROZEN.update_epochs == set(range(12, 40, 2))
    assert ROBUST_FROZEN.trains_head_only
    assert not ROBUST.trains_head_only


def test_without_epochs_nothing_is_trained_or_updated() -> None:
    assert ROBUST.changed(epochs=0).trains_head_only
    assert ROBUST.changed(epochs=0).update_epochs == frozenset()


def test_the_paper_updates_weights_from_epoch_40_on_every_10_epochs() -> None:
    assert PAPER.update_epochs == {40, 50, 60, 70, 80, 90, 100, 110, 120}


def test_the_robust_recipe_updates_weights_every_epoch_after_three_tenths() -> None:
    assert ROBUST.epochs == 40
    assert ROBUST.update_epochs == set(range(12, 40))


@pytest.mark.parametrize("loss", [LossName.NSL, LossName.RNSL])
def test_losses_without_weights_update_none(loss: LossName) -> None:
    assert PAPER.changed(loss=loss).update_epochs == frozenset()


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 13, 26])
def test_a_short_training_updates_weights_within_its_epochs_and_never_after_the_last(
    epochs: int,
) -> None:
    due = PAPER.changed(epochs=epochs).update_epochs
    assert all(1 <= epoch < epochs for epoch in due)
    assert bool(due) == (epochs > 1)


@settings(deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1))
def test_updates_never_come_before_the_first_nor_closer_than_their_interval(
    epochs: int, first: float, every: float
) -> None:
    recipe = PAPER.changed(epochs=epochs, first_update=first, update_every=every)
    due = sorted(recipe.update_epochs)
    assert all(epoch >= first * epochs - 1e-9 for epoch in due)
    assert all(1 <= epoch < epochs for epoch in due)
    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert all(gap > max(1, every * epochs) - 1 - 1e-9 for gap in gaps)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.1), (29.9, 0.1), (30, 0.05), (59.9, 0.05), (60, 0.025), (89.9, 0.025)]
)
def test_the_papers_learning_rate_is_halved_every_30_epochs(epoch: float, rate: float) -> None:
    assert PAPER.learning_rate_at(epoch / 130) == pytest.approx(rate)


@pytest.mark.parametrize("epoch", [90])
def test_the_papers_learning_rate_is_halved_at_the_very_start_of_the_epoch(epoch: int) -> None:
    assert PAPER.learning_rate_at(epoch / 130) == pytest.approx(0.1 / 2 ** (epoch // 30))


def test_one_cycle_rises_to_the_learning_rate_and_falls_to_zero() -> None:
    assert ROBUST.schedule is Schedule.ONE_CYCLE
    assert ROBUST.learning_rate_at(0) == pytest.approx(0.04 * 0.02)
    assert ROBUST.learning_rate_at(0.3) == pytest.approx(0.02)
    assert ROBUST.learning_rate_at(1) == pytest.approx(0)


def test_one_cycle_is_half_way_in_the_middle_of_either_slope() -> None:
    assert ROBUST.learning_rate_at(0.15) == pytest.approx(0.02 * (0.04 + 1) / 2)
    assert ROBUST.learning_rate_at(0.65) == pytest.approx(0.02 / 2)


def test_one_cycle_climbs_first_and_then_only_falls() -> None:
    rates = [ROBUST.learning_rate_at(step / 100) for step in range(101)]
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)


def test_choices_replace_the_recipes_own_and_none_leaves_them() -> None:
    changed = ROBUST.changed(epochs=5, loss=LossName.NSL, q=None)
    assert (changed.epochs, changed.loss, changed.q) == (5, LossName.NSL, ROBUST.q)
    assert changed.changed(epochs=ROBUST.epochs, loss=ROBUST.loss) == ROBUST


def test_a_choice_of_zero_or_false_is_a_choice() -> None:
    changed = PAPER.changed(momentum=0.0, imagenet_statistics=False)
    assert (changed.momentum, changed.imagenet_statistics) == (0.0, False)


@pytest.mark.parametrize("weights_by", ModelSelection)
@pytest.mark.parametrize("keep", ModelSelection)
def test_an_average_is_needed_where_it_judges_or_is_kept(
    weights_by: ModelSelection, keep: ModelSelection
) -> None:
    recipe = PAPER.changed(weights_by=weights_by, keep=keep)
    assert recipe.uses_average == ("average" in (weights_by, keep))


@pytest.mark.parametrize("recipe", [PAPER, ROBUST, ROBUST_FROM_NOTHING, ROBUST_FROZEN], ids=str)
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    plain = json.loads(json.dumps(recipe.to_json()))
    assert plain == recipe.to_json()
    assert plain["name"] == recipe.name
    assert plain["augmentation"]["symmetry"] == recipe.augmentation.symmetry


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_epochs_may_be_none_but_not_fewer(value: float) -> None:
    with pytest.raises(InvalidArgument, match=f"from 0 on, not {value}$"):
        PAPER.changed(epochs=value)


@pytest.mark.parametrize(
    "name", ["size_px", "dimensions", "temperature", "learning_rate", "batch_size"]
)
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_numbers_that_must_be_positive_are(name: str, value: float) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} must be positive, not {value}$"):
        PAPER.changed(**{name: value})


@pytest.mark.parametrize(("q", "k"), [(0, 0.5), (1.01, 0.5), (0.7, 1), (0.7, -0.5)])
def test_exponents_and_truncations_out_of_range_are_refused(q: float, k: float) -> None:
    message = re.escape(f"0 < q ≤ 1 and 0 ≤ k < 1, not q = {q}, k = {k}")
    with pytest.raises(InvalidArgument, match=f"^{message}$"):
        PAPER.changed(q=q, k=k)


@pytest.mark.parametrize(("classes", "sigma"), [(2, 0.2730), (21, 0.1502), (1000, 0.0946)])
def test_an_open_temperature_makes_a_tile_on_its_prototype_nearly_certain(
    classes: int, sigma: float
) -> None:
    open_recipe = replace(PAPER, temperature=None)
    assert open_recipe.temperature_for(classes) == pytest.approx(sigma, abs=1e-4)
    # Its cosine is 1 to its own prototype and 0 to each of the others.
    own = math.exp(1 / open_recipe.temperature_for(classes))
    assert own / (own + classes - 1) == pytest.approx(0.975)
    assert open_recipe.for_classes(classes).temperature == open_recipe.temperature_for(classes)


def test_a_temperature_that_is_given_stays() -> None:
    assert PAPER.for_classes(1000) == PAPER


def test_of_one_class_alone_there_is_a_temperature() -> None:
    assert replace(PAPER, temperature=None).temperature_for(1) > 0


def test_reflectance_is_recorded_only_where_it_is_used() -> None:
    assert "reflectance" not in ROBUST.to_json()
    assert ROBUST.changed(reflectance=True).to_json()["reflectance"] is True


@pytest.mark.parametrize(("epochs", "due"), [(15, {4, 6, 9, 11}), (40, {10, 16, 22, 28}), (2, {1})])
def test_a_posterior_sets_targets_until_all_clear_tiles_are_taught(
    epochs: int, due: set[int]
) -> None:
    recipe = ROBUST.changed(epochs=epochs)
    assert recipe.posterior_epochs == due
    assert not recipe.changed(loss=LossName.NSL).posterior_epochs
    assert not ROBUST_BY_AGREEMENT.posterior_epochs


def test_only_a_recipe_with_a_posterior_tells_of_it() -> None:
    assert "posterior" not in ROBUST_BY_AGREEMENT.to_json()
    assert ROBUST.to_json()["posterior"]["teach_all_after"] == 0.65


@pytest.mark.parametrize("change", [{"first_update": 1.5}, {"iterations": 0}])
def test_settings_of_a_posterior_out_of_range_are_refused(change: dict[str, float]) -> None:
    asked = {"first_update": 0.2, "update_every": 0.1, "teach_all_after": 0.5, "iterations": 2}
    with pytest.raises(InvalidArgument):
        PosteriorSettings(**(asked | change))  # type: ignore[arg-type]
