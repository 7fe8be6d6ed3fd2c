"""Read which labels of a file a person decided on, and write labels files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from rsretrieve._core.tables import Row, write_csv
from rsretrieve._core.text import some_of
from rsretrieve.data.labels.class_names import clean_label
from rsretrieve.data.labels.confirmed import ConfirmedLabel, Rule, contradiction
from rsretrieve.data.tile import Tile
from rsretrieve.errors import LabelsError

DECISION_COLUMNS = ("decision", "given_label")


class DecisionColumn:
    """Reads the column `decision` of a table of labels, if there is one, row by row.

    Args:
        path: the table, for messages.

    Attributes:
        confirmed: by tile, the labels that a person decided on.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self.confirmed: dict[str, ConfirmedLabel] = {}
        self._unknown: Counter[str] = Counter()

    def read(self, tile: str, label: str | None, row: Row, line: object) -> ConfirmedLabel | None:
        """The decision of a person on the label of a row; None if there is none.

        Raises:
            LabelsError: the cells of the row contradict one another.
        """
        text = row.get("decision", "").strip().lower()
        if not text:
            return None
        if text not in [*Rule]:
            self._unknown[text] += 1
            return None
        rule, given = Rule(text), clean_label(row.get("given_label", ""))
        problem = contradiction(rule, label, given, clean_label(row.get("suggested_label", "")))
        if problem:
            raise LabelsError(
                f"{self._path}: line {line}: the decision on tile {tile!r} contradicts itself: "
                f"{problem}",
                hint="correct the label, or empty the cell 'decision'",
            )
        if not rule.confirms:
            return None
        original = label if rule is Rule.REJECT else given
        return self.confirmed.setdefault(tile, ConfirmedLabel(rule, original))

    @property
    def notices(self) -> tuple[str, ...]:
        """The notice that some decisions are unknown and count as none; empty if all are known."""
        if not self._unknown:
            return ()
        return (
            f"{self._path}: {sum(self._unknown.values())} cells of the column 'decision' are "
            f"{some_of(sorted(self._unknown))}; these labels count as not decided on (known: "
            f"{', '.join(Rule)})",
        )


def write_labels(
    path: Path,
    labels: Mapping[str, str | None],
    *,
    overwrite: bool,
    tiles: Iterable[Tile] = (),
) -> None:
    """Write a labels file; None becomes an empty field.

    Args:
        path: the CSV file.
        labels: tile id → label.
        overwrite: replace an existing file.
        tiles: the tiles as they were labelled. If a person decided on some of the labels, the
            columns `decision` and `given_label` are added.
    """
    columns = labels_columns(labels, tiles)
    texts = ([cell or "" for cell in column] for column in columns.values())
    write_csv(path, tuple(columns), zip(*texts), overwrite=overwrite)


def labels_columns(
    labels: Mapping[str, str | None], tiles: Iterable[Tile]
) -> dict[str, list[str | None]]:
    """The columns of a labels file, by name; see `write_labels`."""
    columns: dict[str, list[str | None]] = {"tile": [*labels], "label": [*labels.values()]}
    by_id = {tile.id: tile for tile in tiles}
    if any(tile.confirmed for tile in by_id.values()):
        cells = [decision_cells(by_id.get(name), label) for name, label in labels.items()]
        columns |= zip(DECISION_COLUMNS, ([*column] for column in zip(*cells)))
    return columns


def decision_cells(tile: Tile | None, label: str | None) -> tuple[str, str]:
    """The cells `decision` and `given_label` of a tile that gets this label."""
    if tile is not None and tile.confirmed is not None and tile.label == label:
        return tile.confirmed.rule.value, tile.confirmed.original or ""
    given = label if tile is None else tile.label
    rule = Rule.UNDECIDED if label == given else Rule.SUGGESTION
    return rule.value, given or ""
