"""Tiles are read again, larger, or what the features come from instead is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.loading import batches
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import TileError
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.dataset import PreparedTiles, prepare_tiles
from rsretrieve.training.parallel.processes import ALONE, Processes
from rsretrieve.training.recipe import ROBUST
from rsretrieve.training.run.larger_tiles import larger_tiles

TILES, SIZE_PX, LARGER_PX = 40, 16, 24
Larger = Callable[..., tuple[Any, list[str]]]


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedTiles:
    chance = np.random.default_rng(0)
    for number in range(TILES):
        path = tmp_path / "tiles" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chance.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
    recipe = ROBUST.changed(size_px=SIZE_PX)
    found = find_tiles(tmp_path / "tiles")
    return prepare_tiles(found, TileSet("no tiles", ()), recipe, (), 0, RunContext())


def larger(
    prepared: PreparedTiles, processes: Processes = ALONE, *, strict: bool = False
) -> tuple[Any, list[str]]:
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            said.append(event.text)

    context = RunContext(strict=strict, listener=listen)
    return larger_tiles(prepared, LARGER_PX, processes, context), said


def without(prepared: PreparedTiles, count: int) -> PreparedTiles:
    """The same tiles, of which the files of the first ones are gone."""
    tiles = [replace(t, path="gone.png") if i < count else t for i, t in enumerate(prepared.tiles)]
    return replace(prepared, tiles=replace(prepared.tiles, tiles=tuple(tiles)))


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_the_pixels_of_few_tiles_are_enlarged(prepared: PreparedTiles, gone: int) -> None:
    whole, said = larger(prepared)
    assert not said
    found, said = larger(without(prepared, gone))
    assert np.array_equal(found[gone:], whole[gone:])
    assert [f"{gone} of 40 tiles" in text and "enlarged" in text for text in said] == [True] * (
        gone > 0
    )


@pytest.mark.parametrize("gone", [3, 40])
def test_without_many_tiles_there_are_no_larger_ones(prepared: PreparedTiles, gone: int) -> None:
    found, [text] = larger(without(prepared, gone))
    assert found is None
    for part in (f"{gone} of 40 tiles", "no such file", f"all tiles at {SIZE_PX} px"):
        assert part in text


def test_a_strict_training_ends_at_the_first(prepared: PreparedTiles) -> None:
    with pytest.raises(TileError, match="no such file"):
        larger(without(prepared, 1), strict=True)


def test_without_room_there_are_no_larger_tiles(
    prepared: PreparedTiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batches, "available_bytes", lambda: 0)
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    found, [text] = larger(prepared)
    assert found is None
    for part in ("No space left on device", "TMPDIR", f"all tiles at {SIZE_PX} px"):
        assert part in text
    assert "--size" not in text


class OfTwoMachines(Processes):
    """A process beside one of another machine, which cannot read some tiles again."""

    def __init__(self, unread: int) -> None:
        self.unread = unread

    def values_of_all(self, value: Any) -> list[Any]:
        return [value, {f"{number:02}.png": "no such file" for number in range(self.unread)}]


def test_machines_decide_alike_about_tiles_that_one_of_them_cannot_read(
    prepared: PreparedTiles,
) -> None:
    found, [text] = larger(prepared, OfTwoMachines(5))
    assert found is None
    assert "5 of 40 tiles" in text
    found, [text] = larger(prepared, OfTwoMachines(2))
    assert found is not None
    assert "2 of 40 tiles" in text
