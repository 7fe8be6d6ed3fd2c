"""What comes through shared memory is what was sent, and stays it."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import Pipe

import numpy as np
import pytest

from rsretrieve.data.dates.acquisition_time import received_time
from rsretrieve.data.embedding_rasters.band_vectors import BandFacts
from rsretrieve.data.geo.place import Place
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.reading.decode_chunk import ReadFailure
from rsretrieve.data.reading.raw_tile import RawTile
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneFacts
from rsretrieve.data.workers import shared_memory
from rsretrieve.data.workers.shared_memory import (
    create_shared_file,
    map_shared,
    read_position,
    receive_reply,
    send_reply,
    write_position,
)
from rsretrieve.errors import TileError

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory to share here")


@pytest.fixture
def shared():
    """Memory that both ends share."""
    return map_shared(create_shared_file())


def through(answer, shared, sizes=None):
    """What comes out at the other end; `sizes` takes how many bytes went through the socket."""
    here, there = Pipe()
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(send_reply, there, answer, shared)
        if not here.poll(0.2):
            sent.result(10)
        return _received(here, shared, sizes)


def _received(here, shared, sizes):
    if sizes is not None:
        assert here.poll(10)
        content = here.recv_bytes()
        sizes.append(len(content))
        here, again = Pipe()
        threading.Thread(target=again.send_bytes, args=(content,)).start()
    return receive_reply(here, shared)


def arrays():
    """Of many kinds: small and large, cut out of others, of odd orders and lengths."""
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 60_000, (6, 80, 90)).astype(np.uint16)
    return [
        scene[:, 3:67, 5:69],
        scene[0, 0, 0],
        np.float32(rng.standard_normal((3, 31, 33))),
        np.asfortranarray(rng.random((40, 50)) > 0.5),
        np.broadcast_to(scene[0, 0], (50, 90)),
        scene.astype(">f8")[:1],
        np.zeros((0, 7)),
        np.zeros((), np.int8),
        np.arange(12),
    ]


def test_arrays_come_as_they_were_and_are_their_own(shared):
    sent = arrays()
    received = through({"them": sent, "and": "more"}, shared)
    assert received["and"] == "more"
    through([np.full(1 << 20, 7, np.uint8)], shared)  # the next answer uses the same memory
    for one, other in zip(sent, received["them"], strict=True):
        np.testing.assert_array_equal(one, other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert received["them"][0].flags.writeable
    assert received["them"][0].flags.owndata or received["them"][0].base.flags.owndata


def test_overlapping_views_of_what_nobody_writes_to_are_sent_as_one(monkeypatch):
    scene = np.random.default_rng(1).integers(0, 60_000, (6, 400, 400)).astype(np.uint16)
    scene.flags.writeable = False
    cut = [scene[:, row : row + 90, row : row + 80] for row in range(0, 310, 5)]
    cut += [scene[::-1, ::2, ::-3], scene[2].T, np.broadcast_to(scene[0, 0], (50, 400))]
    assert sum(view.nbytes for view in cut) > 2 * scene.nbytes
    room, sizes = map_shared(_file_of(monkeypatch, 2 * scene.nbytes)), []
    received = through([*cut, scene], room, sizes)
    assert sizes[0] < 20_000
    through([np.full(scene.nbytes, 7, np.uint8)], room)
    for one, other in zip([*cut, scene], received, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any(view.flags.writeable for view in received[:-1])
    assert np.shares_memory(received[0], received[1])


def test_views_of_what_somebody_writes_to_are_their_own(shared):
    scene = np.zeros((6, 200, 200), np.uint16)
    view = scene[:, :90, :90]
    view.flags.writeable = False
    first, second = through([view, scene[:, 50:150, 50:150]], shared)
    assert not np.shares_memory(first, second)


def test_large_arrays_do_not_go_through_the_socket_and_what_has_no_room_does(shared, monkeypatch):
    block, sizes = np.arange(100_000, dtype=np.int32), []
    through([block] * 2, shared, sizes)
    through([block, block + 1, block.copy()], None, sizes)
    assert sizes[0] < 2000
    assert sizes[1] > 3 * block.nbytes
    small = map_shared(_file_of(monkeypatch, 500_000))
    for one, other in zip([block, block + 1], through([block, block + 1], small, sizes)):
        np.testing.assert_array_equal(one, other)
    assert block.nbytes < sizes[2] < 1.1 * block.nbytes


def _file_of(monkeypatch, size_bytes):
    monkeypatch.setattr(shared_memory, "SHARED_BYTES", size_bytes)
    return create_shared_file()


def test_a_system_without_memory_to_share_does_without(monkeypatch):
    monkeypatch.delattr(os, "memfd_create")
    assert create_shared_file() is None
    assert map_shared(None) is None


def test_where_files_may_not_become_as_large_no_memory_is_shared():
    program = (
        "import os, resource\n"
        "from rsretrieve.data.workers.shared_memory import create_shared_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, resource.RLIM_INFINITY))\n"
        "before = len(os.listdir('/dev/fd')); print(create_shared_file(), end=' ')\n"
        "print(len(os.listdir('/dev/fd')) - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "None 0\n", ran.stderr


def test_another_error_is_told(monkeypatch):
    def fails(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "ftruncate", fails)
    with pytest.raises(PermissionError):
        create_shared_file()


def test_what_is_sent_between_processes_is_the_same_on_the_other_side():
    place = Place("EPSG:4326", (0, 1, 2, 3), ((0, 3), (0, 1), (2, 1), (2, 3)))
    window = Window(1, 2, 30, 40, 16)
    for record in (window, Tile("a", "b", None, window), Tile("a", "b", "c"), place):
        assert pickle.loads(pickle.dumps(record)) == record
    raw = RawTile(np.zeros((1, 8, 8), np.uint8), None, place)
    assert pickle.loads(pickle.dumps(raw)).place == place


class Innocent:
    """A class that no answer has, whose pickle calls a function."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("wrapped", [lambda each: each, lambda each: (True, [1, {"a": each}])])
