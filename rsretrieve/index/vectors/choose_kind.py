"""Choose a kind of index by how many vectors there are, the memory, and the recall wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rsretrieve.errors import InvalidArgument

AUTO = "auto"
EXACT_KEY = "Flat"
EXACT_UP_TO = 50_000  # vectors that a flat index goes through in a few milliseconds
TRAINED_PER_CELL = 39  # vectors that FAISS asks for at least, of every centroid
HNSW_LINKS = 32
_CENTROIDS_OF_PQ = 256
_CELLS_FOUND_BY_GRAPH = 32_768  # from here on, finding the cells is itself a search


@dataclass(frozen=True)
class IndexGoal:
    """What an index is to be.

    Attributes:
        key: `auto`, or a key in FAISS's notation that is taken as it is.
        recall: the share of the true 10 nearest that a search should find, 0 < recall ≤ 1.
        memory_bytes: what the index may take in memory, or None for half of what is free.
        append_only: nothing will be removed, which a graph cannot do.
    """

    key: str = AUTO
    recall: float = 0.95
    memory_bytes: int | None = None
    append_only: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise InvalidArgument(f"a recall lies above 0 and up to 1, not at {self.recall}")
        if self.memory_bytes is not None and self.memory_bytes <= 0:
            raise InvalidArgument(f"{self.memory_bytes} bytes of memory hold no index")


@dataclass(frozen=True)
class IndexPlan:
    """A kind of index.

    Attributes:
        faiss_key: in FAISS's notation.
        predicted_bytes: what it will take in memory and on disk; None where the key is the
            user's and of a kind whose size is not known here.
        fits: whether that is within the memory that it may take.
    """

    faiss_key: str
    predicted_bytes: int | None
    fits: bool = True


def plan_index(tiles: int, dimensions: int, memory_bytes: int, goal: IndexGoal) -> IndexPlan:
    """Choose a kind of index.

    Exact search where it is wanted or as good as free; a graph where nothing will be
    removed; otherwise cells with whole vectors in them, or with vectors cut to a byte a
    dimension or less (which search then ranks again by the stored vectors): the first that
    fits. Where none does, the smallest, to be searched from the disk.

    Args:
        tiles: N.
        dimensions: D.
        memory_bytes: what the index may take.
        goal: the key by hand or `auto`, the recall wanted, and whether tiles will go.
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
    """Kinds of index that serve the goal, the best first."""
    cells = cells_for(tiles)
    if goal.recall == 1 or tiles <= EXACT_UP_TO or cells == 0:
        yield EXACT_KEY
    if goal.recall == 1 or cells == 0:
        return
    if goal.append_only and tiles > EXACT_UP_TO:
        yield f"HNSW{HNSW_LINKS}"
    lists = f"IVF{cells}" + (f"_HNSW{HNSW_LINKS}" if cells >= _CELLS_FOUND_BY_GRAPH else "")
    yield f"{lists},Flat"
    yield f"{lists},SQ8"
    if tiles >= TRAINED_PER_CELL * _CENTROIDS_OF_PQ:
        for dimensions_a_byte in (2, 4, 8):
            if dimensions % dimensions_a_byte == 0:
                yield f"{lists},PQ{dimensions // dimensions_a_byte}"


def cells_for(tiles: int) -> int:
    """How many cells: the power of two at 4√N or next below, as many as can be trained; or 0."""
    most = min(4 * math.sqrt(tiles), tiles / TRAINED_PER_CELL)
    return 2 ** int(math.log2(most)) if most >= 2 else 0


def predicted_bytes(key: str, tiles: int, dimensions: int) -> int | None:
    """What an index of N vectors takes, by the layout of its kind; None for other kinds."""
    whole, parts = 4 * dimensions, key.split(",")
    if key == EXACT_KEY:
        return tiles * whole
    if len(parts) == 1 and _number(key, "HNSW"):
        return tiles * (whole + _links_bytes(_number(key, "HNSW")))
    cells_part, _, graph = parts[0].partition("_")
    cells = _number(cells_part, "IVF")
    if len(parts) != 2 or not cells or (graph and not _number(graph, "HNSW")):
        return None
    code = {"Flat": whole, "SQ8": dimensions}.get(parts[1], _number(parts[1], "PQ"))
    if not code:
        return None
    centroids = cells * (whole + (_links_bytes(_number(graph, "HNSW")) if graph else 0))
    codebooks = {"SQ8": 8 * dimensions}.get(parts[1], 0)
    if parts[1].startswith("PQ"):
        codebooks = _CENTROIDS_OF_PQ * whole
    return tiles * (code + 8) + 8 * cells + centroids + codebooks


def _number(part: str, name: str) -> int:
    """The number after a name, such as 32 in HNSW32; 0 where it is not just that."""
    digits = part.removeprefix(name)
    return int(digits) if part.startswith(name) and digits.isdecimal() else 0


def _links_bytes(links: int) -> int:
    """A vector's share of a graph: two times the links at the base, a level, an offset."""
    return 8 * links + 16
