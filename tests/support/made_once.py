"""Folders that several packages of tests use, made once for all test processes of a run."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER_OF_GRAPHS = "RSRETRIEVE_GRAPHS_OF_TESTS"
"""The environment variable with the folder of graphs that `export_once` exported."""


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, made by the first who asks; not to be changed.

    Fixtures of a session are made again in each process of pytest-xdist, and in each package whose
    conftest.py imports them.

    Args:
        factory: of pytest.
        name: names the folder within this run of the tests.
        make: writes into the empty folder that it is given.

    Returns:
        The folder.
    """
    folder = folder_of_run(factory) / name
    finished = folder.with_name(f"{name}.finished")
    with (folder.parent / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not finished.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one who failed
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """The folder that all test processes of a run share."""
    base = factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = run / "made-once"
    folder.mkdir(exist_ok=True)
    return folder
