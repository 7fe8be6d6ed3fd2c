"""The benchmark under label noise runs, keeps finished cells, and never runs one twice."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsretrieve.tiles.catalog import find_tiles
from rsretrieve.tiles.landscape import make_landscape, write_tiles
from rsretrieve.tiles.pixels import read_raw

ROOT = Path(__file__).parents[1]
METHODS = ["robust", "paper-t-rnsl", "cross-entropy", "frozen"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_data(tmp_path_factory.mktemp("data"))


def made_up_data(folder: Path) -> Path:
    """Made-up tiles under the name of a real data set."""
    write_tiles(make_landscape(12, 16, seed=0), 16, folder / "bands")
    for tile in find_tiles(folder / "bands"):
        path = (folder / "ucmerced" / tile.id).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb = read_raw(tile).values[[2, 1, 0]].transpose(1, 2, 0)
        Image.fromarray((rgb // 16).clip(1, 255).astype(np.uint8)).save(path)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path) -> subprocess.CompletedProcess[str]:
    return benchmark(data, "--quick", "--plot", str(data / "plot.png"))


def benchmark(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/noise_robustness.py", *arguments]
        + ["--data", str(data), "--weights", "none", "--work", str(data / "work")]
        + ["--results", str(data / "results.csv"), "--device", "cpu"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )


def rows(data: Path) -> list[dict[str, str]]:
    with (data / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_cell_gives_a_row_with_its_figures(
    data: Path, finished: subprocess.CompletedProcess[str]
) -> None:
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


def test_a_finished_cell_never_runs_again(
    data: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    before = (data / "results.csv").read_bytes()
    again = benchmark(data, "--quick")
    assert again.stderr.count("finished before") == len(METHODS)
    assert again.stdout == finished.stdout
    assert (data / "results.csv").read_bytes() == before


def test_a_cell_is_reproduced_by_the_command_that_it_prints(
    data: Path, finished: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    command = re.findall(r"running: python \S+ (.*)", finished.stderr)[0]
    (tmp_path / "ucmerced").symlink_to(data / "ucmerced")
    benchmark(tmp_path, *command.split())
    first, again = rows(data)[0], rows(tmp_path)[0]
    measured = [name for name in first if not name.startswith("train_")]
    assert [again[name] for name in measured] == [first[name] for name in measured]


def test_the_table_shows_what_is_there(
    data: Path, finished: subprocess.CompletedProcess[str]
) -> None:
    assert benchmark(data, "--table").stdout == finished.stdout
