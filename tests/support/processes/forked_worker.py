"""Workers forked from a process that has loaded their libraries: a hundred times as fast.

Each worker is confined for the files of one test, so that hundreds are started, each of which
would import rasterio and NumPy for half a second. The forked process runs the same program from
its first line on. `tests/data/workers`, `tests/security` and `tests/trials` use workers as users
have them.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from rsretrieve.data.workers.worker import Worker, current_environment, environment_of_workers

PRELOADED = (
    "rsretrieve.data.reading.decode_chunk",
    "rsretrieve.data.reading.pillow_reader",
    "rsretrieve.data.workers.process",
    "rasterio",
    "tests.support.processes.worker_functions",
)
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; import tests.support.processes.forked_worker as forked; "
    "forked.serve_forks({descriptor})"
)
_BYTES = 4
_MOST_BYTES = 1 << 20
_RUNNING: dict[int, int] = {}
"""In the process that forks: pipes for the exit codes of running workers, by their numbers."""


class ForkedProcess:
    """What `Worker` uses of `subprocess.Popen`, for a process that another one forked.

    Args:
        status: a pipe that gives the process's number, and its exit code when it has ended.
    """

    def __init__(self, status: int) -> None:
        self._status, self._lock = status, Lock()  # one thread may kill what another waits for
        self.pid = self._number()
        self.returncode: int | None = None

    def _number(self) -> int:
        said = os.read(self._status, _BYTES)
        # Without a word the process that forks has ended, and its children were left.
        return int.from_bytes(said, "little", signed=True) if said else -signal.SIGKILL

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        with self._lock:
            if self.returncode is None:
                if not select.select([self._status], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
                self.returncode = self._number()
                os.close(self._status)
            return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Forks:
    """The process that forks workers; started when the first one is asked for.

    Attributes:
        settings: of GDAL and the like, which its workers have.
    """

    def __init__(self) -> None:
        self.settings = current_environment()[0]
        self._lock = Lock()  # each thread that reads tiles asks for a worker
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, preloaded: Sequence[str], descriptors: Sequence[int]) -> ForkedProcess:
        """Fork a worker with these descriptors: its socket and, if there is one, its memory."""
        status, theirs = os.pipe()
        order = environment_of_workers(), str(Path.cwd()), list(sys.path), tuple(preloaded)
        try:
            with self._lock:
                orders = self._opened()
                socket.send_fds(orders, [pickle.dumps(order)], [theirs, *descriptors])
        finally:
            os.close(theirs)
        return ForkedProcess(status)

    def _opened(self) -> socket.socket:
        """The socket that takes orders; the process is started if it does not run."""
        if self._socket is None or self._process is None or self._process.poll() is not None:
            self._socket = self._open()
        return self._socket

    def _open(self) -> socket.socket:
        self.close()
        orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM.format(path=sys.path, descriptor=theirs.fileno())],
                env=environment_of_workers(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return orders

    def close(self) -> None:
        """End the process."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait()
        self._socket = self._process = None


FORKS = Forks()
atexit.register(FORKS.close)


class ForkedWorker(Worker):
    """A worker that starts at once."""

    def _start(self, preloaded: tuple[str, ...], socket: int, memory: int | None) -> Any:
        settings, _, _, folder = self.environment
        # GDAL and PROJ read some settings when they are loaded; a folder may have been removed.
        if settings != FORKS.settings or not folder:
            return super()._start(preloaded, socket, memory)
        return FORKS.start(preloaded, [socket] if memory is None else [socket, memory])


def serve_forks(descriptor: int) -> None:
    """The program of the process that forks: it has one thread, and opens no tile."""
    for module in PRELOADED:
        __import__(module)
    orders = socket.socket(fileno=descriptor)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready = select.select([orders, woken], [], [])[0]
        if woken in ready:
            os.read(woken, _MOST_BYTES)
            _report_ended()
        if orders in ready:
            order, descriptors, *_ = socket.recv_fds(orders, _MOST_BYTES, 3)
            if not order:
                return
            _fork(order, descriptors, (descriptor, woken, waker))


def _fork(order: bytes, descriptors: Sequence[int], own: Sequence[int]) -> None:
    """Fork a worker, which closes the descriptors that are not its own."""
    status, *given = descriptors
    number = os.fork()
    if not number:
        for one in (*own, status, *_RUNNING.values()):
            os.close(one)
        _be_worker(order, given)
    _RUNNING[number] = status
    _tell(status, number)
    for one in given:
        os.close(one)


def _be_worker(order: bytes, given: Sequence[int]) -> NoReturn:
    """What `python -c PROGRAM` is in a worker that is not forked."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        environment, folder, sys.path[:], preloaded = pickle.loads(order)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        for module in preloaded:
            __import__(module)
        from rsretrieve.data.workers.process import main

        main(given[0], given[1] if len(given) > 1 else None)
        code = 0
    finally:
        os._exit(code)


def _report_ended() -> None:
    for number in [*_RUNNING]:
        ended, code = os.waitpid(number, os.WNOHANG)
        if ended:
            status = _RUNNING.pop(number)
            _tell(status, os.waitstatus_to_exitcode(code))
            os.close(status)


def _tell(status: int, number: int) -> None:
    with suppress(BrokenPipeError):
        os.write(status, number.to_bytes(_BYTES, "little", signed=True))
