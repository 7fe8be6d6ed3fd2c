"""What a worker process runs: it does as it is asked, one thing after another, until it is left.

It is a program of its own, which loads nothing that decoding does not need.
"""

from __future__ import annotations

import mmap
import os
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rsretrieve.tiles.transport import mapped, send_answer

MEMORY_BYTES = 2 << 30
"""What a worker may take above what it is made of: a few copies of the largest RGB tile."""


def main(descriptor: int, shared: int | None) -> None:
    """Answer over an inherited socket until its other end is closed.

    Args:
        descriptor: the socket's number.
        shared: that of the memory that large arrays go through, or None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, whose end ends this
    warnings.simplefilter("ignore")  # nobody reads them here
    memory = mapped(shared)
    limit_memory()
    serve(Connection(descriptor), memory, left=lambda: os._exit(0))


def serve(
    connection: Connection,
    shared: mmap.mmap | None = None,
    left: Callable[[], object] = lambda: None,
) -> None:
    """Answer every question, a function and its argument, in their order.

    A reply is (True, what the function gave back), or (False, the exception that it raised).

    Args:
        connection: to who asks.
        shared: what large arrays go through.
        left: called when who asks is gone, even in the middle of an answer.
    """
    connection.send("ready")
    questions: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, questions, left), daemon=True).start()
    while (question := questions.get()) is not None:
        try:
            reply = True, question[0](question[1])
        except Exception as error:
            reply = False, error
        send_answer(connection, reply, shared)


def _listen(
    connection: Connection, questions: SimpleQueue[Any], left: Callable[[], object]
) -> None:
    with suppress(EOFError, OSError):
        while True:
            questions.put(connection.recv())
    left()
    questions.put(None)


def limit_memory() -> None:
    """Let an allocation fail before the machine suffers, and let a crash leave no core file."""
    with suppress(ImportError, OSError, ValueError):  # no such limits here, or stricter ones
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
