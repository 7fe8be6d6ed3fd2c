"""Processes that decode: one that crashes, hangs or is greedy takes its tile along, and no more.

Decoders are a million lines of C that read whatever a folder holds. They run in processes
of their own, kept from one set of tiles to the next, and ended with ours. What a process may do
(`Policy`) is settled when it is first asked for something, and never changes.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from signal import Signals
from threading import Lock
from typing import Any, TypeVar, cast

from rsretrieve.data.gdal_drivers import VARIABLE, left_out
from rsretrieve.data.geo import proj_data
from rsretrieve.data.workers.confinement import VARIABLE as SANDBOX_VARIABLE
from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.process import REFUSED
from rsretrieve.data.workers.shared_memory import mapped, marked, received_answer, shared_file
from rsretrieve.errors import TileError

A = TypeVar("A")
R = TypeVar("R")

START_LIMIT_S = 60.0
_END_LIMIT_S = 5.0
_MOST_IDLE = 4
NOTHING = Policy(drivers=(), readable=())
"""What a process may do that reads no file."""
_PROGRAM = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; {loading}"
    "from rsretrieve.data.workers.process import main; gc.enable(); main({descriptor}, {shared})"
)
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_BLOCK_CACHE_MB = "256"  # GDAL's own choice is a share of the machine, for one process
_SETTINGS = ("GDAL_", "CPL_", "VSI", "AWS_", "GS_", "AZURE_", "OSS_", "SWIFT_", "PROJ_", "CURL_")


class WorkerLost(Exception):
    """A worker ended, or had to be ended, before it answered.

    Args:
        reason: why, as what is wrong with the tile that it was reading.
        position: which part of the question it was working on; −1 where nobody knows.
        took_too_long: it was ended over the time that it took.
    """

    def __init__(self, reason: str, position: int = -1, *, took_too_long: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.position, self.took_too_long = reason, position, took_too_long


class Worker:
    """A process that calls functions for us, one after another.

    Args:
        loading: modules that it loads before it is asked for anything.

    Attributes:
        policy: what it may do; None until that is settled.
    """

    def __init__(self, *loading: str) -> None:
        self.policy: Policy | None = None
        self.made_for = _surroundings()
        self._connection, theirs = Pipe()
        memory = shared_file()
        socket = theirs.fileno()
        imports = "".join(f"import {module}; " for module in loading)
        program = _PROGRAM.format(path=sys.path, descriptor=socket, shared=memory, loading=imports)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                env={**_ONE_THREAD, **_for_gdal(), **os.environ, **proj_data.environment()},
                pass_fds=[socket] if memory is None else [socket, memory],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what a file made a library say is not for terminals
            )
        self._shared = mapped(memory)
        self._ready = False

    @property
    def usable(self) -> bool:
        """Whether it runs, and was started as it would be started now."""
        return self._process.poll() is None and self.made_for == _surroundings()

    def settle(self, policy: Policy) -> None:
        """Say what it may do, once, before it is asked for anything.

        Raises:
            OSError: it did not start.
        """
        self._wait_until_ready()
        self.policy = policy
        with suppress(OSError):  # it is gone: who asks next is told
            self._connection.send(policy)

    def ask(self, function: Callable[[A], R], argument: A, limit_s: float) -> R:
        """Call a function over there, and wait for what it gives back.

        Args:
            function: it, its argument and what it gives back can be pickled.
            argument: its only one.
            limit_s: how long it may take.

        Raises:
            WorkerLost: it was not answered.
            Exception: what the function raised.
        """
        if self.policy is None:
            self.settle(NOTHING)
        try:
            self._connection.send((function, argument))
            if not self._connection.poll(limit_s):
                self.kill()
                raise self._lost(f"not decoded within {limit_s:g} s", took_too_long=True)
            fine, answer = received_answer(self._connection, self._shared)
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_LIMIT_S)
            code = self._process.returncode
            raise self._lost(_how_it_ended(code), took_too_long=code == -_TIME_IS_UP) from error
        except (pickle.UnpicklingError, AttributeError, ImportError, IndexError) as error:
            raise self._lost(f"the decoder gave an answer of another form ({error})") from error
        if not fine:
            raise answer
        return cast("R", answer)

    def _lost(self, reason: str, *, took_too_long: bool = False) -> WorkerLost:
        return WorkerLost(reason, marked(self._shared), took_too_long=took_too_long)

    def kill(self) -> None:
        """End it at once; whoever waits for its answer gets a `WorkerLost`."""
        self._process.kill()

    def close(self) -> None:
        """End it when it has nothing to do."""
        self._connection.close()
        if self._shared is not None:
            with suppress(BufferError):  # an answer that was not understood still looks into it
                self._shared.close()
        with suppress(subprocess.TimeoutExpired):  # stuck in the system, which will let it go
            self._process.wait(_END_LIMIT_S)

    def _wait_until_ready(self) -> None:
        if self._ready:
            return
        with suppress(EOFError, OSError):
            self._ready = self._connection.poll(START_LIMIT_S) and bool(self._connection.recv())
        if not self._ready:
            self.kill()
            raise OSError(f"the process that decodes tiles did not start: {sys.executable}")


_TIME_IS_UP = getattr(Signals, "SIGPROF", -1)


def _how_it_ended(code: int | None) -> str:
    if code == -_TIME_IS_UP:
        return "takes more of the processor's time to decode than its size accounts for"
    if code == REFUSED:
        return f"this system refuses to confine a decoder ({SANDBOX_VARIABLE}=off leaves it out)"
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"the decoder crashed on it ({Signals(-code).name})"
    return f"the decoder ended over it (exit code {code})"


def _for_gdal() -> dict[str, str]:
    """Settings that the user's own come before."""
    return {"GDAL_CACHEMAX": _BLOCK_CACHE_MB, "GDAL_SKIP": left_out()}


