"""Whether this process is one of several that a launcher such as `torchrun` started.

The launcher tells each process its number in environment variables. They are read here, without
PyTorch, because also the messages of a command depend on them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rsretrieve.errors import InvalidArgument

_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that were started together.

    Attributes:
        rank: its number, from 0.
        processes: how many there are, on all machines.
        local_rank: its number on this machine, from 0.
        local_processes: how many there are on this machine.
    """

    rank: int = 0
    processes: int = 1
    local_rank: int = 0
    local_processes: int = 1

    @property
    def is_alone(self) -> bool:
        """Whether there is no other process."""
        return self.processes == 1

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Launch:
        """Read the environment variables that `torchrun` sets.

        Without all of them, the process is alone. Some clusters set a part of them for programs
        that are not started by a launcher.

        Raises:
            InvalidArgument: a value is not a number, or out of range.
        """
        rank, processes = environment.get("RANK"), environment.get("WORLD_SIZE")
        local_rank = environment.get("LOCAL_RANK")
        there = all(name in environment for name in _ADDRESS)
        if rank is None or processes is None or local_rank is None or not there:
            return cls()
        local_processes = environment.get("LOCAL_WORLD_SIZE", processes)
        try:
            found = cls(int(rank), int(processes), int(local_rank), int(local_processes))
        except ValueError:
            found = cls(processes=0)
        if not 0 <= found.local_rank <= found.rank < found.processes:
            raise InvalidArgument(
                f"RANK={rank}, WORLD_SIZE={processes} and LOCAL_RANK={local_rank} do not number "
                "the processes of a launcher",
                hint="start the command with torchrun, or remove these environment variables",
            )
        return found


ReportFailure = Callable[[int, Callable[[], None]], int]
"""Takes an exit code and what reports a failure; reports in one process and returns its code."""

temporary: set[Path] = set()
"""Files and folders to remove if this process is to end at once; see `remove_temporary`."""


def remove_temporary() -> None:
    """Remove what the blocks of this process would remove, if they came to their end."""
    for path in list(temporary):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)


report_failure: ReportFailure | None = None
"""Set once the processes are connected; None before, and in a single process."""
