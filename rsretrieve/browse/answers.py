"""Answers that are given on the page: yes and no for a search."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.tables import read_table
from rsretrieve.errors import OutputExists, TableError

ANSWERS = ("yes", "no")


class AnswersFile:
    """A CSV file that is written anew after every change.

    Args:
        path: the file. One that this class wrote goes on; another is refused.
        column: what stands beside the tile: `answer` or `label`.
        tiles: the ids that there are.

    Raises:
        OutputExists: the file is of another kind, or names other tiles.
    """

    def __init__(self, path: Path, column: str, tiles: Mapping[str, int]) -> None:
        self.path, self._column, self._tiles = path, column, tiles
        self._lock = Lock()
        self.values: dict[str, str] = self._read() if path.exists() else {}

    def change(self, changes: Mapping[str, str]) -> None:
        """Take answers over; an empty one takes an answer back. The file is written at once."""
        with self._lock:
            values = {**self.values, **changes}
            self.values = {tile: value for tile, value in values.items() if value}
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(("tile", self._column))
            writer.writerows(self.values.items())
            write_text(self.path, text.getvalue(), overwrite=True)

    def _read(self) -> dict[str, str]:
        try:
            rows = {
                row["tile"]: row[self._column]
                for _, row in read_table(self.path, ("tile", self._column))
            }
        except (TableError, KeyError) as error:
            raise OutputExists(
                f"{self.path} exists and has no columns tile and {self._column}",
                hint="choose another file",
            ) from error
        unknown = [tile for tile in rows if tile not in self._tiles]
        if unknown or (self._column == "answer" and not set(rows.values()) <= {*ANSWERS}):
            raise OutputExists(
                f"{self.path} exists and is no file of answers about this index",
                hint="choose another file",
            )
        return rows
