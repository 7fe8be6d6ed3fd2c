"""What one process of a cluster does: embed the parts that it is given, and write their shards."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import rsretrieve
from rsretrieve._core.machine.threads import processor_usage
from rsretrieve.data.address_guard import TYPED_HOSTS
from rsretrieve.data.failures import Failure
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.loading.batches import Progress
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.profile.tile_features import TileFeatures
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, RsretrieveError
from rsretrieve.index.cluster.parts import Part
from rsretrieve.index.cluster.run_files import PROBE, model_file
from rsretrieve.index.cluster.shard_file import Shard, ShardRow, read_shard
from rsretrieve.index.cluster.shard_storage import ShardStorage
from rsretrieve.index.embed_tiles import EmbeddedBatch, embedded_batches
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.network.device import choose_device
from rsretrieve.network.model import Model
from rsretrieve.network.model_folder import load_model


@dataclass(frozen=True)
class EmbeddingJob:
    """What is the same for all parts of a run.

    Attributes:
        version: of rsretrieve.
        device: where each process embeds.
        decoders: the number of processes that decode for each process that embeds; None: one a
            core.
        storage: where the shards lie.
        probe: the content of the file `PROBE` there.
        packing: see `embed_readable_tiles`.
        strict: the first tile that cannot be used ends the run.
        apart: every so-manieth tile has band statistics.
        model: the SHA-256 of the files of the model, which lie beside the shards, by name.
        typed_hosts: hosts and ports in URLs that the user typed.
    """

    version: str
    device: str
    decoders: int | None
    storage: ShardStorage
    probe: bytes
    packing: Packing | None
    strict: bool
    apart: int
    model: Mapping[str, str]
    typed_hosts: frozenset[tuple[str, int]] = frozenset()


@dataclass(frozen=True)
class ShardReport:
    """What a process tells about a part that is done.

    Attributes:
        part: the number of the part.
        sha256: of the file of its shard.
        tiles: the number of its tiles.
        embedded: how many were embedded now; the others had been, or cannot be used.
        seconds: how long it took.
        processor_s: the processor time that it took, with that of the decoders.
        where: the machine.
        error: why the run must end; None if all is well.
    """

    part: int
    sha256: str = ""
    tiles: int = 0
    embedded: int = 0
    seconds: float = 0.0
    processor_s: float = 0.0
    where: str = ""
    error: RsretrieveError | None = None


class PartEmbedder:
    """Embeds parts with one model.

    Args:
        job: what is the same for all parts.
        model: the model, if this process has it already.
        advance: called with the number of tiles that were read since the last call.
    """

    def __init__(
        self,
        job: EmbeddingJob,
        model: Model | None = None,
        advance: Progress = lambda _: None,
    ) -> None:
        self._job = job
        self._model = model
        self._advance = advance

    def embed(self, part: Part) -> ShardReport:
        """Embed a part and write its shard; what its shard holds already stays."""
        try:
            return self._embed(part)
        except RsretrieveError as error:
            return ShardReport(part.number, error=error)
        except OSError as error:
            return ShardReport(part.number, error=InputError(f"{platform.node()}: {error}"))

    def _embed(self, part: Part) -> ShardReport:
        started, usage = time.perf_counter(), processor_usage()
        model = self._loaded()
        shard, embedded, content = self._shard_of(part, model)
        now = processor_usage()
        return ShardReport(
            part.number,
            hashlib.sha256(content).hexdigest(),
            len(shard.table),
            embedded,
            time.perf_counter() - started,
            0.0 if usage is None or now is None else now.own_s - usage.own_s,
            platform.node(),
        )

    def _shard_of(self, part: Part, model: Model) -> tuple[Shard, int, bytes]:
        """The shard, the number of tiles that were embedded for it, and its file."""
        tiles, storage = part.tiles.load(), self._job.storage
        files = FileStates(tiles)
        found = storage.read(part.shard)
        before = None if found is None else _readable(found, part, model)
        records = [] if before is None else before.records()
        kept = _current_rows(records, tiles, files)
        new = tiles.select([i for i, tile in enumerate(tiles) if tile.id not in kept])
        fresh = self._embedded(new, model, files)
        rows = [kept.get(tile.id) or fresh[tile.id] for tile in tiles]
        embedded = sum(row.vector is not None for row in fresh.values())
        is_same = [one.row for one in rows] == [one.row for one in records]
        if before is not None and found is not None and not fresh and is_same:
            return before, 0, found
        shard = Shard.of(rows, model.description.dimensions)
        content = shard.to_bytes(part.digest)
        storage.write(part.shard, content)
        return shard, embedded, content

    def _embedded(self, tiles: TileSet, model: Model, files: FileStates) -> dict[str, ShardRow]:
        """A row for each tile, by its id."""
        context = _NotingContext(self._advance, strict=self._job.strict)
        rows: dict[str, ShardRow] = {}
        if not len(tiles):
            return rows
        job = self._job
        for batch in embedded_batches(model, tiles, context, job.packing, job.decoders):
            for row in _rows_of(batch, files, len(rows), job.apart):
                notes = context.notes.get(row.row.id, ())
                rows[row.row.id] = replace(row, notes=notes)
        for bad in (*context.failures, *(_skipped(tile) for tile in context.skipped)):
            unread = IndexedTile.of(bad.tile, None, files)
            rows[unread.id] = ShardRow(unread, None, bad.reason, bad.skipped)
        return rows

    def _loaded(self) -> Model:
        if self._model is None:
            job = self._job
            if job.version != rsretrieve.__version__:
                raise InputError(
                    f"{platform.node()} has rsretrieve {rsretrieve.__version__}, and this "
                    f"machine has {job.version}",
                    hint="install the same version on all machines of the cluster",
                )
            if job.storage.read(PROBE) != job.probe:
                raise InputError(
                    f"{platform.node()} does not see the files in {job.storage.where}",
                    hint="give --shard-folder a folder that all machines share, or s3://…",
                )
            TYPED_HOSTS.update(job.typed_hosts)
            with tempfile.TemporaryDirectory(prefix="rsretrieve-model-") as folder:
                for name, sha256 in job.model.items():
                    (Path(folder) / name).write_bytes(_file_of_model(job, name, sha256))
                self._model = load_model(Path(folder), choose_device(job.device), RunContext())
        return self._model


def _file_of_model(job: EmbeddingJob, name: str, sha256: str) -> bytes:
    content = job.storage.read(model_file(name))
    if content is None or hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(
            f"{job.storage.where}/{model_file(name)} is not what was written",
            hint="nobody else may write into the folder of the shards; repeat the command",
        )
    return content


class _NotingContext(RunContext):
    """Keeps the remarks about each tile."""

    def __init__(self, advance: Progress, *, strict: bool) -> None:
        super().__init__(strict=strict)
        self._advance = advance
        self.notes: dict[str, tuple[Note, ...]] = {}

    def advance(self, tiles: int) -> None:
        """See `RunContext`."""
        self._advance(tiles)

    def add_notes(self, tile_id: str, notes: tuple[Note, ...]) -> None:  # type: ignore[override]
        """See `RunContext`."""
        if notes:
            self.notes[tile_id] = tuple(notes)


def _skipped(tile: Tile) -> Failure:
    return Failure(tile, "too much of it is nodata", skipped=True)


def _rows_of(batch: EmbeddedBatch, files: FileStates, done: int, apart: int) -> list[ShardRow]:
    """The rows of a batch; of every so-manieth tile with band statistics."""
    first = -done % apart
    features = TileFeatures.of(batch.pixels[first::apart])
    rows = [
        ShardRow(IndexedTile.of(tile, place, files), vector)
        for tile, place, vector in zip(batch.tiles, batch.places, batch.vectors)
    ]
    for i, means, deviations in zip(
        range(first, len(rows), apart), features.means, features.deviations
    ):
        rows[i] = replace(rows[i], means=means, deviations=deviations)
    return rows


def _readable(content: bytes, part: Part, model: Model) -> Shard | None:
    """The shard of an earlier run; None if it is damaged, so that its tiles are embedded again."""
    try:
        return read_shard(content, part.digest, model.description.dimensions)
    except ValueError:
        return None


def _current_rows(
    records: list[ShardRow], tiles: TileSet, files: FileStates
) -> dict[str, ShardRow]:
    """The rows whose files have not changed since, with the labels of today."""
    today = {tile.id: tile for tile in tiles}
    kept = {}
    for record in records:
        tile, row = today.get(record.row.id), record.row
        if tile is None or (record.vector is None and not record.is_skipped):
            continue
        is_dated = row.taken is not None and row.taken.is_given
        if (is_dated and tile.taken is None) or not row.is_current(tile, files):
            continue
        now = replace(row, label=tile.label, taken=tile.taken or row.taken)
        kept[row.id] = replace(record, row=now)
    return kept
