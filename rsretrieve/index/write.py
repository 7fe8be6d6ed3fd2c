"""From vectors to an index folder: choose the kind of index, build or update it, measure, write."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.machine.memory import available_bytes
from rsretrieve.data.run_context import RunContext
from rsretrieve.index.store.folder import IndexContent, IndexStore, write_index_folder
from rsretrieve.index.store.kept_goal import goal_from_manifest
from rsretrieve.index.store.manifest import Manifest
from rsretrieve.index.vectors import lists_on_disk
from rsretrieve.index.vectors.choose_kind import (
    AUTO,
    IndexGoal,
    IndexPlan,
    plan_index,
    predicted_bytes,
)
from rsretrieve.index.vectors.distribution_shift import (
    cell_shift_warning,
    similarity_floor,
    tile_shift_warning,
)
from rsretrieve.index.vectors.faiss_loader import inverted_lists_of
from rsretrieve.index.vectors.fit import Fill
from rsretrieve.index.vectors.tune import Sample, draw_sample, recall_per_query, tune
from rsretrieve.index.vectors.vector_index import VectorIndex

_FEW_NEW = 0.01  # share of new vectors after which search parameters may be kept


@dataclass(frozen=True)
class PreviousIndex:
    """The index that an update starts from.

    Attributes:
        store: the index.
        origin: (N,) int64, for each new row its row in `store`, or −1 for a new vector.
    """

    store: IndexStore
    origin: NDArray[np.int64]


@dataclass(frozen=True)
class IndexBuildOptions:
    """Where and how to build an index.

    Attributes:
        folder: the index folder.
        goal: the kind of index wanted, which is trained anew also in an update; None keeps that of
            `previous` with its training, or is `IndexGoal()`.
        gpu: the number of the GPU that builds it, or None for the CPU.
        previous: the index to update, or None.
        overwrite: replace an index that exists.
        fill: adds the vectors to a new index without a GPU; None: this process does.
        repaired: the manifest of the index that is repaired, whose kind and goal stay; None: none.
    """

    folder: Path
    goal: IndexGoal | None = None
    gpu: int | None = None
    previous: PreviousIndex | None = None
    overwrite: bool = False
    fill: Fill | None = None
    repaired: Manifest | None = None


@dataclass(frozen=True)
class IndexingSummary:
    """The result of a run of `index`; its fields are the keys of the command's JSON.

    Attributes:
        index: the index folder.
        tiles: number of tiles in the index.
        added, removed, unchanged: number of tiles, compared with the previous index; a changed
            tile counts as added.
        failed: number of tiles that could not be used.
        faiss_key: kind of the index, in FAISS's notation.
        recall_at_10: recall of the 10 nearest neighbours, measured against exact search.
        seconds: duration of the whole run.
        tiles_per_second: speed of the embedding alone; 0 if nothing was embedded.
        device: what computed.
        resumed: number of added tiles that an interrupted run had already embedded.
        predicted_bytes: memory that the index needs; None if that is unknown.
        search: the search parameters at which the recall was measured.
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
class BuildResult:
    """The index that was built.

    Attributes:
        faiss_key: its kind, in FAISS's notation.
        recall_at_10: measured against exact search.
        predicted_bytes: memory that it needs; None for kinds whose size is unknown.
        search: its search parameters.
    """

    faiss_key: str
    recall_at_10: float
    predicted_bytes: int | None
    search: dict[str, int] = field(default_factory=dict)


def write_index(
    content: IndexContent, options: IndexBuildOptions, context: RunContext
) -> BuildResult:
    """Build a FAISS index of vectors, tune its search, and write the index folder.

    Args:
        content: tiles and vectors.
        options: where and how.
        context: receives notices and progress.

    Returns:
        The kind, the measured recall and the search parameters of the index.

    Raises:
        InvalidArgument: FAISS cannot build an index of this kind from these vectors.
        OutputExists: the folder exists and `options.overwrite` is false.
    """
    context.start_stage("building the index")
    goal, plan = _plan_index(content.vectors, options, context)
    index, floor = _build_or_update(content.vectors, plan, options, context)
    context.start_stage("measuring recall")
    sample = draw_sample(content.vectors)
    kept = None
    if options.previous is not None and options.goal is None:
        kept = _kept_recall(index, content.vectors, sample, options.previous)
    recall = tune(index, content.vectors, sample, goal.recall) if kept is None else kept
    if recall < goal.recall and not index.is_exact:
        context.notice(
            f"recall@10 is {recall:.3f}, below the target of {goal.recall}: use --index Flat for "
            "exact search, or a larger --memory for a finer index"
        )
    facts = {
        **content.facts,
        "faiss_key": plan.faiss_key,
        "recall_at_10": recall,
        "search": index.parameters,
        "predicted_bytes": plan.predicted_bytes,
        "goal": asdict(goal),
        "cost": context.cost.to_json(),
        "similarity_floor": (
            similarity_floor(index, content.vectors, sample) if floor is None else floor
        ),
    }
    whole = replace(content, facts=facts)
    write_index_folder(options.folder, whole, index, overwrite=options.overwrite)
    return BuildResult(plan.faiss_key, recall, plan.predicted_bytes, dict(index.parameters))


