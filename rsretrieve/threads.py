"""How the threads of a computation wait for one another."""

from __future__ import annotations

import os

_SPIN, _POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
_SPINS = "1000"  # what GNU OpenMP itself takes when it knows of more threads than cores


def let_waiting_threads_sleep() -> None:
    """Let OpenMP's threads sleep soon when they wait; to be called before PyTorch is imported.

    By default they try 300,000 times whether the others are done, and keep the core meanwhile.
    Alone that costs nothing. Beside another program the thread that they wait for has no core to
    run on, and the work stands still. What the user set is left as it is.
    """
    if _POLICY not in os.environ:
        os.environ.setdefault(_SPIN, _SPINS)
