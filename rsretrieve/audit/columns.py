"""Judged tiles kept as columns; a record is made when somebody looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.kinds import KINDS, NO_KIND
from rsretrieve.audit.records import AuditedTile
from rsretrieve.audit.scores import LabelScores
from rsretrieve.audit.twins import NO_TWIN
from rsretrieve.tiles.records import TileSet


@dataclass(frozen=True)
class JudgedRows:
    """What was found of N tiles, in the tiles' own order.

    Attributes:
        tiles: N tiles.
        class_names: of the K classes.
        scores: of their labels.
        flagged: (N,) bool, labels thought wrong.
        kinds: (N,) int8, positions in `KINDS`.
        twin: (N,) int64, rows, or −1.
    """

    tiles: TileSet
    class_names: tuple[str, ...]
    scores: LabelScores
    flagged: NDArray[np.bool_]
    kinds: NDArray[np.int8]
    twin: NDArray[np.int64]

    @property
    def needs_a_look(self) -> NDArray[np.bool_]:
        """(N,)."""
        return np.asarray(self.flagged | (self.kinds != NO_KIND))

    def record(self, row: int) -> AuditedTile:
        """One row as a record."""
        scores, names = self.scores, self.class_names
        twin = int(self.twin[row])
        return AuditedTile(
            tile=self.tiles[row],
            predicted_label=names[scores.predicted[row]],
            is_label_issue=bool(self.flagged[row]),
            label_score=float(scores.label_score[row]),
            own_similarity=float(scores.own_similarity[row]),
            predicted_similarity=float(scores.predicted_similarity[row]),
            kind=None if self.kinds[row] == NO_KIND else KINDS[self.kinds[row]],
            runner_up_label=names[scores.runner_up[row]],
            runner_up_similarity=float(scores.runner_up_similarity[row]),
            twin=None if twin == NO_TWIN else self.tiles[twin],
        )


@dataclass(frozen=True)
class JudgedTiles(Sequence[AuditedTile]):
    """Judged rows in some order, as a sequence of records."""

    rows: JudgedRows
    order: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, position: int) -> AuditedTile: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[AuditedTile, ...]: ...
    def __getitem__(self, position: int | slice) -> AuditedTile | tuple[AuditedTile, ...]:
        """One record, or some."""
        if isinstance(position, slice):
            return tuple(self.rows.record(int(row)) for row in self.order[position])
        return self.rows.record(int(self.order[position]))
