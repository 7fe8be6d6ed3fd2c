"""A CSV file with one row a tile, which is written anew after every change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

from rsretrieve._core.tables import header_of_csv, read_table, write_csv
from rsretrieve._core.tables.parquet_file import is_parquet
from rsretrieve.errors import OutputExists, TableError
from rsretrieve.search.finding.watched_file import WatchedFile

Cells = Mapping[str, str]


class TileCells:
    """The cells of a CSV file by tile and column. Columns that only the user knows are kept.

    Args:
        path: the file. One that is there goes on.
        columns: what is written, first `tile`.
        required: the columns that a file must have that is there.
        kind: what the file is, for messages.

    Attributes:
        rows: the cells by tile.

    Raises:
        OutputExists: the file is Parquet, lacks a column, or has two rows for a tile.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], required: Sequence[str], kind: str
    ) -> None:
        self.path, self._kind = path, kind
        self._lock, self._file = Lock(), WatchedFile(path)
        self._header = tuple(columns)
        self.rows: dict[str, Cells] = {}
        if is_parquet(path):
            raise self.refusal("it is Parquet, and this file is written as CSV")
        if path.exists():
            with self._file.reading():
                self._read(required)
        self._known = dict(self.rows)

    def refusal(self, why: str) -> OutputExists:
        """The error of a file that cannot go on."""
        begins = f"{self.path} exists and is" if self.path.exists() else f"{self.path} is"
        return OutputExists(
            f"{begins} no {self._kind} that can be written to ({why})",
            hint="choose another file; its name should end with .csv",
        )

    def change(self, changes: Mapping[str, Cells | None]) -> None:
        """Write other cells for some tiles; None removes a row. The file is written at once.

        A row that comes back has its other cells again.

        Raises:
            OutputBusy: another process writes the file.
            OutputExists: another program changed the file; nothing is written.
        """
        with self._lock, self._file.changing() as aside:
            known = {**self._known}
            known |= {t: {**known.get(t, {}), **cells} for t, cells in changes.items() if cells}
            removed = {tile for tile, cells in changes.items() if cells is None}
            kept = [tile for tile in {**self.rows, **changes} if tile not in removed]
            rows = {tile: known[tile] for tile in kept}
            columns = [name.lower() for name in self._header]
            cells = ([row.get(name, "") for name in columns] for row in rows.values())
            write_csv(aside, self._header, cells, overwrite=True)
        self._known, self.rows = known, rows

    def _read(self, required: Sequence[str]) -> None:
        try:
            found = header_of_csv(self.path, required)
            if found.count("") > 1:
                raise TableError("several columns have no name")
            for line, row in read_table(self.path, required):
                if row["tile"] in self.rows:
                    raise TableError(f"line {line} is a second row of tile {row['tile']!r}")
                self.rows[row["tile"]] = row
        except TableError as error:
            raise self.refusal(error.message) from error
        there = {name.lower() for name in found}
        self._header = (*found, *(name for name in self._header if name not in there))
