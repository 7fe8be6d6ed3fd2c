"""Read the places and dates of unchanged tiles again, after an earlier version wrote them."""

from __future__ import annotations

from dataclasses import replace

from rsretrieve.data.failures import Failure
from rsretrieve.data.geo.window_places import PLACES_VERSION
from rsretrieve.data.reading.read_tiles import read_headers_in_order
from rsretrieve.data.tile import TileSet
from rsretrieve.index.reuse import IndexRun, ReusableTiles
from rsretrieve.index.store.folder import IndexStore


def renew_places(run: IndexRun, store: IndexStore, reusable: ReusableTiles) -> int:
    """Read the places and dates of unchanged tiles again if an earlier version wrote the index.

    The dates of files are also read if a list gave other dates, and does so no longer. Only the
    headers of files are read. Remote files are left as they are: to ask for each of them would take
    too long.

    Args:
        run: the tiles of today.
        store: the index that is updated.
        reusable: its unchanged tiles, whose rows are replaced.

    Returns:
        The version of the places, for the manifest: the earlier one as long as there are tiles
        whose files cannot be opened.
    """
    is_of_today = store.manifest.places >= PLACES_VERSION
    wanted = reusable.undated if is_of_today else reusable.origin.keys()
    if not wanted:
        return PLACES_VERSION
    today = [i for i, tile in enumerate(run.tiles) if tile.id in wanted]
    local = run.tiles.select([i for i in today if run.tiles[i].location.is_local])
    run.context.start_stage("placing tiles", len(local))
    failed = _renew(run, reusable, local)
    if is_of_today:
        return PLACES_VERSION
    if remote := len(today) - len(local):
        run.context.notice(
            f"{remote} remote tiles keep the places and dates that an earlier version read: to "
            "read them again, build the index again with --overwrite"
        )
    unseen = len(reusable.origin) - len(today)
    return store.manifest.places if failed or unseen else PLACES_VERSION


def _renew(run: IndexRun, reusable: ReusableTiles, tiles: TileSet) -> int:
    """Replace the places of tiles; the number of those whose files cannot be opened."""
    failed = moved = 0
    for read in read_headers_in_order(tiles, run.model.description.preprocessing.expected):
        run.context.advance(1)
        if isinstance(read, Failure):
            failed += 1
            continue
        _, place, taken = read.content
        run.context.add_notes(read.tile.id, read.notes)
        row = reusable.rows[read.tile.id]
        moved += row.place != place
        taken = read.tile.taken or taken
        if (row.place, row.taken) != (place, taken):
            reusable.rows[row.id] = replace(row, place=place, taken=taken)
    if moved:
        run.context.notice(
            f"an earlier version placed the tiles of the index: {moved} of {len(tiles)} unchanged "
            "tiles have a corrected place, and none of them was embedded again"
        )
    return failed
