"""A process that decodes tiles for this one: started, given its policy, called, ended.

Decoders are large C libraries that parse untrusted files. In a process of its own, a decoder
that crashes, hangs or takes too much memory costs the tile it was reading and nothing else.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from signal import Signals
from typing import Any, TypeVar, cast

from rsretrieve.data.gdal_drivers import VARIABLE, left_out
from rsretrieve.data.geo import proj_data
from rsretrieve.data.workers.confinement import VARIABLE as SANDBOX_VARIABLE
from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.process import CONFINEMENT_REFUSED
from rsretrieve.data.workers.shared_memory import (
    InvalidReply,
    create_shared_file,
    map_shared,
    read_position,
    receive_reply,
)
from rsretrieve.errors import TileError

A = TypeVar("A")
R = TypeVar("R")

START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_SENDING_LIMIT_S = 10  # for a reply that was begun, and for what a worker does not take
NO_ACCESS = Policy(drivers=(), readable=())
"""The policy of a process that reads no file."""
PROGRAM = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; {imports}"
    "from rsretrieve.data.workers.process import main; gc.enable(); main({descriptor}, {shared})"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_BLOCK_CACHE_MB = "256"  # GDAL's default is a share of the machine's memory, for one process
_SETTINGS = ("GDAL_", "CPL_", "VSI", "AWS_", "GS_", "AZURE_", "OSS_", "SWIFT_", "PROJ_", "CURL_")
_CPU_TIME_SIGNAL = getattr(Signals, "SIGPROF", -1)


class WorkerLost(Exception):
    """A worker ended, or was ended, before it replied.

    Args:
        reason: why, in words for the failure of the tile that it was reading.
        position: the index of the part of the call it was working on; −1 if unknown.
        took_too_long: it exceeded its limit of elapsed or processor time.
    """

    def __init__(self, reason: str, position: int = -1, *, took_too_long: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.position, self.took_too_long = reason, position, took_too_long


class FunctionFailed(WorkerLost):
    """A worker replied that its function failed. It can be used further."""


class Worker:
    """A process that runs functions for this one, one after another.

    Args:
        preloaded: modules that it imports at its start.

    Attributes:
        policy: what it may do; None until `confine` was called, and fixed afterwards.
        environment: the settings it was started with.
    """

    def __init__(self, *preloaded: str) -> None:
        self.policy: Policy | None = None
        self.environment = current_environment()
        self._connection, theirs = Pipe()
        _limit_sending(self._connection.fileno())
        memory = create_shared_file()
        with theirs:
            self._process = self._start(preloaded, theirs.fileno(), memory)
        self._shared = map_shared(memory)
        self._ready = False

    def _start(
        self, preloaded: tuple[str, ...], socket: int, memory: int | None
    ) -> subprocess.Popen[bytes]:
        """Start the process, which inherits these two file descriptors."""
        imports = "".join(f"import {module}; " for module in preloaded)
        program = PROGRAM.format(path=sys.path, descriptor=socket, shared=memory, imports=imports)
        return subprocess.Popen(
            [sys.executable, "-c", program],
            env=environment_of_workers(),
            pass_fds=[socket] if memory is None else [socket, memory],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # a file's content must not reach the terminal
        )

    @property
    def is_usable(self) -> bool:
        """Whether it runs, and was started with the settings that are in force now."""
        return self._process.poll() is None and self.environment == current_environment()

    def confine(self, policy: Policy) -> None:
        """Set what it may do, once, before its first call.

        Raises:
            OSError: it did not start.
        """
        self._wait_until_ready()
        self.policy = policy
        with suppress(OSError):  # it has ended: the next call raises `WorkerLost`
            self._connection.send(policy)

    def call(self, function: Callable[[A], R], argument: A, limit_s: float) -> R:
        """Run a function in the worker and wait for its result.

        Args:
            function: called there; it and its argument are pickled, and its result is sent as
                `send_reply` does.
            argument: its only argument.
            limit_s: the longest time it may take.

        Raises:
            WorkerLost: the worker ended without a reply, or its reply is invalid or incomplete.
            TileError: raised by the function.
            FunctionFailed: the function raised another error.
        """
        if self.policy is None:
            self.confine(NO_ACCESS)
        message = pickle.dumps((function, argument))
        try:
            reply = self._reply_to(message, limit_s)
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LIMIT_S)
            code = self._process.returncode
            too_long = code == -_CPU_TIME_SIGNAL
            raise self._lost(_reason_of_end(code), took_too_long=too_long) from error
        except InvalidReply as error:
            raise self._lost(f"the decoder sent an invalid reply ({error})") from error
        return cast("R", self._result_of(reply))

    def _reply_to(self, message: bytes, limit_s: float) -> Any:
        """Send a call and wait for its reply, which may hold anything.

        Raises:
            EOFError, OSError: the worker has ended.
            InvalidReply: what came is no reply.
            WorkerLost: no complete reply came in time.
        """
        self._connection.send_bytes(message)
        started = time.monotonic()
        if self._connection.poll(limit_s):
            left_s = max(limit_s - (time.monotonic() - started), 0) + _SENDING_LIMIT_S
            try:
                return receive_reply(self._connection, self._shared, left_s)
            except TimeoutError as error:
                self.kill()
                raise self._lost(f"the decoder sent an invalid reply ({error})") from error
        self.kill()
        raise self._lost(f"not decoded within {limit_s:g} s", took_too_long=True)

    def _result_of(self, reply: Any) -> Any:
        """The result in a reply: a pair of whether the function succeeded, and what it returned.

        Raises:
            WorkerLost: the reply is no such pair.
            TileError, FunctionFailed: what the function raised.
        """
        if type(reply) is not tuple or len(reply) != 2 or type(reply[0]) is not bool:
            raise self._lost("the decoder sent an invalid reply (not a result)")
        succeeded, result = reply
        if succeeded:
            return result
        if isinstance(result, TileError):
            raise result
        if type(result) is not str:
            raise self._lost("the decoder sent an invalid reply (not an error)")
        raise FunctionFailed(result, read_position(self._shared))

    def _lost(self, reason: str, *, took_too_long: bool = False) -> WorkerLost:
        return WorkerLost(reason, read_position(self._shared), took_too_long=took_too_long)

    def kill(self) -> None:
        """End it at once; a call that waits for its reply raises `WorkerLost`."""
        self._process.kill()

    def close(self) -> None:
        """Close the connection; the process then ends by itself."""
        self._connection.close()
        if self._shared is not None:
            with suppress(BufferError):  # the error of an invalid reply may refer to the memory
                self._shared.close()
        with suppress(subprocess.TimeoutExpired):  # it waits for the system, and ends later
            self._process.wait(_END_LIMIT_S)

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        with suppress(EOFError, OSError):
            self._ready = self._connection.poll(START_LIMIT_S) and bool(self._connection.recv())
        if not self._ready:
            self.kill()
            raise OSError(f"the process that decodes tiles did not start: {sys.executable}")


def require_reply(is_valid: bool, what: str) -> None:
    """Raise a `WorkerLost` if a reply is not what was asked for.

    Args:
        is_valid: whether it is.
        what: the reason, for the message.
    """
    if not is_valid:
        raise WorkerLost(f"the decoder sent an invalid reply ({what})")


def _limit_sending(handle: int) -> None:
    """Let sending over a socket fail when the other end takes nothing for some time."""
    limit = struct.pack("@ll", _SENDING_LIMIT_S, 0)
    with socket.socket(fileno=os.dup(handle)) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _reason_of_end(code: int | None) -> str:
    """Explain the exit code of a worker, as the reason of a failure."""
    if code == -_CPU_TIME_SIGNAL:
        return "takes more processor time to decode than a file of its size should"
    if code == CONFINEMENT_REFUSED:
        return f"this system refuses to confine a decoder ({SANDBOX_VARIABLE}=off switches it off)"
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"the decoder crashed on it ({Signals(-code).name})"
    return f"the decoder ended while reading it (exit code {code})"


def environment_of_workers() -> dict[str, str]:
    """The environment variables that a worker starts with."""
    return {**_ONE_THREAD, **_gdal_defaults(), **os.environ, **proj_data.environment()}


def _gdal_defaults() -> dict[str, str]:
    """GDAL's settings where the user's environment has none."""
    return {"GDAL_CACHEMAX": _BLOCK_CACHE_MB, "GDAL_SKIP": left_out()}


def current_environment() -> Any:
    """All that a worker inherits at its start and that may change while this program runs."""
    settings = {k: v for k, v in os.environ.items() if k.upper().startswith(_SETTINGS)}
    settings |= {name: os.environ.get(name, "") for name in (VARIABLE, SANDBOX_VARIABLE)}
    try:
        folder = str(Path.cwd())
    except OSError:  # the folder was removed
        folder = ""
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return settings, proxies, list(sys.path), folder
