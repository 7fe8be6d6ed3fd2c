"""What of a set of tiles need not be embedded: an index, or an interrupted run, has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.failures import Failure
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.index.file_state import FileStates
from rsretrieve.index.journal import Journal
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.network.model import Model


@dataclass(frozen=True)
class Work:
    """What an indexing works with."""

    model: Model
    tiles: TileSet
    context: RunContext
    journal: Journal
    files: FileStates


@dataclass(frozen=True)
class Known:
    """What need not be embedded.

    Attributes:
        rows: tiles by their ids, as they are today; those of the index that nobody can see today
            (`TileSet.unseen`) as they were.
        vectors: of each.
        origin: the row of the index that each was, if it was one.
        removed: how many rows of the index are gone.
        skipped: windows that were passed over for their nodata, and would be again.
    """

    rows: dict[str, IndexedTile]
    vectors: dict[str, NDArray[np.float32]]
    origin: dict[str, int]
    removed: int
    skipped: dict[str, IndexedTile]

    def __contains__(self, tile: Tile) -> bool:
        return tile.id in self.rows or tile.id in self.skipped


def find_known(work: Work, store: IndexStore | None) -> Known:
    """The tiles of the index and of the journal that are still there, unchanged."""
    today = {tile.id: tile for tile in work.tiles}
    known = Known({}, {}, {}, 0, {}) if store is None else _known_to_index(work, store, today)
    journalled = work.journal.read()
    for row, vector in zip(journalled.rows, journalled.vectors):
        tile = today.get(row.id)
        if tile is not None and row.id not in known.origin and row.is_current(tile, work.files):
            known.rows[row.id] = _as_today(row, tile, work.files)
            known.vectors[row.id] = vector
    if resumed := len(known.rows) - len(known.origin):
        work.context.notice(f"{resumed} tiles that an interrupted run embedded are taken over")
    return known


def _known_to_index(work: Work, store: IndexStore, today: Mapping[str, Tile]) -> Known:
    before, now = store.manifest.windows, windows_json(work.tiles)
    if before and before != now:
        work.context.notice(_otherwise(WindowChoices.from_json(before)))
    skipped = dict(_skipped(work, store, today)) if before == now else {}
    known = Known({}, {}, {}, _removed(work, store, today), skipped)
    for i, row in enumerate(store.rows):
        tile = today.get(row.id)
        if tile is None and _is_unseen(work, store, row.id):
            known.rows[row.id] = row
            known.vectors[row.id], known.origin[row.id] = store.vectors[i], i
        # Of windows that are judged more strictly now, each may have too much nodata.
        judged = tile is not None and (tile.window is None or not _is_stricter(now, before))
        if tile is not None and judged and row.is_current(tile, work.files):
            known.rows[row.id] = _as_today(row, tile, work.files)
            known.vectors[row.id], known.origin[row.id] = store.vectors[i], i
    return known


def _removed(work: Work, store: IndexStore, today: Mapping[str, Tile]) -> int:
    """How many rows of the index are gone; those that nobody can see are not."""
    missing = [row_id for row_id in store.rows.column("id") if row_id not in today]
    unseen = sum(_is_unseen(work, store, row_id) for row_id in missing)
    if unseen:
        work.context.notice(
            f"{unseen} tiles in what cannot be opened now stay as they are in the index"
        )
    return len(missing) - unseen


def _is_unseen(work: Work, store: IndexStore, row_id: str) -> bool:
    """Whether a tile of the index, cut as today's, may still be where nobody can look now."""
    # The cheaper question first: there may be a million tiles that are gone.
    hidden = row_id.startswith(work.tiles.unseen)
    return hidden and store.manifest.windows == windows_json(work.tiles)


def _skipped(
    work: Work, store: IndexStore, today: Mapping[str, Tile]
) -> Iterator[tuple[str, IndexedTile]]:
    """The windows that the index passed over, and that the same choices pass over again."""
    for row in store.skipped:
        tile = today.get(row.id)
        if tile is not None and row.is_current(tile, work.files):
            work.context.add_failure(Failure(tile, "too much of it is nodata", skipped=True))
            yield row.id, _as_today(row, tile, work.files)


def _as_today(row: IndexedTile, tile: Tile, files: FileStates) -> IndexedTile:
    """A row whose tile is still what was embedded, with its label, path and time of today."""
    path, state = tile.location.absolute(), files.state(tile.path)
    return replace(row, label=tile.label, path=path, mtime_ns=state.mtime_ns)


def _is_stricter(now: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether windows that were no tiles for their nodata may be more now than before."""
    return bool(now) and now["max_nodata"] < before.get("max_nodata", 1)


def _otherwise(choices: WindowChoices | None) -> str:
    return f"the scenes of the index were cut otherwise: {choices}"


def windows_json(tiles: TileSet) -> dict[str, Any]:
    """How scenes were cut into these tiles, as plain values."""
    return {} if tiles.windows is None else asdict(tiles.windows)
