"""Answers of a worker: large arrays go through memory that both processes share.

A scene's windows are tens of megabytes. Through a socket each byte of them would be copied
five times, and take longer to bring here than to decode.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import pickle
from multiprocessing.connection import Connection
from typing import Any

SHARED_BYTES = 32 << 20
"""Of every worker; only what was ever used of it takes memory. What has no room in it goes
through the socket."""
_LEAST_BYTES = 1024  # smaller arrays are cheaper as part of the answer
_ALIGNED = 64


def shared_file() -> int | None:
    """The descriptor of memory to be shared; None where the system has no such thing.

    Nor has it where files may not become as large (`ulimit -f`), which holds for memory, too.
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


def mapped(descriptor: int | None) -> mmap.mmap | None:
    """The memory behind a descriptor, which it no longer needs and is closed."""
    if descriptor is None:
        return None
    try:
        return mmap.mmap(descriptor, SHARED_BYTES)
    finally:
        os.close(descriptor)


def send_answer(connection: Connection, answer: Any, shared: mmap.mmap | None) -> None:
    """Send an answer; until it was received, the shared memory belongs to it.

    Raises:
        OSError: who asked is gone.
        Exception: it cannot be pickled.
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream, shared)
    pickler.dump(answer)
    connection.send((pickler.parts, stream.getvalue()))


def received_answer(connection: Connection, shared: mmap.mmap | None) -> Any:
    """Receive an answer; its arrays are its own.

    Raises:
        EOFError, OSError: who answers is gone.
    """
    parts, content = connection.recv()
    memory = memoryview(b"" if shared is None else shared)
    return pickle.loads(content, buffers=[memory[start : start + size] for start, size in parts])


class _Pickler(pickle.Pickler):
    """Copies large arrays into shared memory.

    Attributes:
        parts: the start and the size in bytes of each, in the order of their buffers.
    """

    def __init__(self, stream: io.BytesIO, shared: mmap.mmap | None) -> None:
        self.parts: list[tuple[int, int]] = []
        # NumPy makes buffers of small arrays, too: they are part of the answer.
        super().__init__(stream, protocol=5, buffer_callback=lambda each: each is not self._copied)
        self._shared, self._used = shared, 0
        self._copied: pickle.PickleBuffer | None = None

    def reducer_override(self, value: Any) -> Any:
        """How to pickle a large array of plain numbers; anything else as ever."""
        # By its name: where nothing made an array, there is no need to load NumPy.
        if type(value).__name__ != "ndarray" or not value.nbytes >= _LEAST_BYTES:
            return NotImplemented
        if self._shared is None or value.dtype.hasobject:
            return NotImplemented
        if _is_cut_from_what_is_shared(value):
            offset = _address(value) - _address(value.base)
            return _cut_from, (value.base, offset, value.dtype, value.shape, value.strides)
        end = self._used + value.nbytes
        if end > len(self._shared):
            return NotImplemented
        import numpy as np

        place = memoryview(self._shared)[self._used : end]
        np.frombuffer(place, value.dtype).reshape(value.shape)[...] = value
        self.parts.append((self._used, value.nbytes))
        self._used = end + -end % _ALIGNED
        self._copied = pickle.PickleBuffer(place)
        return _array_of, (self._copied, value.dtype, value.shape)


def _is_cut_from_what_is_shared(value: Any) -> bool:
    """Whether an array is a view of a read-only one: windows that overlap are sent as one."""
    base = value.base
    if type(base).__name__ != "ndarray" or value.flags.writeable or base.flags.writeable:
        return False
    return bool(base.flags.c_contiguous and not base.dtype.hasobject)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _array_of(content: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """An array of its own."""
    import numpy as np

    return np.frombuffer(content, dtype).reshape(shape).copy()


def _cut_from(
    base: Any, offset: int, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Any:
    """A view, as it was of another process's array, that nobody writes to either."""
    import numpy as np

    view = np.ndarray(shape, dtype, base, offset, strides)
    view.flags.writeable = False
    return view
