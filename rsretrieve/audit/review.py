"""What people decided about labels, put on the tiles; and the log of who changed what, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rsretrieve._core.tables import read_table, write_csv
from rsretrieve.audit.result import Audit
from rsretrieve.data.labels.labels import some_of
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

CHANGE_COLUMNS = ("tile", "given_label", "label", "rule", "by", "at")


class Rule(StrEnum):
    """By which rule a label came to be what it is."""

    ACCEPT = "accept"  # a person took the suggestion
    REJECT = "reject"  # a person kept the given label
    CHOOSE = "choose"  # a person gave another label
    REMOVE = "remove"  # a person took the label away: the tile is of no class
    SKIP = "skip"  # a person looked, and left it open
    PERSON = "person"  # a person's labels file that says no more than tile and label
    SUGGESTION = "suggestion"  # the audit's own, taken unseen


@dataclass(frozen=True)
class Decision:
    """A person's decision on a tile.

    Attributes:
        tile_id: the tile's id.
        label: what it is to be; None takes the label away.
        rule: how it was decided.
        by: who decided, as they called themselves; may be empty.
        at: when, as the page wrote it; may be empty.
        given_label: the label that they saw; None where the file does not say.
    """

    tile_id: str
    label: str | None
    rule: Rule
    by: str = ""
    at: str = ""
    given_label: str | None = None


@dataclass(frozen=True)
class Change:
    """A line of the log: what became of a tile's label, by which rule and whom."""

    tile_id: str
    given_label: str | None
    label: str | None
    rule: Rule
    by: str
    at: str

    @property
    def changes_label(self) -> bool:
        """Not every decision does: a label can be kept."""
        return self.label != self.given_label


def read_decisions(path: Path) -> list[Decision]:
    """Read what the audit's page saved; any labels file (tile,label) will do.

    Columns beside those two are optional: `decision` (a `Rule`), `by`, `at`, `given_label`.

    Raises:
        TableError: no such file, or a column is missing.
        LabelsError: no rows, a tile twice, or a decision that is none.
    """
    decisions: dict[str, Decision] = {}
    for line, row in read_table(path, ("tile", "label")):
        if row["tile"] in decisions:
            raise LabelsError(
                f"{path}: line {line} decides on tile {row['tile']!r} a second time",
                hint="keep one row for each tile",
            )
        decisions[row["tile"]] = Decision(
            tile_id=row["tile"],
            label=row["label"] or None,
            rule=_rule(path, line, row.get("decision", "")),
            by=row.get("by", ""),
            at=row.get("at", ""),
            given_label=row.get("given_label") or None,
        )
    if not decisions:
        raise LabelsError(f"{path}: no decisions below the header")
    return list(decisions.values())


def _rule(path: Path, line: int, text: str) -> Rule:
    try:
        return Rule(text or Rule.PERSON)
    except ValueError as error:
        raise LabelsError(
            f"{path}: line {line}: {text!r} is no decision",
            hint=f"the column 'decision' holds one of {', '.join(Rule)}, or nothing",
        ) from error


@dataclass(frozen=True)
class Decided:
    """Tiles with decisions put on them.

    Attributes:
        tiles: the same tiles, with notices about decisions that did not fit.
        changes: the log, a line a decision on a tile that is there, in the tiles' order.
        settled: ids of the tiles whose label a person has decided; skipped ones are open.
    """

    tiles: TileSet
    changes: tuple[Change, ...]
    settled: frozenset[str]


def decide(tiles: TileSet, decisions: Iterable[Decision], source: Path) -> Decided:
    """Put decisions on tiles.

    Raises:
        LabelsError: not one is about these tiles.
    """
    by_tile = {decision.tile_id: decision for decision in decisions}
    concerned = [tile for tile in tiles if tile.id in by_tile]
    if not concerned:
        raise LabelsError(
            f"{source} decides on none of the {len(tiles)} tiles of {tiles.source} (it names "
            f"{some_of(by_tile)}; the tiles are {some_of(tile.id for tile in tiles)})",
            hint="were they made of other tiles, or of another folder?",
        )
    changes = tuple(
        _change(by_tile[tile.id], tile.label)
        for tile in concerned
        if by_tile[tile.id].rule is not Rule.SKIP
    )
    notices = []
    if absent := len(by_tile) - len(concerned):
        notices.append(f"{absent} decisions of {source} are on tiles that are not there")
    seen = {d.tile_id: d.given_label for d in by_tile.values() if d.given_label is not None}
    if stale := [t.id for t in concerned if t.id in seen and t.label != seen[t.id]]:
        notices.append(
            f"{len(stale)} tiles have other labels now than when {source} was decided "
            f"({some_of(stale)}); the decisions hold all the same"
        )
    labels = {change.tile_id: change.label for change in changes}
    relabelled = tiles.relabelled(labels).with_notices(*notices)
    return Decided(relabelled, changes, frozenset(labels))


def _change(decision: Decision, given: str | None) -> Change:
    return Change(decision.tile_id, given, decision.label, decision.rule, decision.by, decision.at)


def suggested_changes(audit: Audit) -> tuple[Change, ...]:
    """The log of what the audit alone does to labels, worst first."""
    return tuple(
        Change(a.tile.id, a.tile.label, a.fixed_label, Rule.SUGGESTION, "rsretrieve", "")
        for a in audit.issues
        if a.fixed_label != a.tile.label
    )


def labels_of(tiles: TileSet) -> Mapping[str, str | None]:
    """Tile id → label, sorted by id, for a labels file."""
    return {tile.id: tile.label for tile in sorted(tiles, key=lambda tile: tile.id)}


def write_changes(path: Path, changes: Iterable[Change], *, overwrite: bool) -> None:
    """Write the log as CSV."""
    rows = ((c.tile_id, c.given_label or "", c.label or "", c.rule, c.by, c.at) for c in changes)
    write_csv(path, CHANGE_COLUMNS, rows, overwrite=overwrite)
