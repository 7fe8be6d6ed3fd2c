"""Answers that are given on the page: yes and no for a search."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rsretrieve.browse.tile_cells import TileCells

ANSWERS = ("yes", "no")


class AnswersFile:
    """A CSV file that is written anew after every change.

    Args:
        path: the file. One with these columns and tiles goes on, with its other columns; another
            is refused.
        column: what stands beside the tile: `answer` or `label`.
        tiles: the ids that there are.

    Raises:
        OutputExists: the file is of another kind, or names other tiles.
    """

    def __init__(self, path: Path, column: str, tiles: Mapping[str, int]) -> None:
        self.path, self._column = path, column
        columns = ("tile", column)
        self._cells = TileCells(path, columns, columns, "file of answers")
        self._check(tiles)

    @property
    def values(self) -> dict[str, str]:
        """The answers by tile."""
        rows = self._cells.rows.items()
        return {tile: row[self._column] for tile, row in rows if row[self._column]}

    def change(self, changes: Mapping[str, str]) -> None:
        """Take answers over; an empty one takes an answer back. The file is written at once.

        Raises:
            OutputBusy: another process writes the file.
            OutputExists: another program changed the file; nothing is written.
        """
        self._cells.change(
            {
                tile: {"tile": tile, self._column: value} if value else None
                for tile, value in changes.items()
            }
        )

    def _check(self, tiles: Mapping[str, int]) -> None:
        unknown = [tile for tile in self._cells.rows if tile not in tiles]
        if unknown:
            raise self._cells.refusal(f"the index has no tile {unknown[0]!r}")
        others = {*self.values.values()} - {*ANSWERS}
        if self._column == "answer" and others:
            raise self._cells.refusal(f"{min(others)!r} is none of the answers yes and no")
