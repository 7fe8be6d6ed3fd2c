"""Replies of a worker: large arrays go through memory that both processes share.

The windows of a scene take tens of megabytes. A socket would copy each byte five times, which
takes longer than decoding. The sender decodes untrusted files: only the plain records listed
below are ever made from a reply.
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
"""For every worker; only the part that was ever used takes memory. Arrays that do not fit go
through the socket."""
_MIN_BYTES = 1024  # a smaller array is faster as part of the reply
_ALIGNMENT = 64
_POSITION = struct.Struct("=q")  # at the end of the memory: the part of the call in progress

_RECORDS = {
    "rsretrieve.data.embedding_rasters.band_vectors": ("BandFacts",),
    "rsretrieve.errors": ("TileError", "InvalidArgument"),
    "rsretrieve.data.reading.raw_tile": ("RawTile",),
    "rsretrieve.data.reading.decode_chunk": ("ReadFailure",),
    "rsretrieve.data.geo.place": ("Place",),
    "rsretrieve.data.dates.acquisition_time": ("received_time",),
    "rsretrieve.data.pixels.packing": ("Packing",),
    "rsretrieve.data.notes": ("Note",),
    "rsretrieve.data.window": ("Window",),
    "rsretrieve.data.workers.shared_memory": ("_array_from", "_view_of"),
    "rsretrieve.data.windowing": ("SceneFacts",),
    "numpy": ("dtype", "ndarray"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.numeric": ("_frombuffer",),
    "numpy.core.numeric": ("_frombuffer",),
}


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

    Raises:
        OSError: the caller has ended.
        Exception: the reply cannot be pickled.
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream, shared)
    pickler.dump(reply)
    connection.send_bytes(pickle.dumps((pickler.parts, stream.getvalue())))


def receive_reply(connection: Connection, shared: mmap.mmap | None) -> Any:
    """Receive a reply; its arrays are copies.

    Raises:
        EOFError, OSError: the sender has ended.
        UnpicklingError: the reply is no pickle, or holds something other than the listed records.
    """
    received = connection.recv_bytes()
    try:
        parts, content = _Unpickler(io.BytesIO(received)).load()
        memory = memoryview(b"" if shared is None else shared)
        buffers = [memory[start : start + size] for start, size in parts]
        return _Unpickler(io.BytesIO(content), buffers=buffers).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # wrong arguments for a record raise any type of error
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def write_position(shared: mmap.mmap | None, position: int) -> None:
    """Record which part of a call is being worked on."""
    if shared is not None:
        _POSITION.pack_into(shared, _room_bytes(shared), position)


def read_position(shared: mmap.mmap | None) -> int:
    """The position recorded last; −1 where there is no shared memory."""
    return -1 if shared is None else int(_POSITION.unpack_from(shared, _room_bytes(shared))[0])


def _room_bytes(shared: mmap.mmap) -> int:
    return len(shared) - _POSITION.size


def picklable_error(error: Exception) -> Exception:
    """The error itself if a reply may hold it (Python's own and ours); else a `RuntimeError`."""
    kind = type(error)
    known = kind.__name__ in _RECORDS.get(kind.__module__, ())
    if known or kind.__module__ == "builtins":
        return error
    return RuntimeError(f"{kind.__name__}: {error}")


class _Unpickler(pickle.Unpickler):
    """Makes only records, arrays and Python's errors; an ordinary pickle can call any function."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function that a pickle names, if it is allowed.

        Raises:
            UnpicklingError: it is not.
        """
        if name in _RECORDS.get(module, ()):
            return super().find_class(module, name)
        found = getattr(builtins, name, None) if module == "builtins" else None
        if isinstance(found, type) and issubclass(found, Exception):
            return found
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a reply")


class _Pickler(pickle.Pickler):
    """Copies large arrays into shared memory.

    Attributes:
        parts: start and size in bytes of each copied array, in the order of the buffers.
    """

    def __init__(self, stream: io.BytesIO, shared: mmap.mmap | None) -> None:
        self.parts: list[tuple[int, int]] = []
        # NumPy makes buffers of small arrays, too: these stay in the stream.
        super().__init__(stream, protocol=5, buffer_callback=lambda each: each is not self._copied)
        self._shared, self._used = shared, 0
        self._copied: pickle.PickleBuffer | None = None

    def reducer_override(self, value: Any) -> Any:
        """How to pickle a large array of plain numbers; anything else as usual."""
        # Compared by name, so that a reply without arrays does not import NumPy.
        if type(value).__name__ != "ndarray" or not value.nbytes >= _MIN_BYTES:
            return NotImplemented
        if self._shared is None or value.dtype.hasobject:
            return NotImplemented
        if _is_view_of_read_only(value):
            offset = _address(value) - _address(value.base)
            return _view_of, (value.base, offset, value.dtype, value.shape, value.strides)
        end = self._used + value.nbytes
        if end > _room_bytes(self._shared):
            return NotImplemented
        import numpy as np

        place = memoryview(self._shared)[self._used : end]
        np.frombuffer(place, value.dtype).reshape(value.shape)[...] = value
        self.parts.append((self._used, value.nbytes))
        self._used = end + -end % _ALIGNMENT
        self._copied = pickle.PickleBuffer(place)
        return _array_from, (self._copied, value.dtype, value.shape)


def _is_view_of_read_only(value: Any) -> bool:
    """Whether an array is a view of a read-only one: overlapping windows are sent as one array."""
    base = value.base
    if type(base).__name__ != "ndarray" or value.flags.writeable or base.flags.writeable:
        return False
    return bool(base.flags.c_contiguous and not base.dtype.hasobject)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _array_from(content: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A copy of an array in shared memory."""
    import numpy as np

    return np.frombuffer(content, dtype).reshape(shape).copy()


def _view_of(
    base: Any, offset: int, dtype: Any, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Any:
    """A read-only view of a received array, as the sender had it of its own."""
    import numpy as np

    view = np.ndarray(shape, dtype, base, offset, strides)
    view.flags.writeable = False
    return view
