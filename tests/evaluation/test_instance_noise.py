"""Instance-dependent noise with a model: the most confusable tiles go wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError, NoUsableTiles
from rsretrieve.evaluation import instance_noise
from rsretrieve.evaluation.instance_noise import class_means, corrupt_with_model
from rsretrieve.index.embed_tiles import embed_tiles
from rsretrieve.network.model import Model


def nearest_other_class(model: Model, tiles: TileSet) -> dict[str, str]:
    """Tile id → the class, not its own, whose mean is the most like it; by plain loops."""
    vectors = embed_tiles(model, tiles, RunContext()).vectors.tolist()
    means = {}
    for name in tiles.class_names:
        members = [v for v, tile in zip(vectors, tiles) if tile.label == name]
        total = [sum(column) for column in zip(*members)]
        length = math.sqrt(sum(x * x for x in total))
        means[name] = [x / length for x in total]
    nearest = {}
    for vector, tile in zip(vectors, tiles):
        others = [name for name in means if name != tile.label]
        nearest[tile.id] = max(
            others, key=lambda name: sum(a * b for a, b in zip(means[name], vector))
        )
    return nearest


def test_class_means_are_unit_means() -> None:
    vectors = np.array([[1, 0], [0, 1], [0, -1], [0.6, 0.8]], np.float32)
    means = class_means(vectors, np.array([0, 0, 1, 2]), 4)
    half = math.sqrt(0.5)
    assert means[:3].tolist() == pytest.approx(np.array([[half, half], [0, -1], [0.6, 0.8]]))
    assert means[3].tolist() == [0, 0]  # a class without a tile
    assert means.dtype == np.float32


def test_labels_that_go_wrong_become_the_class_most_alike(model: Model, tiles: TileSet) -> None:
    corrupted = corrupt_with_model(model, tiles, 1.0, 0, RunContext())
    assert corrupted == nearest_other_class(model, tiles)


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_about_the_rate_of_labels_goes_wrong(
    model: Model, tiles: TileSet, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    embedded = embed_tiles(model, tiles, RunContext())
    monkeypatch.setattr(instance_noise, "embed_tiles", lambda *_: embedded)
    wrong = 0
    for seed in range(40):
        corrupted = corrupt_with_model(model, tiles, rate, seed, RunContext())
        wrong += sum(corrupted[tile.id] != tile.label for tile in tiles)
    assert wrong / (40 * len(tiles)) == pytest.approx(rate, abs=0.06)


def test_a_rate_of_zero_changes_nothing(model: Model, tiles: TileSet) -> None:
    corrupted = corrupt_with_model(model, tiles, 0.0, 0, RunContext())
    assert corrupted == {tile.id: tile.label for tile in tiles}


def test_tiles_without_a_label_are_left_out(model: Model, tiles: TileSet) -> None:
    partly = tiles.relabelled({tiles[0].id: None})
    assert tiles[0].id not in corrupt_with_model(model, partly, 1.0, 0, RunContext())


@pytest.mark.medium
def test_tiles_that_cannot_be_read_keep_their_label(model: Model, tiles: TileSet) -> None:
    context = RunContext()
    bad = TileSet("here", (replace(tiles[0], path="nowhere"), *tiles.tiles[1:]))
    corrupted = corrupt_with_model(model, bad, 1.0, 0, context)
    assert corrupted[tiles[0].id] == tiles[0].label
    assert all(corrupted[tile.id] != tile.label for tile in bad.tiles[1:])
    assert [failure.tile_id for failure in context.failures] == [tiles[0].id]


def test_tiles_without_any_label_are_refused(model: Model, tiles: TileSet) -> None:
    nameless = tiles.relabelled({tile.id: None for tile in tiles})
    with pytest.raises(NoUsableTiles, match=r"none of 0 tiles can be used with this model$"):
        corrupt_with_model(model, nameless, 0.3, 0, RunContext())


def test_one_class_is_refused(model: Model, tiles: TileSet) -> None:
    with pytest.raises(LabelsError, match=r"at least two classes, and there are 1$"):
        corrupt_with_model(model, tiles.select([0, 1]), 0.3, 0, RunContext())
