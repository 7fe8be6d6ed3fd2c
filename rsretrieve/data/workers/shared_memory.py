"""Answers of a worker: large arrays go through memory that both processes share.

A scene's windows are tens of megabytes. Through a socket each byte of them would be copied
five times, and take longer to bring here than to decode. An answer comes from a process that
decodes files of strangers: only the plain records below are ever made of it.
"""

from __future__ import annotations

import builtins
import errno
import io
import mmap
import os
import pickle
import struct
from multiprocessing.connection import Connection
from typing import Any

SHARED_BYTES = 32 << 20
"""Of every worker; only what was ever used of it takes memory. What has no room in it goes
through the socket."""
_LEAST_BYTES = 1024  # smaller arrays are cheaper as part of the answer
_ALIGNED = 64
_MARK = struct.Struct("=q")  # at the end of the memory: what is being read

_RECORDS = {
    "rsretrieve.errors": ("TileError", "InvalidArgument"),
    "rsretrieve.data.reading.raw_tile": ("RawTile",),
    "rsretrieve.data.reading.read_tiles": ("ReadFailure",),
    "rsretrieve.data.geo.place": ("Place",),
    "rsretrieve.data.window": ("Window",),
    "rsretrieve.data.workers.shared_memory": ("_array_of", "_cut_from"),
    "rsretrieve.data.windowing": ("SceneFacts",),
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.numeric": ("_frombuffer",),
}


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
    connection.send_bytes(pickle.dumps((pickler.parts, stream.getvalue())))


def received_answer(connection: Connection, shared: mmap.mmap | None) -> Any:
    """Receive an answer; its arrays are its own.

    Raises:
        EOFError, OSError: who answers is gone.
    """
    parts, content = _Unpickler(io.BytesIO(connection.recv_bytes())).load()
    memory = memoryview(b"" if shared is None else shared)
    buffers = [memory[start : start + size] for start, size in parts]
    return _Unpickler(io.BytesIO(content), buffers=buffers).load()


def mark(shared: mmap.mmap | None, position: int) -> None:
    """Note which part of a question is being worked on, for who asked."""
    if shared is not None:
        _MARK.pack_into(shared, _room_bytes(shared), position)


def marked(shared: mmap.mmap | None) -> int:
    """What was noted last; −1 where nothing can be."""
    return -1 if shared is None else int(_MARK.unpack_from(shared, _room_bytes(shared))[0])


def _room_bytes(shared: mmap.mmap) -> int:
    return len(shared) - _MARK.size


def plain_error(error: Exception) -> Exception:
    """An error that an answer may hold: Python's own, or of ours."""
    kind = type(error)
    known = kind.__name__ in _RECORDS.get(kind.__module__, ())
    if known or kind.__module__ == "builtins":
        return error
    return RuntimeError(f"{kind.__name__}: {error}")


class _Unpickler(pickle.Unpickler):
    """Makes nothing but records, arrays and Python's errors: a pickle can call any function."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names, where it may.

        Raises:
            UnpicklingError: it names something else.
        """
        if name in _RECORDS.get(module, ()):
            return super().find_class(module, name)
        found = getattr(builtins, name, None) if module == "builtins" else None
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer")


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
        if end > _room_bytes(self._shared):
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
