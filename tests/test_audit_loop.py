"""The benchmark of mending labels runs, and says what each training learned from."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_noise_robustness import ROOT, made_up_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_data(tmp_path_factory.mktemp("data"))


def test_each_mending_is_trained_on_and_finished_ones_are_kept(data: Path) -> None:
    run(data)
    rows = {row["labels"]: row for row in table(data)}
    given, dropped = rows["as given"], rows["flagged tiles dropped"]
    assert set(rows) == {"as given", "flagged tiles dropped", "fixed labels"}
    assert int(dropped["tiles"]) < int(given["tiles"]) == int(rows["fixed labels"]["tiles"])
    assert float(given["wrong"]) == pytest.approx(0.3, abs=0.1)
    assert len({row["map"] for row in rows.values()}) == 3, "each learned something else"
    models = sorted(path.parent.name for path in data.rglob("model.json"))
    assert len(models) == 3
    for path in data.rglob("model.safetensors"):
        path.unlink()
    run(data)  # needs no model, since nothing is missing


def run(data: Path) -> None:
    subprocess.run(
        [sys.executable, "benchmarks/audit_loop.py", "--data", str(data), "--weights", "none"]
        + ["--work", str(data / "work"), "--results", str(data / "loop.csv"), "--device", "cpu"]
        + ["--epochs", "2"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )


def table(data: Path) -> list[dict[str, str]]:
    with (data / "loop.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
