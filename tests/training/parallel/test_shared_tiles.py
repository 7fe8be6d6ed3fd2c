"""Tiles that one process reads for all of its machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsretrieve._core.machine import launch
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import NoUsableTiles
from rsretrieve.progress import Event, Noticed
from rsretrieve.training.dataset import PreparedTiles, TilesReadAgain, prepare_tiles
from rsretrieve.training.parallel.processes import Processes
from rsretrieve.training.parallel.shared_tiles import prepare_shared, read_shared
from rsretrieve.training.recipe import ROBUST
from rsretrieve.training.run.larger_tiles import larger_tiles
from tests.support.processes.gloo_processes import in_processes

pytestmark = pytest.mark.medium
RECIPE = ROBUST.changed(size_px=16)


def prepared(processes: Processes, tiles: TileSet, folder: Path) -> dict[str, Any]:
    tempfile.tempdir = str(folder)
    read: list[int] = []

    def prepare() -> PreparedTiles:
        assert [path.parent for path in launch.temporary] == [folder]  # if the process is ended
        read.append(processes.rank)
        return prepare_tiles(tiles, None, RECIPE, (), 0, RunContext())

    found = prepare_shared(processes, prepare)
    assert not launch.temporary
    assert found.validation is not None
    torch.from_numpy(found.train.pixels[:2])  # a warning would be an error
    return {
        "read": read,
        "ids": [tile.id for tile in found.tiles],
        "pixels": np.array(found.train.pixels),
        "validation": np.array(found.validation.pixels),
        "labels": found.train.labels,
        "mapped": isinstance(found.train.pixels, np.memmap),
    }


def test_one_process_reads_and_all_have_the_tiles(tiles: TileSet, tmp_path: Path) -> None:
    whole = prepare_tiles(tiles, None, RECIPE, (), 0, RunContext())
    assert whole.validation is not None
    found = in_processes(3, prepared, tiles, tmp_path)
    assert [each["read"] for each in found] == [[0], [], []]
    for each in found:
        assert each["ids"] == [tile.id for tile in whole.tiles]
        np.testing.assert_array_equal(each["pixels"], whole.train.pixels)
        np.testing.assert_array_equal(each["validation"], whole.validation.pixels)
        np.testing.assert_array_equal(each["labels"], whole.train.labels)
        assert each["mapped"]
    assert not [*tmp_path.glob("rsretrieve-tiles-*")]


def fail(processes: Processes, folder: Path) -> None:
    tempfile.tempdir = str(folder)

    def prepare() -> PreparedTiles:
        raise NoUsableTiles("none of 3 tiles can be used")

    prepare_shared(processes, prepare)


def test_all_processes_get_the_error_of_the_one_that_reads(tmp_path: Path) -> None:
    for error in in_processes(2, fail, tmp_path):
        assert isinstance(error, NoUsableTiles)
    assert not [*tmp_path.iterdir()]


def again(processes: Processes, tiles: TilesReadAgain, folder: Path) -> dict[str, Any]:
    tempfile.tempdir = str(folder)
    read: list[int] = []

    def larger() -> TilesReadAgain:
        read.append(processes.rank)
        return tiles

    found = read_shared(processes, larger)
    return {"read": read, "pixels": np.array(found.pixels), "unread": found.unread}


def test_larger_tiles_are_read_by_one_process_too(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    found = in_processes(2, again, TilesReadAgain(pixels, {"a": "gone"}), tmp_path)
    assert [each["read"] for each in found] == [[0], []]
    for each in found:
        np.testing.assert_array_equal(each["pixels"], pixels)
        assert each["unread"] == {"a": "gone"}
    assert not [*tmp_path.iterdir()]


def without_room(
    processes: Processes, whole: PreparedTiles, folder: Path
) -> tuple[object, list[str]]:
    if processes.is_reader:
        tempfile.tempdir = str(folder / "gone")
    said: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noticed):
            said.append(event.text)

    return larger_tiles(whole, 24, processes, RunContext(listener=listen)), said


def test_all_processes_do_without_larger_tiles_where_one_has_no_room(
    tiles: TileSet, tmp_path: Path
) -> None:
    whole = prepare_tiles(tiles, None, RECIPE, (), 0, RunContext())
    for found, said in in_processes(2, without_room, whole, tmp_path):
        assert found is None
        assert "no room" in said[0]
