"""Read decisions of reviewers, and which labels they were made on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.atomic_write import resolved, sha256_of_file
from rsretrieve._core.tables import read_table
from rsretrieve.data.labels.confirmed import Rule, contradiction
from rsretrieve.data.labels.label_column import LabelColumn
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import LabelsError

_NOT_MADE = (Rule.UNDECIDED, Rule.SUGGESTION)
_LABELS = ("label", "given_label", "suggested_label")
ORIGIN_COLUMNS = ("labels_file", "labels_digest")


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
class LabelsOrigin:
    """The file that labels come from.

    Attributes:
        file: its absolute path; empty for the names of folders.
        digest: SHA-256 of its content; empty for the names of folders.
    """

    file: str = ""
    digest: str = ""

    @classmethod
    def of(cls, tiles: TileSet) -> LabelsOrigin:
        """Where the labels of tiles come from now."""
        file = tiles.labels_file
        return cls() if file is None else cls(str(resolved(file)), sha256_of_file(file))


@dataclass(frozen=True)
class Disagreement:
    """Decisions of several reviewers that give a tile different labels; none is applied.

    Attributes:
        tile_id: id of the tile.
        files: the file of each decision.
        decisions: the decisions, in the order of the files.
    """

    tile_id: str
    files: tuple[Path, ...]
    decisions: tuple[Decision, ...]

    @property
    def opinions(self) -> tuple[tuple[str, str | None], ...]:
        """Who gave which label; None for no class. A file stands for a reviewer without name."""
        return tuple((d.by or file.name, d.label) for file, d in zip(self.files, self.decisions))


@dataclass(frozen=True)
class DecisionsFile:
    """A file of decisions, or several files merged.

    Attributes:
        path: the file, or the first of several.
        decisions: its decisions, in the order of the file; at most one per tile.
        origin: the labels that they were made on; None if the file does not say.
        is_from_page: the file has the columns that the audit page writes.
        undecided: number of its rows that nobody decided on; they are no decisions.
        others: the other files, if several were merged.
        disagreements: the tiles that the files give different labels.
        notices: what the user should know about the rows.
    """

    path: Path
    decisions: tuple[Decision, ...]
    origin: LabelsOrigin | None = None
    is_from_page: bool = False
    undecided: int = 0
    others: tuple[Path, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def named(self) -> str:
        """The file, or all files, for messages."""
        return " and ".join(map(str, (self.path, *self.others)))


def read_decisions(path: Path) -> DecisionsFile:
    """Read the decisions saved by the audit page, or any labels file (tile,label).

    Args:
        path: a table with the columns `tile` and `label`; the columns `decision` (a `Rule`),
            `by`, `at`, `given_label`, `suggested_label`, `labels_file` and `labels_digest` are
            optional. A row without a decision and without a label is undecided.

    Raises:
        TableError: the file does not exist, or a column is missing.
        LabelsError: no rows, a tile twice, an unknown decision, cells that contradict one
            another, or decisions made on different labels.
    """
    decisions: dict[str, Decision] = {}
    labels = {name: LabelColumn(path, name) for name in _LABELS}
    origin, is_from_page = None, False
    for line, row in read_table(path, ("tile", "label")):
        place = f"{path}: line {line}"
        if row["tile"] in decisions:
            raise LabelsError(
                f"{place} is a second decision on tile {row['tile']!r}",
                hint="keep one row per tile",
            )
        decisions[row["tile"]] = _decision(row, labels, place, line)
        is_from_page = "given_label" in row
        if (found := _origin(row)) is not None:
            if origin and origin.digest and found.digest not in ("", origin.digest):
                raise LabelsError(
                    f"{place} has a decision on other labels than the rows above",
                    hint="apply the decisions of each page separately",
                )
            origin = origin if origin and origin.digest else found
    made = tuple(d for d in decisions.values() if d.rule not in _NOT_MADE)
    if not made:
        raise LabelsError(f"{path}: there are no decisions below the header")
    return DecisionsFile(
        *(path, made, origin, is_from_page, len(decisions) - len(made)),
        notices=labels["label"].notices,
    )


def _decision(
    row: Mapping[str, str], labels: Mapping[str, LabelColumn], place: str, line: int
) -> Decision:
    label, given, suggested = (labels[name].label(row.get(name), line) for name in _LABELS)
    rule = _rule(place, row.get("decision", ""))
    if problem := contradiction(rule, label, given, suggested):
        raise LabelsError(
            f"{place}: the decision on tile {row['tile']!r} contradicts itself: {problem}",
            hint="correct the label, or empty the cell 'decision' so that the label counts",
        )
    if rule is Rule.PERSON and label is None:
        rule = Rule.UNDECIDED  # an empty cell was not filled in; `remove` removes a label
    if rule is Rule.REJECT and given is None:
        given = label  # which the reviewer kept
    return Decision(row["tile"], label, rule, row.get("by", ""), row.get("at", ""), given)


def _origin(row: Mapping[str, str]) -> LabelsOrigin | None:
    """The labels that a row was decided on; None if it does not say.

    Empty cells stand for the names of folders.
    """
    if any(name not in row for name in ORIGIN_COLUMNS):
        return None
    file, digest = (row[name].strip() for name in ORIGIN_COLUMNS)
    return LabelsOrigin(file, digest.lower())


def _rule(place: str, text: str) -> Rule:
    try:
        return Rule(text.strip().lower() or Rule.PERSON)
    except ValueError as error:
        raise LabelsError(
            f"{place}: unknown decision {text!r}",
            hint=f"the column 'decision' must be empty or one of {', '.join(Rule)}",
        ) from error


def require_origin(
    tiles: TileSet, decided: DecisionsFile, command: Callable[[str], str]
) -> tuple[str, ...]:
    """Check that tiles have the labels that decisions were made on.

    With other labels, all tiles without a decision would get these other labels.

    Args:
        tiles: the tiles, with the labels that are to be changed.
        decided: the decisions.
        command: returns the command that applies the decisions to a labels file.

    Returns:
        Notices, if the decisions do not say what they were made on.

    Raises:
        LabelsError: the labels are others.
    """
    origin, now = decided.origin, LabelsOrigin.of(tiles)
    if origin is None:
        return _notices_without_origin(decided, tiles)
    if origin.digest == now.digest:
        return ()
    if origin == LabelsOrigin():
        return (
            f"the decisions of {decided.named} were made on the names of folders as labels; tiles "
            f"without a decision keep their labels of {now.file}",
        )
    if origin.file == now.file:  # compared as text: a stranger may have written the name
        raise LabelsError(
            f"{now.file} has changed since the decisions of {decided.named} were made on it",
            hint="restore it, or make a new page; to apply the decisions anyway, remove the "
            f"columns {' and '.join(ORIGIN_COLUMNS)} from {decided.named}",
        )
    has = f"the labels are now those of {now.file}" if now.file else "--labels is missing"
    raise LabelsError(
        f"the decisions of {decided.named} were made on the labels of {origin.file}, and {has}: "
        "all tiles without a decision would get these other labels",
        hint=f"type: {command(origin.file)}",
    )


def _notices_without_origin(decided: DecisionsFile, tiles: TileSet) -> tuple[str, ...]:
    if not decided.is_from_page:
        return ()
    if tiles.labels_file is None:
        return (
            f"{decided.named} does not say which labels it was made on; tiles without a decision "
            "keep the names of their folders as labels (if the page was made with --labels FILE, "
            "give the same here)",
        )
    return (
        f"{decided.named} does not name a labels file; tiles without a decision keep their labels "
        f"of {tiles.labels_file}",
    )
