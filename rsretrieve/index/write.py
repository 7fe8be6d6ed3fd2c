"""From vectors to an index folder: choose, build or bring up to date, measure, write."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.memory import available_bytes
from rsretrieve.data.run_context import RunContext
from rsretrieve.index.store.folder import IndexStore, write_index
from rsretrieve.index.store.manifest import Manifest
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.choose_kind import (
    AUTO,
    IndexGoal,
    IndexPlan,
    plan_index,
    predicted_bytes,
)
from rsretrieve.index.vectors.distribution_shift import (
    similarity_floor,
    strange_to_cells,
    strange_to_tiles,
)
from rsretrieve.index.vectors.faiss_loader import inverted_lists_of
from rsretrieve.index.vectors.tune import sample_of, tune
from rsretrieve.index.vectors.vector_index import VectorIndex


@dataclass(frozen=True)
class Vectors:
    """What is to be filed.

    Attributes:
        rows: N tiles.
        vectors: (N, D) float32, unit rows.
        facts: for the manifest: `model`, `model_fingerprint`, `provenance`, `windows`.
        skipped: windows that are no tiles, for their nodata; an update reads them no more.
    """

    rows: Sequence[IndexedTile]
    vectors: NDArray[np.float32]
    facts: dict[str, Any]
    skipped: Sequence[IndexedTile] = ()


@dataclass(frozen=True)
class Previous:
    """The index that is brought up to date.

    Attributes:
        store: the index.
        origin: (N,) for each new row the row that it was in there, or −1.
    """

    store: IndexStore
    origin: NDArray[np.int64]


@dataclass(frozen=True)
class Filing:
    """How an index folder is to be written.

    Attributes:
        folder: where.
        goal: what it is to be; None for the default, or for what the previous one is.
        gpu: the number of the GPU that builds it, or None.
        previous: what it was.
        overwrite: replace what is there.
    """

    folder: Path
    goal: IndexGoal | None = None
    gpu: int | None = None
    previous: Previous | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class IndexingSummary:
    """What came of indexing.

    Attributes:
        index: the index folder.
        tiles: how many it holds.
        added, removed, unchanged: against the index that was there; a changed tile counts
            as added.
        failed: how many tiles could not be used.
        faiss_key: of the index.
        recall_at_10: measured against exact search.
        seconds: of the whole run.
        tiles_per_second: of embedding alone; 0 when nothing had to be embedded.
        device: what computed.
        resumed: how many of those added an interrupted run had embedded already.
        predicted_bytes: what the index takes in memory; None where that is not known.
        search: the parameters of search that the measured recall is of.
    """

    index: str
    tiles: int
    added: int
    removed: int
    unchanged: int
    failed: int
    faiss_key: str
    recall_at_10: float
    seconds: float
    tiles_per_second: float
    device: str
    resumed: int = 0
    predicted_bytes: int | None = None
    search: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Filed:
    """What became of it.

    Attributes:
        faiss_key: of the index.
        recall_at_10: measured.
        predicted_bytes: what it takes in memory; None for kinds whose size is not known.
        search: its parameters of search.
    """

    faiss_key: str
    recall_at_10: float
    predicted_bytes: int | None
    search: dict[str, int] = field(default_factory=dict)


def file_vectors(content: Vectors, filing: Filing, context: RunContext) -> Filed:
    """Write the index folder of these vectors.

    Raises:
        InvalidArgument: FAISS cannot build such an index of them.
        OutputExists: there is one, and it may not be replaced.
    """
    context.start_stage("building the index")
    goal, plan = _planned(content.vectors, filing, context)
    index, floor = _indexed(content.vectors, plan, filing, context)
    context.start_stage("measuring recall")
    sample = sample_of(content.vectors)
    recall = tune(index, content.vectors, sample, goal.recall)
    if recall < goal.recall and not index.is_exact:
        context.notice(
            f"recall@10 is {recall:.3f}, below the {goal.recall} wanted: --index Flat is "
            "exact, and a larger --memory gives finer indexes"
        )
    facts = {
        **content.facts,
        "faiss_key": plan.faiss_key,
        "recall_at_10": recall,
        "search": index.parameters,
        "predicted_bytes": plan.predicted_bytes,
        "goal": asdict(goal),
        "similarity_floor": similarity_floor(index, content.vectors, sample)
        if floor is None
        else floor,
    }
    write_index(
        filing.folder,
        facts,
        content.rows,
        content.vectors,
        index,
        skipped=content.skipped,
        overwrite=filing.overwrite,
    )
    return Filed(plan.faiss_key, recall, plan.predicted_bytes, dict(index.parameters))


def goal_of(manifest: Manifest) -> IndexGoal:
    """What was asked of an index when it was built."""
    with suppress(TypeError, ValueError):
        return IndexGoal(**(manifest.goal or {"key": manifest.faiss_key}))
    return IndexGoal(key=manifest.faiss_key)


def _planned(
    vectors: NDArray[np.float32], filing: Filing, context: RunContext
) -> tuple[IndexGoal, IndexPlan]:
    """The kind of index: chosen, or kept by an update that asks for no other."""
    count, dimensions = vectors.shape
    previous = filing.previous
    goal = filing.goal or (goal_of(previous.store.manifest) if previous else IndexGoal())
    plan = plan_index(count, dimensions, goal.memory_bytes or available_bytes() // 2, goal)
    if previous is not None and filing.goal is None:
        kept = previous.store.manifest.faiss_key
        if goal.key == AUTO and _is_another_kind(kept, plan.faiss_key, count):
            context.notice(
                f"the index stays {kept}, for {count} tiles {plan.faiss_key} would serve "
                "better: --update --index auto builds it, and embeds nothing again"
            )
        plan = IndexPlan(kept, predicted_bytes(kept, count, dimensions))
    if not plan.fits and plan.predicted_bytes is not None:
        context.notice(
            f"{plan.faiss_key} takes {plan.predicted_bytes / 1e6:.0f} MB, more than the memory "
            "that it may take: it is searched from the disk, as far as it is not in memory"
        )
    return goal, plan


def _is_another_kind(kept: str, better: str, count: int) -> bool:
    """Whether the kinds differ, or the cells by more than growth to four times makes."""
    same_kind = kept.rstrip("0123456789") == better.rstrip("0123456789")
    cells = [part.split(",")[0].removeprefix("IVF").split("_")[0] for part in (kept, better)]
    if kept.startswith("IVF") and better.startswith("IVF") and all(map(str.isdecimal, cells)):
        return not 0.5 <= int(cells[1]) / int(cells[0]) <= 2
    return not same_kind


def _indexed(
    vectors: NDArray[np.float32], plan: IndexPlan, filing: Filing, context: RunContext
) -> tuple[VectorIndex, float | None]:
    """The filled index, and the similarity floor of what it was trained on, if it stays that."""
    previous = filing.previous
    if previous is not None and plan.faiss_key == previous.store.manifest.faiss_key:
        index = previous.store.open_vector_index(mapped=False)
        floor = previous.store.manifest.similarity_floor
        new = vectors[previous.origin < 0]
        if index.renumber(previous.origin, vectors):
            _notice(strange_to_cells(index, new, floor), context)
            return VectorIndex(index.cpu_index, filing.gpu, vectors), floor
        if inverted_lists_of(index.cpu_index) is None:
            _notice(strange_to_tiles(previous.store.vectors, new, floor), context)
    index = VectorIndex.build(vectors, plan.faiss_key, filing.gpu)
    if filing.gpu is not None:
        where = "on the GPU" if index.runs_on_gpu else "by the CPU: the GPU cannot hold or run it"
        context.notice(f"{plan.faiss_key} is searched {where}")
    return index, None


def _notice(text: str | None, context: RunContext) -> None:
    if text is not None:
        context.notice(text)
