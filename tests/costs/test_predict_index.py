"""Predictions from rates: each step by plain arithmetic, and how they grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rsretrieve.costs.cost import Cost
from rsretrieve.costs.machine_rates import MachineRates
from rsretrieve.costs.predict_index import (
    RUNTIME_BYTES,
    is_known,
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
    predicted = predict_index(RATES, plan, 1_000_000, None)
    steps = predicted.seconds
    assert steps["reading embeddings"] == pytest.approx(0.1)
    assert steps["fitting cells"] == pytest.approx(10 * 64 * 2048 * 2048 * 2e-9)
    assert steps["filling the index"] == pytest.approx(1_000_000 * (2048 * 1e-9 + 1e-6))
    kept = plan.predicted_bytes + 512 * 1_000_000 + 10 * 1_000_000
    written = kept + plan.predicted_bytes  # in shards, and as a whole
    assert steps["writing"] == pytest.approx(1e-9 * kept + 1e-9 * written + 1.0)
    rates = replace(RATES, write_processor_s=3e-9)
    used = predict_index(rates, plan, 1_000_000, None).processor_seconds
    assert used - predicted.processor_seconds == pytest.approx(3e-9 * written)


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


def test_given_embeddings_add_the_start_of_the_command() -> None:
    plan = plan_index(10**6, 128, 10**9, IndexGoal())
    late, at_once = (
        predict_index(RATES, plan, 10**6, None, start=start) for start in (Cost(3.0, 2.0), Cost())
    )
    assert late.seconds["starting"] == 3
    assert late.total_seconds == pytest.approx(at_once.total_seconds + 3)
    assert late.processor_seconds == pytest.approx(at_once.processor_seconds + 2)


@pytest.mark.parametrize("cores", [0.5, 8.0])
def test_more_cores_shorten_what_several_threads_do(cores: float) -> None:
    """Reading, writing and checksums run in one thread, however many cores there are."""
    plan = plan_index(10**6, 128, 10**9, IndexGoal())
    one_core = predict_index(replace(RATES, cores=1.0), plan, 10**6, None)
    other = predict_index(replace(RATES, cores=cores), plan, 10**6, None)
    fitting = one_core.seconds["fitting cells"] / other.seconds["fitting cells"]
    assert fitting == pytest.approx(cores)
    reading = one_core.seconds["reading embeddings"] / other.seconds["reading embeddings"]
    assert reading == pytest.approx(min(1.0, cores))
    assert one_core.processor_seconds == other.processor_seconds


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


@pytest.mark.parametrize("key", ["Flat", "IVF2048,SQ8", "IVF32768_HNSW32,RaBitQ", "IVF64,PQ16"])
def test_kinds_of_known_costs(key: str) -> None:
    assert is_known(plan_index(10**6, 128, 10**9, IndexGoal(key)))


@pytest.mark.parametrize(
    "key", ["HNSW32", "SQ8", "PQ16", "OPQ16,IVF64,PQ16", "PCA16,Flat", "NSG16"]
)
def test_kinds_of_unknown_costs_are_not_those_of_flat(key: str) -> None:
    assert not is_known(plan_index(10**6, 128, 10**9, IndexGoal(key)))


def test_the_tiles_of_a_long_list_take_no_more_memory_if_there_are_more() -> None:
    tiles = TileRates(256, 0.001, 0.004, 0.005, 128)
    memories = []
    for count in (10**7, 10**8):
        plan = plan_index(count, 128, 10**13, IndexGoal("IVF4096,SQ8"))
        found = predict_index(RATES, plan, count, tiles, is_long_list=True)
        memories.append(found.memory_bytes)
        assert found.temporary_bytes >= (512 + 8) * count  # vectors and hashes of ids
        kept = predict_index(RATES, plan, count, tiles)
        assert kept.memory_bytes > 3_000 * count
        assert kept.temporary_bytes == 0
    assert memories[0] == memories[1] < 6e8


def test_an_index_that_is_filled_on_the_disk_lies_there_twice() -> None:
    for key, count, twice in (("IVF64,SQ8", 10**7, True), ("IVF64,SQ8", 10**4, False),
                              ("IVF64,PQ64x4fs", 10**7, False)):  # fmt: skip
        plan = plan_index(count, 128, 10**13, IndexGoal(key))
        found = predict_index(RATES, plan, count, None)
        assert found.aside_bytes == (plan.predicted_bytes if twice else 0)


def test_a_search_counts_the_table_of_the_tiles() -> None:
    def table_bytes(count: int) -> int:
        plan = plan_index(count, 128, 10**13, IndexGoal("IVF64,SQ8"))
        found = predict_query(RATES, plan, count).memory_bytes
        return found - RUNTIME_BYTES - (plan.predicted_bytes or 0)

    assert table_bytes(100_000) == pytest.approx(137 * 100_000)
    assert table_bytes(10**7) == table_bytes(10**8) == 300_000_000  # rows lie on the disk


def test_a_graph_is_searched_as_widely_as_cells_are_probed() -> None:
    plan = plan_index(10**7, 128, 10**13, IndexGoal("IVF32768_HNSW32,SQ8"))
    quick = replace(RATES, scan_s=dict.fromkeys(CODES, 0.0))
    adding = predict_index(quick, plan, 10**7, None).seconds["filling the index"] / 10**7 - 1e-6
    assert adding == pytest.approx(1e-5 * 1.5)
    searching = predict_query(quick, plan, 10**7).total_seconds
    assert searching == pytest.approx(adding * 4 * 327 / 64)
