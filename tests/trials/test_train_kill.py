"""`--resume` after `kill -9` ends in the same weights; `--kills 50` for many of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repository import ROOT


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_training_survives_being_killed(tmp_path, request):
    kills = request.config.getoption("--kills")
    command = [sys.executable, "-m", "tests.trials.train_kill_trials", str(tmp_path / "work")]
    ran = subprocess.run(
        [*command, "--kills", str(kills)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("the weights are the undisturbed training's, to the bit\n")
