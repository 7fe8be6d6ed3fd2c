"""Read what `audit-labels --output` wrote, column by column."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from numpy.typing import NDArray

from rsretrieve._core.tables import read_table
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result_table import SCHEMA, text_array
from rsretrieve.errors import TableError

_NEEDED = ("tile", "given_label", "predicted_label", "is_label_issue", "issue_probability")


@dataclass
class AuditColumns:
    """The audited tiles of an index, the worst label first.

    Attributes:
        tile: ids.
        given, predicted, runner_up: labels; the last may be empty, and the predicted one of a tile
            that needs no review.
        kind: type of issue, or empty.
        twin: id of a near-duplicate with another label, or empty.
        flagged: the label is flagged as wrong.
        wrong: probability that the label is wrong, 0…1.
        likely: probability of the predicted label; None if unknown.
        neighbours: share of the neighbours' votes for the given label; None if unknown.
        absent: number of tiles left out, because the index does not have them.
        absent_issues: number of them that need a review.
    """

    tile: list[str] = field(default_factory=list)
    given: list[str] = field(default_factory=list)
    predicted: list[str] = field(default_factory=list)
    runner_up: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    twin: list[str] = field(default_factory=list)
    flagged: list[bool] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    likely: list[float | None] = field(default_factory=list)
    neighbours: list[float | None] = field(default_factory=list)
    absent: int = 0
    absent_issues: int = 0

    @classmethod
    def read(cls, path: Path, tiles: Container[str]) -> AuditColumns:
        """Read the tiles that an index has.

        Args:
            path: the CSV of `audit-labels --output`.
            tiles: the ids of the index.

        Raises:
            TableError: it is no such table, or names a tile twice.
        """
        found, seen = cls(), set[str]()
        for line, row in read_table(path, _NEEDED):
            place = f"{path}: line {line}"
            if row["tile"] in seen:
                raise TableError(f"{place} is a second row of tile {row['tile']!r}")
            seen.add(row["tile"])
            found._add(row, place, is_there=row["tile"] in tiles)
        return found._sorted()

    def _add(self, row: Mapping[str, str], place: str, *, is_there: bool) -> None:
        kind, told = row.get("kind", ""), row["is_label_issue"].strip().lower()
        if told not in ("true", "false"):
            raise TableError(
                f"{place}: is_label_issue is {row['is_label_issue']!r}, not true or false"
            )
        flagged = told == "true"
        if kind and kind not in {*IssueType}:
            raise TableError(f"{place}: kind is {kind!r}, not one of {', '.join(IssueType)}")
        wrong = _share(row, "issue_probability", place)
        if wrong is None:
            raise TableError(f"{place}: issue_probability is empty")
        needed = ("given_label", *["predicted_label"] * (flagged or bool(kind)))
        for name in needed:
            if not row[name]:
                raise TableError(f"{place}: {name} is empty")
        if not is_there:
            self.absent += 1
            self.absent_issues += flagged or bool(kind)
            return
        texts = ("given_label", "predicted_label", "runner_up_label", "kind", "twin")
        lists = (self.given, self.predicted, self.runner_up, self.kind, self.twin)
        for values, name in zip(lists, texts):
            values.append(row.get(name, ""))
        self.tile.append(row["tile"])
        self.flagged.append(flagged)
        self.wrong.append(wrong)
        self.likely.append(_share(row, "predicted_probability", place))
        self.neighbours.append(_share(row, "neighbour_share", place))

    def _sorted(self) -> AuditColumns:
        order = np.argsort(-np.array(self.wrong, np.float64), kind="stable").tolist()
        columns: dict[str, Any] = {
            each.name: [values[row] for row in order]
            for each in fields(self)
            if isinstance(values := getattr(self, each.name), list)
        }
        return AuditColumns(**columns, absent=self.absent, absent_issues=self.absent_issues)

    @property
    def needs_review(self) -> NDArray[np.bool_]:
        """(N,) the label is flagged as wrong, or the tile has a type of issue."""
        return np.array([flag or bool(kind) for flag, kind in zip(self.flagged, self.kind)], bool)

    @property
    def has_probabilities(self) -> bool:
        """Whether the scores are probabilities: an audit by prototypes alone asks no neighbours."""
        return any(share is not None for share in self.neighbours)

    def suggested(self) -> list[str]:
        """The predicted label, or that of the near-duplicate; see `ClassifiedLabels.suggested`."""
        known = {tile: row for row, tile in enumerate(self.tile)}
        found = list(self.predicted)
        for row, twin in enumerate(self.twin):
            other = known.get(twin)
            if other is None or self.flagged[other] or self.predicted[row] != self.given[row]:
                continue
            found[row] = self.given[other]
        return found

    def table(self, rows: Mapping[str, int]) -> pyarrow.Table:
        """The columns as a table of an audit; what the CSV does not hold is null.

        Args:
            rows: the position in `Audit.tiles` of the tiles that are shown.

        Returns:
            N rows of `result_table.SCHEMA`.
        """
        count, suggested = len(self.tile), self.suggested()
        is_other = [name not in pair for name, *pair in zip(self.runner_up, self.given, suggested)]
        second = [name if other else "" for name, other in zip(self.runner_up, is_other)]
        same = [one == two for one, two in zip(suggested, self.predicted)]
        likely = [value if is_same else None for value, is_same in zip(self.likely, same)]
        known: dict[str, Any] = {
            "tile": text_array(self.tile),
            "given_label": _names(self.given),
            "predicted_label": _names(self.predicted),
            "runner_up_label": _names(self.runner_up),
            "suggested_label": _names(suggested),
            "second_label": _names(second),
            "kind": pyarrow.array([kind or None for kind in self.kind], pyarrow.string()),
            "twin": text_array([twin or None for twin in self.twin]),
            "is_label_issue": pyarrow.array(self.flagged, pyarrow.bool_()),
            "label_score": pyarrow.array(1 - np.array(self.wrong, np.float64)),
            "issue_probability": pyarrow.array(self.wrong, pyarrow.float64()),
            "neighbour_share": pyarrow.array(self.neighbours, pyarrow.float32()),
            "predicted_probability": pyarrow.array(self.likely, pyarrow.float64()),
            "suggested_probability": pyarrow.array(likely, pyarrow.float64()),
            "has_confident_suggestion": pyarrow.array(np.zeros(count, bool)),
            "needs_review": pyarrow.array(self.needs_review),
            "row": pyarrow.array([rows.get(tile) for tile in self.tile], pyarrow.int64()),
            "twin_row": pyarrow.array([rows.get(twin) for twin in self.twin], pyarrow.int64()),
        }
        columns = [
            known[each.name].cast(each.type)
            if each.name in known
            else pyarrow.nulls(count, each.type)
            for each in SCHEMA
        ]
        return pyarrow.table(columns, schema=SCHEMA)


def _names(labels: list[str]) -> pyarrow.DictionaryArray:
    return text_array([label or None for label in labels]).dictionary_encode()


def _share(row: Mapping[str, str], name: str, place: str) -> float | None:
    text = row.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not 0 <= value <= 1:
        raise TableError(f"{place}: {name} is {text!r}, not a number from 0 to 1")
    return value
