"""What an audit finds: judged tiles, worst first, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rsretrieve.audit.issue_types import IssueKind
from rsretrieve.audit.noise_rate import share_intervals
from rsretrieve.data.geo.place import Place
from rsretrieve.data.tile import Tile
from rsretrieve.evaluation.label_error_metrics import AuditFigures


@dataclass(frozen=True, slots=True)
class AuditedTile:
    """A tile's label and what the audit makes of it; the columns of the audit's CSV.

    Attributes:
        tile: the tile, with its given label.
        predicted_label: the likeliest class, or, of an issue, the likeliest but the given one:
            the label suggested.
        is_label_issue: the given label is thought wrong.
        label_score: the probability that the label is right, 0…1, lower is worse.
        own_similarity, predicted_similarity: to the two labels' prototypes.
        kind: what kind of issue it is, or None where nothing seems wrong.
        runner_up_label, runner_up_similarity: the likeliest class but the predicted one.
        twin: the tile with nearly the same pixels, or embedding, and another label; or None.
        neighbour_share: of the neighbours' votes, for the given label; None when not asked.
        area_under_margin: in training, in nats, lower is worse; None where it is not known.
        training_weight: m_i at the end of training, 1 where the tile was taught with the given
            label; None where it is not known.
        prototype_score: what `label_score` would be by the prototypes alone.
        predicted_probability: that the predicted label is the tile's.
        witnessed_probability: the same by the views that were not trained on the labels; None
            where there are none.
        has_confident_suggestion: the suggestion can be taken unseen; see `kinds_of`.
        twin_is_issue: the twin's label is thought wrong.
    """

    tile: Tile
    predicted_label: str
    is_label_issue: bool
    label_score: float
    own_similarity: float
    predicted_similarity: float
    kind: IssueKind | None = None
    runner_up_label: str = ""
    runner_up_similarity: float = 0.0
    twin: Tile | None = None
    neighbour_share: float | None = None
    area_under_margin: float | None = None
    training_weight: float | None = None
    prototype_score: float | None = None
    predicted_probability: float | None = None
    witnessed_probability: float | None = None
    has_confident_suggestion: bool = False
    twin_is_issue: bool = False

    @property
    def issue_probability(self) -> float:
        """That the label is wrong."""
        return 1 - self.label_score

    @property
    def suggested_label(self) -> str:
        """The predicted label; where that is the given one and a twin has another, the twin's.

        Unless that label is thought wrong: then this tile's own may stay.
        """
        alone = self.twin is None or self.twin_is_issue
        if alone or self.predicted_label != self.tile.label:
            return self.predicted_label
        return str(self.twin and self.twin.label)

    @property
    def needs_a_look(self) -> bool:
        """The label is thought wrong, or something else about the tile is."""
        return self.is_label_issue or self.kind is not None

    @property
    def fixed_label(self) -> str:
        """What to train on: the suggestion where it is confident, else the label as given."""
        return self.suggested_label if self.has_confident_suggestion else str(self.tile.label)


@dataclass(frozen=True)
class ClassIssues:
    """The issues among the tiles given one label.

    Attributes:
        label: the given label.
        tiles: how many have it.
        issues: how many of them are issues.
        noise_rate: the share that is thought wrong, which need not be that of issues: of ten
            labels each wrong with probability 0.2 none may be an issue.
        interval: of the noise rate, 95 %.
    """

    label: str
    tiles: int
    issues: int
    noise_rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class NoiseMatrix:
    """How many tiles of each given label are thought to be of each class.

    Attributes:
        class_names: of the K classes.
        values: (K, K) expected tiles, row given label, column true class.
    """

    class_names: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def shares(self) -> NDArray[np.float64]:
        """(K, K), each row summing to 1, or to 0 where no tile has the label."""
        totals = self.values.sum(axis=1, keepdims=True)
        return np.asarray(self.values / np.maximum(totals, 1e-12))

    def intervals(
        self, given: NDArray[np.int64], true: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The 95 % intervals of some shares: (M,) lower and upper ends.

        Args:
            given: (M,) their rows, each of a label that some tile has.
            true: (M,) their columns.
        """
        tiles = np.maximum(np.rint(self.values.sum(axis=1)), 1).astype(np.int64)
        return share_intervals(self.shares[given, true], tiles[given])


@dataclass(frozen=True)
class Comparison:
    """Tiles to hold a doubtful one against: trusted ones, nearest first.

    Attributes:
        own: of its given label.
        suggested: of the label suggested.
    """

    own: tuple[Tile, ...]
    suggested: tuple[Tile, ...]


@dataclass(frozen=True)
class Audit:
    """The audited tiles, worst first, and what they add up to.

    Attributes:
        tiles: all of them.
        per_class: issues by given label.
        noise_rate: the share of labels that is thought wrong.
        interval: of that, 95 %.
        figures: where the truth is known.
        noise_matrix: expected tiles, given label → true class; None where there is none.
        comparisons: tile id → tiles to compare with, for as many as were asked for.
        places: tile id → where it lies, of those of which that is known.
        checked: those that need a look, where somebody knows; else they are looked for.
    """

    tiles: Sequence[AuditedTile]
    per_class: tuple[ClassIssues, ...]
    noise_rate: float
    interval: tuple[float, float]
    figures: AuditFigures | None = None
    noise_matrix: NoiseMatrix | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    checked: tuple[AuditedTile, ...] | None = None

    @cached_property
    def to_check(self) -> tuple[AuditedTile, ...]:
        """The tiles that need a look, worst first."""
        if self.checked is not None:
            return self.checked
        return tuple(audited for audited in self.tiles if audited.needs_a_look)

    @cached_property
    def issues(self) -> tuple[AuditedTile, ...]:
        """The tiles whose labels are thought wrong, worst first."""
        return tuple(audited for audited in self.to_check if audited.is_label_issue)

    @property
    def kinds(self) -> dict[IssueKind, int]:
        """How many tiles are of each kind."""
        counts = dict.fromkeys(IssueKind, 0)
        for audited in self.to_check:
            if audited.kind is not None:
                counts[audited.kind] += 1
        return counts

    def fixed_labels(self) -> dict[str, str]:
        """Tile id → label: as given, or as suggested; see `AuditedTile.fixed_label`."""
        by_id = sorted(self.tiles, key=lambda audited: audited.tile.id)
        return {audited.tile.id: audited.fixed_label for audited in by_id}
