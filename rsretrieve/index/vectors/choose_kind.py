"""Choose the kind of index from the number of vectors, the memory limit and the recall wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rsretrieve.errors import InvalidArgument

AUTO = "auto"
EXACT_KEY = "Flat"
EXACT_UP_TO = 50_000  # a flat index compares as many in a few milliseconds
TRAINED_PER_CELL = 39  # training vectors per centroid that FAISS requires
HNSW_LINKS = 32
RABITQ = "RaBitQ"
"""A bit per dimension, and two float32 by which similarities are estimated (Gao and Long 2024)."""
_RABITQ_BYTES, _MORE_BITS_BYTES = 8, 12  # of a vector, beside its bits
_CENTROIDS_OF_PQ = 256
_FAST_SCAN_BLOCK = 32  # 4-bit codes are stored in blocks of so many; the last of a cell is padded
_CELLS_FOUND_BY_GRAPH = 32_768  # from here on a graph finds the nearest cell; no GPU runs it


@dataclass(frozen=True)
class IndexGoal:
    """The index that the user wants.

    Attributes:
        key: `auto`, or a kind of index in FAISS's notation.
        recall: the share of the true 10 nearest neighbours to find, 0 < recall ≤ 1.
        memory_bytes: memory limit of the index, or None for half of the free memory.
        append_only: no tile will be removed; graphs (HNSW) do not support removal.

    Raises:
        InvalidArgument: recall or memory limit is out of range.
    """

    key: str = AUTO
    recall: float = 0.95
    memory_bytes: int | None = None
    append_only: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise InvalidArgument(f"a recall must be above 0 and at most 1, not {self.recall}")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise InvalidArgument(f"a memory limit must be positive, not {self.memory_bytes} bytes")

    def options(self) -> dict[str, object]:
        """The options of the command `index` that ask for it, by their names; None: not given.

        >>> IndexGoal("Flat", memory_bytes=2000).options()
        {'index': 'Flat', 'recall': 0.95, 'memory': '2000B', 'append_only': None}
        """
        return {
            "index": self.key,
            "recall": self.recall,
            "memory": None if self.memory_bytes is None else f"{self.memory_bytes}B",
            "append_only": self.append_only or None,
        }


@dataclass(frozen=True)
class IndexPlan:
    """The kind of index to build.

    Attributes:
        faiss_key: in FAISS's notation.
        predicted_bytes: its size in memory and on disk; None for kinds whose size is unknown.
        fits: whether that is within the memory limit.
    """

    faiss_key: str
    predicted_bytes: int | None
    fits: bool = True


def plan_index(tiles: int, dimensions: int, memory_bytes: int, goal: IndexGoal) -> IndexPlan:
    """Choose a kind of index.

    The first of these that fits into memory: exact search, if it is wanted or if there are few
    tiles; a graph, if no tile will be removed; cells with whole vectors; cells with compressed
    vectors of eight to one bits per dimension (scalar and product quantizers, RaBitQ), whose hits
    are reranked by the stored vectors. If none fits, the smallest is chosen and memory-mapped.

    Args:
        tiles: N.
        dimensions: D.
        memory_bytes: the memory limit.
        goal: the index wanted.

    Returns:
        The kind and its size.
    """
    if goal.key != AUTO:
        size = predicted_bytes(goal.key, tiles, dimensions)
        return IndexPlan(goal.key, size, size is None or size <= memory_bytes)
    plans = [
        IndexPlan(key, predicted_bytes(key, tiles, dimensions))
        for key in _keys(tiles, dimensions, goal)
    ]
    for plan in plans:
        if plan.predicted_bytes is not None and plan.predicted_bytes <= memory_bytes:
            return plan
    smallest = min(plans, key=lambda plan: plan.predicted_bytes or 0)
    return IndexPlan(smallest.faiss_key, smallest.predicted_bytes, fits=False)


def _keys(tiles: int, dimensions: int, goal: IndexGoal) -> Iterator[str]:
    """Kinds of index that meet the goal, the best first."""
    cells = cells_for(tiles)
    if goal.recall == 1 or tiles <= EXACT_UP_TO or cells == 0:
        yield EXACT_KEY
    if goal.recall == 1 or cells == 0:
        return
    if goal.append_only and tiles > EXACT_UP_TO:
        yield f"HNSW{HNSW_LINKS}"
    lists = lists_key(cells)
    yield f"{lists},Flat"
    yield f"{lists},SQ8"
    if tiles >= TRAINED_PER_CELL * _CENTROIDS_OF_PQ:
        for dimensions_a_byte in (2, 4, 8):
            if dimensions_a_byte == 8:
                yield f"{lists},{RABITQ}"
            if dimensions % dimensions_a_byte == 0:
                yield f"{lists},PQ{dimensions // dimensions_a_byte}"


def lists_key(cells: int) -> str:
    """The inverted lists of so many cells in FAISS's notation, such as IVF2048."""
    return f"IVF{cells}" + (f"_HNSW{HNSW_LINKS}" if cells >= _CELLS_FOUND_BY_GRAPH else "")


