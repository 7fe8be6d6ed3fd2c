"""How much memory there is to be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

_UNKNOWN_BYTES = 4 << 30  # a system that does not tell
_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def available_bytes(system: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory that can be taken now, of the machine and of the container or job we run in.

    What the system holds of files that were read counts as available: it is let go when needed.

    Args:
        system: where Linux says what the machine has, and which control groups we are in.
        groups: where it says what each group may take.
    """
    return max(0, min([_of_machine(system), *_left_to_groups(system, groups)]))


def _of_machine(system: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in (system / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _UNKNOWN_BYTES


def _left_to_groups(system: Path, groups: Path) -> Iterator[int]:
    """What the control groups that we are in, and those above them, may still take."""
    try:
        own = (system / "self" / "cgroup").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return  # another system
    for line in own:
        controllers, _, place = line.partition(":")[2].partition(":")
        version = 1 if "memory" in controllers.split(",") else 2
        if version == 1 or not controllers:
            root = groups / "memory" if version == 1 else groups
            names = [name for name in place.split("/") if name not in ("", "..")]
            for group in accumulate(names, Path.joinpath, initial=root):
                # In a container the names may be the host's: what is not there has no limit.
                with suppress(OSError, ValueError):
                    yield _left_to(group, *_MEMORY_FILES[version])


def _left_to(group: Path, limit: str, usage: str, reclaimable: str) -> int:
    """What a group may still take, if what it holds of files that were read is let go.

    Raises:
        OSError, ValueError: it has no limit, or does not tell.
    """
    left = int((group / limit).read_text()) - int((group / usage).read_text())
    with suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            left += int(value) if name == reclaimable else 0
    return left
