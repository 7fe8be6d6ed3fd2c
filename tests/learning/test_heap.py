"""Memory that is free stays with the process where the C library can be told to."""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from rsretrieve.learning import heap

TAKE_AND_LET_GO = """
import resource, sys
import numpy as np
from rsretrieve.learning.heap import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
for turn in range(20):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, dtype=np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", TAKE_AND_LET_GO, how]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_taken_again_is_not_filled_again():
    assert page_faults("kept") < page_faults("given back") / 10


class Library:
    """A C library that takes some options."""

    def __init__(self, taken):
        self.taken, self.asked = taken, []

    def mallopt(self, option, value):
        self.asked.append((option, value))
        return int((option, value) in self.taken)


@pytest.mark.parametrize(
    ("taken", "kept", "asked"),
    [
        ([(-3, 1 << 30), (-1, 1 << 30)], True, [(-3, 1 << 30), (-1, 1 << 30)]),
        ([(-3, 1 << 25), (-1, 1 << 30)], True, [(-3, 1 << 30), (-3, 1 << 25), (-1, 1 << 30)]),
        ([(-1, 1 << 30)], False, [(-3, 1 << 30), (-3, 1 << 25)]),
    ],
)
def test_without_room_for_blocks_nothing_is_set(monkeypatch, taken, kept, asked):
    library = Library(taken)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert heap.keep_freed_memory() is kept
    assert library.asked == asked


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_where_there_is_no_such_library_nothing_happens(monkeypatch, error):
    def refuse(_):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert heap.keep_freed_memory() is False
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert heap.keep_freed_memory() is False
