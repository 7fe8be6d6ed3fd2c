"""Replies of a worker: large arrays go through memory that both processes share.

The windows of a scene take tens of megabytes. A socket would copy each byte five times, which
takes longer than decoding. The sender decodes untrusted files and may send anything: a reply is
JSON, which makes plain values only, with the arrays of `reply_arrays` and the records of
`reply_records`.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
from multiprocessing.connection import Connection
from typing import Any

from rsretrieve.data.workers.receiving import receive_bytes
from rsretrieve.data.workers.reply_arrays import (
    array_from,
    is_plain,
    is_shared_view,
    offset_in,
    view_of,
)
from rsretrieve.data.workers.reply_records import fields_of, record_of
from rsretrieve.errors import TileError

SHARED_BYTES = 32 << 20
"""For every worker; only the part that was ever used takes memory. Arrays that do not fit go
through the socket."""
MOST_BYTES = 1 << 30
"""The longest reply: a worker has not more memory than that."""
_MOST_TEXT_BYTES = 64 << 20  # as values, JSON takes up to thirty times its size
_MIN_BYTES = 1024  # a smaller array is faster as part of the reply
_ALIGNMENT = 64
_POSITION = struct.Struct("=q")  # at the end of the memory: the part of the call in progress
_LENGTH = struct.Struct("=Q")  # at the start of a reply: how many bytes its JSON has
_ARRAY, _VIEW, _SCALAR, _RECORD, _ERROR = "#array", "#view", "#scalar", "#record", "#error"
_ENDLESS_S = 1e9


class InvalidReply(Exception):
    """A worker sent something that is no reply."""


def create_shared_file() -> int | None:
    """Create memory to be shared and return its file descriptor.

    Returns:
        None where the system has no such memory, or a limit on the size of files (`ulimit -f`)
        forbids it: the limit holds for memory files, too.
    """
    if not hasattr(os, "memfd_create"):
        return None
    descriptor = os.memfd_create("rsretrieve-tiles")
    try:
        os.ftruncate(descriptor, SHARED_BYTES)
    except OSError as error:
        os.close(descriptor)
        if error.errno != errno.EFBIG:
            raise
        return None
    return descriptor


def map_shared(descriptor: int | None) -> mmap.mmap | None:
    """Map the memory of a descriptor, and close the descriptor."""
    if descriptor is None:
        return None
    try:
        return mmap.mmap(descriptor, SHARED_BYTES)
    finally:
        os.close(descriptor)


def send_reply(connection: Connection, reply: Any, shared: mmap.mmap | None) -> None:
    """Send a reply; it uses the shared memory until it was received.

    Args:
        connection: to the caller.
        reply: tuples, lists, dictionaries with texts as keys, plain values, arrays of numbers,
            records, and `TileError`; lists arrive as tuples.
        shared: the memory.

    Raises:
        OSError: the caller has ended.
        TypeError: the reply holds something else.
    """
    encoder = _Encoder(shared)
    text = encoder.encode(reply)
    parts = json.dumps(encoder.parts).encode()
    content = text.encode()
    lengths = _LENGTH.pack(len(parts)) + _LENGTH.pack(len(content))
    connection.send_bytes(b"".join((lengths, parts, content, *encoder.sent)))


def receive_reply(
    connection: Connection, shared: mmap.mmap | None, limit_s: float = _ENDLESS_S
) -> Any:
    """Receive a reply; its arrays are copies.

    Args:
        connection: to the worker.
        shared: the memory.
        limit_s: how long it may take until the reply is complete.

    Raises:
        EOFError, OSError: the sender has ended.
        TimeoutError: the reply is not complete in time.
        InvalidReply: it is too long, or holds something else than `send_reply` sends.
    """
    received = memoryview(receive_bytes(connection, MOST_BYTES, limit_s))
    try:
        return _Decoder(received, shared).reply()
    except Exception as error:  # invalid content raises any type of error
        raise InvalidReply(f"{type(error).__name__}: {error}"[:300]) from error


def write_position(shared: mmap.mmap | None, position: int) -> None:
    """Record which part of a call is being worked on."""
    if shared is not None:
        _POSITION.pack_into(shared, _room_bytes(shared), position)


def read_position(shared: mmap.mmap | None) -> int:
    """The position recorded last; −1 where there is no shared memory."""
    return -1 if shared is None else int(_POSITION.unpack_from(shared, _room_bytes(shared))[0])


def _room_bytes(shared: mmap.mmap) -> int:
    return len(shared) - _POSITION.size


class _Encoder(json.JSONEncoder):
    """Writes values as JSON, and copies large arrays into shared memory.

    Attributes:
        parts: of each array, where it begins, the type of its numbers, and its shape. It begins in
            the shared memory, or, counted from −1 downwards, in `sent`.
        sent: the bytes of the arrays that are part of the reply.
    """

    def __init__(self, shared: mmap.mmap | None) -> None:
        super().__init__(check_circular=False, separators=(",", ":"))
        self.parts: list[tuple[int, str, tuple[int, ...]]] = []
        self.sent: list[bytes] = []
        self._shared, self._used, self._sent_bytes = shared, 0, 0
        self._numbers: dict[int, tuple[int, Any]] = {}  # with the array, so that it stays

    def default(self, value: Any) -> Any:
        """What stands in the JSON for a value that is no plain one.

        Raises:
            TypeError: a reply may not hold it.
        """
        # Compared by name, so that a reply without arrays does not import NumPy.
        kind = type(value)
        if kind.__name__ == "ndarray" and is_plain(value):
            return self._array(value)
        if kind.__module__ == "numpy" and hasattr(value, "dtype") and is_plain(value):
            return {_SCALAR: self._placed(value[None])}
        if isinstance(value, TileError):
            return {_ERROR: [value.tile_id, value.reason]}
        if (fields := fields_of(value)) is not None:
            return {_RECORD: fields}
        return super().default(value)

    def _array(self, value: Any) -> dict[str, Any]:
        if value.nbytes >= _MIN_BYTES and is_shared_view(value):
            base = value.base
            if id(base) not in self._numbers:
                self._numbers[id(base)] = self._placed(base), base
            number = self._numbers[id(base)][0]
            return {_VIEW: [number, offset_in(value, base), value.shape, value.strides]}
        if id(value) not in self._numbers:
            self._numbers[id(value)] = self._placed(value), value
        return {_ARRAY: self._numbers[id(value)][0]}

    def _placed(self, array: Any) -> int:
        """The number of an array whose content was put somewhere."""
        end = self._used + array.nbytes
        if self._shared is None or array.nbytes < _MIN_BYTES or end > _room_bytes(self._shared):
            start = -1 - self._sent_bytes
            self.sent.append(array.tobytes())
            self._sent_bytes += array.nbytes
        else:
            import numpy as np

            start = self._used
            place = memoryview(self._shared)[start:end]
            np.frombuffer(place, array.dtype).reshape(array.shape)[...] = array
            self._used = end + -end % _ALIGNMENT
        self.parts.append((start, array.dtype.str, array.shape))
        return len(self.parts) - 1


class _Decoder:
    """Makes the values of a reply.

    Args:
        received: the reply.
        shared: the memory.

    Raises:
        Exception: of any type, if it is invalid.
    """

    def __init__(self, received: memoryview, shared: mmap.mmap | None) -> None:
        lengths = [_LENGTH.unpack_from(received, start)[0] for start in (0, _LENGTH.size)]
        if sum(lengths) > _MOST_TEXT_BYTES:
            raise ValueError("too many values")
        starts = 2 * _LENGTH.size, 2 * _LENGTH.size + lengths[0]
        self._sent = received[starts[1] + lengths[1] :]
        self._shared = memoryview(b"" if shared is None else shared)
        parts = json.loads(bytes(received[starts[0] : starts[1]]))
        self._left_bytes = {True: len(self._sent), False: len(self._shared)}
        self._arrays = [self._part(*part) for part in parts]
        self._content = json.loads(bytes(received[starts[1] : starts[1] + lengths[1]]))

    def reply(self) -> Any:
        """What was sent."""
        return self._made(self._content)

    def _part(self, start: Any, kind: Any, shape: Any) -> Any:
        if type(start) is not int:
            raise ValueError("an array without a place")
        if type(shape) is not list:
            raise ValueError("an array without a shape")
        is_sent = start < 0
        memory, start = (self._sent, -1 - start) if is_sent else (self._shared, start)
        array = array_from(memory, start, kind, tuple(shape))
        self._left_bytes[is_sent] -= array.nbytes
        if self._left_bytes[is_sent] < 0:  # each is a copy, and all might be of the same bytes
            raise ValueError("more arrays than were sent")
        return array

    def _made(self, value: Any) -> Any:
        """A value of JSON with its lists as tuples, and with its arrays and records."""
        if type(value) is list:
            return tuple([self._made(v) if type(v) in (list, dict) else v for v in value])
        if type(value) is not dict:
            return value
        if len(value) == 1:
            ((kind, content),) = value.items()
            if kind.startswith("#"):
                return self._special(kind, self._made(content))
        return {key: self._made(content) for key, content in value.items()}

    def _special(self, kind: str, content: Any) -> Any:
        if kind == _RECORD:
            return record_of(*content)
        if kind == _ARRAY:
            return self._arrays[content]
        if kind == _VIEW:
            return view_of(self._arrays[content[0]], *content[1:])
        if kind == _SCALAR:
            return self._arrays[content][0]
        tile_id, reason = content
        if kind != _ERROR or type(tile_id) is not str or type(reason) is not str:
            raise ValueError(f"{kind[:20]!r} is not allowed in a reply")
        return TileError(tile_id, reason)
