"""Apply the decisions of reviewers to labels, and log who changed what by which rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rsretrieve._core.tables import write_csv
from rsretrieve._core.text import some_of
from rsretrieve.audit.decisions.saved_decisions import (
    Decision,
    DecisionsFile,
    Disagreement,
    require_origin,
)
from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import tuples_of
from rsretrieve.data.labels.class_names import nothing_in_common, spelling_notices
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule
from rsretrieve.data.labels.labels import by_tile_id
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import LabelsError

_MANY = 8
CHANGE_COLUMNS = ("tile", "given_label", "label", "rule", "by", "at")


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


@dataclass(frozen=True)
class ReviewedTiles:
    """Tiles with the decisions applied to their labels.

    Attributes:
        tiles: the tiles, with notices about decisions that did not fit. The labels that a person
            decided on are confirmed; skipped ones are not.
        changes: the log, one line per decision on one of the tiles, in the order of the tiles.
        decisions: the decisions, as they were read.
        disagreements: tiles that reviewers gave different labels; they keep their labels.
    """

    tiles: TileSet
    changes: tuple[Change, ...]
    decisions: tuple[Decision, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()


def apply_decisions(
    tiles: TileSet, decided: DecisionsFile, command: Callable[[str], str]
) -> ReviewedTiles:
    """Apply decisions to the labels of tiles.

    Args:
        tiles: the tiles.
        decided: the decisions.
        command: returns the command that applies the decisions to a labels file, for the error
            of tiles that have other labels.

    Raises:
        LabelsError: no decision concerns one of these tiles; they were made on other labels; or
            no tile has a class of them.
    """
    source = decided.named
    origin = require_origin(tiles, decided, command)
    named = {decision.tile_id: decision for decision in decided.decisions}
    ids = {tile.id for tile in tiles}
    by_tile = by_tile_id(named, ids, source)
    disputed = by_tile_id({each.tile_id: each for each in decided.disagreements}, ids, source)
    concerned = [tile for tile in tiles if tile.id in by_tile]
    if not concerned and not disputed.keys() & ids:
        raise LabelsError(
            f"{source} holds no decision on any of the {len(tiles)} tiles of {tiles.source} (it "
            f"names {some_of((*by_tile, *disputed))}; the tiles are "
            f"{some_of(tile.id for tile in tiles)})",
            hint="give the tiles, and the folder, that the page was made from",
        )
    changes = tuple(
        _change(tile.id, by_tile[tile.id], tile.label)
        for tile in concerned
        if by_tile[tile.id].rule is not Rule.SKIP
    )
    notices = [
        *origin,
        *decided.notices,
        *_notices_of_absent_tiles(concerned, by_tile, source),
        *_notices_of_new_classes(tiles, by_tile.values(), source),
        *_notices_of_disagreements(disputed, source),
    ]
    if decided.undecided:
        notices.append(
            f"{decided.undecided} rows of {source} are not decisions of a person; these tiles keep "
            "their labels"
        )
    relabelled = tiles.relabelled({change.tile_id: change.label for change in changes})
    confirmed = {
        tile.id: _confirmed(tile, by_tile[tile.id])
        for tile in concerned
        if by_tile[tile.id].rule.confirms
    }
    reviewed = relabelled.with_confirmed(confirmed).with_notices(*notices)
    found = tuple(replace(each, tile_id=name) for name, each in disputed.items() if name in ids)
    return ReviewedTiles(reviewed, changes, decided.decisions, found)


def _notices_of_disagreements(disputed: Mapping[str, Disagreement], source: str) -> Iterator[str]:
    if disputed:
        yield (
            f"{source} give {len(disputed)} tiles different labels ({some_of(disputed)}); these "
            "tiles keep their labels and count as not decided on"
        )


def _notices_of_absent_tiles(
    concerned: Sequence[Tile], by_tile: Mapping[str, Decision], source: str
) -> Iterator[str]:
    """Notices of decisions on tiles that are missing, or that have other labels now."""
    if absent := len(by_tile) - len(concerned):
        yield f"{absent} decisions of {source} concern tiles that were not found"
    seen = {name: d.given_label for name, d in by_tile.items() if d.given_label is not None}
    if stale := [tile.id for tile in concerned if tile.label != seen.get(tile.id, tile.label)]:
        yield (
            f"{len(stale)} tiles have other labels now than when {source} was saved "
            f"({some_of(stale)}); their decisions are applied anyway"
        )


def _confirmed(tile: Tile, decision: Decision) -> ConfirmedLabel:
    """The decision on a tile, with the label from before any decision."""
    if tile.confirmed is not None:
        return ConfirmedLabel(decision.rule, tile.confirmed.original)
    is_applied_already = tile.label == decision.label and decision.given_label is not None
    original = decision.given_label if is_applied_already else tile.label
    return ConfirmedLabel(decision.rule, original)


def _notices_of_new_classes(
    tiles: TileSet, decisions: Iterable[Decision], source: str
) -> tuple[str, ...]:
    """The notices of classes that reviewers typed and that no tile had before.

    Raises:
        LabelsError: all classes that the decisions name are such classes.
    """
    decisions, had = [*decisions], tiles.class_names
    if not decisions:  # the reviewers disagree on all tiles
        return ()
    given = {d.given_label for d in decisions if d.given_label is not None}
    decided = {d.label for d in decisions if d.label is not None}
    if nothing_in_common(given | decided, had):
        raise LabelsError(
            f"no tile of {tiles.source} has a class of {source} (it has "
            f"{some_of(sorted(given | decided), _MANY)}; the tiles have {some_of(had, _MANY)})",
            hint="write the classes as the tiles have them; to start a new class, add the column "
            "given_label with the labels that the tiles have",
        )
    typed = {d.label for d in decisions if d.rule in (Rule.CHOOSE, Rule.PERSON)}
    new = sorted((decided & typed) - {*had})
    if not new or not had:
        return ()
    notice = f"{source} adds classes that no tile of {tiles.source} has: {some_of(new, _MANY)}"
    return (notice, *spelling_notices({*new, *had}))


def _change(tile_id: str, decision: Decision, given: str | None) -> Change:
    return Change(tile_id, given, decision.label, decision.rule, decision.by, decision.at)


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
