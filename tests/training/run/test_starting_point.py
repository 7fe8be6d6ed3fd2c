"""What a training starts from: features, and the classes that are estimated from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import squeezenet1_1

from rsretrieve.data.run_context import RunContext
from rsretrieve.network.device import Precision
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.recipe import ROBUST, ROBUST_BY_AGREEMENT, Recipe
from rsretrieve.training.run.starting_point import StartingPoint, starting_point
from rsretrieve.training.step import TrainingSettings

pytestmark = pytest.mark.medium
CLASSES, TILES = 4, 120
SMALL = {"size_px": 32, "backbone": "squeezenet1_1", "dimensions": 16, "head_epochs": 1}
RECIPE = ROBUST.changed(**SMALL)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("weights") / "squeezenet.pth"
    torch.save(squeezenet1_1(weights=None).state_dict(), path)
    return str(path)


@pytest.fixture
def prepared(tiles) -> PreparedTiles:
    """Tiles of four colours, the true class of the tile i being i % 4."""
    small = prepare_tiles(tiles, None, RECIPE, (), 0, RunContext())
    chance = np.random.default_rng(0)
    colours = chance.uniform(40, 210, (CLASSES, 3, 1, 1))
    true = np.arange(TILES) % CLASSES
    pixels = colours[true] + chance.normal(0, 15, (TILES, 3, 32, 32))
    coloured = pixels.clip(0, 255).astype(np.uint8)
    train = replace(small.train, pixels=coloured, labels=true, confirmed=None)
    names = tuple("abcd")
    return replace(small, class_names=names, train=train, validation=None)


def started(
    prepared: PreparedTiles, weights: str, recipe: Recipe = RECIPE
) -> tuple[StartingPoint, list[str]]:
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            said.append(event.text)

    of_classes = recipe.for_classes(len(prepared.class_names))
    settings = TrainingSettings(
        of_classes, prepared.preprocessing, 0, torch.device("cpu"), Precision.FLOAT32
    )
    return starting_point(weights, prepared, settings, RunContext(listener=listen)), said


def with_labels(prepared: PreparedTiles, labels: np.ndarray) -> PreparedTiles:
    return replace(prepared, train=replace(prepared.train, labels=labels))


def test_classes_are_estimated_among_wrong_labels(prepared: PreparedTiles, weights: str) -> None:
    chance = np.random.default_rng(1)
    true = prepared.train.labels
    wrong = chance.random(TILES) < 0.4
    given = (true + wrong * chance.integers(1, CLASSES, TILES)) % CLASSES
    found, _ = started(with_labels(prepared, given), weights)
    assert found.posterior is not None
    targets = found.posterior.first_targets()
    taught = targets.weights.numpy() > 0
    assert taught.mean() >= 0.5
    assert (targets.labels.numpy()[taught] == true[taught]).mean() > 0.95


def test_features_that_do_not_predict_random_labels_are_told(
    prepared: PreparedTiles, weights: str
) -> None:
    given = np.random.default_rng(2).permutation(prepared.train.labels)
    found, said = started(with_labels(prepared, given), weights)
    assert found.posterior is None
    assert [text for text in said if "do not predict the labels" in text]


@pytest.mark.parametrize("recipe", [ROBUST_BY_AGREEMENT.changed(**SMALL), RECIPE.changed(epochs=1)])
def test_without_an_update_to_come_nothing_is_estimated(
    prepared: PreparedTiles, weights: str, recipe: Recipe
) -> None:
    found, said = started(prepared, weights, recipe)
    assert found.posterior is None
    assert not [text for text in said if "do not predict" in text]


def test_random_weights_have_no_features(prepared: PreparedTiles) -> None:
    found, _ = started(prepared, "none")
    assert found.posterior is None
    assert found.starting_features is None
