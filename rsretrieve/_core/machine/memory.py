"""How much memory is available."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

_UNKNOWN_BYTES = 4 << 30  # assumed on a system that does not say
_MEMORY_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def available_bytes(system: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory that can be allocated now, by the machine and its control groups (containers).

    The system's cache of files counts as available: it is freed when memory is needed.

    Args:
        system: the folder where Linux reports the machine's memory and this process's groups.
        groups: the folder where it reports the limits of each control group.
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
    """What the process's control groups, and their parents, may still allocate."""
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
                # In a container the names may be the host's: a missing folder sets no limit.
                with suppress(OSError, ValueError):
                    yield _left_to(group, *_MEMORY_FILES[version])


def _left_to(group: Path, limit: str, usage: str, reclaimable: str) -> int:
    """What a group may still allocate once its cache of files is freed.

    Raises:
        OSError, ValueError: it has no limit, or does not report it.
    """
    left = int((group / limit).read_text()) - int((group / usage).read_text())
    with suppress(OSError, ValueError):
        for line in (group / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            left += int(value) if name == reclaimable else 0
    return left
