"""What a page of an audit shows, and how its decisions are applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow
import pyarrow.compute as pc

from rsretrieve.audit.decisions.saved_decisions import Decision, Disagreement, LabelsOrigin
from rsretrieve.audit.result import Audit, Comparison
from rsretrieve.audit.result_table import Row, rows_of, text_array
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.data.tile import Tile
from rsretrieve.export.html.page_limits import MOST_CARDS

_PLAIN_COMMAND = (
    "rsretrieve audit-labels TILES --decisions decisions.csv --fixed-labels decided.csv"
)


@dataclass(frozen=True)
class ReviewSettings:
    """What is needed to apply the decisions that are made on a page.

    Attributes:
        command: the command that applies them, for a shell.
        origin: where the labels of the page come from; saved with every decision.
        earlier: decisions that the audit knew; saved with those made on the page.
        disagreements: tiles that several reviewers gave different labels; they come first.
    """

    command: str = _PLAIN_COMMAND
    origin: LabelsOrigin = field(default_factory=LabelsOrigin)
    earlier: tuple[Decision, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()

    def earlier_rows(self) -> list[list[str]]:
        """The earlier decisions as rows of the file that the page saves."""
        ends = [self.origin.file, self.origin.digest]
        return [
            [
                *(d.tile_id, d.label or "", _saved_rule(d), d.given_label or ""),
                *("", "", d.by, d.at, *ends),
            ]
            for d in self.earlier
        ]


def _saved_rule(decision: Decision) -> str:
    return "" if decision.rule is Rule.PERSON else decision.rule.value


@dataclass(frozen=True)
class PageRequest:
    """The content of a page.

    Attributes:
        audit: the audit to show.
        source: the tiles, as named by the user.
        bands: bands shown as red, green and blue, counted from 1; empty for the first three.
        compares_pixels: near-duplicates were found by pixels, not by embeddings alone; None if
            that is not known.
        most_cards: largest number of tiles to show; the worst ones are shown.
        review: how the decisions are applied later.
        models: the model folders, as the user named them; none if there was no model.
    """

    audit: Audit
    source: str
    bands: tuple[int, ...] = ()
    compares_pixels: bool | None = True
    most_cards: int = MOST_CARDS
    review: ReviewSettings = field(default_factory=ReviewSettings)
    models: tuple[str, ...] = ()

    @cached_property
    def shown(self) -> pyarrow.Table:
        """The rows of the tiles that get a card, the worst label first.

        Tiles that reviewers gave different labels come before all others.
        """
        disputed = [each.tile_id for each in self.review.disagreements]
        if not disputed:
            return self.audit.to_review.slice(0, self.most_cards)
        is_disputed = pc.is_in(self.audit.table["tile"], value_set=text_array(disputed))
        first = self.audit.table.filter(is_disputed)
        others = self.audit.table.filter(
            pc.and_(pc.invert(is_disputed), self.audit.table["needs_review"])
        )
        return pyarrow.concat_tables([first, others]).slice(0, self.most_cards)

    @cached_property
    def rows(self) -> list[Row]:
        """The same rows as dictionaries."""
        return rows_of(self.shown)

    @property
    def has_probabilities(self) -> bool:
        """Whether the scores are probabilities; otherwise they only rank the labels."""
        left = self.audit.wrong_left
        return left is None or left.expected is not None

    def tile(self, row: Row) -> Tile:
        """The tile of a row."""
        return self.audit.tiles[row["row"]]

    def near_duplicate(self, row: Row) -> Tile | None:
        """The near-duplicate of the tile of a row."""
        return None if row["twin_row"] is None else self.audit.tiles[row["twin_row"]]

    def comparison(self, row: Row) -> Comparison:
        """The tiles to compare the tile of a row with."""
        return self.audit.comparisons.get(row["tile"], Comparison((), ()))
