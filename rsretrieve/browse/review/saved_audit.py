"""The audit of a CSV, with the tiles, places and vectors of an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.estimators.unit_vectors import UnitRows
from rsretrieve.audit.exemplars import Exemplars
from rsretrieve.audit.noise_rate import share_intervals
from rsretrieve.audit.result import Audit, ClassIssues, WrongLabelsLeft
from rsretrieve.browse.review.audit_columns import AuditColumns
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import TableError
from rsretrieve.export.html.page_limits import CARDS_LIMIT
from rsretrieve.index.store.columns import taken_rows
from rsretrieve.index.store.folder import IndexStore

_NO_LABEL = -1


@dataclass(frozen=True)
class SavedAudit:
    """What the review needs of an audit.

    Attributes:
        audit: its findings; `tiles` are those with a card, and their near-duplicates.
        path: the file.
        absent: number of tiles of the file that the index does not have.
        absent_issues: number of them that need a review.
        class_numbers: the number of each label.
        exemplars: trusted tiles of each label, by row of the index.
    """

    audit: Audit
    path: Path
    absent: int
    absent_issues: int
    class_numbers: Mapping[str, int]
    exemplars: Exemplars

    @classmethod
    def read(cls, path: Path, store: IndexStore, row_of: Mapping[str, int]) -> SavedAudit:
        """Read the CSV of `audit-labels --output`.

        Args:
            path: the file.
            store: an index of the same tiles.
            row_of: the row of each tile id.

        Raises:
            TableError: it is no such file, or the index has none of its tiles.
        """
        columns = AuditColumns.read(path, row_of)
        if not columns.tile:
            raise TableError(
                f"{path} names no tile that the index has",
                hint="give the audit of the tiles that the index was made from",
            )
        numbers = {label: number for number, label in enumerate(sorted({*columns.given}))}
        return cls(
            _audit(columns, store, row_of),
            path,
            columns.absent,
            columns.absent_issues,
            numbers,
            _exemplars(columns, numbers, store, row_of),
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What the file has and the review does not show."""
        if not self.absent:
            return ()
        return (
            f"{self.path} has {self.absent} tiles that the index does not have "
            f"({self.absent_issues} of them to review); they are left out",
        )

    def nearest(self, rows: Sequence[int], labels: Sequence[str]) -> list[tuple[int, ...]]:
        """Up to three trusted tiles of a label for each tile, nearest first, by row of the index.

        Args:
            rows: n rows of the index.
            labels: the label to search for each.
        """
        classes = [self.class_numbers.get(label, _NO_LABEL) for label in labels]
        return self.exemplars.nearest(np.array(rows, np.int64), np.array(classes, np.int64))


def _audit(columns: AuditColumns, store: IndexStore, row_of: Mapping[str, int]) -> Audit:
    shown = np.flatnonzero(columns.needs_review)[:CARDS_LIMIT].tolist()
    twins = (columns.twin[row] for row in shown)
    ids = [*dict.fromkeys([*(columns.tile[row] for row in shown), *(t for t in twins if t)])]
    ids = [tile for tile in ids if tile in row_of]
    given = dict(zip(columns.tile, columns.given))
    records = [*taken_rows(store.rows, np.array([row_of[tile] for tile in ids], np.int64))]
    tiles = tuple(_labelled(each.tile, given.get(each.id)) for each in records)
    expected = _expected(columns)
    count = len(columns.tile)
    return Audit(
        table=columns.table({tile: position for position, tile in enumerate(ids)}),
        tiles=TileSet(store.folder.name, tiles),
        per_class=_per_class(columns, is_told=expected is not None),
        noise_rate=None if expected is None else expected / count,
        interval=(0.0, 1.0),  # the file does not say it
        wrong_left=WrongLabelsLeft(count, expected, (0, count)),
        places={each.id: each.place for each in records if each.place is not None},
    )


def _labelled(tile: Tile, label: str | None) -> Tile:
    return Tile(tile.id, tile.path, label, tile.window, taken=tile.taken)


def _expected(columns: AuditColumns) -> float | None:
    """The expected number of wrong labels; None if it cannot be determined.

    An audit that cannot determine the noise rate flags no label; the file says nothing else of it.
    """
    if not columns.has_probabilities or not any(columns.flagged):
        return None
    return float(np.sum(columns.wrong))


def _per_class(columns: AuditColumns, *, is_told: bool) -> tuple[ClassIssues, ...]:
    names, codes = np.unique(np.array(columns.given, object), return_inverse=True)
    sizes = np.bincount(codes)
    issues = np.bincount(codes, weights=np.array(columns.flagged, np.float64))
    rates = np.bincount(codes, weights=np.array(columns.wrong, np.float64)) / sizes
    low, high = share_intervals(rates, sizes)
    return tuple(
        ClassIssues(
            str(name),
            int(sizes[number]),
            int(issues[number]),
            float(rates[number]) if is_told else None,
            (float(low[number]), float(high[number])) if is_told else (0.0, 1.0),
        )
        for number, name in enumerate(names)
    )


def _exemplars(
    columns: AuditColumns,
    numbers: Mapping[str, int],
    store: IndexStore,
    row_of: Mapping[str, int],
) -> Exemplars:
    labels: NDArray[np.int64] = np.full(len(store.rows), _NO_LABEL, np.int64)
    trusted = np.zeros(len(store.rows), bool)
    rows = np.array([row_of[tile] for tile in columns.tile], np.int64)
    labels[rows] = [numbers[label] for label in columns.given]
    trusted[rows] = ~columns.needs_review
    return Exemplars.trusted(UnitRows(store.vectors), labels, trusted)
