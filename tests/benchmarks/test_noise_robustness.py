"""The benchmark under label noise runs, keeps finished cells, and never runs one twice."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from tests.support.benchmark_programs import ROOT, made_up_data, run_benchmark

pytestmark = pytest.mark.slow

RESULTS = "noise_robustness.csv"
METHODS = ["robust", "paper-t-rnsl", "cross-entropy", "frozen"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(data: Path) -> Result:
    return benchmark(data, "--quick", "--plot", str(data / "plot.png"))


def benchmark(data: Path, *arguments: str) -> Result:
    return run_benchmark("noise_robustness", data, *arguments)


def rows(data: Path) -> list[dict[str, str]]:
    with (data / RESULTS).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_cell_gives_a_row_with_its_figures(data: Path, finished: Result) -> None:
    assert [row["method"] for row in rows(data)] == METHODS
    for row in rows(data):
        for name in ("knn_clean", "knn_given", "map", "map_at_r", "p20", "nmi"):
            assert 0 <= float(row[name]) <= 1, name
        for name in ("audit_auroc", "audit_ap", "cleanlab_auroc", "cleanlab_ap"):
            assert 0.2 < float(row[name]) <= 1, name
        assert 0.3 < float(row["wrong"]) < 0.7
        assert float(row["train_cpu_s"]) > 0
    assert finished.stdout.count("| uniform | 0.5 |") == len(METHODS)
    with Image.open(data / "plot.png") as picture:
        assert picture.width > 400


def test_a_finished_cell_never_runs_again(data: Path, finished: Result) -> None:
    before = (data / RESULTS).read_bytes()
    again = benchmark(data, "--quick")
    assert again.stderr.count("finished before") == len(METHODS)
    assert again.stdout == finished.stdout
    assert (data / RESULTS).read_bytes() == before


def test_a_cell_is_reproduced_by_the_command_that_it_prints(
    data: Path, finished: Result, tmp_path: Path
) -> None:
    command = re.findall(r"running: python (.*)", finished.stderr)[0]
    (tmp_path / "ucmerced").symlink_to(data / "ucmerced")
    places = ("--data", tmp_path, "--work", tmp_path, "--results", tmp_path / RESULTS)
    options = [*map(str, places), "--weights", "none", "--device", "cpu"]
    subprocess.run(
        [sys.executable, *command.split(), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    first, again = rows(data)[0], rows(tmp_path)[0]
    measured = [name for name in first if not name.startswith("train_")]
    assert [again[name] for name in measured] == [first[name] for name in measured]


def test_the_table_shows_what_is_there(data: Path, finished: Result) -> None:
    assert benchmark(data, "--table").stdout == finished.stdout
