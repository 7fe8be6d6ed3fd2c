"""Build an index of long lists of tiles. No list of all tiles is kept in memory."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from rsretrieve._core.atomic_write import refuse_to_overwrite
from rsretrieve._core.locks import only_writer
from rsretrieve._core.tables import PARQUET_SUFFIXES
from rsretrieve._core.text import first_few, some_of
from rsretrieve.data.access import hosts_of
from rsretrieve.data.discovery.band_files import band_notices
from rsretrieve.data.discovery.tile_list import ids_in_list, sets_in_list
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.geo.window_places import PLACES_VERSION
from rsretrieve.data.labels.class_names import spelling_notices
from rsretrieve.data.profile.measure_scale import measure_scale
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TableError
from rsretrieve.index.cluster.cluster_options import ClusterOptions, own_shard_folder
from rsretrieve.index.cluster.embed_on_cluster import (
    ClusterEmbeddings,
    ListedParts,
    embed_on_cluster,
)
from rsretrieve.index.cluster.shard_storage import FolderStorage
from rsretrieve.index.common_packing import packing_of_tiles
from rsretrieve.index.compatibility import scale_warnings
from rsretrieve.index.embed_tiles import no_usable_tiles
from rsretrieve.index.external.mapped_rows import CountedIds, count_ids
from rsretrieve.index.journal import Journal
from rsretrieve.index.reuse import IndexRun
from rsretrieve.index.store.folder import IndexContent
from rsretrieve.index.store.manifest import MANIFEST_FILE, STORED_MODEL
from rsretrieve.index.vectors.choose_kind import AUTO, IndexGoal
from rsretrieve.index.vectors.faiss_loader import usable_gpu
from rsretrieve.index.vectors.fit import check_key
from rsretrieve.index.write import (
    BuildResult,
    IndexBuildOptions,
    IndexingSummary,
    write_index,
)
from rsretrieve.network.model import Model

LONG_LIST_BYTES = 1 << 26
"""A list of this size has about a million rows, whose tiles take a gigabyte of memory."""
REPEATED = (
    "tiles are named twice, so all rows of the lists are kept in memory, about 1 kB each; keep one "
    "row for each tile to avoid that"
)
"""The notice for lists that are long, but cannot be read part by part."""
LOCAL_PART_ROWS = 16_384
"""Tiles of a part that this process embeds: if it is interrupted, one part is embedded again."""
SAMPLED_TILES = 5_000
"""Tiles of the sample by which the model is chosen, and that are surveyed at once."""
_MEASURED_TILES = 1_000


def is_long_list(sources: Sequence[str]) -> bool:
    """Whether tiles are given as lists that are too long to be kept in memory."""
    paths = [Path(source) for source in sources]
    suffixes = (*PARQUET_SUFFIXES, ".csv", ".tsv")
    are_lists = all(path.suffix.lower() in suffixes and path.is_file() for path in paths)
    if not are_lists or sum(path.stat().st_size for path in paths) < LONG_LIST_BYTES:
        return False
    named = "".join(os.path.abspath(source) for source in sources)  # noqa: PTH100
    return named.encode(errors="ignore").decode() == named  # else `find_tiles` leaves tiles out


@dataclass(frozen=True)
class LongList:
    """One list, or several that follow each other, as the files of a Parquet dataset.

    Attributes:
        sources: the files.
        count: the number of tiles.
        sample: some of them, evenly spaced; with the notices about the lists.
        class_sizes: the number of tiles of each class.
    """

    sources: tuple[Path, ...]
    count: int
    sample: TileSet
    class_sizes: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The files, for messages."""
        return first_few(map(str, self.sources), 3)

    def sets(self, size: int, notice: Callable[[str], None] = lambda _: None) -> Iterator[TileSet]:
        """The tiles in sets of at most `size`, read once more; a set is of one file."""
        for source in self.sources:
            yield from sets_in_list(source, size, notice)

    def paths(self) -> Iterator[str]:
        """The paths of all tiles, read once more."""
        for some in self.sets(SAMPLED_TILES):
            yield from (tile.path for tile in some)

    def counted_ids(self) -> CountedIds:
        """The number of rows, and an id that occurs twice."""
        return count_ids(lambda: chain.from_iterable(map(ids_in_list, self.sources)))

    def repeats_a_file(self) -> bool:
        """Whether two tiles are the same file, or the same window of it."""
        return count_ids(self._files).repeated is not None

    def _files(self) -> Iterator[str]:
        for some in self.sets(SAMPLED_TILES):
            yield from (f"{tile.location.absolute()}\0{tile.window}" for tile in some)

    def surveyed(self, count: int) -> LongList:
        """The same lists, with what must be known about them before any tile is read."""
        apart, number = -(-max(1, count) // SAMPLED_TILES), 0
        sample: list[Tile] = []
        notices: list[str] = []
        hosts: set[str] = set()
        sizes: Counter[str] = Counter()
        for some in self.sets(SAMPLED_TILES, notices.append):
            if not number:
                first = f"{self.name} (its first {len(some):,} rows)"
                notices += band_notices(replace(some, source=first))
            sample += some.tiles[-number % apart :: apart]
            number += len(some)
            hosts.update(hosts_of(some))
            sizes.update(tile.label for tile in some if tile.label is not None)
        if hosts:
            named = some_of(sorted(hosts))
            notices.append(f"{self.name} names tiles that are fetched from {named}")
        notices += spelling_notices(sizes)
        folders = tuple(dict.fromkeys(str(path.parent) for path in self.sources))
        found = TileSet(self.name, tuple(sample), tuple(notices), folders=folders)
        return replace(self, count=count, sample=found, class_sizes=sizes)


def long_list(sources: Sequence[str | Path], *, refuse_repeated: bool) -> LongList | None:
    """Count the tiles of long lists.

    Args:
        sources: the files.
        refuse_repeated: a tile that is named twice is an error. Otherwise the result is None then:
            which row counts, and under which id, `find_tiles` decides with all rows in memory.

    Raises:
        TableError: a list cannot be read, or a tile is named twice.
    """
    listed = LongList(tuple(map(Path, sources)), 0, TileSet("", ()))
    counted = listed.counted_ids()
    if counted.repeated is None:
        if refuse_repeated or len(sources) == 1 or not listed.repeats_a_file():
            return listed.surveyed(counted.count)
    elif refuse_repeated:
        raise TableError(
            f"{listed.name} names tile {counted.repeated!r} twice",
            hint="keep one row for each tile: repeated rows of long lists are not ignored",
        )
    return None


def index_long_list(
    model: Model,
    listed: LongList,
    folder: Path,
    context: RunContext,
    cluster: ClusterOptions | None,
    *,
    goal: IndexGoal | None = None,
    overwrite: bool = False,
    store_model: bool = False,
) -> IndexingSummary:
    """Embed the tiles of long lists, part by part, and write a new index folder.

    Parts that an interrupted run embedded are reused: tiles whose files have not changed since are
    not read again.

    Args:
        model: see `index_tiles`.
        listed: the lists.
        folder: the index folder.
        context: see `index_tiles`.
        cluster: where the tiles are embedded; None: in this process.
        goal: see `index_tiles`.
        overwrite: replace an existing index.
        store_model: see `index_tiles`.

    Returns:
        See `index_tiles`.

    Raises:
        OutputExists, OutputBusy, InvalidArgument, NoUsableTiles, TileError: see `index_tiles`.
        MissingPackage, InputError: Ray is not installed, or its cluster cannot be used.
    """
    started = time.perf_counter()
    refuse_to_overwrite(folder, overwrite=overwrite, marker=MANIFEST_FILE)
    if goal is not None and goal.key != AUTO:
        check_key(goal.key, model.description.dimensions, listed.count)
    with only_writer(folder):
        run = _run(model, listed, folder, context)
        context.class_sizes.update(listed.class_sizes)
        rows = LOCAL_PART_ROWS if cluster is None else cluster.rows_a_shard(listed.count)
        sets = listed.sets(rows)
        found = embed_on_cluster(run, ListedParts(listed.count, sets), folder, cluster)
        if not len(found.rows):
            raise no_usable_tiles(listed.sample, context)
        content = _content(run, found, store_model=store_model)
        gpu = usable_gpu(str(model.device))
        options = IndexBuildOptions(folder, goal, gpu, None, overwrite, found.fill)
        result = write_index(content, options, context)
        run.journal.discard()
        FolderStorage(own_shard_folder(folder)).clear()
    summary = _summary(found, result, len(context.failures))
    return replace(summary, index=str(folder), seconds=time.perf_counter() - started)


def _run(model: Model, listed: LongList, folder: Path, context: RunContext) -> IndexRun:
    packing = packing_of_tiles(model, listed.sample, context)
    description = model.description
    journal = Journal(folder, description.fingerprint, description.dimensions)
    return IndexRun(model, listed.sample, context, journal, FileStates([]), packing)


def _content(run: IndexRun, found: ClusterEmbeddings, *, store_model: bool) -> IndexContent:
    apart = -(-len(found.rows) // _MEASURED_TILES)
    some = [found.rows[i] for i in range(0, len(found.rows), apart)]
    tiles = replace(run.tiles, tiles=tuple(row.tile for row in some))
    scale = measure_scale(tiles, [row.place for row in some])
    for text in scale_warnings(run.model.description, scale):
        run.context.notice(text)
    facts = {
        "model": STORED_MODEL if store_model else str(run.model.folder.resolve()),
        "model_fingerprint": run.model.description.fingerprint,
        "windows": {},
        "packing": {} if run.packing is None else run.packing.to_json(),
        "tile_scale": scale.to_json(),
        "places": PLACES_VERSION,
    }
    kept = run.model.folder if store_model else None
    return IndexContent(found.rows, found.vectors, facts, found.skipped, kept)


def _summary(found: ClusterEmbeddings, result: BuildResult, failed: int) -> IndexingSummary:
    count = len(found.rows)
    return IndexingSummary(
        index="",
        tiles=count,
        added=count,
        removed=0,
        unchanged=0,
        failed=failed,
        faiss_key=result.faiss_key,
        recall_at_10=result.recall_at_10,
        seconds=0.0,
        tiles_per_second=found.embedded / found.seconds,
        device=found.device,
        resumed=count - found.embedded,
        predicted_bytes=result.predicted_bytes,
        search=result.search,
    )
