"""Functions that tests call in workers; the module imports little, because workers import it."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.errors import TileError


def made_into_0(*_):
    """The content of a tile when only reading it matters."""
    return 0


def the_raw_tile(_, raw):
    """The content of a tile is its raw tile."""
    return raw


def id_and_shape(tile_id, raw):
    """Id and shape; every fourth tile takes longer."""
    time.sleep(0.004 if int(tile_id[:2]) % 4 == 0 else 0)
    return tile_id, raw.values.shape


@dataclass(frozen=True)
class Noted:
    """Writes an empty file for every tile that was read."""

    folder: Path

    def __call__(self, tile_id, _):
        (self.folder / tile_id).touch()

    @property
    def count(self):
        return len(list(self.folder.iterdir()))


def broken(*_):
    raise ZeroDivisionError("a bug of ours")


def process_number(_):
    return os.getpid()


def dying(tile_id, _):
    """Two tiles end the worker that reads them."""
    if tile_id.startswith("05"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if tile_id.startswith("06"):
        os._exit(7)
    return tile_id


def sleeping(tile_id, _):
    if tile_id.startswith("12"):
        time.sleep(60)
    return tile_id


def greedy(tile_id, _):
    return len(bytearray(3 << 30)) if tile_id.startswith("04") else tile_id


def dying_at_once(_):
    os.kill(os.getpid(), signal.SIGKILL)


def failing(_):
    raise TileError("a.png", "no good")


def replying_nonsense(kind):
    """What a decoder that a hostile file controls may send."""
    from rsretrieve.data.workers import process
    from tests.support.processes.reply_messages import message

    array = {"#array": 0}
    contents = {
        "too few bytes": message(array, [[-1, "<f4", [5]]], b"123"),
        "objects": message(array, [[-1, "|O", [2]]], b"0123456789abcdef"),
        "endless array": message(array, [[-1, "<f4", [1 << 60, 1 << 60]]]),
        "invalid record": message({"#record": ["ReadFailure", 7, False]}),
        "unknown record": message({"#record": ["Tile", "a", "b"]}),
        "a pickle": pickle.dumps((True, 0)),
        "cut short": message((True, 0))[:-1],
        "no bytes": b"",
    }
    process.send_reply = lambda connection, *_: connection.send_bytes(contents[kind])


def stalling(_):
    """Sends the beginning of a reply and no more."""
    from rsretrieve.data.workers import process

    def begin(connection, *_):
        os.write(connection.fileno(), struct.pack("!i", 1000) + b"x")
        time.sleep(60)

    process.send_reply = begin


def flooding(_):
    """Sends without end."""
    from rsretrieve.data.workers import process

    def flood(connection, *_):
        os.write(connection.fileno(), struct.pack("!i", -1) + struct.pack("!Q", 3 << 30))
        while True:
            os.write(connection.fileno(), bytes(1 << 20))

    process.send_reply = flood


def raising_no_error(_):
    """Sends, instead of a result, a number that claims to be an error."""
    from rsretrieve.data.workers import process

    process.send_reply = _Sending((False, 7))


def sending_no_pair(_):
    from rsretrieve.data.workers import process

    process.send_reply = _Sending(7)


class _Sending:
    """Sends one reply, whatever the result was."""

    def __init__(self, reply):
        self.reply = reply

    def __call__(self, connection, _, shared):
        from rsretrieve.data.workers.shared_memory import send_reply

        send_reply(connection, self.reply, shared)


def replying_for_no_tile(tile_id, _):
    """One tile ends with a reply that holds no result of it."""
    if tile_id.startswith("05"):
        raising_no_error(None)
    return tile_id


def losing_a(tile_id, _):
    """Every window of one file kills its worker."""
    return dying_at_once(_) if tile_id.startswith("a.tif") else tile_id


def has_loaded(module: str) -> bool:
    """Whether the process has loaded a module."""
    return module in sys.modules


def call_once(function, argument, limit_s, *policy):
    """Call a function in a worker of the pool, from this process."""
    from rsretrieve.data.workers.pool import WorkerSlot  # workers need not load it

    slot = WorkerSlot()
    try:
        return slot.call(function, argument, limit_s, *policy)
    finally:
        slot.stop()
