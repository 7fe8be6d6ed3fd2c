"""Tiles that could not be used: one bad tile never ends a run, and every one is told of."""

from __future__ import annotations

from dataclasses import dataclass

from rsretrieve.data.tile import Tile
from rsretrieve.errors import TileError


@dataclass(frozen=True)
class Failure:
    """A tile that could not be used, and why."""

    tile_id: str
    reason: str


@dataclass(frozen=True)
class Failed:
    """A tile that could not be used, and why.

    Attributes:
        tile: the tile.
        reason: why.
        skipped: it was to be passed over if it is like this (a window with too much
            nodata), which is nobody's failure.
    """

    tile: Tile
    reason: str
    skipped: bool = False


class FailureLog:
    """Collects the tiles that failed; when strict, the first one ends the run.

    Attributes:
        strict: the first failure ends the run.
        failures: what failed, and why.
        skipped: the windows that were passed over for their nodata.
        unread: how many more were, of which the scene's file holds nothing.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.failures: list[Failure] = []
        self.skipped: list[Tile] = []
        self.unread = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know beside the failures."""
        count = len(self.skipped) + self.unread
        if not count:
            return ()
        return (f"windows skipped for more nodata than --max-nodata allows: {count}",)

    def add(self, failed: Failed) -> None:
        """Note a failure, or a tile that was skipped.

        Raises:
            TileError: when strict, and it is a failure.
        """
        if failed.skipped:
            self.skipped.append(failed.tile)
            return
        if self.strict:
            raise TileError(failed.tile.id, failed.reason)
        self.failures.append(Failure(failed.tile.id, failed.reason))
