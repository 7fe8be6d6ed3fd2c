"""Folders of small pictures, and a program that indexes them in a process group of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def write_pictures(folder: Path, count: int, side_px: int = 32, seed: int = 0) -> None:
    """Write `count` pictures of one colour each, with noise."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number in range(count):
        noise = rng.normal(0, 30, (side_px, side_px, 3))
        values = rng.integers(0, 255, 3) + noise
        picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
        picture.save(folder / f"{number:06}.png")
        os.utime(folder / f"{number:06}.png", (1_600_000_000, 1_600_000_000))


def started(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """Start `rsretrieve ARGUMENTS…` as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-m", "rsretrieve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **variables},
    )


def ended(program: subprocess.Popen[str]) -> Any:
    """The JSON that a program printed; it must have ended well."""
    out, err = program.communicate()
    assert program.returncode == 0, err
    return json.loads(out)


def kill(program: subprocess.Popen[str]) -> None:
    """Kill a program and the processes of its group, without a warning."""
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()


def processes_named(name: str, session: int) -> list[int]:
    """The running processes of a session whose command begins with a name."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdecimal() or os.getsid(int(folder.name)) != session:
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
        if command.startswith(name):
            found.append(int(folder.name))
    return found
