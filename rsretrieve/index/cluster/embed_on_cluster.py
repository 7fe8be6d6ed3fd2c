"""Embed tiles shard by shard, on a cluster or in this process, and bring the shards together."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rsretrieve
from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve.data.address_guard import TYPED_HOSTS
from rsretrieve.data.failures import Failure
from rsretrieve.data.loading.cache_folder import LIMIT_VARIABLE
from rsretrieve.data.profile.tile_features import MOST_TILES, TileFeatures
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import InputError
from rsretrieve.index.cluster.cluster_options import ClusterOptions, own_shard_folder
from rsretrieve.index.cluster.encode_on_cluster import ClusterFill
from rsretrieve.index.cluster.part_embedder import (
    EmbeddingJob,
    PartEmbedder,
    ShardReport,
)
from rsretrieve.index.cluster.parts import Part, groups_of, parts_of, run_digest
from rsretrieve.index.cluster.ray_cluster import Machines, Processes, connected, each_done
from rsretrieve.index.cluster.run_files import PROBE, model_file, require_own_files
from rsretrieve.index.cluster.shard_file import Shard
from rsretrieve.index.cluster.shard_storage import ShardStorage, storage_at
from rsretrieve.index.cluster.shards_of_run import Shards, checked_reports
from rsretrieve.index.compatibility import fit_warnings
from rsretrieve.index.external.mapped_rows import MappedRows
from rsretrieve.index.external.stored_vectors import zeros_for
from rsretrieve.index.reuse import IndexRun, windows_json
from rsretrieve.index.store.stored_model import copy_model
from rsretrieve.index.store.tile_table import IndexedTile, TileTable
from rsretrieve.network.device import describe_device

_TILES_AT_ONCE = 250_000
"""Tiles that are sent to the cluster at once: each takes about 1 kB here."""


@dataclass(frozen=True)
class ListedParts:
    """The tiles to embed, part by part.

    Attributes:
        count: the number of all tiles.
        sets: the tiles of each part; made while they are needed.
    """

    count: int
    sets: Iterable[TileSet]


@dataclass(frozen=True)
class ClusterEmbeddings:
    """What was embedded.

    Attributes:
        rows: N tiles.
        vectors: (N, D) float32, unit rows.
        skipped: the windows that the user's choices exclude.
        embedded: how many were embedded now; shards of an earlier run held the others.
        seconds: how long it took.
        processor_s: the processor time of all processes.
        device: what computed.
        fill: adds the vectors of the shards to a FAISS index, on the cluster; None: see
            `IndexBuildOptions`.
    """

    rows: TileTable
    vectors: NDArray[np.float32]
    skipped: list[IndexedTile]
    embedded: int
    seconds: float
    processor_s: float
    device: str
    fill: ClusterFill | None


def embed_on_cluster(
    run: IndexRun, tiles: ListedParts, index: Path, options: ClusterOptions | None
) -> ClusterEmbeddings:
    """Embed tiles shard by shard.

    Args:
        run: the model, and what receives failures, notices and progress.
        tiles: the tiles to embed.
        index: the index folder, beside which shards lie by default.
        options: the cluster; None: this process embeds one part after another.

    Raises:
        MissingPackage: Ray is not installed.
        InputError: the cluster does not answer, or its machines do not share the shards.
        OutputRefused: files of another program lie where the shards are to be written.
        TileError: a tile cannot be read, and the context is strict.
    """
    started = time.perf_counter()
    run.context.start_stage("embedding tiles", tiles.count)
    shards = _embedded(run, tiles, index, options)
    rows, skipped = MappedRows(tiles.count), list[IndexedTile]()
    vectors, done = zeros_for(tiles.count, shards.dimensions), 0
    features: list[TileFeatures] = []
    for shard in shards.read():
        some = shard.vectors
        vectors[done : done + len(some)] = some
        done += len(some)
        rows.append(shard.rows)
        skipped.extend(_report(shard, run))
        features += [] if shard.features is None else [shard.features]
    found = vectors[:done]
    _warn(run, features, found)
    reports = shards.reports.values()
    embedded = sum(report.embedded for report in reports)
    if resumed := done - embedded:
        run.context.notice(f"{resumed} tiles were embedded by an interrupted run and are reused")
    device, fill = describe_device(run.model.device), None
    if options is not None:
        machines = len({report.where for report in reports})
        device = f"{machines} machine{'s' * (machines != 1)} of a Ray cluster"
        fill = ClusterFill(shards.storage, shards.digests, options)
    return ClusterEmbeddings(
        rows.table(),
        found,
        skipped,
        embedded,
        time.perf_counter() - started,
        sum(report.processor_s for report in reports),
        device,
        fill,
    )


def _embedded(
    run: IndexRun, tiles: ListedParts, index: Path, options: ClusterOptions | None
) -> Shards:
    """Embed all parts, and write their shards."""
    where = str(own_shard_folder(index)) if options is None else options.shards_of(index)
    shards = Shards(storage_at(where), run.model.description.dimensions)
    if not tiles.count:
        return shards
    require_own_files(shards.storage)
    facts = {
        "model_fingerprint": run.model.description.fingerprint,
        "windows": windows_json(run.tiles),
        "packing": {} if run.packing is None else run.packing.to_json(),
    }
    parts = parts_of(tiles.sets, run_digest(facts))
    job = EmbeddingJob(
        version=rsretrieve.__version__,
        device="cpu",
        decoders=None,
        storage=shards.storage,
        probe=json.dumps({"started": time.time_ns(), **facts}).encode(),
        packing=run.packing,
        strict=run.context.strict,
        apart=-(-tiles.count // MOST_TILES),
        model={},
        typed_hosts=frozenset(TYPED_HOSTS),
    )
    if options is None:
        _embed_here(run, job, parts, shards)
    else:
        _embed_there(run, job, parts, shards, options)
    return shards


def _embed_here(run: IndexRun, job: EmbeddingJob, parts: Iterable[Part], shards: Shards) -> None:
    """Embed one part after another in this process."""
    done = 0

    def advance(tiles: int) -> None:
        nonlocal done
        done += tiles
        run.context.advance(tiles)

    embedder = PartEmbedder(job, run.model, advance)
    for part in parts:
        done = 0
        shards.digests[part.number] = part.digest
        for report in checked_reports([embedder.embed(part)]):
            shards.reports[report.part] = report
            run.context.advance(report.tiles - done)  # those of an interrupted run


def _embed_there(
    run: IndexRun,
    job: EmbeddingJob,
    parts: Iterable[Part],
    shards: Shards,
    options: ClusterOptions,
) -> None:
    """Embed parts in the processes of a cluster."""
    shards.storage.write(PROBE, job.probe)
    with connected(options.address, options.workers) as machines:
        processes = processes_for(machines, options)
        job = replace(
            job,
            device="cuda" if processes.gpus else "cpu",
            decoders=max(1, processes.cores - 1),
            model=_written_model(run.model.folder, shards.storage),
        )
        make = partial(_embedder, job)
        for group in groups_of(parts, 2 * processes.count, _TILES_AT_ONCE):
            shards.digests.update({part.number: part.digest for part in group})
            for report in checked_reports(each_done(make, group, processes)):
                shards.reports[report.part] = report
                run.context.advance(report.tiles)


def processes_for(machines: Machines, options: ClusterOptions) -> Processes:
    """One process a GPU, with its share of the cores; without GPUs, one a core."""
    gpus = 0 if options.device == "cpu" else machines.gpus
    if options.device.startswith("cuda") and not gpus:
        raise InputError(
            "--device cuda: the Ray cluster has no GPU", hint="leave out --device, or give cpu"
        )
    count = options.workers or gpus or machines.cores
    cores = max(1, machines.cores // gpus) if gpus else 1
    return Processes(count, cores, 1 if gpus else 0)


def _embedder(job: EmbeddingJob) -> Callable[[Part], ShardReport]:
    os.environ[LIMIT_VARIABLE] = "0"  # each tile is read once: its pixels need not be kept
    return PartEmbedder(job).embed


def _written_model(model: Path, storage: ShardStorage) -> dict[str, str]:
    """Write the files of a model, checked, beside the shards: their SHA-256 by name."""
    with tempfile.TemporaryDirectory(prefix="rsretrieve-model-") as folder:
        copy = Path(folder, "model")
        copy_model(model, copy)
        for path in copy.iterdir():
            storage.write(model_file(path.name), path.read_bytes())
        return {path.name: sha256_of_file(path) for path in copy.iterdir()}


def _report(shard: Shard, run: IndexRun) -> list[IndexedTile]:
    """Report failures and remarks, and return the skipped windows."""
    skipped = []
    for row, reason, is_skipped in shard.failed:
        run.context.add_failure(Failure(row.tile, reason, is_skipped))
        skipped += [row] * is_skipped
    for tile_id, notes in shard.notes:
        run.context.add_notes(tile_id, notes)
    return skipped


def _warn(run: IndexRun, features: list[TileFeatures], vectors: NDArray[np.float32]) -> None:
    none = np.empty((0, len(run.model.description.preprocessing.bands)))
    whole = TileFeatures(
        np.concatenate([none, *(part.means for part in features)]),
        np.concatenate([none, *(part.deviations for part in features)]),
    )
    for text in fit_warnings(run.model.description, whole, vectors):
        run.context.notice(text)
