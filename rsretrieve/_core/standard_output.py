"""The program's standard streams, and the file name `-`: a file written to standard output.

Only the program allows `-`. In Python code, it is the name of a file like any other.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

STANDARD_OUTPUT = Path("-")
_STREAM: ContextVar[Any] = ContextVar("_STREAM", default=None)
_ESCAPED = "rsretrieve.escaped"  # our error handler of encodings
_PLAIN = str.maketrans({"–": "-", "−": "-", "…": "...", "×": "x", "²": "2", "·": "*"})


def make_streams_usable() -> None:
    """Prepare the standard streams for every text, at the start of the program.

    A stream that the caller has closed is None in Python: it becomes one that takes everything and
    gives nothing. A stream that is not in Unicode escapes the characters that it lacks.
    """
    codecs.register_error(_ESCAPED, _escaped)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123
        elif mode == "w" and hasattr(stream, "reconfigure") and not _is_unicode(stream.encoding):
            stream.reconfigure(errors=_ESCAPED)


def write_utf8(text: str) -> None:
    """Write the text of a file that is UTF-8, such as TOML, to standard output.

    A terminal gets it in its own encoding.
    """
    stream: Any = sys.stdout
    if stream.isatty() or not hasattr(stream, "buffer"):
        stream.write(text)
    else:
        stream.flush()
        stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    stream.flush()


def _is_unicode(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith("utf-")


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace characters by similar ones in ASCII, or else by escapes."""
    if isinstance(error, UnicodeEncodeError):
        part = error.object[error.start : error.end].translate(_PLAIN)
        return part.encode("ascii", "backslashreplace").decode("ascii"), error.end
    raise error


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
