"""Judged tiles kept as columns; a record is made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.duplicates.find import NO_TWIN
from rsretrieve.audit.findings import Verdicts
from rsretrieve.audit.issue_types import KINDS, NO_KIND
from rsretrieve.audit.result import AuditedTile
from rsretrieve.data.tile import TileSet

_AT_ONCE = 8192


@dataclass(frozen=True)
class JudgedRows:
    """What was found of N tiles, in the tiles' own order.

    Attributes:
        tiles: N tiles.
        class_names: of the K classes.
        verdicts: on their labels.
        kinds: (N,) int8, positions in `KINDS`.
        confident: (N,) bool, by `kinds_of`.
        twin: (N,) int64, rows, or −1.
    """

    tiles: TileSet
    class_names: tuple[str, ...]
    verdicts: Verdicts
    kinds: NDArray[np.int8]
    confident: NDArray[np.bool_]
    twin: NDArray[np.int64]

    @property
    def needs_a_look(self) -> NDArray[np.bool_]:
        """(N,)."""
        return np.asarray(self.verdicts.flagged | (self.kinds != NO_KIND))

    def records(self, rows: NDArray[np.int64]) -> Iterator[AuditedTile]:
        """Some rows as records."""
        said, names, tiles = self.verdicts, self.class_names, self.tiles
        columns = (
            *(said.predicted, said.flagged, said.probability, said.own_similarity),
            *(said.predicted_similarity, self.kinds, said.runner_up),
            *(said.runner_up_similarity, self.twin),
        )
        twins = self.twin[rows]
        parts_of = (
            *(said.votes, said.area, said.weight, said.prototype_score),
            *(said.predicted_probability, said.witnessed_probability),
        )
        values = (
            rows.tolist(),
            *(column[rows].tolist() for column in columns),
            *(_known(column[rows]) for column in parts_of),
            self.confident[rows].tolist(),
            (said.flagged[twins] & (twins != NO_TWIN)).tolist(),
        )
        for row, predicted, flagged, wrong, own, best, kind, second, next_best, twin, *parts in zip(
            *values
        ):
            yield AuditedTile(
                tiles[row],
                names[predicted],
                flagged,
                1 - wrong,
                own,
                best,
                None if kind == NO_KIND else KINDS[kind],
                names[second],
                next_best,
                None if twin == NO_TWIN else tiles[twin],
                *parts,
            )

    def record(self, row: int) -> AuditedTile:
        """One row as a record."""
        return next(self.records(np.array([row])))


def _known(values: NDArray[np.floating]) -> list[float | None]:
    """The values as a list, None for NaN; at once, since there may be a million."""
    unknown = np.isnan(values)
    found = values.astype(object)
    found[unknown] = None
    return list(found.tolist())


@dataclass(frozen=True)
class JudgedTiles(Sequence[AuditedTile]):
    """Judged rows in some order, as a sequence of records."""

    rows: JudgedRows
    order: NDArray[np.int64]

    def __iter__(self) -> Iterator[AuditedTile]:
        """All of them, which is much quicker in a row than one by one."""
        for start in range(0, len(self.order), _AT_ONCE):
            yield from self.rows.records(self.order[start : start + _AT_ONCE])

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, position: int) -> AuditedTile: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[AuditedTile, ...]: ...
    def __getitem__(self, position: int | slice) -> AuditedTile | tuple[AuditedTile, ...]:
        """One record, or some."""
        if isinstance(position, slice):
            return tuple(self.rows.records(self.order[position]))
        return self.rows.record(int(self.order[position]))
