"""What breaks first, the questions that are refused, and the JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rsretrieve
from rsretrieve.costs.explanation import (
    CostQuestion,
    Limits,
    explain_costs,
    what_breaks_first,
)
from rsretrieve.costs.predict_index import Prediction
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.choose_kind import IndexGoal

GB = 10**9


def prediction(tiles: int, hours: float = 1, memory: int = 1, disk: int = 1) -> Prediction:
    return Prediction(
        "index", tiles, {"writing": 3600.0 * hours}, 1.0, memory * GB, disk * GB, "Flat"
    )


@pytest.mark.parametrize(
    ("predictions", "word"),
    [
        ([prediction(10)], "suffice"),
        ([prediction(10), prediction(1000, memory=9)], "Memory"),
        ([prediction(10), prediction(1000, disk=99)], "disk"),
        ([prediction(10), prediction(1000, hours=200)], "hours"),
        ([prediction(1000, memory=9), prediction(10, disk=99)], "disk"),  # at fewer tiles
    ],
)
def test_the_first_limit_is_named_with_its_number_of_tiles(
    predictions: list[Prediction], word: str
) -> None:
    said = what_breaks_first(predictions, Limits(8 * GB, 50 * GB))
    assert word in said
    assert said.count(".") - said.count(". ") >= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": (0,)},
        {"counts": (10**13,)},
        {"counts": (5,), "dimensions": 0},
        {"counts": (5,), "dollars_per_hour": -1.0},
        {"counts": (5,), "dollars_per_hour": float("nan")},
    ],
)
def test_questions_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        CostQuestion(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_machine_is_measured_and_everything_is_predicted(tmp_path: Path) -> None:
    explained = rsretrieve.explain(
        at_scale=[1000, 10**8],
        dimensions=16,
        memory="100MB",
        output=tmp_path / "new",
        dollars_per_hour=2.0,
    )
    said = json.loads(json.dumps(explained.to_json()))
    assert [(one["command"], one["tiles"]) for one in said["predictions"]] == [
        *(("index", 1000), ("query", 1000), ("index", 10**8), ("query", 10**8))
    ]
    for one in said["predictions"]:
        assert one["seconds"] == pytest.approx(sum(one["steps"].values()))
        assert one["dollars"] == pytest.approx(2 * one["hours"])
    assert said["predictions"][2]["faiss_key"].startswith("IVF")
    assert said["predictions"][2]["seconds"] > 100 * said["predictions"][0]["seconds"]
    assert not (tmp_path / "new").exists()


def test_a_kind_whose_size_is_unknown_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(InvalidArgument, match="cannot be predicted"):
        rsretrieve.explain(at_scale=1000, index="OPQ8,IVF4,PQ8")


@pytest.mark.parametrize("counts", [1e6, np.float64(1e6), (1e6, 10), iter([1e6])])
def test_whole_floats_are_numbers_of_tiles(counts: Any) -> None:
    with pytest.raises(InvalidArgument, match="OPQ8"):
        rsretrieve.explain(at_scale=counts, index="OPQ8,IVF4,PQ8")


NO_COUNTS: list[dict[str, object]] = [
    {"at_scale": value} for value in (1.5, "1e6", float("inf"), [float("nan")], True, b"1")
]


@pytest.mark.parametrize(
    "wrong", [{}, {"at_scale": []}, {"at_scale": 5, "model": "m"}, {"at_scale": "many"}, *NO_COUNTS]
)
def test_arguments_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        rsretrieve.explain(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["HNSW32", "OPQ8,IVF4,PQ8", "SQ8"])
def test_a_kind_of_unknown_costs_is_named(key: str) -> None:
    with pytest.raises(InvalidArgument, match=f"type {key} cannot be predicted"):
        rsretrieve.explain(at_scale=[10**6, 10**7], dimensions=8, index=key)


@pytest.mark.parametrize(
    ("key", "count", "dimensions"),
    [
        *(("IVF100,PQ7", 10**6, 128), ("IVF100,PQ256", 10**6, 128), ("IVF9,PQ8x4fs", 10**6, 130)),
        ("IVF4096,Flat", 10, 128),
    ],
)
def test_a_kind_that_cannot_be_built_is_refused_before_anything_is_measured(
    key: str, count: int, dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(*_: object) -> None:
        pytest.fail("it was measured")

    monkeypatch.setattr("rsretrieve.costs.explanation.measure_machine", measured)
    with pytest.raises(InvalidArgument, match=f"cannot build '{key}'"):
        explain_costs(CostQuestion((100_000, count), dimensions, IndexGoal(key)))


def test_what_lies_on_the_disk_only_meanwhile_counts() -> None:
    one = replace(prediction(1000, disk=20), aside_bytes=15 * GB, temporary_bytes=20 * GB)
    assert "55 GB" in what_breaks_first([one], Limits(8 * GB, 50 * GB))
    assert "55 GB while" in what_breaks_first([one], Limits(8 * GB, 60 * GB))
    assert "disk is full" in what_breaks_first([one], Limits(8 * GB, 30 * GB, None, 90 * GB))
    assert "TMPDIR" in what_breaks_first([one], Limits(8 * GB, 40 * GB, None, 10 * GB))
    assert "suffice" in what_breaks_first([one], Limits(8 * GB, 40 * GB, None, 30 * GB))
