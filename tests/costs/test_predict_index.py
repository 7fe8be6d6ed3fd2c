"""Predictions from rates: each step by plain arithmetic, and how they grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rsretrieve.costs.cost import Cost
from rsretrieve.costs.machine_rates import MachineRates
from rsretrieve.costs.predict_index import (
    RUNTIME_BYTES,
    parts_of,
    predict_index,
    predict_query,
    trained_on,
)
from rsretrieve.costs.tile_rates import TileRates
from rsretrieve.index.vectors.choose_kind import IndexGoal, plan_index

CODES = ("Flat", "SQ8", "PQ64", "PQ32", "PQ16", "RaBitQ", "PQ64x4fs")
RATES = MachineRates(
    dimensions=128,
    cores=1.0,
    compare_s=1e-9,
    train_s=2e-9,
    graph_s=1e-5,
    codebook_s=dict.fromkeys(CODES, 0.0),
    encode_s=dict.fromkeys(CODES, 1e-6),
    scan_s=dict.fromkeys(CODES, 1e-8),
    exact_s=1e-6,
    norm_s=1e-7,
    row_s=1e-6,
    row_bytes=10,
    write_s=1e-9,
    digest_s=1e-9,
)


def test_the_steps_are_the_rates_times_what_is_done() -> None:
    plan = plan_index(1_000_000, 128, 10**9, IndexGoal())
    assert plan.faiss_key == "IVF2048,Flat"
    steps = predict_index(RATES, plan, 1_000_000, None).seconds
    assert steps["reading embeddings"] == pytest.approx(0.1)
    assert steps["fitting cells"] == pytest.approx(10 * 64 * 2048 * 2048 * 2e-9)
    assert steps["filling the index"] == pytest.approx(1_000_000 * (2048 * 1e-9 + 1e-6))
    written = plan.predicted_bytes + 512 * 1_000_000 + 10 * 1_000_000
    assert steps["writing"] == pytest.approx(2e-9 * written + 1.0)


def test_tiles_add_the_time_to_embed_them_and_the_memory_to_hold_them() -> None:
    plan = plan_index(100_000, 128, 10**9, IndexGoal())
    given = predict_index(RATES, plan, 100_000, None)
    embedded = predict_index(RATES, plan, 100_000, TileRates(256, 0.001, 0.004, 0.005, 128))
    assert embedded.seconds["reading and embedding"] == pytest.approx(400)
    assert embedded.processor_seconds == pytest.approx(given.processor_seconds + 500, abs=0.1)
    assert embedded.memory_bytes > given.memory_bytes + 512 * 100_000
    assert embedded.disk_bytes == given.disk_bytes


@pytest.mark.parametrize("key", ["Flat", "IVF4096,SQ8"])
def test_given_embeddings_take_no_more_memory_if_there_are_more(key: str) -> None:
    """From the number on at which all that grows lies on the disk."""
    memories = []
    for count in (10**6, 10**7, 10**8):
        plan = plan_index(count, 128, 10**13, IndexGoal(key))
        memories.append(predict_index(RATES, plan, count, None).memory_bytes)
    assert max(memories) < 5e8
    assert memories[2] == memories[1]


@pytest.mark.parametrize("key", ["HNSW32", "IVF4096,PQ64x4fs"])
def test_kinds_that_are_filled_in_memory_take_as_much_as_their_size(key: str) -> None:
    plan = plan_index(10**7, 128, 10**13, IndexGoal(key))
    assert plan.predicted_bytes is not None
    assert predict_index(RATES, plan, 10**7, None).memory_bytes > plan.predicted_bytes


def test_tiles_add_the_start_of_the_command_and_the_memory_of_its_process() -> None:
    plan = plan_index(1000, 128, 10**9, IndexGoal())
    rates = TileRates(256, 0.001, 0.004, 0.005, 128, start=Cost(7.0, 5.0), peak_bytes=10**9)
    without = replace(rates, start=Cost(), peak_bytes=0)
    one, other = (predict_index(RATES, plan, 1000, tiles) for tiles in (rates, without))
    assert one.seconds["starting"] == 7
    assert one.total_seconds == pytest.approx(other.total_seconds + 7)
    assert one.processor_seconds == pytest.approx(other.processor_seconds + 5)
    assert one.memory_bytes - other.memory_bytes == 10**9 - RUNTIME_BYTES


@pytest.mark.parametrize("memory", [10**8, 10**9, 10**11, 10**13])
def test_more_tiles_never_cost_less(memory: int) -> None:
    totals, disks = [], []
    for count in (10**4, 10**5, 10**6, 10**7, 10**8, 10**9):
        plan = plan_index(count, 128, memory, IndexGoal())
        predicted = predict_index(RATES, plan, count, None)
        totals.append(predicted.total_seconds)
        disks.append(predicted.disk_bytes)
        assert predict_query(RATES, plan, count).total_seconds > 0
    assert totals == sorted(totals)
    assert disks == sorted(disks)


@pytest.mark.parametrize(
    ("key", "cells", "graph", "code"),
    [
        ("Flat", 0, False, "Flat"),
        ("IVF2048,SQ8", 2048, False, "SQ8"),
        ("IVF32768_HNSW32,RaBitQ", 32768, True, "RaBitQ"),
        ("HNSW32", 0, False, "Flat"),
    ],
)
def test_a_kind_is_split_into_its_parts(key: str, cells: int, graph: bool, code: str) -> None:
    parts = parts_of(key)
    assert (parts.cells, parts.has_graph, parts.code) == (cells, graph, code)


def test_cells_are_trained_on_as_many_vectors_as_the_index_takes() -> None:
    assert trained_on(0, 10**6) == 0
    assert trained_on(512, 10**5) == 65_536
    assert trained_on(512, 10**4) == 10**4
    assert trained_on(2048, 10**6) == 64 * 2048
