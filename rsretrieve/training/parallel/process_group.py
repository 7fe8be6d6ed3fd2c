"""Processes that are connected. Only this module uses torch.distributed."""

from __future__ import annotations

import atexit
import copy
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, ProcessGroup, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from rsretrieve._core.machine import launch
from rsretrieve._core.machine.launch import Launch
from rsretrieve._core.text import first_line
from rsretrieve.errors import InputError, ProcessLost
from rsretrieve.training.parallel.processes import ALONE, Processes, lost_process

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741

_PATIENCE = timedelta(days=7)
"""One process may read tiles for hours. A process that ended is noticed at once, without this."""
_GATHERED_ITEMS = 64
"""Items of `map` that a process computes before their results are exchanged."""
_REPORTS, _CODE = "rsretrieve/reports", "rsretrieve/code"


class SeveralProcesses(Processes):
    """Several processes with a process group; see `Processes` for the methods.

    Args:
        place: this process among them.
        group: the process group; None for the default one.
        store: reachable by all processes; None if the caller's own program formed the default
            process group.
    """

    def __init__(self, place: Launch, group: ProcessGroup | None, store: Store | None) -> None:
        self._place, self._group, self._store = place, group, store
        self.rank, self.count = place.rank, place.processes
        self.is_first, self.is_reader = place.rank == 0, place.local_rank == 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """See `Processes.together`."""
        error: Exception | None = None
        try:
            yield
        except Exception as found:
            error = found
        errors = self.values_of_all(None if error is None else _picklable(error))
        for rank, other in enumerate(errors):
            if other is not None:  # this process keeps its own error, with its traceback
                raise error if rank == self.rank and error is not None else other

    @contextmanager
    def watched(self) -> Iterator[None]:
        """See `Processes.watched`."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, ProcessLost) or not _is_lost_connection(error):
                raise
            raise lost_process(self.count) from error

    def of_first(self, work: Callable[[], T]) -> T:
        """See `Processes.of_first`."""
        found: list[T | None] = [None]
        with self.together():
            if self.is_first:
                found = [work()]
        dist.broadcast_object_list(found, src=0, group=self._group)
        return found[0]  # type: ignore[return-value]

    def readers_first(self, work: Callable[[], T]) -> T:
        """See `Processes.readers_first`."""
        found: list[T] = []
        for readers in (True, False):
            with self.together():
                if self.is_reader is readers:
                    found.append(work())
        return found[0]

    def of_reader(self, value: T) -> T:
        """See `Processes.of_reader`."""
        return self.values_of_all(value)[self.rank - self._place.local_rank]

    def require_same(self, facts: Mapping[str, Any] | None) -> None:
        """See `Processes.require_same`."""
        known = [(rank, other) for rank, other in enumerate(self.values_of_all(facts)) if other]
        for rank, other in known[1:]:
            names = [name for name, value in known[0][1].items() if other.get(name) != value]
            if names:
                raise InputError(
                    f"processes {known[0][0]} and {rank} of the training differ in: "
                    f"{', '.join(names)}",
                    hint="start the same command with the same tiles on all machines",
                )

    def part(self, total: int) -> slice:
        """See `Processes.part`."""
        return self._part(self.rank, total)

    def _part(self, rank: int, total: int) -> slice:
        return slice(total * rank // self.count, total * (rank + 1) // self.count)

    def gathered(self, rows: Tensor, total: int) -> Tensor:
        """See `Processes.gathered`."""
        parts = [self._part(rank, total) for rank in range(self.count)]
        return self._concatenated(rows, [part.stop - part.start for part in parts])

    def _concatenated(self, rows: Tensor, counts: Sequence[int]) -> Tensor:
        """The rows of all processes, given how many each one has."""
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        return torch.cat([part[:count] for part, count in zip(self.stacked(padded), counts)])

    def stacked(self, values: Tensor) -> Tensor:
        """See `Processes.stacked`."""
        values = values.detach().contiguous()
        parts = [torch.empty_like(values) for _ in range(self.count)]
        dist.all_gather(parts, values, self._group)
        return torch.stack(parts)

    def sum_(self, values: Tensor) -> Tensor:
        """See `Processes.sum_`."""
        dist.all_reduce(values, group=self._group)
        return values

    def map(self, work: Callable[[I], Tensor], items: Sequence[I]) -> Iterator[Tensor]:
        """See `Processes.map`."""
        step = _GATHERED_ITEMS * self.count
        for start in range(0, len(items), step):
            some = items[start : start + step]
            yield from self._shared(work, some)

    def _shared(self, work: Callable[[I], Tensor], items: Sequence[I]) -> Iterator[Tensor]:
        """The results of a few items; this process computes every n-th."""
        own = [work(item) for item in items[self.rank :: self.count]]
        kind = (own[0].shape[1:], own[0].dtype, own[0].device.type) if own else None
        found = self.values_of_all(([len(rows) for rows in own], kind))
        first = found[0][1]  # the first process always has an item
        if not own and first is not None:
            own = [_no_rows(*first)]
        lengths = [lengths for lengths, _ in found]
        everything = self._concatenated(torch.cat(own), [sum(each) for each in lengths])
        parts = iter(torch.split(everything, [length for each in lengths for length in each]))
        by_process = [[next(parts) for _ in each] for each in lengths]
        for number in range(len(items)):
            yield by_process[number % self.count][number // self.count]

    def copy_of_first(self, tensors: Sequence[Tensor]) -> None:
        """See `Processes.copy_of_first`."""
        for tensor in tensors:
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, src=0, group=self._group)
            if whole.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(whole)

    def in_parallel(self, model: nn.Module) -> nn.Module:
        """See `Processes.in_parallel`."""
        # The graph is the same in each step; its unused parameters (auxiliary classifiers) are
        # found in the first.
        return DistributedDataParallel(model, process_group=self._group, static_graph=True)

    def report_failure(self, code: int, say: Callable[[], None]) -> int:
        """See `Processes.report_failure`."""
        with suppress(RuntimeError):  # the machine with the store is gone: then each one reports
            if self._store is not None and self._store.add(_REPORTS, 1) > 1:
                self._store.wait([_CODE], timedelta(seconds=10))
                return int(self._store.get(_CODE))
        say()
        with suppress(RuntimeError):
            if self._store is not None:
                self._store.set(_CODE, str(code))
        return code

    def values_of_all(self, value: T) -> list[T]:
        """See `Processes.values_of_all`."""
        values: list[Any] = [None] * self.count  # replaced by those of the processes
        dist.all_gather_object(values, value, self._group)
        return values


_formed: list[SeveralProcesses] = []


def training_processes(device: torch.device) -> Processes:
    """The processes that were started together with this one; `ALONE` without a launcher.

    They are connected once, until this process ends.

    Args:
        device: of this process.
    """
    place = Launch.of_environment()
    if place.is_alone:
        return ALONE
    if not _formed:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        _formed.append(_connected(place, "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"))
        launch.report_failure = _formed[0].report_failure
    return _formed[0]


def _connected(place: Launch, backend: str) -> SeveralProcesses:
    if dist.is_initialized():  # by the caller's own program
        group = dist.new_group(timeout=_PATIENCE, backend=backend)
        return SeveralProcesses(place, group if isinstance(group, ProcessGroup) else None, None)
    try:
        store, _, _ = next(iter(rendezvous("env://", place.rank, place.processes)))
        dist.init_process_group(
            backend,
            timeout=_PATIENCE,
            world_size=place.processes,
            rank=place.rank,
            store=PrefixStore("rsretrieve", store),
        )
    except dist.DistError as error:
        raise ProcessLost(
            f"the {place.processes} processes of the training cannot be connected "
            f"({first_line(error)})",
            hint="start the same command on all machines; firewalls must let them connect",
        ) from error
    atexit.register(_leave)
    return SeveralProcesses(place, None, store)


def _leave() -> None:
    if dist.is_initialized():
        with suppress(RuntimeError):
            dist.destroy_process_group()


def _is_lost_connection(error: RuntimeError) -> bool:
    # Gloo raises plain RuntimeErrors; NCCL and the store raise subclasses of DistError.
    texts = ("gloo", "Connection closed by peer", "Connection reset by peer")
    return isinstance(error, dist.DistError) or any(text in str(error) for text in texts)


def _no_rows(shape: Sequence[int], dtype: torch.dtype, device: str) -> Tensor:
    place = torch.device(device, torch.cuda.current_device()) if device == "cuda" else device
    return torch.empty((0, *shape), dtype=dtype, device=place)


def _picklable(error: Exception) -> Exception:
    """The error, or one with its text where it cannot be sent to another process."""
    try:
        copy.deepcopy(error)  # by its own rules for pickling
        pickle.dumps(error)
    except Exception:  # pickling runs the error's own code
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
