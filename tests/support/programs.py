"""A model and an index made by the program itself, once for all tests of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_here

TRAINING = ("--backbone", "shufflenet_v2_x0_5", "--weights", "none", "--size", "32")


def rsretrieve(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "rsretrieve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def noisy(landscape: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labels file for the landscape with 30 % wrong labels and the true ones beside them."""
    path = tmp_path_factory.mktemp("noisy") / "noisy.csv"
    ran = run_here("corrupt-labels", landscape, "--rate", 0.3, "--output", path)
    assert ran.code == 0, ran.err
    return path


@pytest.fixture(scope="session")
def model(landscape: Path, noisy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained for a moment on the noisy labels; not to be changed."""
    path = tmp_path_factory.mktemp("models") / "model"
    ran = run_here(
        *("train", landscape, "--labels", noisy, "--output", path, "--quiet"),
        *(*TRAINING, "--loss", "rnsl"),
        *("--epochs", 12, "--learning-rate", 0.01, "--batch-size", 16),
    )
    assert ran.code == 0, ran.err
    assert ran.err == ""
    return path


@pytest.fixture(scope="session")
def index(landscape: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the landscape; not to be changed."""
    path = tmp_path_factory.mktemp("indexes") / "index"
    ran = run_here("index", landscape, "--model", model, "--output", path, "--quiet")
    assert ran.code == 0, ran.err
    return path
