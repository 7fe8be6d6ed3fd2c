"""The program of a worker process: it replies to calls, one after another, until it is left.

It imports nothing that decoding does not need. The first message that it receives is its policy.
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
from rsretrieve.data.workers.shared_memory import map_shared, send_reply, write_position
from rsretrieve.errors import RsretrieveError, TileError

CONFINEMENT_REFUSED = 77
"""The exit code when the system refuses to confine the process, though it claims to be able to."""
_shared: mmap.mmap | None = None
_policy: Policy | None = None


def main(descriptor: int, shared: int | None) -> None:
    """Reply to calls over an inherited socket until its other end is closed.

    Args:
        descriptor: the socket's file descriptor.
        shared: that of the memory for large arrays, or None.
    """
    global _shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the caller, and that ends this
    warnings.simplefilter("ignore")  # nobody reads them here
    _shared = map_shared(shared)
    connection = Connection(descriptor)
    connection.send("ready")
    with suppress(EOFError, OSError):
        policy = connection.recv()
        try:
            confine(policy)
        except OSError:
            os._exit(CONFINEMENT_REFUSED)  # never decode as if it were confined
        serve(connection, _shared, on_close=lambda: os._exit(0))


def confine(policy: Policy) -> None:
    """Give up every right that the policy does not grant, and remember its GDAL drivers."""
    global _policy
    _policy = policy
    for name in [name for name in os.environ if policy.proxy and name.lower() == "no_proxy"]:
        del os.environ[name]
    if policy.proxy:
        os.environ["GDAL_HTTP_PROXY"] = policy.proxy
    limit_process()
    enter(policy)


def current_policy() -> Policy | None:
    """What this process may do; None if it is not a worker."""
    return _policy


def note_progress(position: int) -> None:
    """Record which part of a call is being worked on; read by the caller after a crash."""
    write_position(_shared, position)


def serve(
    connection: Connection,
    shared: mmap.mmap | None = None,
    on_close: Callable[[], object] = lambda: None,
) -> None:
    """Reply to every call, a function and its argument, in order.

    A reply is (True, the result), or (False, what the function raised): a `TileError`, or a text
    about any other error.

    Args:
        connection: to the caller.
        shared: memory for large arrays.
        on_close: called when the caller closed the connection, even in the middle of a call.
    """
    calls: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, calls, on_close), daemon=True).start()
    while (message := calls.get()) is not None:
        try:
            function, argument = pickle.loads(message)
            reply = True, function(argument)
        except TileError as error:
            reply = False, error
        except Exception as error:
            reply = False, _in_words(error)
        send_reply(connection, reply, shared)


def _in_words(error: Exception) -> str:
    """An error that is no `TileError`."""
    if isinstance(error, RsretrieveError):
        return error.message
    return f"the decoder failed on it ({type(error).__name__}: {error})"


def _listen(
    connection: Connection, calls: SimpleQueue[Any], on_close: Callable[[], object]
) -> None:
    with suppress(EOFError, OSError):
        while True:
            calls.put(connection.recv_bytes())
    on_close()
    calls.put(None)
