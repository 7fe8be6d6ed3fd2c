"""Audits made by hand, from a few rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow

from rsretrieve.audit.result import Audit
from rsretrieve.audit.result_table import SCHEMA, Row, rows_of
from rsretrieve.data.tile import Tile, TileSet


def finding(tile: Tile, predicted: str, /, *, issue: bool, score: float, **more: Any) -> Row:
    """A row of the findings, with the tile and its near-duplicate (`twin`) as objects.

    Without more, the similarities are 0.25 and 0.75 and the rest is unknown.
    """
    row: Row = dict.fromkeys(SCHEMA.names)
    row |= {"own_similarity": 0.25, "predicted_similarity": 0.75, "runner_up_similarity": 0.0}
    row |= {"tile": tile, "predicted_label": predicted, "is_label_issue": issue}
    row |= {"label_score": score, "suggested_label": predicted, "has_confident_suggestion": False}
    row |= {"runner_up_label": "", **more}
    return row


def audit_of(*rows: Row, **fields: Any) -> Audit:
    """An audit whose table has these rows, in this order; `fields` are others of `Audit`."""
    twins = [row["twin"] for row in rows if row["twin"] is not None]
    tiles = tuple({tile.id: tile for tile in (*(row["tile"] for row in rows), *twins)}.values())
    position = {tile.id: number for number, tile in enumerate(tiles)}
    complete = [_completed(row, position) for row in rows]
    columns = {name: [row[name] for row in complete] for name in SCHEMA.names}
    table = pyarrow.table(
        [pyarrow.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA
    )
    given = {"per_class": (), "noise_rate": 0.0, "interval": (0.0, 0.0), **fields}
    return Audit(table, TileSet("tiles", tiles), **given)


def _completed(row: Row, position: Mapping[str, int]) -> Row:
    tile, twin = row["tile"], row["twin"]
    return row | {
        "tile": tile.id,
        "given_label": tile.label,
        "issue_probability": 1 - row["label_score"],
        "needs_review": row["is_label_issue"] or row["kind"] is not None,
        "twin": None if twin is None else twin.id,
        "row": position[tile.id],
        "twin_row": None if twin is None else position[twin.id],
    }


def audit_rows(audit: Audit) -> list[Row]:
    """All rows of an audit, the worst label first."""
    return rows_of(audit.table)
