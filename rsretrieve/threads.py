"""How the threads of a computation wait for one another."""

from __future__ import annotations

import os

_SPIN, _POLICY, _BLAS = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_THREAD_TIMEOUT"
_SPINS = "1000"  # what GNU OpenMP itself takes when it knows of more threads than cores
_TICKS = "16"  # 2^16 ticks of the processor, 20 µs; OpenBLAS's own choice is a thousand times that


def let_waiting_threads_sleep() -> None:
    """Let threads that wait sleep soon; to be called before NumPy and PyTorch are imported.

    By default OpenMP's threads try 300,000 times whether the others are done, and keep the core
    meanwhile; those of OpenBLAS, NumPy's library, do so from when NumPy is imported. Alone that
    costs nothing. Beside another program the thread that they wait for has no core to run on, and
    the work stands still. What the user set is left as it is.
    """
    os.environ.setdefault(_BLAS, _TICKS)
    if _POLICY not in os.environ:
        os.environ.setdefault(_SPIN, _SPINS)
