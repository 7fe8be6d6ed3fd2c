"""The tiles of a kind, and the tiles to look at next, as tables, labels, JSON and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve._core.tables import write_csv
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.export.found.placed_table import PlacedTable, table_rows, write_placed_csv
from rsretrieve.index.store.folder import IndexStore
from rsretrieve.search.finding.find_kind import FoundKind, KindFinder
from rsretrieve.search.finding.find_session import Answer, FindSession

if TYPE_CHECKING:
    from rsretrieve.search.finding.kind_estimate import Estimate
    from rsretrieve.search.finding.proposals import Proposal

_DIGITS = 4  # of probabilities
_LABEL_COLUMNS = ("tile", "label", "decision")
_COLUMNS = 5  # of a sheet


def found_table(store: IndexStore, found: FoundKind, session: FindSession) -> PlacedTable:
    """The found tiles, the likeliest first, with what a person answered."""
    tiles = [store.rows[row] for row in found.rows.tolist()]
    columns: dict[str, list[Any]] = {
        "tile": [tile.id for tile in tiles],
        "rank": found.ranks.tolist(),
        "probability": np.round(found.probabilities, _DIGITS).tolist(),
        "answer": ["yes" if sure else None for sure in found.confirmed.tolist()],
        "path": [tile.path for tile in tiles],
        "label": [tile.label for tile in tiles],
    }
    likes = [example.name for example in session.examples if example.wanted]
    facts = {"index": str(store.folder), "like": likes, **estimate_json(found)}
    return PlacedTable(columns, [tile.place for tile in tiles], facts)


def proposal_table(store: IndexStore, proposals: Sequence[Proposal]) -> PlacedTable:
    """The tiles to look at, with an empty column for the answers."""
    tiles = [store.rows[proposal.row] for proposal in proposals]
    columns: dict[str, list[Any]] = {
        "tile": [tile.id for tile in tiles],
        "answer": [None] * len(tiles),
        "rank": [proposal.rank for proposal in proposals],
        "probability": [round(proposal.probability, _DIGITS) for proposal in proposals],
        "reason": [str(proposal.reason) for proposal in proposals],
        "path": [tile.path for tile in tiles],
    }
    return PlacedTable(columns, [tile.place for tile in tiles])


def write_proposals(
    path: Path, store: IndexStore, proposals: Sequence[Proposal], *, overwrite: bool
) -> None:
    """Write the tiles to look at as a CSV; a person fills in the column `answer`."""
    write_placed_csv(path, proposal_table(store, proposals), overwrite=overwrite)


def write_kind_labels(
    path: Path,
    store: IndexStore,
    found: FoundKind,
    session: FindSession,
    label: str,
    *,
    overwrite: bool,
) -> None:
    """Write a labels file to train on: the found tiles, and those that a person refused.

    What a person answered is a confirmed label; what is only likely is none.

    Args:
        path: the CSV file.
        store: the index.
        found: the found tiles.
        session: the answers.
        label: the label of the kind; refused tiles get `not LABEL`.
        overwrite: replace an existing file.
    """
    ids = store.rows.columns.column("id")
    rows = [
        (ids[row].as_py(), label, (Rule.CHOOSE if sure else Rule.UNDECIDED).value)
        for row, sure in zip(found.rows.tolist(), found.confirmed.tolist())
    ]
    refused = [tile for tile, answer in session.answers.items() if answer is Answer.NO]
    rows += [(tile, f"not {label}", Rule.CHOOSE.value) for tile in refused]
    write_csv(path, _LABEL_COLUMNS, rows, overwrite=overwrite)


def write_proposal_sheet(
    path: Path,
    store: IndexStore,
    proposals: Sequence[Proposal],
    bands: tuple[int, ...],
    *,
    overwrite: bool,
    trusted: bool = False,
) -> None:
    """Draw the tiles to look at, numbered as in the file of proposals."""
    from rsretrieve.export.contact_sheet import ShownTile, write_tiles_sheet

    shown = []
    for number, proposal in enumerate(proposals, 1):
        row = store.rows[proposal.row]
        title = f"{number}.  {proposal.probability:.0%} {proposal.reason}"
        shown.append(ShownTile(title, row.tile, row.place))
    write_tiles_sheet(path, shown, bands, _COLUMNS, overwrite=overwrite, trusted=trusted)


def estimate_json(found: FoundKind) -> dict[str, Any]:
    """The estimates as in JSON; None with too few answers."""
    estimate = found.estimate
    content: dict[str, Any] = {"found": len(found.rows), "confirmed": int(found.confirmed.sum())}
    for name in ("count", "precision", "recall"):
        part: Estimate | None = None if estimate is None else getattr(estimate, name)
        content[name] = None if part is None else _rounded(part.value)
        ends = None if part is None else [_rounded(part.low), _rounded(part.high)]
        content[f"{name}_interval"] = ends
    content["reached"] = None if estimate is None else _rounded(estimate.reached)
    return {**content, "stop": found.is_enough}


def find_json(
    finder: KindFinder, store: IndexStore, found: FoundKind, proposals: Sequence[Proposal]
) -> dict[str, Any]:
    """The object that `find --json` prints."""
    given = [*finder.session.answers.values()]
    return {
        "index": str(store.folder),
        "tiles": len(store.rows),
        "examples": [
            {key: value for key, value in asdict(example).items() if key != "vector"}
            for example in finder.session.examples
        ],
        "answers": {str(kind): given.count(kind) for kind in Answer},
        "evidence": finder.evidence,
        **estimate_json(found),
        "proposals": table_rows(proposal_table(store, proposals)),
    }


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
