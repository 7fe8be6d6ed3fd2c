"""Memory that is free stays with the process where the C library can be told to."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from rsretrieve.network.runtime import malloc

TAKE_AND_LET_GO = """
import resource, sys
from contextlib import nullcontext
from pathlib import Path
import numpy as np
from rsretrieve.network.runtime.malloc import retain_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

with retain_freed_memory() if sys.argv[1] == "kept" else nullcontext() as kept:
    assert kept is not False
    for turn in range(20):
        if turn == 2:
            before = faults()
        np.ones(64 << 20, dtype=np.uint8)
    print(faults() - before)
    blocks = [np.ones(64 << 20, dtype=np.uint8) for _ in range(5)]
    above = np.ones(1000)
    del blocks
resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
print(resident_pages * resource.getpagesize() >> 20)
"""


def taken_and_let_go(how: str) -> tuple[int, int]:
    """Page faults of 18 turns, and the megabytes that the process holds at the end."""
    command = [sys.executable, "-c", TAKE_AND_LET_GO, how]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    faults, resident = map(int, ran.stdout.split())
    return faults, resident


@pytest.mark.medium
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_taken_again_is_not_filled_again_and_goes_back_at_the_end():
    kept, given_back = taken_and_let_go("kept"), taken_and_let_go("given back")
    assert kept[0] < given_back[0] / 10
    assert kept[1] < given_back[1] + 32


class Library:
    """A C library that takes some options."""

    def __init__(self, taken):
        self.taken, self.asked = taken, []

    def mallopt(self, option, value):
        self.asked.append((option, value))
        return int((option, value) in self.taken)

    def malloc_trim(self, pad):
        self.asked.append("trim")


@pytest.mark.parametrize(
    ("taken", "kept", "asked"),
    [
        ([(-3, 1 << 28), (-1, 1 << 28)], True, [(-3, 1 << 28), (-1, 1 << 28)]),
        ([(-3, 1 << 25), (-1, 1 << 28)], True, [(-3, 1 << 28), (-3, 1 << 25), (-1, 1 << 28)]),
        ([(-1, 1 << 28)], False, [(-3, 1 << 28), (-3, 1 << 25)]),
    ],
)
def test_without_room_for_blocks_nothing_is_set(monkeypatch, taken, kept, asked):
    library = Library(taken)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    with malloc.retain_freed_memory() as found:
        assert found is kept
        assert library.asked == asked
    del library.asked[: len(asked)]
    restored = [(-3, 1 << 25), (-1, 1 << 26)] if (-3, 1 << 25) in taken else [(-3, 1 << 25)]
    assert library.asked == [*restored, "trim"]


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_where_there_is_no_such_library_nothing_happens(monkeypatch, error):
    def refuse(_):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with malloc.retain_freed_memory() as kept:
        assert kept is False
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    with malloc.retain_freed_memory() as kept:
        assert kept is False
