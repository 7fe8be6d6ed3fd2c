"""The benchmark of auditors runs from end to end, keeps finished rows, and prints its table."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from tests.support.benchmark_programs import ROOT, made_up_data, run_benchmark

pytestmark = pytest.mark.slow

OTHERS = {"cleanlab", "topofilter", "selfclean", "neighbours"}
MODEL = ["--method", "robust", "--noise", "uniform", "--rate", "0.3", "--epochs", "2"]
# Three of the cells stand for all: with a model, without one, and one that needs another's.
NOISES = (("uniform", 0.0), ("uniform", 0.3), ("instance", 0.2))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up tiles, and one trained model: of uniform noise, 0.3."""
    folder = made_up_data(tmp_path_factory.mktemp("data"))
    run_benchmark("noise_robustness", folder, *MODEL)
    return folder


@pytest.fixture(scope="module")
def finished(data: Path) -> Result:
    return audit(data)


def audit(data: Path, *arguments: str) -> Result:
    return run_benchmark("audit", data, "--epochs", "2", *arguments, NOISES=NOISES)


def rows(data: Path) -> list[dict[str, str]]:
    with (data / "audit.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_auditor_gives_a_row_in_every_cell(data: Path, finished: Result) -> None:
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in rows(data):
        cell = found.setdefault((row["noise"], row["rate"]), set())
        cell.add((row["auditor"], row["basis"]))
    on_features = {(name, "features") for name in OTHERS}
    on_model = {(name, "robust") for name in (*OTHERS, "ours", "aum")}
    assert found == {
        ("uniform", "0"): on_features | {("ours", "features")},
        ("uniform", "0.3"): on_features | on_model,
    }
    assert "left out, no model that errs: ('ucmerced', '64', 'instance'" in finished.stderr


def test_all_figures_are_shares_and_nothing_is_ranked_where_no_label_is_wrong(
    data: Path, finished: Result
) -> None:
    for row in rows(data):
        names = ["wrong", "flagged"]
        ranking = ["auroc", "ap", "f1"]
        assert all((row[name] == "") == (row["rate"] == "0") for name in ranking)
        names += [] if row["rate"] == "0" else ranking
        names += ["estimate", "ece"] if row["auditor"] == "ours" else []
        assert all(0 <= float(row[name]) <= 1 for name in names), row
        assert (float(row["wrong"]) == 0) == (row["rate"] == "0")


def test_the_table_holds_ours_against_the_best_of_the_others(data: Path, finished: Result) -> None:
    noisy = [row for row in rows(data) if row["rate"] == "0.3"]
    (ours,) = [row for row in noisy if row["auditor"] == "ours"]
    best = max((row for row in noisy if row is not ours), key=lambda row: float(row["ap"]))
    (line,) = [n for n in finished.stdout.splitlines() if "uniform 0.3 robust 0 (robust)" in n]
    assert f"| {ours['ap']}, {best['ap']} ({best['auditor']} on {best['basis']}) |" in line
    ratio = (1 - float(ours["ap"])) / (1 - float(best["ap"]))
    assert f"{ratio:.2f} ×" in finished.stdout
    assert audit(data, "--table").stdout == finished.stdout


def test_finished_rows_are_kept(data: Path, finished: Result) -> None:
    before = (data / "audit.csv").read_bytes()
    again = audit(data)
    assert again.stdout == finished.stdout
    assert " on " not in again.stderr
    assert (data / "audit.csv").read_bytes() == before


@pytest.fixture(scope="module")
def auditing() -> Any:
    """The benchmark's own module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return import_module("grid.auditing")


@pytest.mark.parametrize("count", [1, 7, 400])
def test_the_reliability_curve_and_its_error_equal_those_of_a_loop(
    auditing: Any, count: int
) -> None:
    rng = np.random.default_rng(count)
    probability = rng.choice([0.0, 0.1, 0.25, 0.349, 0.7, 0.95, 1.0], count)
    wrong = rng.random(count) < probability / 2
    expected, error = [], 0.0
    for tenth in range(10):
        inside = [
            (p, w)
            for p, w in zip(probability.tolist(), wrong.tolist())
            if tenth <= 10 * p < tenth + 1 or (tenth == 9 and p == 1)
        ]
        if inside:
            mean = sum(p for p, _ in inside) / len(inside)
            share = sum(w for _, w in inside) / len(inside)
            expected.append((mean, share, len(inside)))
            error += abs(mean - share) * len(inside) / count
    found = auditing.reliability_curve(probability, wrong)
    assert [bin_.tiles for bin_ in found] == [tiles for *_, tiles in expected]
    for bin_, (mean, share, _) in zip(found, expected):
        assert (bin_.probability, bin_.wrong) == (pytest.approx(mean), pytest.approx(share))
    assert auditing.calibration_error(probability, wrong) == pytest.approx(error)


@pytest.mark.parametrize("rate", ["0.3", "0"])
def test_the_reliability_of_ours_in_a_cell_is_printed_and_nothing_else(
    data: Path, finished: Result, rate: str
) -> None:
    before = (data / "audit.csv").read_bytes()
    _, _, *lines, _, last = audit(data, "--reliability", "uniform", rate).stdout.splitlines()
    bins = [list(map(float, line.strip("| ").split(" | "))) for line in lines]
    (ours,) = [r for r in rows(data) if (r["rate"], r["auditor"]) == (rate, "ours")]
    tiles = sum(count for *_, count in bins)
    assert sum(share * count for _, share, count in bins) / tiles == pytest.approx(
        float(ours["wrong"]), abs=1e-3
    )
    assert last == f"expected calibration error: {ours['ece']}"
    assert (data / "audit.csv").read_bytes() == before
