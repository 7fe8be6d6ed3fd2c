"""Apply the decisions of reviewers to labels, and log who changed what by which rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rsretrieve._core.tables import read_table, write_csv
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import tuples_of
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

CHANGE_COLUMNS = ("tile", "given_label", "label", "rule", "by", "at")


class Rule(StrEnum):
    """How a label was decided on."""

    ACCEPT = "accept"  # the reviewer accepted the suggestion
    REJECT = "reject"  # the reviewer kept the given label
    CHOOSE = "choose"  # the reviewer chose another label
    REMOVE = "remove"  # the reviewer removed the label: the tile belongs to no class
    SKIP = "skip"  # the reviewer left the label open
    PERSON = "person"  # a labels file of a person, without the column "decision"
    SUGGESTION = "suggestion"  # the suggestion was applied without review


@dataclass(frozen=True)
class Decision:
    """A reviewer's decision on a tile.

    Attributes:
        tile_id: id of the tile.
        label: the new label; None removes the label.
        rule: how it was decided.
        by: name of the reviewer; may be empty.
        at: time of the decision, as written by the page; may be empty.
        given_label: the label that the reviewer saw; None if the file does not say.
    """

    tile_id: str
    label: str | None
    rule: Rule
    by: str = ""
    at: str = ""
    given_label: str | None = None


@dataclass(frozen=True)
class Change:
    """A line of the log: the old and the new label of a tile, and who decided by which rule."""

    tile_id: str
    given_label: str | None
    label: str | None
    rule: Rule
    by: str
    at: str

    @property
    def changes_label(self) -> bool:
        """Whether the label is another one; a decision can also keep it."""
        return self.label != self.given_label


def read_decisions(path: Path) -> list[Decision]:
    """Read the decisions saved by the audit page, or any labels file (tile,label).

    Args:
        path: a table with the columns `tile` and `label`; the columns `decision` (a `Rule`),
            `by`, `at` and `given_label` are optional.

    Returns:
        The decisions, in the order of the file.

    Raises:
        TableError: the file does not exist, or a column is missing.
        LabelsError: no rows, a tile twice, or an unknown decision.
    """
    decisions: dict[str, Decision] = {}
    for line, row in read_table(path, ("tile", "label")):
        if row["tile"] in decisions:
            raise LabelsError(
                f"{path}: line {line} is a second decision on tile {row['tile']!r}",
                hint="keep one row per tile",
            )
        decisions[row["tile"]] = Decision(
            tile_id=row["tile"],
            label=clean_label(row["label"]),
            rule=_rule(path, line, row.get("decision", "")),
            by=row.get("by", ""),
            at=row.get("at", ""),
            given_label=clean_label(row.get("given_label")),
        )
    if not decisions:
        raise LabelsError(f"{path}: there are no decisions below the header")
    return list(decisions.values())


def _rule(path: Path, line: int, text: str) -> Rule:
    try:
        return Rule(text or Rule.PERSON)
    except ValueError as error:
        raise LabelsError(
            f"{path}: line {line}: unknown decision {text!r}",
            hint=f"the column 'decision' must be empty or one of {', '.join(Rule)}",
        ) from error


@dataclass(frozen=True)
class ReviewedTiles:
    """Tiles with the decisions applied to their labels.

    Attributes:
        tiles: the tiles, with notices about decisions that did not fit.
        changes: the log, one line per decision on one of the tiles, in the order of the tiles.
        confirmed: ids of the tiles whose label a person has decided on, without skipped ones.
    """

    tiles: TileSet
    changes: tuple[Change, ...]
    confirmed: frozenset[str]


def apply_decisions(tiles: TileSet, decisions: Iterable[Decision], source: Path) -> ReviewedTiles:
    """Apply decisions to the labels of tiles.

    Args:
        tiles: the tiles.
        decisions: at most one per tile.
        source: the file that the decisions come from, for messages.

    Raises:
        LabelsError: no decision concerns one of these tiles.
    """
    by_tile = {decision.tile_id: decision for decision in decisions}
    concerned = [tile for tile in tiles if tile.id in by_tile]
    if not concerned:
        raise LabelsError(
            f"{source} decides on none of the {len(tiles)} tiles of {tiles.source} (it names "
            f"{some_of(by_tile)}; the tiles are {some_of(tile.id for tile in tiles)})",
            hint="give the tiles, and the folder, that the page was made from",
        )
    changes = tuple(
        _change(by_tile[tile.id], tile.label)
        for tile in concerned
        if by_tile[tile.id].rule is not Rule.SKIP
    )
    notices = []
    if absent := len(by_tile) - len(concerned):
        notices.append(f"{absent} decisions of {source} concern tiles that were not found")
    seen = {d.tile_id: d.given_label for d in by_tile.values() if d.given_label is not None}
    if stale := [t.id for t in concerned if t.id in seen and t.label != seen[t.id]]:
        notices.append(
            f"{len(stale)} tiles have other labels now than when {source} was saved "
            f"({some_of(stale)}); their decisions are applied anyway"
        )
    labels = {change.tile_id: change.label for change in changes}
    relabelled = tiles.relabelled(labels).with_notices(*notices)
    return ReviewedTiles(relabelled, changes, frozenset(labels))


def _change(decision: Decision, given: str | None) -> Change:
    return Change(decision.tile_id, given, decision.label, decision.rule, decision.by, decision.at)


def suggested_changes(audit: Audit) -> tuple[Change, ...]:
    """The log of the confident suggestions, the worst label first."""
    columns = ("has_confident_suggestion", "tile", "given_label", "suggested_label")
    return tuple(
        Change(tile, given, suggested, Rule.SUGGESTION, "rsretrieve", "")
        for is_confident, tile, given, suggested in tuples_of(audit.issues, columns)
        if is_confident and suggested != given
    )


def labels_of(tiles: TileSet) -> Mapping[str, str | None]:
    """Tile id → label, sorted by id, for a labels file."""
    return {tile.id: tile.label for tile in sorted(tiles, key=lambda tile: tile.id)}


def write_changes(path: Path, changes: Iterable[Change], *, overwrite: bool) -> None:
    """Write the log as CSV.

    Args:
        path: the CSV file; its columns are `CHANGE_COLUMNS`.
        changes: the lines.
        overwrite: replace an existing file.
    """
    rows = ((c.tile_id, c.given_label or "", c.label or "", c.rule, c.by, c.at) for c in changes)
    write_csv(path, CHANGE_COLUMNS, rows, overwrite=overwrite)
