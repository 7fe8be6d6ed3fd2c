"""When classes are estimated before the first epoch, and what is told when they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.enums import LossName
from rsretrieve.network.device import Precision
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.dataset import prepare_tiles
from rsretrieve.training.recipe import PAPER, ROBUST, ROBUST_BY_AGREEMENT, Recipe
from rsretrieve.training.run.posterior_start import estimated_posterior, unused_choices
from rsretrieve.training.step import TrainingSettings


def said_without_features(
    tiles: TileSet, weights: str, recipe: Recipe, known: int | None
) -> list[str]:
    """The notices of a training that knows the features of some tiles, or has none."""
    recipe = recipe.changed(size_px=16)
    prepared = prepare_tiles(tiles, None, recipe, (), 0, RunContext())
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            said.append(event.text)

    cpu = torch.device("cpu")
    settings = TrainingSettings(recipe, prepared.preprocessing, 0, cpu, Precision.FLOAT32)
    features = None if known is None else np.zeros((len(prepared.tiles), 4), np.float32)
    if features is not None:
        features[:known, 0] = 1
    context = RunContext(listener=listen)
    assert estimated_posterior(features, weights, prepared, settings, context) is None
    return said


@pytest.mark.parametrize("known", [None, 3])
def test_a_model_folder_without_the_features_of_all_tiles_is_told(
    tiles: TileSet, tmp_path: Path, known: int | None
) -> None:
    [text] = said_without_features(tiles, str(tmp_path), ROBUST, known)
    assert str(tmp_path) in text
    assert f"{known or 0} of " in text


@pytest.mark.parametrize(("weights", "recipe"), [("none", ROBUST), (".", ROBUST_BY_AGREEMENT)])
def test_nothing_is_told_where_no_classes_were_to_be_estimated(
    tiles: TileSet, weights: str, recipe: Recipe
) -> None:
    assert said_without_features(tiles, weights, recipe, None) == []


@pytest.mark.parametrize(
    ("recipe", "has_posterior", "reason"),
    [
        (ROBUST, True, "--recipe paper"),
        (replace(ROBUST, loss=LossName.RNSL), False, "rnsl"),
        (replace(PAPER, loss=LossName.NSL), False, "nsl"),
        (replace(ROBUST, epochs=0), False, "0 epochs"),
    ],
)
def test_a_truncation_without_effect_is_told_with_the_reason(
    recipe: Recipe, has_posterior: bool, reason: str
) -> None:
    [text] = unused_choices(replace(recipe, k=0.3), has_posterior=has_posterior)
    assert "--truncation 0.3" in text
    assert reason in text
    assert unused_choices(recipe, has_posterior=has_posterior) == []


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        (replace(ROBUST, loss=LossName.NSL), "nsl"),
        (replace(PAPER, loss=LossName.NSL), "nsl"),
        (replace(ROBUST, epochs=0), "without epochs"),
    ],
)
def test_a_q_without_effect_is_told_with_the_reason(recipe: Recipe, reason: str) -> None:
    [text] = unused_choices(replace(recipe, q=0.3), has_posterior=False)
    assert "--q 0.3" in text
    assert reason in text
    assert unused_choices(recipe, has_posterior=False) == []


@pytest.mark.parametrize("recipe", [PAPER, ROBUST, ROBUST_BY_AGREEMENT])
def test_values_with_an_effect_are_not_told(recipe: Recipe) -> None:
    assert unused_choices(replace(recipe, k=0.3, q=0.3), has_posterior=False) == []


def test_a_q_is_used_where_the_posterior_sets_the_targets() -> None:
    assert unused_choices(replace(ROBUST, q=0.3), has_posterior=True) == []
