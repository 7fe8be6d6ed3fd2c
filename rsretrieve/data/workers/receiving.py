"""Receive what a worker sends, in limited time and memory: it may send a part, or without end."""

from __future__ import annotations

import os
import select
import struct
import time
from multiprocessing.connection import Connection

_SHORT, _LONG = struct.Struct("!i"), struct.Struct("!Q")  # as `Connection.send_bytes` has them
_AT_ONCE = 1 << 20


def receive_bytes(connection: Connection, most_bytes: int, limit_s: float) -> bytearray:
    """One message of `Connection.send_bytes`.

    Args:
        connection: to the sender.
        most_bytes: the longest message.
        limit_s: how long it may take until the message is complete.

    Raises:
        EOFError, OSError: the sender has ended.
        TimeoutError: it is not complete in time, or longer than allowed.
    """
    deadline = time.monotonic() + limit_s
    handle = connection.fileno()
    (size,) = _SHORT.unpack(_read(handle, _SHORT.size, deadline))
    if size == -1:
        (size,) = _LONG.unpack(_read(handle, _LONG.size, deadline))
    if not 0 <= size <= most_bytes:
        raise TimeoutError(f"a reply of {size:,} bytes")
    return _read(handle, size, deadline)


def _read(handle: int, size: int, deadline: float) -> bytearray:
    content = bytearray()
    ready = select.poll()
    ready.register(handle, select.POLLIN)
    while len(content) < size:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not ready.poll(min(left_s, 60.0) * 1000):
            if time.monotonic() < deadline:
                continue
            raise TimeoutError("a reply without an end")
        part = os.read(handle, min(_AT_ONCE, size - len(content)))
        if not part:
            raise EOFError
        content += part
    return content
