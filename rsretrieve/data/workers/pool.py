"""Idle workers, kept from one set of tiles to the next, and slots that use one at a time."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from rsretrieve.data.workers.confinement import Policy
from rsretrieve.data.workers.worker import NO_ACCESS, FunctionFailed, Worker, WorkerLost
from rsretrieve.errors import TileError

A = TypeVar("A")
R = TypeVar("R")

_MAX_IDLE = 4
_DECODING = "rsretrieve.data.reading.decode_chunk"


class WorkerPool:
    """Idle workers; each either has a policy already or gets one when it is taken."""

    def __init__(self) -> None:
        self._lock, self._workers = Lock(), list[Worker]()

    def take(self, policy: Policy) -> Worker:
        """A worker with this policy, for the caller alone; a new one if none is idle.

        Raises:
            OSError: a new worker did not start.
        """
        with self._lock:
            usable = [worker for worker in self._workers if worker.is_usable]
            useless = [worker for worker in self._workers if worker not in usable]
            fitting = [worker for worker in usable if worker.policy in (policy, None)]
            # One that has the policy already also has its libraries loaded: it comes first.
            fitting.sort(key=lambda worker: worker.policy is None)
            self._workers = [worker for worker in usable if worker not in fitting[:1]]
        for worker in useless:
            worker.close()
        worker = fitting[0] if fitting else Worker()
        if worker.policy is None:
            try:
                worker.confine(policy)
            except OSError:
                worker.close()
                raise
        return worker

    def give_back(self, worker: Worker) -> None:
        """Keep a worker that has replied to every call; the oldest beyond four are closed."""
        with self._lock:
            self._workers.append(worker)
            surplus = self._workers[:-_MAX_IDLE]
            self._workers = self._workers[-_MAX_IDLE:]
        for one in surplus:
            one.close()

    def close(self) -> None:
        """End all idle workers."""
        while self._workers:
            self._workers.pop().close()

    def reset_after_fork(self) -> None:
        """Forget all workers, in a forked child: they belong to the parent."""
        self._lock, self._workers = Lock(), []


POOL = WorkerPool()
atexit.register(POOL.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset_after_fork)


class WorkerSlot:
    """Uses one worker of the pool at a time, from one thread.

    Attributes:
        thread: runs what is submitted to it; only this thread calls `call`.
    """

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="tiles")
        self._worker: Worker | None = None
        self._calling = self._stopped = False

    @property
    def policy(self) -> Policy | None:
        """The policy of the slot's worker; None if it has no worker."""
        return None if self._worker is None else self._worker.policy

    def call(
        self, function: Callable[[A], R], argument: A, limit_s: float, policy: Policy = NO_ACCESS
    ) -> R:
        """As `Worker.call`; after a lost worker, the next call uses a new one.

        Args:
            function: see `Worker.call`.
            argument: see `Worker.call`.
            limit_s: see `Worker.call`.
            policy: what the worker may do.

        Raises:
            WorkerLost: the worker ended without a reply, or the slot was stopped.
            TileError, FunctionFailed: see `Worker.call`.
        """
        if self._stopped:
            raise WorkerLost("the work was stopped")
        if self._worker is not None and self._worker.policy != policy:
            worker, self._worker = self._worker, None
            POOL.give_back(worker)
        self._worker = self._worker or POOL.take(policy)
        self._calling = True
        try:
            result = self._worker.call(function, argument, limit_s)
        except (TileError, FunctionFailed):  # a regular reply: the worker stays usable
            self._calling = False
            raise
        except BaseException:
            self._end_worker()
            raise
        self._calling = False
        return result

    def stop(self) -> None:
        """End the thread; a worker in the middle of a call is killed, an idle one kept."""
        self._stopped = True
        worker = self._worker  # read once: the thread may end it at any moment
        if self._calling and worker is not None:
            worker.kill()
        self.thread.shutdown(cancel_futures=True)
        if self._worker is not None:
            POOL.give_back(self._worker)

    def _end_worker(self) -> None:
        worker, self._worker, self._calling = self._worker, None, False
        if worker is not None:
            worker.kill()
            worker.close()


def start_for_images() -> None:
    """Start a worker for image files now, so that it is ready when everything else is loaded."""
    POOL.give_back(Worker(_DECODING, "rsretrieve.data.reading.pillow_reader"))


def start_for_scenes() -> None:
    """Start a worker for scenes now, so that it is ready when everything else is loaded."""
    POOL.give_back(Worker(_DECODING, "rasterio"))


@contextmanager
def worker_slots(count: int) -> Iterator[list[WorkerSlot]]:
    """Some slots, which are stopped in the end."""
    slots = [WorkerSlot() for _ in range(count)]
    try:
        yield slots
    finally:
        for slot in slots:
            slot.stop()
