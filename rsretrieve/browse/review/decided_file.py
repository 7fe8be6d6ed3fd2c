"""The decisions of a review, in the file that `audit-labels --decisions` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rsretrieve.audit.decisions.saved_decisions import ORIGIN_COLUMNS, read_decisions
from rsretrieve.browse.tile_cells import TileCells
from rsretrieve.data.labels.confirmed import Rule, contradiction
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.errors import InvalidArgument, LabelsError, TableError

MADE = (Rule.ACCEPT, Rule.REJECT, Rule.CHOOSE, Rule.REMOVE, Rule.SKIP)
"""The decisions that a person makes on the page."""
_NOT_MADE = (Rule.UNDECIDED, Rule.SUGGESTION)
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

    @property
    def rule(self) -> str:
        """The decision as a `Rule`; empty for a label of a labels file."""
        return self.decision.strip().lower()

    @property
    def is_open(self) -> bool:
        """Whether nobody decided: the program wrote the row."""
        return self.rule in _NOT_MADE

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
        problem = contradiction(Rule(row.decision), *_labels_of(row))
        if problem:
            raise InvalidArgument(f"the decision on {row.tile} contradicts itself: {problem}")
        return row


def _labels_of(row: DecidedRow) -> list[str | None]:
    """The label, the given and the suggested label, as `read_decisions` will read them.

    Raises:
        InvalidArgument: one of them is a list, written as text.
    """
    names = ("label", "given_label", "suggested_label")
    try:
        return [
            LabelColumn(Path("the page"), name, "tile").label(getattr(row, name), row.tile)
            for name in names
        ]
    except LabelsError as error:
        raise InvalidArgument(error.message, hint=error.hint) from error


COLUMNS = tuple(each.name for each in fields(DecidedRow))


class DecidedFile:
    """A file of decisions that is written anew after every change.

    Args:
        path: the file. A file of decisions goes on, with its other columns; another is refused.

    Raises:
        OutputExists: the file is no file of decisions.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._cells = TileCells(path, COLUMNS, ("tile", "label", "decision"), "file of decisions")
        self._origin: dict[str, str] = {}
        if self._cells.rows:
            self._check()

    @property
    def rows(self) -> dict[str, DecidedRow]:
        """The rows by tile; nobody decided on some of them (`is_open`)."""
        return {
            tile: DecidedRow(*(row.get(name, "") for name in COLUMNS))
            for tile, row in self._cells.rows.items()
        }

    def change(self, changes: Mapping[str, DecidedRow | None]) -> None:
        """Take decisions over; None takes one back. The file is written at once.

        Raises:
            OutputBusy: another process writes the file.
            OutputExists: another program changed the file; nothing is written.
        """
        self._cells.change(
            {
                tile: None if row is None else {**asdict(row), **self._origin}
                for tile, row in changes.items()
            }
        )

    def _check(self) -> None:
        try:
            origin = read_decisions(self.path).origin
        except (TableError, LabelsError) as error:
            raise self._cells.refusal(error.message) from error
        if origin is not None:
            self._origin = dict(zip(ORIGIN_COLUMNS, (origin.file, origin.digest)))