def _surroundings() -> Any:
    """What a worker hangs on that may change while we run."""
    settings = {k: v for k, v in os.environ.items() if k.upper().startswith(_SETTINGS)}
    settings |= {name: os.environ.get(name, "") for name in (VARIABLE, SANDBOX_VARIABLE)}
    try:
        folder = str(Path.cwd())
    except OSError:  # it is gone
        folder = ""
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    return settings, proxies, list(sys.path), folder


class _Idle:
    """Workers that wait to be asked: some that may do what they did before, some undecided."""

    def __init__(self) -> None:
        self._lock, self._workers = Lock(), list[Worker]()

    def take(self, policy: Policy) -> Worker:
        """A worker for who calls, alone, that may do what a policy says."""
        with self._lock:
            usable = [worker for worker in self._workers if worker.usable]
            useless = [worker for worker in self._workers if worker not in usable]
            fitting = [worker for worker in usable if worker.policy in (policy, None)]
            # One that has done such work, before one that still has to load what that takes.
            fitting.sort(key=lambda worker: worker.policy is None)
            self._workers = [worker for worker in usable if worker not in fitting[:1]]
        for worker in useless:
            worker.close()
        worker = fitting[0] if fitting else Worker()
        if worker.policy is None:
            try:
                worker.settle(policy)
            except OSError:
                worker.close()
                raise
        return worker

    def give_back(self, worker: Worker) -> None:
        """Let a worker that has answered everything wait; of many the first has to go."""
        with self._lock:
            self._workers.append(worker)
            leaving = self._workers[:-_MOST_IDLE]
            self._workers = self._workers[-_MOST_IDLE:]
        for one in leaving:
            one.close()

    def close(self) -> None:
        """End all."""
        while self._workers:
            self._workers.pop().close()

    def forget(self) -> None:
        """In a fork: they are our parent's."""
        self._lock, self._workers = Lock(), []


_IDLE = _Idle()
atexit.register(_IDLE.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDLE.forget)


class Lane:
    """One worker at a time, and a thread that waits for its answers.

    Attributes:
        thread: runs what is submitted, which asks here.
    """

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="tiles")
        self._worker: Worker | None = None
        self._answering = self._stopped = False

    @property
    def policy(self) -> Policy | None:
        """What the worker may do that sits in it, if one does."""
        return None if self._worker is None else self._worker.policy

    def ask(
        self, function: Callable[[A], R], argument: A, limit_s: float, policy: Policy = NOTHING
    ) -> R:
        """As `Worker.ask`; after any error but a tile's, another worker answers what comes next.

        Args:
            function: see there.
            argument: see there.
            limit_s: see there.
            policy: what the worker may do.
        """
        if self._stopped:
            raise WorkerLost("the work was stopped")
        if self._worker is not None and self._worker.policy != policy:
            worker, self._worker = self._worker, None
            _IDLE.give_back(worker)
        self._worker = self._worker or _IDLE.take(policy)
        self._answering = True
        try:
            answer = self._worker.ask(function, argument, limit_s)
        except TileError:  # an answer, too: the worker is as good as before
            self._answering = False
            raise
        except BaseException:
            self._end_worker()
            raise
        self._answering = False
        return answer

    def stop(self) -> None:
        """End the thread, and the worker if it is still at work."""
        self._stopped = True
        worker = self._worker  # looked at once: the thread may end it any moment
        if self._answering and worker is not None:
            worker.kill()
        self.thread.shutdown(cancel_futures=True)
        if self._worker is not None:
            _IDLE.give_back(self._worker)

    def _end_worker(self) -> None:
        worker, self._worker, self._answering = self._worker, None, False
        if worker is not None:
            worker.kill()
            worker.close()


def start_for_images() -> None:
    """Start a worker that will read images, to be ready when all else is loaded."""
    _IDLE.give_back(
        Worker("rsretrieve.data.reading.read_tiles", "rsretrieve.data.reading.pillow_reader")
    )


def start_for_scenes() -> None:
    """Start a worker that will read scenes, to be ready when all else is loaded."""
    _IDLE.give_back(Worker("rsretrieve.data.reading.read_tiles", "rasterio"))


def ask_once(
    function: Callable[[A], R], argument: A, limit_s: float, policy: Policy = NOTHING
) -> R:
    """Call a function in a worker, and wait for it.

    Raises:
        WorkerLost: it was not answered.
        Exception: what the function raised.
    """
    worker = _IDLE.take(policy)
    try:
        answer = worker.ask(function, argument, limit_s)
    except BaseException:
        worker.kill()
        worker.close()
        raise
    _IDLE.give_back(worker)
    return answer
