"""The benchmark of auditors runs from end to end, keeps finished rows, and prints its table."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from rsretrieve.errors import TrainingDiverged
from tests.support.benchmark_programs import ROOT, made_up_data, run_benchmark

pytestmark = pytest.mark.slow

OTHERS = {"cleanlab", "topofilter", "selfclean", "neighbours"}
SMALL = ["--size", "32"]
MODEL = ["--method", "robust", "--noise", "uniform", "--rate", "0.3", "--epochs", "2", *SMALL]
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
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        noise = import_module("grid.noises").Noise
    noises = [(noise(name), rate) for name, rate in NOISES]
    return run_benchmark("audit", data, "--epochs", "2", *SMALL, *arguments, NOISES=noises)


def rows(data: Path) -> list[dict[str, str]]:
    with (data / "audit.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_auditor_gives_a_row_in_every_cell(data: Path, finished: Result) -> None:
    found: dict[tuple[str, str, str], set[tuple[str, str]]] = {}
    for row in rows(data):
        cell = found.setdefault((row["method"], row["noise"], row["rate"]), set())
        cell.add((row["auditor"], row["basis"]))
    on_features = {(name, "features") for name in OTHERS}
    on_model = {(name, "robust") for name in (*OTHERS, "ours", "aum")}
    on_unseen = {(name, "robust, unseen") for name in (*OTHERS, "ours")}
    alone = on_features | {("ours", "features")}
    assert found == {
        ("frozen", "uniform", "0"): alone,
        ("frozen", "uniform", "0.3"): alone,
        ("frozen", "instance", "0.2"): alone,
        ("robust", "uniform", "0.3"): on_features | on_model | on_unseen,
    }
    assert "left out, no model: ucmerced 32 instance 0.2 robust" in finished.stderr
    assert "5 of 9 cells left out" in finished.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("dataset", ["made-few", "made-alike"])
def test_made_up_sets_are_audited_with_every_noise(data: Path, dataset: str) -> None:
    """All noises of the grid; the tiles are embedded once."""
    folder = data / dataset
    ran = run_benchmark("audit", folder, "--dataset", dataset, "--method", "frozen", "--size", "32")
    with (folder / "audit.csv").open(newline="") as stream:
        ours = [row for row in csv.DictReader(stream) if row["auditor"] == "ours"]
    wrong = {(row["noise"], row["rate"]): float(row["wrong"]) for row in ours}
    assert len(wrong) == 15
    assert (wrong["uniform", "0"], wrong["shifted", "1"]) == (0, 1)
    assert wrong["table", "0.3"] == pytest.approx(0.3, abs=0.06)
    assert wrong["next", "0.4"] == pytest.approx(0.4, abs=0.06)
    assert wrong["random", "1"] > 0.6
    assert all(float(row["low"]) <= float(row["high"]) for row in ours)
    assert f"{dataset} 32 uniform 0.3 frozen 0 (features)" in ran.stdout


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
    (line,) = [n for n in finished.stdout.splitlines() if "0.3 robust 0 (robust) | 0." in n][1:]
    missed, best_missed = [], []
    for ours in (row for row in rows(data) if row["auditor"] == "ours" and row["ap"]):
        cell = [row for row in rows(data) if row["auditor"] != "ours"]
        for name in ("method", "noise", "rate"):
            cell = [row for row in cell if row[name] == ours[name]]
        is_unseen = ours["basis"].endswith("unseen")
        cell = [row for row in cell if row["basis"].endswith("unseen") == is_unseen]
        best = max(cell, key=lambda row: float(row["ap"]))
        missed.append(1 - float(ours["ap"]))
        best_missed.append(1 - float(best["ap"]))
        if ours["basis"] == "robust":
            assert f"| {ours['ap']}, {best['ap']} ({best['auditor']} on {best['basis']}) |" in line
    assert f"{sum(missed) / sum(best_missed):.2f} ×" in finished.stdout
    assert audit(data, "--table").stdout == finished.stdout


def test_finished_rows_are_kept(data: Path, finished: Result) -> None:
    before = (data / "audit.csv").read_bytes()
    again = audit(data)
    assert again.stdout == finished.stdout
    assert " on " not in again.stderr
    assert (data / "audit.csv").read_bytes() == before


def test_a_training_that_learns_nothing_is_counted_and_the_others_go_on(
    data: Path, tmp_path: Path
) -> None:
    def end(*_: object) -> None:
        raise TrainingDiverged("the network did not learn")

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        noise = import_module("grid.noises").Noise
    found = run_benchmark(
        "audit",
        tmp_path,
        *("--data", str(data), "--epochs", "2", *SMALL, "--train", "--method", "robust"),
        NOISES=[(noise("random"), 1.0), (noise("uniform"), 0.1)],
        trained_model=end,
    )
    assert found.stderr.count("the network did not learn") == 2
    assert "2 of 2 cells left out" in found.stderr


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
    here = [r for r in rows(data) if (r["rate"], r["method"]) == (rate, "frozen")]
    (ours,) = [row for row in here if row["auditor"] == "ours"]
    tiles = sum(count for *_, count in bins)
    assert sum(share * count for _, share, count in bins) / tiles == pytest.approx(
        float(ours["wrong"]), abs=1e-3
    )
    assert last == f"expected calibration error: {ours['ece']}"
    assert (data / "audit.csv").read_bytes() == before
