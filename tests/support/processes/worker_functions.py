"""Functions that tests call in workers; the module imports little, because workers import it."""

from __future__ import annotations

import os
import signal
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


class Invalid:
    """Its pickle calls a function that a reply may call, with arguments that make no sense."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def replying_nonsense(kind):
    """What a decoder that a hostile file controls may send."""
    import numpy as np

    from rsretrieve.data.window import Window
    from rsretrieve.data.workers.shared_memory import _array_from

    calls = {
        "too few bytes": (_array_from, (b"123", np.dtype("f4"), (5,))),
        "wrong type": (_array_from, (7, np.dtype("f4"), (5,))),
        "wrong number of arguments": (_array_from, ()),
        "invalid record": (Window, (-1, 0, 0, 0)),
        "endless array": (_array_from, (b"", np.dtype("f4"), (1 << 60, 1 << 60))),
        "cut short": (Window, (1,)),
    }
    return Invalid(*calls[kind])


def raising_no_error(_):
    """Sends, instead of a result, a text that claims to be an error."""
    from rsretrieve.data.workers import process

    process.send_reply = _Sending((False, "no error"))


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
