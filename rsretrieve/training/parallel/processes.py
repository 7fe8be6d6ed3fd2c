"""The processes of one training, and what they exchange.

Every process runs the same program. It computes its share of each batch and of each set of
embeddings, and exchanges the results. All processes then know what a single process would know,
and take the same decisions. Files are written by the first process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor, nn

from rsretrieve.errors import ProcessLost

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741


class Processes:
    """A single process: nothing is exchanged. `SeveralProcesses` has the same methods.

    Attributes:
        rank: the number of this process, from 0.
        count: how many there are.
        is_first: whether this process writes files and reports progress.
        is_reader: whether this process reads the tiles, for all processes of its machine.
    """

    rank, count = 0, 1
    is_first = is_reader = True

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a block without exchanges. If it fails in one process, it fails in all of them.

        Raises:
            Exception: the error of the first process that failed.
        """
        yield

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Run a block in which the loss of another process raises `ProcessLost`."""
        yield

    def of_first(self, work: Callable[[], T]) -> T:
        """Run `work` in the first process alone, and return its (picklable) result in all."""
        return work()

    def readers_first(self, work: Callable[[], T]) -> T:
        """Run `work` without exchanges in all processes: first in one of each machine."""
        return work()

    def of_reader(self, value: T) -> T:
        """The (picklable) value of the process that reads tiles on this machine."""
        return value

    def values_of_all(self, value: T) -> list[T]:
        """The (picklable) value of each process, in their order."""
        return [value]

    def require_same(self, facts: Mapping[str, Any] | None) -> None:
        """Check that all processes have the same facts; a process without facts gives None.

        Raises:
            InputError: they differ.
        """

    def part(self, total: int) -> slice:
        """The share of this process in a batch of `total` tiles; the shares are nearly equal."""
        return slice(0, total)

    def gathered(self, rows: Tensor, total: int) -> Tensor:
        """Rows of a whole batch, from those of each process's `part(total)`; no gradients."""
        return rows

    def stacked(self, values: Tensor) -> Tensor:
        """Values of the same shape of all processes, (processes, …); no gradients."""
        return values.detach()[None]

    def sum_(self, values: Tensor) -> Tensor:
        """Add up values over the processes, in place; the same bits in all of them."""
        return values

    def map(self, work: Callable[[I], Tensor], items: Sequence[I]) -> Iterator[Tensor]:
        """Results of `work` for all items in order; each process computes a share of them.

        Args:
            work: returns rows (B, …), of which only B may depend on the item.
            items: the same ones in all processes.
        """
        return (work(item) for item in items)

    def copy_of_first(self, tensors: Sequence[Tensor]) -> None:
        """Set tensors to those of the first process, in place."""

    def in_parallel(self, model: nn.Module) -> nn.Module:
        """A model whose gradients are averaged over the processes; it shares the parameters."""
        return model

    def report_failure(self, code: int, say: Callable[[], None]) -> int:
        """Let exactly one process report that the work failed.

        Args:
            code: the exit code of this process.
            say: reports; called in one process.

        Returns:
            The exit code of the process that reported.
        """
        say()
        return code


ALONE = Processes()


def other_number(before: int, now: int) -> str:
    """A notice if a training goes on with another number of processes; else empty."""
    if before == now:
        return ""
    return (
        f"the training ran with {before} processes before, and goes on with {now}; its "
        "results differ by rounding from those of an unchanged number"
    )


def lost_process(count: int) -> ProcessLost:
    """The error of a training of which a process ended."""
    return ProcessLost(
        f"one of the {count} processes of the training ended, and the others stop",
        hint="repeat the command; if an epoch was finished, it is kept, and --resume continues",
    )
