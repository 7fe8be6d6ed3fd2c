"""The benchmark under label noise runs, keeps finished cells, and never runs one twice."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from safetensors.numpy import load_file

from tests.conftest import run_here
from tests.support.benchmark_programs import ROOT, made_up_data, run_benchmark

pytestmark = pytest.mark.slow

RESULTS = "noise_robustness.csv"
METHODS = ["robust", "paper-t-rnsl", "cross-entropy", "frozen"]
TINY = ("--backbone", "squeezenet1_1", "--size", "32", "--epochs", "1", "--rate", "0.3")
ROBUST = Path("work", "ucmerced", "seed0", "uniform-0.3", "robust-squeezenet1_1-32px-1")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(data: Path) -> Result:
    return benchmark(data, "--quick", "--plot", str(data / "plot.png"))


def benchmark(data: Path, *arguments: str) -> Result:
    return run_benchmark("noise_robustness", data, *arguments, quick_cells=small_cells)


def small_cells() -> list[Any]:
    """The cells of `--quick`, of a network that is smaller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        cells = import_module("grid.cells").quick_cells()
    return [replace(cell, backbone="squeezenet1_1") for cell in cells]


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


@pytest.mark.exhaustive
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


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """The model folder of one small cell of the grid."""
    benchmark(data, *TINY, "--method", "robust")
    return data / ROBUST


@pytest.mark.exhaustive
def test_a_model_of_the_grid_is_made_alone_by_the_options_in_its_folder(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    assert (trained / "README.md").is_file()
    assert (trained / "training.png").is_file()
    ran = run_here("train", "--config", trained / "config.toml", "--output", tmp_path / "alone")
    assert ran.code == 0, ran.err
    weights, alone = (load_file(f / "model.safetensors") for f in (trained, tmp_path / "alone"))
    for name, tensor in weights.items():
        np.testing.assert_allclose(tensor, alone[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.exhaustive
def test_a_model_of_an_earlier_version_of_the_grid_is_taken_as_it_is(
    data: Path, trained: Path, tmp_path: Path
) -> None:
    before = (trained / "model.safetensors").stat().st_mtime_ns
    row = next(r for r in rows(data) if (r["method"], r["size_px"]) == ("robust", "32"))
    for name in ("config.toml", "README.md"):  # which such folders do not have
        (trained / name).rename(tmp_path / name)
    again = benchmark(data, *TINY, "--method", "robust", "--results", str(tmp_path / RESULTS))
    for name in ("config.toml", "README.md"):
        (tmp_path / name).rename(trained / name)
    assert "running" in again.stderr
    assert rows(tmp_path)[0]["map"] == row["map"]
    assert (trained / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.exhaustive
def test_methods_are_compared_as_compare_does_it_with_the_figures_of_the_grid(
    data: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from grid import comparing

    methods = comparing.COMPARED[0], comparing.COMPARED[-1]
    monkeypatch.setattr(comparing, "COMPARED", methods)
    folder = data / "compared"
    said = benchmark(data, *TINY, "--compare", str(folder), "--seeds", "2").stdout
    assert (folder / "table.md").read_text(encoding="utf-8").strip() == said.strip()
    assert "method=robust" in said.splitlines()[0]
    with (folder / "table.csv").open(newline="") as stream:
        cells = list(csv.DictReader(stream))
    names = [(cell["method"], cell["seed"]) for cell in cells]
    assert names == [(str(method), seed) for seed in "01" for method in methods]
    row = next(r for r in rows(data) if (r["method"], r["size_px"]) == ("robust", "32"))
    assert float(cells[1]["map"]) == pytest.approx(float(row["map"]), abs=1e-4)
    state = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert len(state["trained"]) == 4


def test_a_noise_that_corrupt_labels_does_not_have_is_refused(data: Path) -> None:
    with pytest.raises(AssertionError, match="no noise of corrupt-labels"):
        benchmark(data, *TINY, "--noise", "next", "--compare", str(data / "refused"))
