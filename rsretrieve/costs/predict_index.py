"""Predict the steps of indexing and searching N vectors from the rates of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rsretrieve.costs.cost import NO_COST, Cost
from rsretrieve.costs.machine_rates import TRAINING_ITERATIONS, MachineRates
from rsretrieve.costs.tile_rates import TileRates
from rsretrieve.index.external.mapped_rows import FEW_ROWS
from rsretrieve.index.vectors.choose_kind import EXACT_KEY, IndexGoal, IndexPlan, plan_index
from rsretrieve.index.vectors.coarse_graph import FILLING_EFFORT, effort_for
from rsretrieve.index.vectors.fit import SAMPLE_IN_MEMORY_BYTES
from rsretrieve.index.vectors.lists_on_disk import MOST_SHARDS, ON_DISK_FROM_BYTES, SHARD_BYTES
from rsretrieve.index.vectors.tune import NEAREST, SAMPLED

_PROBED = 0.01  # share of the cells that a search probes; the data decide, and this is usual
_RERANKED = 8  # candidates a hit
_LEAST_TRAINED, _TRAINED_PER_CELL = 65_536, 64  # as in `rsretrieve.index.vectors.fit`
_FLOOR_SAMPLE = 20_000
RUNTIME_BYTES = 150_000_000  # memory of its own: Python with NumPy, PyArrow and FAISS
_TILE_OBJECT_BYTES = 2_000  # a row of the table while tiles are embedded
_ROW_BYTES = 137
"""A row of the table of an open index, measured with numbered ids; longer paths take more."""
_TABLE_BYTES = 300_000_000
"""Peak of an open table whose rows lie in TMPDIR: blocks of rows, of measured tables."""
_PART_ROWS = 16_384  # of a long list, as in `rsretrieve.index.build_from_list`
_ID_BYTES = 8  # of each id of a long list, in TMPDIR
_BLOCK_BYTES = 65_536 * 16  # a number of each dimension of a block of vectors, four times


@dataclass(frozen=True)
class Prediction:
    """What a command will take.

    Attributes:
        command: `index`, `query`, `audit-labels` or `train`.
        tiles: N.
        seconds: of each step by the clock, by its name, if the machine stays as busy as it is;
            `starting` is the time until the first tile or given embedding is read.
        processor_seconds: of all steps.
        memory_bytes: peak memory of the process; the system's cache of files does not count.
        disk_bytes: size of what is written.
        faiss_key: kind of the index; empty if there is none.
        read_bytes: size of the tiles' files; 0 if that is unknown, or none are read.
        aside_bytes: what lies beside it on the same disk while it is written.
        temporary_bytes: what lies in the temporary folder meanwhile.
    """

    command: str
    tiles: int
    seconds: dict[str, float] = field(default_factory=dict)
    processor_seconds: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    faiss_key: str = ""
    read_bytes: int = 0
    aside_bytes: int = 0
    temporary_bytes: int = 0

    @property
    def total_seconds(self) -> float:
        """The sum of the steps."""
        return sum(self.seconds.values())


def plan_for(count: int, dimensions: int, memory_bytes: int, goal: IndexGoal) -> IndexPlan:
    """The kind of index that `rsretrieve index` would choose."""
    return plan_index(count, dimensions, memory_bytes, goal)


def predict_index(
    rates: MachineRates,
    plan: IndexPlan,
    count: int,
    tiles: TileRates | None,
    *,
    is_long_list: bool = False,
    start: Cost = NO_COST,
) -> Prediction:
    """Predict `rsretrieve index`.

    Args:
        rates: of the machine, for vectors of D dimensions.
        plan: the kind of index.
        count: N.
        tiles: how fast tiles are embedded; None if the embeddings are given.
        is_long_list: whether the tiles are named by a list that is indexed part by part.
        start: what the command takes before it reads embeddings that are given.

    Returns:
        Seconds of each step, peak memory and bytes on disk.
    """
    parts = parts_of(plan.faiss_key)
    index_bytes = plan.predicted_bytes or 4 * rates.dimensions * count
    vector_bytes = 4 * rates.dimensions * count
    disk = index_bytes + vector_bytes + int(rates.row_bytes * count)
    on_one_core = {"reading embeddings": rates.norm_s * count} if tiles is None else {}
    on_all_cores = {
        "fitting cells": _fitting_s(rates, parts, count),
        "filling the index": _filling_s(rates, parts, count),
        "measuring recall": _tuning_s(rates, parts, count),
    }
    second = index_bytes if _is_filled_on_disk(plan, index_bytes) else 0
    written = disk + second  # the lists are written twice: in shards, and as a whole
    digesting = rates.digest_s * disk + rates.row_s * count
    seconds = seconds_of_tiles(tiles, count, start)
    seconds |= {name: rates.on_one_core(one) for name, one in on_one_core.items()}
    seconds |= {name: one / rates.cores for name, one in on_all_cores.items()}
    seconds["writing"] = rates.on_one_core(digesting) + rates.write_s * written
    used = sum(on_one_core.values()) + sum(on_all_cores.values())
    used += digesting + rates.write_processor_s * written
    used += processor_of_tiles(tiles, count, start)
    sample_bytes = trained_on(parts.cells, count) * 4 * rates.dimensions
    # The sample that trains the index is given up before the index is filled.
    filling_bytes = _filling_bytes(plan, index_bytes, rates.dimensions)
    memory = runtime_bytes(tiles) + max(filling_bytes, min(sample_bytes, SAMPLE_IN_MEMORY_BYTES))
    memory += _BLOCK_BYTES * rates.dimensions
    is_bounded = tiles is None or is_long_list
    memory += _rows_bytes(rates, count, tiles, is_bounded=is_bounded)
    files = 0 if tiles is None else int(tiles.file_bytes * count)
    rows_bytes = int((rates.row_bytes + _ID_BYTES) * count) if count > FEW_ROWS else 0
    temporary = vector_bytes + rows_bytes if is_bounded else 0
    return Prediction(
        *("index", count, seconds, used, memory, disk, plan.faiss_key, files),
        aside_bytes=second,
        temporary_bytes=temporary,
    )


def _rows_bytes(
    rates: MachineRates, count: int, tiles: TileRates | None, *, is_bounded: bool
) -> int:
    """Memory of rows and vectors while an index is made; bounded where they lie on the disk."""
    if not is_bounded:
        a_tile = 8 * rates.dimensions + _TILE_OBJECT_BYTES + rates.row_bytes
        return int(a_tile * count)
    part = 0 if tiles is None else min(count, _PART_ROWS)
    a_tile = 8 * rates.dimensions + _TILE_OBJECT_BYTES
    return int(rates.row_bytes * min(count, FEW_ROWS)) + a_tile * part


def is_known(plan: IndexPlan) -> bool:
    """Whether the costs of a kind can be predicted: of Flat, and of cells with known codes."""
    known = plan.faiss_key == EXACT_KEY or bool(parts_of(plan.faiss_key).cells)
    return known and plan.predicted_bytes is not None


def _filling_bytes(plan: IndexPlan, index_bytes: int, dimensions: int) -> int:
    """Memory of an index while it is filled: of a large one, its cells and a shard of its lists."""
    parts = parts_of(plan.faiss_key)
    if not _is_filled_on_disk(plan, index_bytes):
        return index_bytes
    shard_bytes = max(SHARD_BYTES, index_bytes // MOST_SHARDS) if parts.cells else 0
    # The lists of a shard are vectors that double while they grow.
    return min(index_bytes, 4 * dimensions * parts.cells + 2 * shard_bytes)


def _is_filled_on_disk(plan: IndexPlan, index_bytes: int) -> bool:
    parts = parts_of(plan.faiss_key)
    is_mapped = parts.cells or plan.faiss_key == EXACT_KEY
    is_large = index_bytes >= ON_DISK_FROM_BYTES
    return bool(is_mapped) and is_large and not parts.code.endswith(("fs", "fsr"))


def seconds_of_tiles(tiles: TileRates | None, count: int, start: Cost) -> dict[str, float]:
    """The steps until N tiles are embedded; only `start` if the embeddings are given."""
    if tiles is None:
        return {"starting": start.seconds}
    return {"starting": tiles.start.seconds, "reading and embedding": tiles.embed_s * count}


def processor_of_tiles(tiles: TileRates | None, count: int, start: Cost) -> float:
    """The processor seconds of these steps."""
    if tiles is None:
        return start.processor_s
    return tiles.start.processor_s + tiles.processor_s * count


def runtime_bytes(tiles: TileRates | None) -> int:
    """Memory for programs: with tiles also for PyTorch, the model and its batches."""
    return max(RUNTIME_BYTES, tiles.peak_bytes if tiles is not None else 0)


def predict_query(rates: MachineRates, plan: IndexPlan, count: int) -> Prediction:
    """Predict one search in an open index, without opening it and without the model.

    The memory is that of the index and of the table of its tiles.
    """
    parts = parts_of(plan.faiss_key)
    memory = RUNTIME_BYTES + (plan.predicted_bytes or 4 * rates.dimensions * count)
    memory += min(_ROW_BYTES * count, _TABLE_BYTES)
    searching = _search_s(rates, parts, count)
    seconds = {"searching": rates.on_one_core(searching)}
    return Prediction("query", count, seconds, searching, memory, 0, plan.faiss_key)


@dataclass(frozen=True)
class KeyParts:
    """The parts of a kind of index.

    Attributes:
        cells: number of cells; 0 if there are none.
        has_graph: whether the cell of a vector is found by a graph.
        code: how vectors are stored.
    """

    cells: int
    has_graph: bool
    code: str


def parts_of(key: str) -> KeyParts:
    """Split a kind such as `IVF2048,SQ8`; an unknown kind counts as exact."""
    lists, _, code = key.rpartition(",")
    number = lists.partition("_")[0].removeprefix("IVF")
    if not lists.startswith("IVF") or not number.isdecimal():
        return KeyParts(0, False, EXACT_KEY)
    return KeyParts(int(number), "_HNSW" in lists, code)


def trained_on(cells: int, count: int) -> int:
    """Number of vectors that the cells are trained on."""
    return min(count, max(_LEAST_TRAINED, _TRAINED_PER_CELL * cells)) if cells else 0


def _fitting_s(rates: MachineRates, parts: KeyParts, count: int) -> float:
    cells = TRAINING_ITERATIONS * trained_on(parts.cells, count) * parts.cells * rates.train_s
    return cells + (rates.codebook_s[parts.code] if parts.cells else 0.0)


def _cell_s(rates: MachineRates, parts: KeyParts, probes: int = 0) -> float:
    """To find the cells of a query; without `probes`, that of a vector that is added."""
    if parts.has_graph:
        visited = effort_for(probes, parts.cells) if probes else FILLING_EFFORT
        return rates.graph_s * visited / FILLING_EFFORT * math.log2(parts.cells) / 10
    return parts.cells * rates.compare_s


def _filling_s(rates: MachineRates, parts: KeyParts, count: int) -> float:
    return count * (_cell_s(rates, parts) + rates.encode_s[parts.code])


def _search_s(rates: MachineRates, parts: KeyParts, count: int) -> float:
    if not parts.cells:
        return count * rates.scan_s[EXACT_KEY]
    cells_s = _cell_s(rates, parts, max(1, int(_PROBED * parts.cells)))
    return cells_s + _PROBED * count * rates.scan_s[parts.code]


def _tuning_s(rates: MachineRates, parts: KeyParts, count: int) -> float:
    """The true neighbours of a sample; and, in an index with cells, searches with more and more.

    The number of cells to probe is doubled from 1 until the recall suffices, and then narrowed
    down: four times the last search in all. A compressed index is tuned for several numbers of
    candidates.
    """
    exact = rates.exact_s * count
    if not parts.cells:
        return exact
    tries = 4 * (1 if parts.code == EXACT_KEY else 3)
    asked = SAMPLED // 2
    floor = min(_FLOOR_SAMPLE, count) * _cell_s(rates, parts)
    return exact + floor + tries * asked * _search_s(rates, parts, count)


def candidates_read(code: str) -> int:
    """Number of stored vectors that one query reads from the disk."""
    return 0 if code == EXACT_KEY else _RERANKED * NEAREST
