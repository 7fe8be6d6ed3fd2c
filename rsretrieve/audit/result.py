"""The result of an audit: the table of findings, and figures over all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve.audit.issue_types import ISSUE_TYPES, IssueType
from rsretrieve.audit.noise_rate import share_intervals
from rsretrieve.audit.result_table import plain_values, tuples_of
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.evaluation.label_error_metrics import AuditFigures


@dataclass(frozen=True)
class ClassIssues:
    """The issues among the tiles with one given label.

    Attributes:
        label: the given label.
        tiles: number of tiles with it.
        issues: number of them that are flagged.
        noise_rate: estimated share of wrong labels; None if it cannot be determined. It may differ
            from the share of issues: of ten labels that are each wrong with probability 0.2,
            none may be flagged.
        interval: 95 % interval of the noise rate.
    """

    label: str
    tiles: int
    issues: int
    noise_rate: float | None
    interval: tuple[float, float]


@dataclass(frozen=True)
class NoiseMatrix:
    """Expected number of tiles for every pair of given label and true class.

    Attributes:
        class_names: names of the K classes.
        values: (K, K) float64 expected tiles, row given label, column true class.
        is_untold: (K,) bool, the given labels whose noise rate cannot be determined: nothing is
            known about their shares. None if there are none.
    """

    class_names: tuple[str, ...]
    values: NDArray[np.float64]
    is_untold: NDArray[np.bool_] | None = None

    @property
    def shares(self) -> NDArray[np.float64]:
        """(K, K), each row sums to 1, or to 0 where no tile has the label."""
        totals = self.values.sum(axis=1, keepdims=True)
        return np.asarray(self.values / np.maximum(totals, 1e-12))

    def intervals(
        self, given: NDArray[np.int64], true: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The 95 % intervals of some shares.

        Args:
            given: (M,) their rows; each must be a label that some tile has.
            true: (M,) their columns.

        Returns:
            (M,) lower ends and (M,) upper ends; 0 and 1 where the rate cannot be determined.
        """
        tiles = np.maximum(np.rint(self.values.sum(axis=1)), 1).astype(np.int64)
        low, high = share_intervals(self.shares[given, true], tiles[given])
        untold = False if self.is_untold is None else self.is_untold[given]
        return np.where(untold, 0.0, low), np.where(untold, 1.0, high)


@dataclass(frozen=True)
class Comparison:
    """Trusted tiles to compare a doubtful one with, nearest first.

    Attributes:
        own: with its given label.
        suggested: with the suggested label.
        second: with the most probable label besides these two.
    """

    own: tuple[Tile, ...]
    suggested: tuple[Tile, ...]
    second: tuple[Tile, ...] = ()


@dataclass(frozen=True)
class WrongLabelsLeft:
    """How many labels are probably wrong among those that nobody decided on.

    Attributes:
        undecided: number of labels that nobody decided on.
        expected: how many of them are probably wrong; None if it cannot be determined.
        interval: 95 % interval of that number.
    """

    undecided: int
    expected: float | None
    interval: tuple[int, int]

    @property
    def summary(self) -> str:
        """The number in words, with its interval."""
        number = "cannot be determined" if self.expected is None else str(round(self.expected))
        return (
            f"probably wrong among the {self.undecided} labels that nobody decided on: {number} "
            f"(95% interval {self.interval[0]} to {self.interval[1]})"
        )


@dataclass(frozen=True)
class KnownWrong:
    """How many labels are wrong by the true labels.

    Attributes:
        total: of all audited labels.
        undecided: of those that nobody decided on.
    """

    total: int
    undecided: int


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes:
        table: a row per audited label, the worst first; `result_table.SCHEMA` has the columns.
        tiles: the N audited tiles; the column `row` of the table is a position in them.
        per_class: figures by given label.
        noise_rate: estimated share of wrong labels; None if it cannot be determined.
        interval: 95 % interval of the noise rate.
        wrong_left: wrong labels among those that nobody decided on; None if nobody counted.
        figures: comparison with the true labels, if they were given. All but the noise rate are
            those of labels that nobody decided on.
        known_wrong: numbers of wrong labels by the true labels, if they were given.
        noise_matrix: expected tiles by given label and true class; None if unknown.
        comparisons: tile id → tiles to compare with, for as many tiles as requested.
        places: tile id → where the tile lies, for tiles with a georeference.
    """

    table: pyarrow.Table
    tiles: TileSet
    per_class: tuple[ClassIssues, ...]
    noise_rate: float | None
    interval: tuple[float, float]
    wrong_left: WrongLabelsLeft | None = None
    figures: AuditFigures | None = None
    known_wrong: KnownWrong | None = None
    noise_matrix: NoiseMatrix | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    @cached_property
    def to_review(self) -> pyarrow.Table:
        """The rows that a person should look at, the worst label first."""
        return self.table.filter(self.table["needs_review"])

    @cached_property
    def issues(self) -> pyarrow.Table:
        """The rows whose label is flagged as wrong, the worst label first."""
        return self.table.filter(self.table["is_label_issue"])

    @property
    def issue_counts(self) -> dict[IssueType, int]:
        """Number of tiles by type of issue."""
        types = plain_values(self.to_review["kind"])
        return {issue_type: types.count(issue_type) for issue_type in ISSUE_TYPES}

    @property
    def noise_summary(self) -> str:
        """The noise rate in words, with its interval."""
        low, high = self.interval
        interval = f"(95% interval {low:.1%} to {high:.1%})"
        if self.noise_rate is None:
            return f"the noise rate cannot be determined {interval}"
        return f"estimated noise rate {self.noise_rate:.1%} {interval}"

    def fixed_labels(self) -> dict[str, str]:
        """The labels with the confident suggestions applied.

        Returns:
            Tile id → label, sorted by id.
        """
        columns = ("tile", "has_confident_suggestion", "suggested_label", "given_label")
        rows = sorted(tuples_of(self.table, columns))
        return {tile: suggested if take else given for tile, take, suggested, given in rows}
