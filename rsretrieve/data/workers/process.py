"""What a worker process runs: it does as it is asked, one thing after another, until it is left.

It is a program of its own, which loads nothing that decoding does not need. The first thing that
it is told is what it may do.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from rsretrieve.data.workers.confinement import Policy, enter
from rsretrieve.data.workers.limits import limit_process
from rsretrieve.data.workers.shared_memory import mapped, mark, plain_error, send_answer

REFUSED = 77
"""The exit code of a process that the system does not confine as it says it can."""
_shared: mmap.mmap | None = None
_policy: Policy | None = None


def main(descriptor: int, shared: int | None) -> None:
    """Answer over an inherited socket until its other end is closed.

    Args:
        descriptor: the socket's number.
        shared: that of the memory that large arrays go through, or None.
    """
    global _shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks, whose end ends this
    warnings.simplefilter("ignore")  # nobody reads them here
    _shared = mapped(shared)
    connection = Connection(descriptor)
    connection.send("ready")
    with suppress(EOFError, OSError):
        policy = connection.recv()
        try:
            confine(policy)
        except OSError:
            os._exit(REFUSED)  # never to decode as if it were confined
        serve(connection, _shared, left=lambda: os._exit(0))


def confine(policy: Policy) -> None:
    """Give up what a policy does not allow, and limit GDAL to its drivers when it is loaded."""
    global _policy
    _policy = policy
    for name in [name for name in os.environ if policy.proxy and name.lower() == "no_proxy"]:
        del os.environ[name]
    if policy.proxy:
        os.environ["GDAL_HTTP_PROXY"] = policy.proxy
    limit_process()
    enter(policy)


def policy_here() -> Policy | None:
    """What this process may do; None where it is no worker."""
    return _policy


def note_progress(position: int) -> None:
    """Say which part of a question is being worked on: it is the one that ends us, if any."""
    mark(_shared, position)


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
    questions: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, questions, left), daemon=True).start()
    while (question := questions.get()) is not None:
        try:
            function, argument = pickle.loads(question)
            reply = True, function(argument)
        except Exception as error:
            reply = False, plain_error(error)
        send_answer(connection, reply, shared)


def _listen(
    connection: Connection, questions: SimpleQueue[Any], left: Callable[[], object]
) -> None:
    with suppress(EOFError, OSError):
        while True:
            questions.put(connection.recv_bytes())
    left()
    questions.put(None)
