"""A model and an index made by the program itself, once for all tests of the commands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_here
from tests.support.made_once import made_once

TRAINING = ("--backbone", "squeezenet1_1", "--weights", "none", "--size", "32")
NORMALISED = ("--backbone", "shufflenet_v2_x0_5")
"""With batch normalisation. The export of its graph takes four seconds, and not one."""


def rsretrieve(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    command = [sys.executable, "-m", "rsretrieve", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def noisy(landscape: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labels file for the landscape with 30 % wrong labels and the true ones beside them."""

    def corrupt(folder: Path) -> None:
        _run("corrupt-labels", landscape, "--rate", 0.3, "--output", folder / "noisy.csv")

    return made_once(tmp_path_factory, "noisy", corrupt) / "noisy.csv"


@pytest.fixture(scope="session")
def model(landscape: Path, noisy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, trained for a moment on the noisy labels; not to be changed."""

    def train(folder: Path) -> None:
        said = _run(
            *("train", landscape, "--labels", noisy, "--output", folder / "model", "--quiet"),
            *(*TRAINING, *NORMALISED, "--loss", "rnsl"),
            *("--epochs", 12, "--learning-rate", 0.01, "--batch-size", 16),
        )
        assert said == ""

    return made_once(tmp_path_factory, "models", train) / "model"


@pytest.fixture(scope="session")
def index(landscape: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the landscape; not to be changed."""

    def build(folder: Path) -> None:
        _run("index", landscape, "--model", model, "--output", folder / "index", "--quiet")

    return made_once(tmp_path_factory, "indexes", build) / "index"


def _run(*arguments: object) -> str:
    """What a command says on standard error; it must succeed."""
    ran = run_here(*arguments)
    assert ran.code == 0, ran.err
    return ran.err