def test_an_answer_holds_no_other_objects(shared, wrapped):
    for other in (Innocent("x"), os.getcwd, Tile("a", "b"), KeyError("a"), b"x", {1, 2}, 1j):
        with pytest.raises(TypeError):
            through(wrapped(other), shared)
    for other in (np.array([{"a": 1}] * 999, object), np.array(["a"]), np.zeros(3, complex)):
        with pytest.raises(TypeError):
            through(wrapped(other), shared)


def test_records_come_as_they_were(shared):
    place = Place("EPSG:4326", (0, 1, 2, 3.5), ((0.0, 3.0), (0.0, 1.0), (2.0, 1.0)))
    holed = replace(place, parts=((place.footprint, place.footprint),))
    time, packing = received_time(1, 2, "given"), Packing((0.1, 2.0), (0.0, -1.0))
    values = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30)
    raw_tile = RawTile(values, values > 9, place, packing, (Note.PACKED,), time)
    facts = SceneFacts(3, 4, (1, 2), (0.5, 0.5), np.array([[True, False]]), True)
    bands = BandFacts(1, 2, 3, "uint8", ("a", ""), (1.0,), (0.0,))
    plain = (place, holed, time, packing, bands, ReadFailure("no good", True))
    *received, tile, scene = through((*plain, raw_tile, facts), shared)
    assert tuple(received) == plain
    np.testing.assert_array_equal(tile.values, values)
    np.testing.assert_array_equal(tile.valid, raw_tile.valid)
    assert (tile.place, tile.packing, tile.notes, tile.taken) == (
        place,
        packing,
        raw_tile.notes,
        time,
    )
    assert (scene.width, scene.stored.tolist()) == (3, [[True, False]])
    error = through((False, TileError("a", "b")), shared)[1]
    assert (type(error), error.tile_id, error.reason) == (TileError, "a", "b")


def test_what_is_being_worked_on_is_marked(shared):
    write_position(shared, 7)
    assert read_position(shared) == 7
    write_position(None, 7)
    assert read_position(None) == -1
