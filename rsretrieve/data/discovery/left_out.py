"""Collects what the search for tiles had to leave out: folders and STAC items, with reasons."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from rsretrieve.data.failures import Failure
from rsretrieve.data.reading.raw_tile import decoding_trouble
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import NoUsableTiles

_LONGEST = 400  # characters of a reason, which may quote a stranger's document


class LeftOut:
    """Collects sub-folders that cannot be listed, and items that cannot be used.

    Their tiles are missing.

    Args:
        source: what the user named.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._folders: dict[str, str] = {}
        self._items: list[Failure] = []

    def add_folder(self, error: OSError) -> None:
        """Record a folder, from the error of listing it."""
        self._folders[os.fspath(error.filename)] = decoding_trouble(error)

    def add_item(self, item_id: str, path: str, reason: str) -> None:
        """Record an item, or the bands of a scene, that cannot be used."""
        self._items.append(Failure(Tile(item_id, path), reason[:_LONGEST]))

    def reported(self, tiles: TileSet, context: RunContext | None) -> TileSet:
        """The same tiles, and report the rest: as failures, or in notices without a context.

        Raises:
            TileError: there is such a folder or item, and the context is strict.
        """
        names = {
            folder: Path(os.path.relpath(folder, self._source)).as_posix()
            for folder in self._folders
        }
        unseen = (*(f"{name}/" for name in names.values()), *(f.tile_id for f in self._items))
        tiles = replace(tiles, unseen=(*tiles.unseen, *unseen))
        if context is None:
            return tiles.with_notices(*self._in_words())
        for folder, reason in self._folders.items():
            tile = Tile(names[folder], folder)
            context.add_failure(Failure(tile, f"a folder that cannot be listed: {reason}"))
        for failure in self._items:
            context.add_failure(failure)
        return tiles

    def raise_if_any(self) -> None:
        """Raise an error if anything was left out; to be called if no tile was found.

        Raises:
            NoUsableTiles: a folder cannot be listed, or an item cannot be used.
        """
        if words := self._in_words():
            raise NoUsableTiles(f"{self._source}: no tiles; {'; '.join(words)}")

    def _in_words(self) -> tuple[str, ...]:
        words = []
        if self._folders:
            folder, reason = next(iter(self._folders.items()))
            first = "the first, " if len(self._folders) > 1 else ""
            count = f"{len(self._folders)} that cannot be listed"
            words.append(f"folders left out: {count} ({first}{folder}: {reason})")
        if self._items:
            bad = self._items[0]
            first = "the first, " if len(self._items) > 1 else ""
            words.append(
                f"items left out: {len(self._items)} that cannot be used "
                f"({first}{bad.tile_id}: {bad.reason})"
            )
        return tuple(words)
