"""Find the tiles that an index, or an interrupted run, has already embedded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.failures import Failure
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import InvalidArgument
from rsretrieve.index.journal import Journal
from rsretrieve.index.merge_embeddings import MOST_REMOVED
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.network.model import Model


@dataclass(frozen=True)
class IndexRun:
    """What a run of `index_tiles` works with.

    Attributes:
        model: embeds the tiles.
        tiles: the tiles to index.
        context: receives failures, notices and progress.
        journal: the embeddings of an interrupted run.
        files: the states of the tiles' files.
        packing: the scale and offset to which tiles are converted; None: those of the model.
    """

    model: Model
    tiles: TileSet
    context: RunContext
    journal: Journal
    files: FileStates
    packing: Packing | None = None


@dataclass(frozen=True)
class ReusableTiles:
    """Tiles that need not be embedded again; the keys are tile ids.

    Attributes:
        rows: the tiles with today's label and path; tiles of the index that cannot be listed
            today (`TileSet.unseen`) are unchanged.
        vectors: (D,) float32, the embedding of each.
        origin: the row of each tile that comes from the index.
        removed: number of rows of the index that are removed.
        skipped: windows that had too much nodata, and still have.
        undated: tiles of the index whose list or item gave a date, and gives none today: the dates
            of their files are not known.
    """

    rows: dict[str, IndexedTile]
    vectors: dict[str, NDArray[np.float32]]
    origin: dict[str, int]
    removed: int
    skipped: dict[str, IndexedTile]
    undated: set[str] = field(default_factory=set)

    def __contains__(self, tile: Tile) -> bool:
        return tile.id in self.rows or tile.id in self.skipped


def find_reusable(run: IndexRun, store: IndexStore | None) -> ReusableTiles:
    """Find the tiles of the index and of the journal whose files have not changed.

    Args:
        run: the tiles, the journal and the states of the files.
        store: the index to update, or None.
    """
    today = {tile.id: tile for tile in run.tiles}
    reusable = (
        ReusableTiles({}, {}, {}, 0, {})
        if store is None
        else _reusable_from_index(run, store, today)
    )
    journalled = run.journal.resume()
    for row, vector in zip(journalled.rows, journalled.vectors):
        tile = today.get(row.id)
        if tile is None or row.id in reusable.origin or _lost_date(row, tile):
            continue
        if row.is_current(tile, run.files):
            reusable.rows[row.id] = _as_today(row, tile, run.files)
            reusable.vectors[row.id] = vector
    if resumed := len(reusable.rows) - len(reusable.origin):
        run.context.notice(f"{resumed} tiles were embedded by an interrupted run and are reused")
    return reusable


def _reusable_from_index(
    run: IndexRun, store: IndexStore, today: Mapping[str, Tile]
) -> ReusableTiles:
    before, now = store.manifest.windows, windows_json(run.tiles)
    if before and before != now:
        choices = WindowChoices.from_json(before)
        run.context.notice(f"the scenes of the index were cut differently: {choices}")
    skipped = dict(_skipped(run, store, today)) if before == now else {}
    reusable = ReusableTiles({}, {}, {}, _removed(run, store, today), skipped)
    for i, row in enumerate(store.rows):
        tile = today.get(row.id)
        if tile is None and _is_unseen(run, store, row.id):
            reusable.rows[row.id] = row
            reusable.vectors[row.id], reusable.origin[row.id] = store.vectors[i], i
        # With a stricter limit, any window may have too much nodata and must be read again.
        usable = tile is not None and (tile.window is None or not _is_stricter(now, before))
        if tile is not None and usable and row.is_current(tile, run.files):
            reusable.rows[row.id] = _as_today(row, tile, run.files)
            reusable.vectors[row.id], reusable.origin[row.id] = store.vectors[i], i
            reusable.undated.update([row.id] * _lost_date(row, tile))
    return reusable


SOON_EMBEDDED = 1_000
"""So many tiles are embedded again in a minute or two."""


def require_most_tiles(run: IndexRun, store: IndexStore, reusable: ReusableTiles) -> None:
    """Refuse an update that would leave less than half of an index, as on a disk that is away.

    Raises:
        InvalidArgument: it would, and many vectors would be lost. An update of scenes that are cut
            in another way is not refused.
    """
    known = {*store.rows.column("id"), *(row.id for row in store.skipped)}
    lost = reusable.removed - sum(tile.id not in known for tile in run.tiles)
    is_large = lost >= SOON_EMBEDDED and lost > MOST_REMOVED * len(store.rows)
    if is_large and store.manifest.windows == windows_json(run.tiles):
        raise InvalidArgument(
            f"{reusable.removed:,} of the {len(store.rows):,} tiles of {store.folder} are not "
            "among TILES, and --update would remove them",
            hint="give all TILES of the index, and mount their disk; or give --overwrite, too, if "
            "those tiles are gone for good",
        )


def _lost_date(row: IndexedTile, tile: Tile) -> bool:
    """Whether a list or an item gave the date of a row, and gives none today."""
    return row.taken is not None and row.taken.is_given and tile.taken is None


def _removed(run: IndexRun, store: IndexStore, today: Mapping[str, Tile]) -> int:
    """Count the rows of the index to remove; tiles that cannot be listed today are kept."""
    missing = [row_id for row_id in store.rows.column("id") if row_id not in today]
    unseen = sum(_is_unseen(run, store, row_id) for row_id in missing)
    if unseen:
        run.context.notice(
            f"{unseen} tiles stay in the index: their folders or scenes cannot be opened now"
        )
    return len(missing) - unseen


def _is_unseen(run: IndexRun, store: IndexStore, row_id: str) -> bool:
    """Whether a tile of the index may still exist where today's run cannot look."""
    # The cheaper test first: a million tiles may be missing.
    hidden = row_id.startswith(run.tiles.unseen)
    return hidden and store.manifest.windows == windows_json(run.tiles)


def _skipped(
    run: IndexRun, store: IndexStore, today: Mapping[str, Tile]
) -> Iterator[tuple[str, IndexedTile]]:
    """The windows that the index skipped and that have not changed since."""
    for row in store.skipped:
        tile = today.get(row.id)
        if tile is not None and row.is_current(tile, run.files):
            run.context.add_failure(Failure(tile, "too much of it is nodata", skipped=True))
            yield row.id, _as_today(row, tile, run.files)


def _as_today(row: IndexedTile, tile: Tile, files: FileStates) -> IndexedTile:
    """The row of an unchanged tile with its label, date, path, times and inode of today."""
    path, now = tile.location.absolute(), files.state(tile.path)
    taken = None if _lost_date(row, tile) else tile.taken or row.taken
    row = replace(row, label=tile.label, path=path, taken=taken)
    return replace(row, mtime_ns=now.mtime_ns, state=now.mark)


def _is_stricter(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether the limit of nodata is lower than before, so that more windows are skipped."""
    return bool(now) and now["max_nodata"] < before.get("max_nodata", 1)


def windows_json(tiles: TileSet) -> dict[str, Any]:
    """How scenes were cut into these tiles, as in the manifest; empty if they were not cut."""
    return {} if tiles.windows is None else asdict(tiles.windows)
