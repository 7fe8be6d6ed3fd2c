"""A command that a launcher such as `torchrun` started in several processes.

Only the first process prints. If a process fails, exactly one of them prints the error, and all
end with the same exit code.

The launcher ends all processes by SIGTERM as soon as one of them has ended with an error. The
first process may not have printed its message by then, so the others do not end before it.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress

from rsretrieve._core.machine import launch
from rsretrieve._core.machine.launch import Launch
from rsretrieve.cli.terminal import Terminal

_EXIT_LOST = 1
_WAIT_S = 20.0
"""How long a process waits for the first one, which meets the same error, to print it."""
_GRACE_S = 2.0
"""How long a process that is to end may take to end by itself."""


_reported: list[int] = []
"""Exit codes that this process reported, or found reported by another one."""


@contextmanager
def first_process_speaks() -> Iterator[None]:
    """Run a command, whose exit is a `SystemExit`; see the module."""
    place = Launch.of_environment()
    if place.is_alone:
        yield
        return
    ending = _Ending()
    if place.rank == 0:
        yield
        return
    said = io.StringIO()
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            yield
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
        if code and not _reported:
            ending.wait_for_first(code)
            if launch.report_failure is None:  # the first process has not met the same error
                sys.stderr.write(said.getvalue())
        raise


def end_launched_process(ended: SystemExit) -> None:
    """End this process now, if a launcher started it; otherwise do nothing.

    Before Python 3.14, a thread of C++ that asks for the interpreter while that ends can abort the
    process ("terminate called without an active exception"), and the launcher then counts a
    finished training as failed: https://github.com/python/cpython/issues/87135

    Args:
        ended: has the exit code.
    """
    if Launch.of_environment().is_alone:
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(ended.code if isinstance(ended.code, int) else int(ended.code is not None))


def report_once(code: int, complain: Callable[[], None]) -> int:
    """Report an error in exactly one process.

    Args:
        code: the exit code of this process.
        complain: prints the error on standard error.

    Returns:
        The exit code of the process that reported.
    """
    if launch.report_failure is None:
        complain()
        return code
    _reported.append(code)

    def say() -> None:
        with redirect_stderr(sys.__stderr__ or sys.stderr):
            complain()

    return launch.report_failure(code, say)


class _Ending:
    """Ends this process when the launcher asks for it, also while PyTorch waits for others.

    A handler of signals runs between two operations of Python, and so not while a process waits
    for another one. The number of the signal is therefore written to a pipe, which a thread reads.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        pipe, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        threading.Thread(target=self._watch, args=(pipe,), daemon=True).start()

    def wait_for_first(self, code: int) -> None:
        """Wait until the launcher ends this process, because the first one has ended.

        Args:
            code: the exit code of this process.
        """
        self._code = code
        time.sleep(_WAIT_S)

    def _watch(self, pipe: int) -> None:
        while signal.SIGTERM not in os.read(pipe, 64):
            pass
        if self._code is None:
            time.sleep(_GRACE_S)
        code = _EXIT_LOST if self._code is None else self._code
        if self._code is None and launch.report_failure is not None:
            code = report_once(_EXIT_LOST, _complain_of_lost_process)
        launch.remove_temporary()
        os._exit(code)


def _complain_of_lost_process() -> None:
    from rsretrieve.training.parallel.processes import lost_process

    error = lost_process(Launch.of_environment().processes)
    Terminal(as_json=False, quiet=False).complain(error.message, error.hint)
