"""The benchmark of mending labels runs, and says what each training learned from."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path

import pytest

from rsretrieve.audit.issue_types import IssueType
from rsretrieve.data.tile import Tile, TileSet
from tests.support.benchmark_programs import ROOT, made_up_data, run_benchmark
from tests.support.pages.audits import audit_of, finding

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_data(tmp_path_factory.mktemp("data"))


def test_each_mending_is_trained_on_and_finished_ones_are_kept(data: Path) -> None:
    run(data)
    rows = {row["labels"]: row for row in table(data)}
    given, dropped = rows["as given"], rows["flagged tiles dropped"]
    ways = {"as given", "flagged tiles dropped", "fixed labels", "reviewed in rounds"}
    assert set(rows) == ways
    assert float(rows["reviewed in rounds"]["wrong"]) < float(given["wrong"])
    # After two epochs on made-up tiles an audit may find nothing; what it finds is tested below.
    fixed = rows["fixed labels"]
    assert int(dropped["tiles"]) <= int(fixed["tiles"]) == int(given["tiles"])
    assert float(given["wrong"]) == pytest.approx(0.3, abs=0.1)
    assert len(list(data.rglob("model.json"))) == 4
    for path in data.rglob("model.safetensors"):
        path.unlink()
    run(data)  # needs no model, since nothing is missing


def test_labels_are_mended_by_what_the_audit_is_sure_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    fixing = import_module("grid.fixing")
    tiles = TileSet("here", tuple(Tile(name, name, "sea") for name in "abc"))
    clear = {"kind": IssueType.WRONG_LABEL, "has_confident_suggestion": True}
    audit = audit_of(
        finding(tiles[1], "lake", issue=True, score=0.1, **clear),
        finding(tiles[2], "lake", issue=True, score=0.4, kind=IssueType.AMBIGUOUS),
        finding(tiles[0], "sea", issue=False, score=0.9),
    )

    labels = [tile.label for tile in fixing.mended(tiles, audit, fixing.Mending.FIXED)]
    kept = [tile.id for tile in fixing.mended(tiles, audit, fixing.Mending.DROPPED)]

    assert labels == ["sea", "lake", "sea"]
    assert kept == ["a"]


def run(data: Path) -> None:
    run_benchmark("audit_loop", data, "--epochs", "2")


def table(data: Path) -> list[dict[str, str]]:
    with (data / "audit_loop.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))
