"""A process that decodes may send anything: a reply that is invalid costs one tile."""

from __future__ import annotations

import pytest

from rsretrieve.data.access import Readable
from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.chunk_reader import ChunkReader
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.workers.worker import WorkerLost
from tests.support.processes.worker_functions import (
    call_once,
    made_into_0,
    raising_no_error,
    replying_for_no_tile,
    replying_nonsense,
    sending_no_pair,
)
from tests.support.tiles.made_tiles import noise, save_picture, tiles_at


@pytest.fixture
def pictures(tmp_path):
    """Eight readable tiles."""
    return tiles_at(*(save_picture(tmp_path / f"{i:02}.png", noise((3, 9, 9))) for i in range(8)))


@pytest.mark.medium
@pytest.mark.parametrize(
    "kind",
    ["too few bytes", "wrong type", "wrong number of arguments", "invalid record"]
    + ["endless array", "cut short"],
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


@pytest.mark.parametrize("results", [7, [], [(0, ())] * 3, [(0, ()), 7], [(0, ()), (0, 7)]])
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
