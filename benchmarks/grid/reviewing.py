"""Review labels in rounds: the audit chooses which labels a scripted reviewer looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rsretrieve.audit.audit import AuditRequest, audit_labels
from rsretrieve.audit.evidence.evidence import EvidenceSource
from rsretrieve.audit.issue_selection import IssueSelection
from rsretrieve.audit.label_quality import AssessmentOptions
from rsretrieve.audit.result import Audit, WrongLabelsLeft
from rsretrieve.audit.result_table import plain_values
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet

ROUNDS, PER_ROUND, REVIEWER_ERROR = 3, 100, 0.02


@dataclass(frozen=True)
class Reviewer:
    """Knows the true labels, and errs now and then.

    Attributes:
        true_labels: tile id → label.
        seed: of its errors.
        error: probability that it decides on a wrong label, drawn from the other classes.
    """

    true_labels: Mapping[str, str]
    seed: int
    error: float = REVIEWER_ERROR

    def decide(self, tiles: TileSet, ids: Sequence[str], number: int) -> TileSet:
        """The tiles with this reviewer's decisions on some of them, in round `number`."""
        rng = np.random.default_rng((self.seed, number))
        names = sorted(set(self.true_labels.values()))
        labels = {name: self.true_labels[name] for name in ids}
        for name in ids:
            if rng.random() < self.error:
                labels[name] = str(rng.choice([other for other in names if other != labels[name]]))
        given = {tile.id: tile.label for tile in tiles}
        confirmed = {
            name: ConfirmedLabel(
                Rule.REJECT if labels[name] == given[name] else Rule.CHOOSE, given[name]
            )
            for name in ids
        }
        return tiles.relabelled(labels).with_confirmed(confirmed)


@dataclass(frozen=True)
class Round:
    """The state after a round; round 0 is before any decision.

    Attributes:
        number: of the round.
        found: number of labels that were wrong, of those looked at in this round.
        left: number of wrong labels among those that nobody decided on, by the true labels.
        estimate: the same by the audit, with its interval.
        tiles: with all decisions so far.
    """

    number: int
    found: int
    left: int
    estimate: WrongLabelsLeft
    tiles: TileSet


def review_in_rounds(
    tiles: TileSet, source: EvidenceSource, reviewer: Reviewer, rounds: int = ROUNDS
) -> Iterator[Round]:
    """Audit, review the labels that the audit chooses, and so on.

    Raises:
        RuntimeError: a tile was chosen twice.
    """
    asked: set[str] = set()
    found = 0
    for number in range(rounds + 1):
        audit = _audit(tiles, source)
        if audit.wrong_left is None:
            raise RuntimeError("the audit does not say how many wrong labels are left")
        yield Round(number, found, _wrong(tiles, reviewer), audit.wrong_left, tiles)
        ids = [str(name) for name in plain_values(audit.issues["tile"])]
        if asked & {*ids}:
            raise RuntimeError(f"asked twice about {sorted(asked & {*ids})}")
        asked |= {*ids}
        given = {tile.id: tile.label for tile in tiles}
        found = sum(given[name] != reviewer.true_labels[name] for name in ids)
        tiles = reviewer.decide(tiles, ids, number)


def _audit(tiles: TileSet, source: EvidenceSource) -> Audit:
    options = AssessmentOptions(IssueSelection(budget=PER_ROUND))
    return audit_labels(AuditRequest(tiles, source, options=options), RunContext(strict=True))


def _wrong(tiles: TileSet, reviewer: Reviewer) -> int:
    """Wrong labels among those that nobody decided on."""
    return sum(
        tile.confirmed is None and tile.label != reviewer.true_labels[tile.id] for tile in tiles
    )
