"""How much memory there is for an index."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def available_bytes() -> int:
    """The memory that is to be had now: what the system says, and what the container allows."""
    available = 4 << 30  # a system that does not tell
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
        available = int(found[0]) << 10
    with suppress(OSError, ValueError):  # no limit reads "max"
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii"))
        available = min(available, max(0, limit - used))
    return available
