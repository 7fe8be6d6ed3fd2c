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
