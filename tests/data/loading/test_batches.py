"""Streams of tiles: in order, in bounded memory, with the failures told."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from rsretrieve.data.failures import Failure
from rsretrieve.data.loading import batches as stream
from rsretrieve.data.loading.batches import read_into_store, stream_batches
from rsretrieve.data.reading.chunk_reader import Read
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import TileError
from tests.support.processes.worker_functions import Noted, broken, id_and_shape, made_into_0
from tests.support.tiles.made_tiles import (
    UTM,
    noise,
    preprocessing,
    save_picture,
    save_raster,
    tiles_at,
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty readable RGB tiles."""
    folder = tmp_path_factory.mktemp("pictures")
    return tiles_at(
        *(save_picture(folder / f"{i:02}.png", noise((3, 9, 12), seed=i)) for i in range(40))
    )


@pytest.fixture
def with_bad(pictures, tmp_path):
    """Ten tiles, of which the fourth and the last cannot be used."""
    grey = save_raster(tmp_path / "grey.tif", noise((2, 8, 8)))
    bad = tiles_at(tmp_path / "gone.png", grey).tiles
    tiles = (*pictures.tiles[:3], bad[0], *pictures.tiles[3:8], bad[1])
    return TileSet("ten tiles", tiles)


@pytest.fixture
def single_reads(pictures):
    """What each picture is, read and preprocessed by itself."""
    wanted = preprocessing()
    return np.stack([wanted.apply(tile.id, read_raw(tile)) for tile in pictures])


def names(reads):
    return [read.tile.id for read in reads]


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.medium
def test_jpegs_are_decoded_as_the_preprocessing_says(tmp_path, reduced):
    tiles = tiles_at(save_picture(tmp_path / "a.jpg", noise((3, 64, 64))))
    wanted = replace(preprocessing(8), reduced_jpeg=reduced)
    (batch,) = stream_batches(tiles, wanted, 1, RunContext())
    raw = read_raw(tiles[0], 16 if reduced else None)
    assert raw.values.shape == ((3, 16, 16) if reduced else (3, 64, 64))
    assert np.array_equal(batch.pixels[0], wanted.apply("a", raw))
    other = read_raw(tiles[0], None if reduced else 16)
    assert not np.array_equal(batch.pixels[0], wanted.apply("a", other))


@pytest.mark.parametrize("workers", [1, 3, None])
@pytest.mark.medium
def test_tiles_come_in_their_order_however_long_each_takes(pictures, workers):
    reads = list(read_in_order(pictures, id_and_shape, workers))
    assert names(reads) == names(Read(tile, None) for tile in pictures)
    assert [read.content for read in reads] == [(t.id, (3, 9, 12)) for t in pictures]


@pytest.mark.medium
def test_only_a_few_tiles_for_each_worker_are_read_ahead(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("RSRETRIEVE_SANDBOX", "off")  # the workers note what they read in files
    noted = Noted(tmp_path)
    with closing(read_in_order(pictures, noted, workers=2)) as reads:
        assert noted.count == 0
        next(reads)
        deadline = time.monotonic() + 10
        while noted.count < 24 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert noted.count == 24  # three times eight: two for the workers, one being looked at
        next(reads)
    assert noted.count == 24
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tiles")]


@pytest.mark.medium
def test_a_tile_that_fails_stands_in_its_place_with_the_reason(with_bad):
    reads = list(read_in_order(with_bad, made_into_0, workers=3))
    assert names(reads) == [tile.id for tile in with_bad]
    assert reads[3] == Failure(with_bad[3], "no such file")
    assert [read.content for read in reads if isinstance(read, Read)] == [0] * 9


@pytest.mark.medium
def test_an_error_that_is_no_tiles_is_that_of_every_tile(pictures):
    reads = list(read_in_order(pictures, broken, workers=2))
    assert {read.reason for read in reads} == {
        "the decoder failed on it (ZeroDivisionError: a bug of ours)"
    }
    assert [read.content for read in read_in_order(pictures, made_into_0)] == [0] * 40


@pytest.mark.parametrize(("batch_size", "sizes"), [(16, [16, 16, 8]), (20, [20, 20]), (99, [40])])
@pytest.mark.medium
def test_batches_are_full_but_for_the_last(pictures, single_reads, batch_size, sizes):
    batches = list(stream_batches(pictures, preprocessing(), batch_size, RunContext()))
    assert [len(batch.tiles) for batch in batches] == sizes
    assert [tile for batch in batches for tile in batch.tiles] == list(pictures)
    assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), single_reads)
    assert batches[0].pixels.dtype == np.uint8


def test_batches_know_where_their_tiles_lie(pictures, tmp_path):
    located = tiles_at(save_raster(tmp_path / "a.tif", noise((3, 8, 8)), **UTM))
    tiles = TileSet("", (pictures[0], *located))
    (batch,) = stream_batches(tiles, preprocessing(), 2, RunContext())
    assert batch.places[0] is None
    assert batch.places[1].bounds == (500_000, 3_999_920, 500_080, 4_000_000)


