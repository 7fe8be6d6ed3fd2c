"""Choose files of a set of tiles whose headers are read."""

from __future__ import annotations

from rsretrieve.data.tile import TileSet


def one_a_file(tiles: TileSet, files: int, remote_files: int) -> TileSet:
    """The first tile of some of the files, evenly spaced.

    Args:
        tiles: the tiles.
        files: how many files, at most.
        remote_files: how many, if all are remote.
    """
    first: dict[str, int] = {}
    for position, tile in enumerate(tiles):
        first.setdefault(tile.path, position)
    local = [at for at in first.values() if tiles[at].location.is_local]
    chosen = local or list(first.values())
    apart = -(-len(chosen) // (files if local else remote_files)) or 1
    return tiles.select(chosen[::apart])
