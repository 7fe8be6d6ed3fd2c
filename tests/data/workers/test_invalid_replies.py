"""A process that decodes may send anything: a reply that is invalid costs one tile."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rsretrieve.data.access import Readable
from rsretrieve.data.failures import Failure
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.reading.chunk_reader import ChunkReader
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.workers import worker
from rsretrieve.data.workers.content_forms import ArrayForm
from rsretrieve.data.workers.worker import NO_ACCESS, WorkerLost
from tests.support.processes.odd_contents import Odd
from tests.support.processes.worker_functions import (
    call_once,
    flooding,
    made_into_0,
    raising_no_error,
    replying_for_no_tile,
    replying_nonsense,
    sending_no_pair,
    stalling,
)
from tests.support.tiles.made_tiles import noise, preprocessing, save_picture, tiles_at


@pytest.fixture
def pictures(tmp_path):
    """Eight readable tiles."""
    return tiles_at(*(save_picture(tmp_path / f"{i:02}.png", noise((3, 9, 9))) for i in range(8)))


@pytest.mark.medium
@pytest.mark.parametrize(
    "kind",
    ["too few bytes", "objects", "endless array", "invalid record", "unknown record"]
    + ["a pickle", "cut short", "no bytes"],
)
def test_a_reply_that_makes_no_sense_loses_the_worker_and_nothing_else(kind):
    with pytest.raises(WorkerLost, match="the decoder sent an invalid reply"):
        call_once(replying_nonsense, kind, 10)


@pytest.mark.medium
@pytest.mark.parametrize("function", [raising_no_error, sending_no_pair])
def test_a_reply_that_is_no_result_loses_the_worker(function):
    with pytest.raises(WorkerLost, match="the decoder sent an invalid reply"):
        call_once(function, None, 10)


@pytest.mark.medium
def test_a_tile_whose_decoder_sends_nonsense_fails_alone(pictures):
    reads = list(read_in_order(pictures, replying_for_no_tile, 1))
    failed = {read.tile.id: read.reason for read in reads if isinstance(read, Failure)}
    assert [*failed] == ["05.png"]
    assert "invalid reply" in failed["05.png"]


@pytest.mark.medium
@pytest.mark.parametrize("function", [stalling, flooding])
def test_a_reply_without_an_end_loses_the_worker_in_time(function, monkeypatch):
    monkeypatch.setattr(worker, "_SENDING_LIMIT_S", 1)
    started = time.monotonic()
    with pytest.raises(WorkerLost, match="the decoder sent an invalid reply"):
        call_once(function, None, 5)
    assert time.monotonic() - started < 20
    assert call_once(made_into_0, None, 10) == 0


@pytest.mark.parametrize("results", [7, (), ((0, ()),) * 3, ((0, ()), 7), ((0, ()), (0, 7))])
def test_a_chunk_needs_one_result_for_every_tile(pictures, results):
    class Slot:
        """A worker that replies the same to every call."""

        def call(self, *_):
            return results

    reads = ChunkReader(made_into_0, Readable.of(pictures)).read(
        Slot(), [[pictures[0]], [pictures[1]]]
    )
    assert [read.tile for read in reads] == list(pictures)[:2]
    assert all("invalid reply" in read.reason for read in reads)


@pytest.mark.medium
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        *((kind, "another form") for kind in ("shape", "dtype", "text", "none", "NaN", "list")),
        ("number", "another form"),
        *((kind, kind) for kind in ("OSError", "KeyError", "StopIteration", "SystemError")),
        ("MemoryError", "memory"),
        ("InvalidArgument", "wrong usage"),
    ],
)
def test_a_tile_with_content_of_another_form_fails_alone(pictures, kind, said):
    odd = Odd(**vars(preprocessing(16, dtype="float32")), kind=kind)
    context = RunContext()
    read = [t.id for b in stream_batches(pictures, odd, 4, context, workers=1) for t in b.tiles]
    assert read == [tile.id for tile in pictures if tile.id != "05.png"]
    [failure] = context.failures
    assert failure.tile_id == "05.png"
    assert said in failure.reason


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (np.zeros((3, 8, 8), np.uint8), True),
        (np.zeros((3, 8, 8), np.int8), False),
        (np.zeros((3, 8), np.uint8), False),
        (np.zeros((3, 8, 9), np.uint8), False),
        (np.zeros((0, 8, 8), np.uint8), False),
        ([[[0] * 8] * 8], False),
        (None, False),
    ],
)
def test_the_form_of_an_array(content, expected):
    assert ArrayForm("uint8", (None, 8, 8))(content) is expected


def test_a_worker_that_fails_while_it_closes_its_files_costs_nothing(pictures):
    class Slot:
        """A worker that fails at once."""

        policy = NO_ACCESS

        def call(self, *_):
            raise WorkerLost("it ended")

    ChunkReader(made_into_0, Readable.of(pictures)).finish(Slot())
