"""The memory that a program takes at its peak: its own, and with pages of files."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 0.05


@dataclass(frozen=True)
class Peak:
    """Bytes of memory.

    Attributes:
        own: anonymous memory; what the system cannot take back.
        mapped: with pages of files, which the system takes back when it needs them.
    """

    own: int = 0
    mapped: int = 0

    def with_status(self, text: str) -> Peak:
        """The peak after another look at `/proc/PID/status`."""
        now = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if "kB" in line}
        own, mapped = (1024 * int(now.get(name, 0)) for name in ("RssAnon", "VmHWM"))
        return Peak(max(self.own, own), max(self.mapped, mapped))


def watched(command: Sequence[str]) -> tuple[str, Peak]:
    """Run a program, and look at its memory twenty times a second.

    Args:
        command: the program and its arguments.

    Returns:
        What it printed, and its peak, without its child processes.

    Raises:
        SystemExit: it failed.
    """
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = Peak()
    while program.poll() is None:
        try:
            peak = peak.with_status(Path(f"/proc/{program.pid}/status").read_text())
        except OSError:
            break
        time.sleep(_EVERY_S)
    out, _ = program.communicate()
    if program.returncode:
        raise SystemExit(program.returncode)
    return out, peak
