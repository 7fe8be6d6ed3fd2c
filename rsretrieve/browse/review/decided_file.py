"""The decisions of a review, in the file that `audit-labels --decisions` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

from rsretrieve._core.tables import columns_of, read_table, write_csv
from rsretrieve.audit.saved_decisions import ORIGIN_COLUMNS, read_decisions
from rsretrieve.data.labels.confirmed import Rule, contradiction
from rsretrieve.errors import InvalidArgument, LabelsError, OutputExists, TableError

MADE = (Rule.ACCEPT, Rule.REJECT, Rule.CHOOSE, Rule.REMOVE, Rule.SKIP)
"""The decisions that a person makes on the page."""
_LONGEST = 4_096


@dataclass(frozen=True)
class DecidedRow:
    """A row of the file; every cell is text.

    Attributes:
        tile: its id.
        label: the new label; empty removes the label.
        decision: a `Rule`.
        given_label, suggested_label, kind: what the reviewer saw.
        by, at: who decided, and when.
    """

    tile: str
    label: str
    decision: str
    given_label: str = ""
    suggested_label: str = ""
    kind: str = ""
    by: str = ""
    at: str = ""

    @classmethod
    def checked(cls, cells: Iterable[Any]) -> DecidedRow:
        """A row that the page sent.

        Raises:
            InvalidArgument: it is no decision, or contradicts itself.
        """
        texts = [*cells]
        if len(texts) != len(COLUMNS) or not all(isinstance(text, str) for text in texts):
            raise InvalidArgument(f"a decision has {len(COLUMNS)} texts")
        row = cls(*texts)
        if not row.tile or max(map(len, texts)) > _LONGEST:
            raise InvalidArgument(f"a text is empty or has more than {_LONGEST} letters")
        if row.decision not in MADE:
            raise InvalidArgument(f"{row.decision!r} is no decision; {', '.join(MADE)} are")
        problem = contradiction(
            Rule(row.decision), *(text or None for text in (row.label, *texts[3:5]))
        )
        if problem:
            raise InvalidArgument(f"the decision on {row.tile} contradicts itself: {problem}")
        return row


COLUMNS = tuple(each.name for each in fields(DecidedRow))


class DecidedFile:
    """A file of decisions that is written anew after every change.

    Args:
        path: the file. A file of decisions goes on; another is refused.

    Attributes:
        rows: the decisions by tile.

    Raises:
        OutputExists: the file is no file of decisions.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, Lock()
        self.rows: dict[str, DecidedRow] = {}
        self._origin = ("", "")
        self._has_origin = False
        if path.exists():
            self._read()
        self._state = _state(path)

    def change(self, changes: Mapping[str, DecidedRow | None]) -> None:
        """Take decisions over; None takes one back. The file is written at once.

        Raises:
            OutputExists: another program changed the file; nothing is written.
        """
        with self._lock:
            if _state(self.path) != self._state:
                raise OutputExists(
                    f"{self.path} was changed by another program; nothing is written to it",
                    hint="end this program and start it again: it then reads the file anew",
                )
            changed = {**self.rows, **changes}
            self.rows = {tile: row for tile, row in changed.items() if row is not None}
            ends = self._origin if self._has_origin else ()
            columns = (*COLUMNS, *(ORIGIN_COLUMNS if self._has_origin else ()))
            rows = [(*astuple(row), *ends) for row in self.rows.values()]
            write_csv(self.path, columns, rows, overwrite=True)
            self._state = _state(self.path)

    def _read(self) -> None:
        try:
            if "decision" not in columns_of(self.path):
                raise TableError(f"{self.path} has no column decision")
            for _, row in read_table(self.path, ("tile", "label")):
                self.rows[row["tile"]] = DecidedRow(*(row.get(name, "") for name in COLUMNS))
                if all(name in row for name in ORIGIN_COLUMNS):
                    self._has_origin = True
                    self._origin = (row[ORIGIN_COLUMNS[0]], row[ORIGIN_COLUMNS[1]])
            if self.rows:
                read_decisions(self.path)
        except (TableError, LabelsError) as error:
            raise OutputExists(
                f"{self.path} exists and is no file of decisions ({error.message})",
                hint="choose another file for --decided; audit-labels --decisions reads several",
            ) from error


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