def cells_for(tiles: int) -> int:
    """Number of cells: the largest power of two up to 4√N that can be trained, or 0."""
    most = min(4 * math.sqrt(tiles), tiles / TRAINED_PER_CELL)
    return 2 ** int(math.log2(most)) if most >= 2 else 0


def predicted_bytes(key: str, tiles: int, dimensions: int) -> int | None:
    """Size of an index of N vectors of D dimensions; None for kinds whose layout is unknown."""
    whole, parts = 4 * dimensions, key.split(",")
    if key == EXACT_KEY:
        return tiles * whole
    if len(parts) == 1 and _number(key, "HNSW"):
        return tiles * (whole + _links_bytes(_number(key, "HNSW")))
    cells_part, _, graph = parts[0].partition("_")
    cells = _number(cells_part, "IVF")
    if len(parts) != 2 or not cells or (graph and not _number(graph, "HNSW")):
        return None
    code, codebooks = _code_and_codebook_bytes(parts[1], dimensions)
    if not code:
        return None
    centroids = cells * (whole + (_links_bytes(_number(graph, "HNSW")) if graph else 0))
    padding = cells * code * (_FAST_SCAN_BLOCK // 2) if "fs" in parts[1] else 0
    return tiles * (code + 8) + 8 * cells + centroids + codebooks + padding


def _code_and_codebook_bytes(part: str, dimensions: int) -> tuple[int, int]:
    """Bytes of the code of a vector, and of the tables for all codes; no code if it is unknown."""
    whole = 4 * dimensions
    if part in ("Flat", "SQ8"):
        return (whole, 0) if part == "Flat" else (dimensions, 8 * dimensions)
    if part == RABITQ or 2 <= _number(part, RABITQ) <= 9:
        return rabitq_bytes(dimensions, _number(part, RABITQ) or 1), whole
    if part.endswith(("x4fs", "x4fsr")):  # 4 bits a number, two to a byte
        return -(-_number(part.partition("x")[0], "PQ") // 2), 16 * whole
    return _number(part, "PQ"), _CENTROIDS_OF_PQ * whole


def rabitq_bytes(dimensions: int, bits: int) -> int:
    """Size of the RaBitQ code of a vector with so many bits a dimension."""
    more = -(-dimensions * (bits - 1) // 8) + _MORE_BITS_BYTES if bits > 1 else 0
    return -(-dimensions // 8) + _RABITQ_BYTES + more


def _number(part: str, name: str) -> int:
    """The number after a name, such as 32 in HNSW32; 0 if there is anything else."""
    digits = part.removeprefix(name)
    return int(digits) if part.startswith(name) and digits.isdecimal() else 0


def _links_bytes(links: int) -> int:
    """Bytes of a graph per vector: twice the links at the base level, a level, an offset."""
    return 8 * links + 16
