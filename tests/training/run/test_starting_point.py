"""What a training starts from: features, and the classes that are estimated from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.network.device import Precision
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.history.level_network import LevelNetwork
from rsretrieve.training.history.starting_features import compute_starting_features
from rsretrieve.training.initialize import starting_model
from rsretrieve.training.recipe import ROBUST, ROBUST_BY_AGREEMENT, Recipe
from rsretrieve.training.run.starting_point import StartingPoint, starting_point
from rsretrieve.training.step import TrainingSettings, embedder_of

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
def prepared(tmp_path: Path) -> PreparedTiles:
    """Tiles of four colours, one folder for each."""
    chance = np.random.default_rng(0)
    colours = chance.uniform(40, 210, (CLASSES, 3))
    for number in range(TILES):
        pixels = colours[number % CLASSES] + chance.normal(0, 15, (32, 32, 3))
        path = tmp_path / "abcd"[number % CLASSES] / f"{number:03}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    none = TileSet("no tiles", ())
    return prepare_tiles(find_tiles(tmp_path), none, RECIPE, (), 0, RunContext())


def started(
    prepared: PreparedTiles, weights: str, recipe: Recipe = RECIPE
) -> tuple[StartingPoint, list[str]]:
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            said.append(event.text)

    context = RunContext(listener=listen)
    return starting_point(weights, prepared, settings_of(prepared, recipe), context), said


def settings_of(prepared: PreparedTiles, recipe: Recipe) -> TrainingSettings:
    of_classes = recipe.for_classes(len(prepared.class_names))
    return TrainingSettings(
        of_classes, prepared.preprocessing, 0, torch.device("cpu"), Precision.FLOAT32
    )


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


def features_of(prepared: PreparedTiles, weights: str) -> tuple[np.ndarray, list[str]]:
    found, said = started(prepared, weights)
    assert found.starting_features is not None
    return found.starting_features, [text for text in said if "read again" in text]


def test_larger_tiles_are_read_from_their_files(prepared: PreparedTiles, weights: str) -> None:
    """Of files that changed since the smaller pixels are taken; where these are many, of all."""
    by_files, said = features_of(prepared, weights)
    assert not said
    blank = replace(prepared, train=replace(prepared.train, pixels=prepared.train.pixels * 0))
    assert np.array_equal(features_of(blank, weights)[0], by_files)
    Path(prepared.tiles[0].path).write_bytes(b"no picture")
    one_enlarged, said = features_of(prepared, weights)
    assert "1 of 120 tiles" in said[0]
    assert np.array_equal(one_enlarged, by_files)  # these files have the pixels of training
    for tile in [*prepared.tiles][:30]:
        Path(tile.path).write_bytes(b"no picture")
    all_small, said = features_of(prepared, weights)
    assert "30 of 120 tiles" in said[0]
    settings = settings_of(prepared, RECIPE)
    model, _ = starting_model(settings.recipe, 3, prepared.class_names, weights, 0)
    network = LevelNetwork(model.network, 3, 32)
    embedder, pixels = embedder_of(network, settings), prepared.train.pixels
    of_four = compute_starting_features(embedder, pixels, 0, turns=4, sizes=network.sizes)
    assert np.array_equal(all_small, of_four)


def test_a_truncation_without_effect_is_told(prepared: PreparedTiles, weights: str) -> None:
    for k, are_told in ((0.9, True), (0.5, False)):
        found, said = started(prepared, weights, RECIPE.changed(k=k))
        assert found.posterior is not None
        assert bool([text for text in said if f"--truncation {k:g}" in text]) is are_told


def test_random_weights_have_no_features(prepared: PreparedTiles) -> None:
    found, _ = started(prepared, "none")
    assert found.posterior is None
    assert found.starting_features is None
