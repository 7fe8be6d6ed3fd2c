"""Run work on a Ray cluster. The only module that imports Ray."""

from __future__ import annotations

import io
import logging
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TextIO, TypeVar

import pyarrow

from rsretrieve.errors import InputError, InvalidArgument, MissingPackage

A = TypeVar("A")
R = TypeVar("R")

HERE = "local"
_ADDRESS = "RAY_ADDRESS"
_CONNECT_S = 5.0
_COLUMN = "work"


@dataclass(frozen=True)
class Machines:
    """What a cluster has.

    Attributes:
        cores: the number of processor cores.
        gpus: the number of GPUs.
    """

    cores: int
    gpus: int


@dataclass(frozen=True)
class Processes:
    """The processes that do the work.

    Attributes:
        count: how many.
        cores: of each.
        gpus: of each.
    """

    count: int
    cores: int
    gpus: int


def check_ray(address: str | None) -> None:
    """Check that Ray is installed, and that something answers at the address of a cluster.

    Raises:
        MissingPackage: Ray is not installed.
        InvalidArgument: the address is no `HOST:PORT`.
        InputError: nothing answers there.
    """
    if find_spec("ray") is None:
        raise MissingPackage(
            "--engine ray needs Ray, which is not installed", hint="pip install 'rsretrieve[ray]'"
        )
    where = _address(address)
    if where in (HERE, "auto"):
        return
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidArgument(
            f"{where!r} is not the address of a Ray cluster",
            hint="give HOST:PORT, as `ray start --head` prints it, or auto",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(
            f"no Ray cluster answers at {where} ({error})",
            hint="start one with `ray start --head`, or leave out --address to use this machine",
        ) from error


@contextmanager
def connected(address: str | None, workers: int | None = None) -> Iterator[Machines]:
    """Connect to a Ray cluster; without an address, start one of processes on this machine.

    A connection that the calling program has already is used, and stays open.

    Args:
        address: `HOST:PORT` or `auto`; None: what `RAY_ADDRESS` names, or this machine.
        workers: the number of processes that will be wanted.

    Raises:
        MissingPackage, InvalidArgument, InputError: see `check_ray`.
    """
    check_ray(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports nothing to anybody
    _quiet_reports()
    import ray

    if ray.is_initialized():
        yield _machines()
        return
    where = _address(address)
    here: dict[str, Any] = {"include_dashboard": False} if where == HERE else {}
    if where == HERE and workers is not None:
        here["num_cpus"] = max(workers, os.cpu_count() or 1)
    try:
        ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:
        raise InputError(
            f"cannot use the Ray cluster at {where} ({_first_line(error)})",
            hint="`ray status` says what is wrong with it; versions of Ray and Python must be "
            "the same on all machines",
        ) from error
    try:
        with redirect_stdout(OutputOfOthers(sys.stdout, sys.stderr)):
            yield _machines()
    finally:
        with redirect_stdout(sys.stderr):  # it prints what it has kept back so far
            ray.shutdown()


class OutputOfOthers(io.TextIOBase):
    """Standard output for all threads but Ray's, whose texts go to standard error.

    Ray prints there that a process ended and that its work is repeated
    (`listen_error_messages` in https://github.com/ray-project/ray, python/ray/_private/worker.py),
    between the results of the program that uses it.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out, self._err = out, err

    def write(self, text: str) -> int:
        """Write to the stream of the current thread."""
        of_ray = threading.current_thread().name.startswith("ray_")
        return (self._err if of_ray else self._out).write(text)

    def flush(self) -> None:
        """Flush both."""
        self._out.flush()
        self._err.flush()

    def isatty(self) -> bool:
        """Whether standard output is a terminal."""
        return self._out.isatty()


def each_done(
    make: Callable[[], Callable[[A], R]], items: Iterable[A], processes: Processes
) -> Iterator[R]:
    """Do some work for each item in a pool of processes, and yield the results as they come.

    If a process or a machine ends, Ray does what it was doing somewhere else.

    Args:
        make: called once in each process; its result is called with each item. It must be small,
            because a process that Ray starts again gets it again.
        items: what the work is done for.
        processes: the pool.

    Raises:
        InputError: the cluster cannot do the work.
    """
    import ray
    import ray.data

    _quiet_progress()
    rows = [{_COLUMN: pickle.dumps(item)} for item in items]
    if not rows:
        return
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        _Process,
        fn_constructor_args=(make,),
        batch_size=1,
        batch_format="pyarrow",
        num_cpus=processes.cores,
        num_gpus=processes.gpus or None,
        compute=ray.data.ActorPoolStrategy(
            min_size=1, max_size=processes.count, max_tasks_in_flight_per_actor=1
        ),
    )
    try:
        for row in done.iter_rows():
            yield pickle.loads(row[_COLUMN])  # written by `_Process`, and sent by Ray
    except ray.exceptions.RayError as error:
        raise InputError(
            f"the Ray cluster ended the work ({_first_line(error)})",
            hint="embedded shards are kept: repeat the command to continue",
        ) from error


class _Process:
    """A process of the pool."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._work = make()

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        found = [pickle.dumps(self._work(pickle.loads(item))) for item in _items(batch)]
        return pyarrow.table({_COLUMN: pyarrow.array(found, pyarrow.binary())})


def _items(batch: pyarrow.Table) -> list[bytes]:
    items: list[bytes] = batch.column(_COLUMN).to_pylist()
    return items


def _address(address: str | None) -> str:
    return address or os.environ.get(_ADDRESS) or HERE


def _machines() -> Machines:
    import ray

    # Ray's function has no types; without Ray, mypy sees no function at all: this suits both.
    resources: Callable[[], dict[str, float]] = ray.cluster_resources
    found = resources()
    return Machines(max(1, int(found.get("CPU", 1))), int(found.get("GPU", 0)))


def _quiet_reports() -> None:
    """Keep Ray's reports off standard error; its errors are raised."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _quiet_progress() -> None:
    """Keep Ray Data's progress off standard error: progress is ours."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    with suppress(AttributeError):
        context.print_on_execution_start = False


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