def _kept_recall(
    index: VectorIndex,
    vectors: NDArray[np.float32],
    sample: Sample | None,
    previous: PreviousIndex,
) -> float | None:
    """The recall with the search parameters of the previous index, if it suffices; else None.

    After an update of few tiles, this replaces the search for parameters, which takes longer
    than the update.
    """
    manifest = previous.store.manifest
    target = goal_from_manifest(manifest).recall
    if sample is None or not manifest.search or (previous.origin < 0).mean() > _FEW_NEW:
        return None
    for name, value in manifest.search.items():
        index.set_parameter(name, value)
    recall = float(recall_per_query(index, vectors, sample).mean())
    return recall if recall >= target else None


def _plan_index(
    vectors: NDArray[np.float32], options: IndexBuildOptions, context: RunContext
) -> tuple[IndexGoal, IndexPlan]:
    """Choose the kind of index; an update without a goal of its own keeps the previous kind."""
    count, dimensions = vectors.shape
    previous = options.previous
    kept = previous.store.manifest if previous else options.repaired
    goal = options.goal or (goal_from_manifest(kept) if kept else IndexGoal())
    wanted = goal if options.repaired is None else replace(goal, key=options.repaired.faiss_key)
    plan = plan_index(count, dimensions, goal.memory_bytes or available_bytes() // 2, wanted)
    if previous is not None and options.goal is None:
        key = previous.store.manifest.faiss_key
        if goal.key == AUTO and _differs_in_kind(key, plan.faiss_key):
            context.notice(
                f"the index stays {key}; for {count} tiles, {plan.faiss_key} is the better kind: "
                "--update --index auto builds it without embedding tiles again"
            )
        plan = IndexPlan(key, predicted_bytes(key, count, dimensions))
    elif previous is not None and _keeps_fixed_kind(goal, previous.store.manifest):
        context.notice(
            f"the index stays {goal.key}, the kind that it was built with: with --index auto, the "
            "recall and the memory limit choose the kind"
        )
    if not plan.fits and plan.predicted_bytes is not None:
        context.notice(
            f"Index type {plan.faiss_key} needs {plan.predicted_bytes / 1e6:.0f} MB, over the "
            "--memory limit; it is memory-mapped"
        )
    return goal, plan


def _keeps_fixed_kind(goal: IndexGoal, manifest: Manifest) -> bool:
    """Whether an update changes the recall or the memory limit of a kind that the user fixed."""
    before = goal_from_manifest(manifest)
    return goal.key != AUTO and goal.key == before.key and goal != before


def _differs_in_kind(kept: str, better: str) -> bool:
    """Whether the kinds differ, or their numbers of cells differ by more than a factor of two.

    The number of cells grows with √N, so a factor of two means four times as many tiles.
    """
    same_kind = kept.rstrip("0123456789") == better.rstrip("0123456789")
    cells = [part.split(",")[0].removeprefix("IVF").split("_")[0] for part in (kept, better)]
    if kept.startswith("IVF") and better.startswith("IVF") and all(map(str.isdecimal, cells)):
        return not 0.5 <= int(cells[1]) / int(cells[0]) <= 2
    return not same_kind


def _build_or_update(
    vectors: NDArray[np.float32],
    plan: IndexPlan,
    options: IndexBuildOptions,
    context: RunContext,
) -> tuple[VectorIndex, float | None]:
    """The filled index; and the previous similarity floor, if the index was not trained again."""
    previous = options.previous
    if previous is not None and plan.faiss_key == previous.store.manifest.faiss_key:
        is_kept = options.goal is None  # a goal that was given trains again
        index = previous.store.open_vector_index(mapped=not is_kept)
        floor = previous.store.manifest.similarity_floor
        new = vectors[previous.origin < 0]
        if is_kept and index.update_rows(previous.origin, vectors):
            _notice(cell_shift_warning(index, new, floor), context)
            return VectorIndex(index.cpu_index, options.gpu, vectors), floor
        if inverted_lists_of(index.cpu_index) is None:
            _notice(tile_shift_warning(previous.store.vectors, new, floor), context)
    lists_folder = options.folder.absolute().parent if _is_filled_on_disk(plan, options) else None
    index = VectorIndex.build(vectors, plan.faiss_key, options.gpu, options.fill, lists_folder)
    if options.gpu is not None:
        where = "the GPU" if index.runs_on_gpu else "the CPU: the GPU cannot hold or run it"
        context.notice(f"{plan.faiss_key} is searched on {where}")
    return index, None


def _is_filled_on_disk(plan: IndexPlan, options: IndexBuildOptions) -> bool:
    """Whether lists are filled on the disk: without a GPU, all but small ones."""
    is_large = (plan.predicted_bytes or 0) >= lists_on_disk.ON_DISK_FROM_BYTES
    return not plan.fits or (options.gpu is None and is_large)


def _notice(text: str | None, context: RunContext) -> None:
    if text is not None:
        context.notice(text)
