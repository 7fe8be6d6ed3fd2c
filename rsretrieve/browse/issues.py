"""Read what `audit-labels --output` wrote, for the review on the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsretrieve._core.tables import read_table
from rsretrieve.errors import TableError

_NEEDED = ("tile", "given_label", "predicted_label", "is_label_issue", "issue_probability")
_MOST = 20_000


def read_issues(path: Path, row_of: Mapping[str, int]) -> tuple[list[dict[str, Any]], int]:
    """The issues of an audit, worst first.

    Args:
        path: the CSV of `audit-labels --output`.
        row_of: the row of each tile of the index.

    Returns:
        For each issue `row`, `tile`, `label`, `proposed` and `probability`, at most 20,000; and how
        many issues are of tiles that the index does not have.

    Raises:
        TableError: the file is no such CSV.
    """
    found, absent = [], 0
    for line, row in read_table(path, _NEEDED):
        if row["is_label_issue"].lower() != "true":
            continue
        if row["tile"] not in row_of:
            absent += 1
            continue
        try:
            probability = float(row["issue_probability"])
        except ValueError as error:
            raise TableError(f"{path}: line {line}: issue_probability is no number") from error
        found.append(
            {
                "row": row_of[row["tile"]],
                "tile": row["tile"],
                "label": row["given_label"],
                "proposed": row["predicted_label"],
                "probability": round(probability, 3),
            }
        )
    return found[:_MOST], absent
