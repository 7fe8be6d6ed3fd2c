"""`kill -9` at any moment leaves the old index or the new one; `--kills 50` for many of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repository import ROOT


@pytest.mark.slow
def test_an_index_survives_being_killed(landscape, model, tmp_path, request):
    kills = request.config.getoption("--kills")
    command = [
        sys.executable,
        "-m",
        "tests.trials.kill_trials",
        landscape,
        model,
        tmp_path / "work",
    ]
    ran = subprocess.run(
        [*map(str, command), "--kills", str(kills)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert len(ran.stdout.splitlines()) == kills + 1
    if kills >= 50:  # it was killed on both sides of the exchange
        assert "new index left: " in ran.stdout
        assert "old index left: " in ran.stdout
