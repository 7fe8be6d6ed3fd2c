"""The file name `-`: a file that is written to standard output.

Only the program allows it. In Python code, `-` is the name of a file like any other.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

STANDARD_OUTPUT = Path("-")
_STREAM: ContextVar[Any] = ContextVar("_STREAM", default=None)


@contextmanager
def files_on(stream: IO[Any]) -> Iterator[None]:
    """Let `-` mean this stream; it takes text or bytes."""
    token = _STREAM.set(stream)
    try:
        yield
    finally:
        _STREAM.reset(token)


def is_standard_output(path: Path) -> bool:
    """Whether a file of this name is written to standard output."""
    return path == STANDARD_OUTPUT and _STREAM.get() is not None


@contextmanager
def written_to_standard_output() -> Iterator[Path]:
    """Yield a temporary path to write a file to; on success its content goes to the stream."""
    stream = _STREAM.get()
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder, "output")
        yield aside
        with aside.open("rb") as written:
            if hasattr(stream, "buffer"):
                stream.flush()
                shutil.copyfileobj(written, stream.buffer)
            else:
                stream.write(written.read().decode("utf-8", "replace"))
        stream.flush()
