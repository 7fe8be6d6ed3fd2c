"""Read the labels of a column of a table, cell by cell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.errors import LabelsError

_ABSENT = frozenset(("nan", "NaN", "NAN", "<NA>", "NaT", "None", "null", "NULL"))
_LISTED = re.compile(r"""\[.*\]|\{.*\}|\(['"].*\)""", re.DOTALL)
_BYTES = re.compile(r"""b(['"])([^'"\\\\]*)\1""")


def lost_in_tables(names: Iterable[str]) -> list[str]:
    """The names that a table does not give back: they are read as no label, or as another one.

    >>> lost_in_tables(["forest", "None", "[1]", " sea"])
    ['None', '[1]', ' sea']
    """
    return [name for name in names if not _is_kept(name)]


def _is_kept(name: str) -> bool:
    try:
        return LabelColumn(Path()).label(name, 1) == name
    except LabelsError:
        return False


class LabelColumn:
    """Reads the labels of a column of a table, cell by cell.

    Args:
        path: the table, for messages.
        column: the name of the column, for messages.
        rows: what a row is called there: a line, or a tile.
    """

    def __init__(self, path: Path, column: str = "label", rows: str = "line") -> None:
        self._place = (path, rows, column)
        self._labels: dict[str, str] = {}  # by cell: a table of a million rows has few labels
        self._absent: Counter[str] = Counter()

    def label(self, cell: str | None, row: object) -> str | None:
        """The label that a cell holds; None if it holds none.

        Raises:
            LabelsError: the cell holds a list or a record, written as text.
        """
        if cell is None:
            return None
        if (known := self._labels.get(cell)) is not None:
            return known
        label = self._read(cell, row)
        if label is not None:
            self._labels[cell] = label
        return label

    @property
    def notices(self) -> tuple[str, ...]:
        """The notice that texts such as `nan` count as no label; none if there are none."""
        if not self._absent:
            return ()
        count, texts = sum(self._absent.values()), some_of(sorted(self._absent))
        return (f"{self._place[0]}: {count} labels are {texts} and count as no label",)

    def _read(self, cell: str, row: object) -> str | None:
        label = clean_label(cell)
        if label is None:
            return None
        if label in _ABSENT:
            self._absent[label] += 1
            return None
        if _LISTED.fullmatch(label):
            path, rows, column = self._place
            raise LabelsError(
                f"{path}: {rows} {row}, column {column!r}: {label!r} is a list or a record; one "
                "label a tile is expected",
                hint="write one label per tile",
            )
        if found := _BYTES.fullmatch(label):  # how Python shows bytes
            return clean_label(found[2])
        return label
