"""Find the tiles that an index, or an interrupted run, has already embedded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.paths import storable
from rsretrieve.data.failures import Failure
from rsretrieve.data.file_state import FileStates
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.data.window import window_text
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

    def keep(self, row: IndexedTile, store: IndexStore, position: int) -> None:
        """Take a tile and its vector from a row of an index."""
        self.rows[row.id] = row
        self.vectors[row.id], self.origin[row.id] = store.vectors[position], position

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
    before, now = WindowChoices.from_json(store.manifest.windows), run.tiles.windows
    if before is not None and before != now:
        run.context.notice(f"the scenes of the index were cut differently: {before}")
    if not store.manifest.tells_reading:
        run.context.notice(
            "the file of embeddings that the index was made from does not say how its tiles were "
            "read: all tiles are embedded again"
        )
    skipped = dict(_skipped(run, store, today)) if before == now else {}
    reusable = ReusableTiles({}, {}, {}, 0, skipped)
    # With a stricter limit, any window may have too much nodata and must be read again.
    is_stricter = now is not None and now.max_nodata < (1 if before is None else before.max_nodata)
    with_new_ids, gone = _with_new_ids(run, store), 0
    unseen = 0
    for i, row in enumerate(store.rows):
        tile = today.get(row.id)
        if tile is None:
            gone += 1
            hidden = _unseen_row(run, before, row)
            if hidden is not None and not (hidden.id in today or hidden.id in reusable.rows):
                unseen += 1
                reusable.keep(hidden, store, i)
                continue
            tile = with_new_ids.get((storable(row.path), window_text(row.id)))
            is_free = tile is not None and tile.id not in reusable.rows
            tile = tile if is_free else None
        usable = tile is not None and (tile.window is None or not is_stricter)
        usable = usable and store.manifest.tells_reading
        if tile is not None and usable and row.is_current(tile, run.files):
            gone -= tile.id != row.id
            reusable.keep(_as_today(row, tile, run.files), store, i)
            reusable.undated.update([tile.id] * _lost_date(row, tile))
    if unseen:
        run.context.notice(
            f"{unseen} tiles stay in the index: their folders or scenes cannot be opened now"
        )
    return replace(reusable, removed=gone - unseen)


def _with_new_ids(run: IndexRun, store: IndexStore) -> dict[tuple[str, str], Tile]:
    """The tiles whose ids the index does not know, by path and window.

    The ids of the same files begin otherwise if other sources are given with them.
    """
    known = set(store.rows.column("id"))
    new = (tile for tile in run.tiles if tile.id not in known)
    return {(tile.location.absolute(), window_text(tile.id)): tile for tile in new}


SOON_EMBEDDED = 1_000
"""So many tiles are embedded again in a minute or two."""


def require_most_tiles(run: IndexRun, store: IndexStore, reusable: ReusableTiles) -> None:
    """Refuse an update that would leave less than half of an index, as on a disk that is away.

    New tiles do not make up for it. A tile with another id is not lost if its content is among the
    new tiles.

    Raises:
        InvalidArgument: it would, and many vectors would be lost.
    """
    lost = reusable.removed
    if _are_most(lost, store):  # only then are new files read to compare them
        lost -= _renamed(run, store, reusable)
    if _are_most(lost, store):
        before = WindowChoices.from_json(store.manifest.windows)
        options = f" with its options {before}" if before not in (None, run.tiles.windows) else ""
        raise InvalidArgument(
            f"{lost:,} of the {len(store.rows):,} tiles of {store.folder} are not among TILES, and "
            "--update would remove them",
            hint=f"give all TILES of the index{options}, and mount their disk; or give "
            "--overwrite, too, if those tiles are gone for good",
        )


def _are_most(lost: int, store: IndexStore) -> bool:
    return lost >= SOON_EMBEDDED and lost > MOST_REMOVED * len(store.rows)


def _renamed(run: IndexRun, store: IndexStore, reusable: ReusableTiles) -> int:
    """Count the tiles to remove whose content and window new tiles have."""
    today, kept = {tile.id for tile in run.tiles}, set(reusable.origin.values())
    gone: Counter[tuple[str, str]] = Counter()
    sizes = set()
    names = ("id", "path", "content", "size_bytes")
    for i, (row_id, path, content, size) in enumerate(zip(*map(store.rows.column, names))):
        if row_id not in today and i not in kept:
            gone[content or storable(path), window_text(row_id)] += 1
            sizes.add(size)
    known = {*store.rows.column("id"), *(row.id for row in store.skipped)}
    found = 0
    for tile in run.tiles:
        if tile.id in known or tile.id in reusable.origin:
            continue
        has_size = tile.location.is_local and run.files.state(tile.path).size_bytes in sizes
        content = run.files.content(tile.path).file if has_size else ""
        keys = ((file, window_text(tile.id)) for file in (content, tile.location.absolute()))
        key = next((key for key in keys if gone[key] > 0), None)
        if key is not None:
            gone[key] -= 1
            found += 1
    return found


def _lost_date(row: IndexedTile, tile: Tile) -> bool:
    """Whether a list or an item gave the date of a row, and gives none today."""
    return row.taken is not None and row.taken.is_given and tile.taken is None


def _unseen_row(
    run: IndexRun, before: WindowChoices | None, row: IndexedTile
) -> IndexedTile | None:
    """A row whose tile may still exist where today's run cannot look, with its id of today.

    Args:
        run: the tiles of today.
        before: how the scenes of the index were cut.
        row: a row whose id no tile of today has.

    Returns:
        None if the tile is gone, or is not cut any more.
    """
    text, scene_id = window_text(row.id), run.tiles.unseen_file_ids.get(storable(row.path))
    if scene_id is not None and text:
        row = replace(row, id=f"{scene_id}{text}")
    elif not run.tiles.may_be_unseen(row.id):
        return None
    now, window = run.tiles.windows, row.tile.window
    if before == now:
        return row
    if before is None or now is None or window is None:
        return None
    return row if now.may_keep(window, before) else None


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
    row = replace(row, id=tile.id, label=tile.label, path=path, taken=taken)
    return replace(row, mtime_ns=now.mtime_ns, state=now.mark)


def windows_json(tiles: TileSet) -> dict[str, Any]:
    """How scenes were cut into these tiles, as in the manifest; empty if they were not cut."""
    return {} if tiles.windows is None else asdict(tiles.windows)
