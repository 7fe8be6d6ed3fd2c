"""Choosing a kind of index, and predicting its size against what FAISS writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsretrieve.errors import InvalidArgument
from rsretrieve.index.vectors.choose_kind import (
    IndexGoal,
    cells_for,
    plan_index,
    predicted_bytes,
)
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.vectors import unit_rows

GB = 10**9


@pytest.mark.parametrize(
    ("tiles", "memory", "goal", "key"),
    [
        (1, GB, IndexGoal(), "Flat"),
        (50_000, GB, IndexGoal(), "Flat"),
        (50_001, GB, IndexGoal(), "IVF512,Flat"),
        (1_000_000, GB, IndexGoal(), "IVF2048,Flat"),
        (1_000_000, GB, IndexGoal(recall=1), "Flat"),
        (1_000_000, GB, IndexGoal(append_only=True), "HNSW32"),
        (1_000_000, 600 * 10**6, IndexGoal(append_only=True), "IVF2048,Flat"),
        (1_000_000, 400 * 10**6, IndexGoal(), "IVF2048,SQ8"),
        (1_000_000, 100 * 10**6, IndexGoal(), "IVF2048,PQ64"),
        (1_000_000, 50 * 10**6, IndexGoal(), "IVF2048,PQ32"),
        (1_000_000, 35 * 10**6, IndexGoal(), "IVF2048,RaBitQ"),
        (1_000_000, 30 * 10**6, IndexGoal(), "IVF2048,PQ16"),
        (50_000_000, 2 * GB, IndexGoal(), "IVF16384,RaBitQ"),
        (30_000, 10**6, IndexGoal(), "IVF512,PQ16"),
        (100_000_000, 100 * GB, IndexGoal(), "IVF32768_HNSW32,Flat"),
        (10, 1, IndexGoal(key="HNSW8"), "HNSW8"),
        (10, 1, IndexGoal(key="OPQ8,IVF4,PQ8"), "OPQ8,IVF4,PQ8"),
    ],
)
def test_the_kind_follows_from_number_memory_and_goal(
    tiles: int, memory: int, goal: IndexGoal, key: str
) -> None:
    assert plan_index(tiles, 128, memory, goal).faiss_key == key


@given(
    st.integers(1, 10**9),
    st.sampled_from([1, 3, 64, 128, 768]),
    st.integers(1, 10**12),
    st.floats(0.01, 1),
    st.booleans(),
)
def test_every_plan_fits_or_says_that_nothing_does(
    tiles: int, dimensions: int, memory: int, recall: float, append_only: bool
) -> None:
    plan = plan_index(tiles, dimensions, memory, IndexGoal("auto", recall, None, append_only))
    assert plan.predicted_bytes is not None
    assert plan.fits == (plan.predicted_bytes <= memory)
    if recall == 1:
        assert plan.faiss_key == "Flat"


@given(st.integers(0, 10**9))
def test_cells_are_a_power_of_two_that_can_be_trained(tiles: int) -> None:
    cells = cells_for(tiles) if tiles else 0
    if cells:
        assert cells & (cells - 1) == 0
        assert 39 * cells <= tiles
        assert cells <= 4 * tiles**0.5
        assert 2 * cells > min(4 * tiles**0.5, tiles / 39)
    else:
        assert tiles < 78


@pytest.mark.medium
@pytest.mark.parametrize(
    "key",
    ["Flat", "IVF32,Flat", "IVF32,SQ8", "IVF32,PQ2", "HNSW32", "HNSW8", "IVF32_HNSW8,Flat"]
    + [
        "IVF32,RaBitQ",
        "IVF32,RaBitQ2",
        "IVF32,RaBitQ4",
        "IVF32,PQ16x4fs",
        "IVF32,PQ16x4fsr",
        "IVF32,PQ8x4fs",
    ],
)
def test_the_predicted_size_is_what_is_written(key: str, tmp_path: Path) -> None:
    VectorIndex.build(unit_rows(6000, 32, 0), key).write(tmp_path / "index.faiss")
    written = (tmp_path / "index.faiss").stat().st_size
    assert predicted_bytes(key, 6000, 32) == pytest.approx(written, rel=0.03)


@pytest.mark.parametrize("key", ["", "OPQ8,IVF4,PQ8", "IVF4", "PCA16", "HNSW", "IVFx,Flat", "LSH"])
def test_of_other_kinds_no_size_is_predicted(key: str) -> None:
    assert predicted_bytes(key, 1000, 32) is None


@pytest.mark.parametrize("goal", [{"recall": 0.0}, {"recall": 1.01}, {"memory_bytes": 0}])
def test_goals_that_make_no_sense_are_refused(goal: dict[str, float]) -> None:
    with pytest.raises(InvalidArgument):
        IndexGoal(**goal)  # type: ignore[arg-type]