@pytest.mark.medium
def test_failures_are_logged_with_reasons_and_leave_no_gap(with_bad):
    context, steps = RunContext(), []
    batches = list(stream_batches(with_bad, preprocessing(), 5, context, steps.append))
    assert context.failures == [
        Failure(with_bad[3], "no such file"),
        Failure(with_bad[9], "has 2 bands, and 3 are expected"),
    ]
    assert [len(batch.tiles) for batch in batches] == [5, 3]
    assert sum(steps) == 10


def test_a_strict_log_ends_the_run_at_the_first_failure(with_bad):
    context = RunContext(strict=True)
    batches = stream_batches(with_bad, preprocessing(), 2, context)
    assert len(next(batches).tiles) == 2
    with pytest.raises(TileError, match=r"^gone\.png: no such file$"):
        next(batches)
    assert context.failures == []


def test_without_tiles_there_are_no_batches():
    assert list(stream_batches(TileSet("", ()), preprocessing(), 2, RunContext())) == []


@pytest.mark.parametrize(("free_bytes", "kind"), [(1 << 40, np.ndarray), (0, np.memmap)])
def test_a_store_holds_what_single_reads_give(
    pictures, single_reads, free_bytes, kind, monkeypatch
):
    monkeypatch.setattr(stream, "available_bytes", lambda: free_bytes)
    steps = []
    store = read_into_store(pictures, preprocessing(), RunContext(), steps.append)
    assert type(store.pixels) is kind
    assert store.tiles == pictures
    assert store.pixels.dtype == np.uint8
    assert np.array_equal(store.pixels, single_reads)
    assert sum(steps) == 40


def test_a_store_may_take_half_of_the_free_memory(pictures, monkeypatch):
    kinds = []
    for free_bytes in (2 * 40 * 3 * 64, 2 * 40 * 3 * 64 - 1):
        monkeypatch.setattr(stream, "available_bytes", lambda free=free_bytes: free)
        kinds.append(type(read_into_store(pictures, preprocessing(), RunContext()).pixels))
    assert kinds == [np.ndarray, np.memmap]


def test_a_mapped_store_leaves_no_file_behind(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "available_bytes", lambda: 0)
    monkeypatch.setattr(stream.tempfile, "tempdir", str(tmp_path))
    store = read_into_store(pictures, preprocessing(), RunContext())
    assert list(tmp_path.iterdir()) == []
    store.pixels[:] = 7
    assert (store.pixels == 7).all()


def test_a_full_disk_is_an_error_before_anything_is_mapped(pictures, tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stream, "available_bytes", lambda: 0)
    monkeypatch.setattr(stream.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", no_room, raising=False)
    with pytest.raises(OSError, match="No space left on device") as caught:
        read_into_store(pictures, preprocessing(), RunContext())
    assert caught.value.filename == str(tmp_path)
    for word in ("decoded tiles take", "GB", "half of the free memory", "TMPDIR", "--size"):
        assert word in caught.value.strerror
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_only_the_reason_and_the_advice_of_what_needed_the_room(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(stream, "available_bytes", lambda: 0)
    monkeypatch.setattr(stream.tempfile, "tempdir", str(tmp_path / "gone"))
    for make, is_much in ((stream.room_for, True), (stream.mapped_room, False)):
        with pytest.raises(OSError, match="the vectors take") as caught:
            make((4, 2), np.dtype(np.float32), "the vectors")
        assert ("half of the free memory" in caught.value.strerror) is is_much
        assert "--size" not in caught.value.strerror
        assert "TMPDIR" in caught.value.strerror


def test_a_temporary_folder_that_is_not_there_is_named(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "available_bytes", lambda: 0)
    monkeypatch.setattr(stream.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OSError, match="TMPDIR") as caught:
        read_into_store(pictures, preprocessing(), RunContext())
    assert caught.value.filename == str(tmp_path / "gone")


def test_where_room_cannot_be_reserved_the_store_is_mapped_all_the_same(
    pictures, single_reads, monkeypatch
):
    monkeypatch.setattr(stream, "available_bytes", lambda: 0)
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    store = read_into_store(pictures, preprocessing(), RunContext())
    assert np.array_equal(store.pixels, single_reads)


def test_a_store_leaves_out_what_cannot_be_read(with_bad):
    context = RunContext()
    store = read_into_store(with_bad, preprocessing(), context)
    assert store.tiles.source == "ten tiles"
    assert [tile.id for tile in store.tiles] == [f"{i:02}.png" for i in range(8)]
    assert store.pixels.shape == (8, 3, 8, 8)
    assert [failure.tile_id for failure in context.failures] == ["gone.png", "grey.tif"]


def test_a_store_of_no_readable_tile_is_empty(tmp_path):
    context = RunContext()
    tiles = tiles_at(tmp_path / "a.png")
    store = read_into_store(tiles, preprocessing(), context)
    assert (len(store.tiles), store.pixels.shape) == (0, (0, 3, 8, 8))
    assert context.failures == [Failure(tiles[0], "no such file")]


def test_a_strict_store_ends_at_the_first_failure(with_bad):
    with pytest.raises(TileError, match=r"^gone\.png: no such file$"):
        read_into_store(with_bad, preprocessing(), RunContext(strict=True))
