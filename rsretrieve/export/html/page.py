"""The audit as an HTML page for reviewers: a single file that works without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pyarrow

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.text import printable
from rsretrieve.audit.issue_types import IssueType
from rsretrieve.audit.result import Audit, Comparison
from rsretrieve.audit.result_table import Row, plain_values, rows_of, tuples_of
from rsretrieve.audit.saved_decisions import Decision, LabelsOrigin
from rsretrieve.data.labels.confirmed import Rule
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.export.html.confusion_matrix import matrix_picture
from rsretrieve.export.html.reasons import TYPE_MEANINGS, TYPE_NAMES, reason_for, score_text
from rsretrieve.export.html.thumbnails import LARGE_PX, SMALL_PX, Thumbnails

MOST_CARDS = 2000
_PLAIN_COMMAND = (
    "rsretrieve audit-labels TILES --decisions decisions.csv --fixed-labels decided.csv"
)
_SCRIPTS = ("decisions.js", "cards.js", "main.js")


@dataclass(frozen=True)
class ReviewSettings:
    """What is needed to apply the decisions that are made on a page.

    Attributes:
        command: the command that applies them, for a shell.
        origin: where the labels of the page come from; saved with every decision.
        earlier: decisions that the audit knew; saved with those made on the page.
    """

    command: str = _PLAIN_COMMAND
    origin: LabelsOrigin = field(default_factory=LabelsOrigin)
    earlier: tuple[Decision, ...] = ()

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
        compares_pixels: near-duplicates were found by pixels, not by embeddings alone.
        most_cards: largest number of tiles to show; the worst ones are shown.
        review: how the decisions are applied later.
        models: the model folders, as the user named them; none if there was no model.
    """

    audit: Audit
    source: str
    bands: tuple[int, ...] = ()
    compares_pixels: bool = True
    most_cards: int = MOST_CARDS
    review: ReviewSettings = field(default_factory=ReviewSettings)
    models: tuple[str, ...] = ()

    @property
    def shown(self) -> pyarrow.Table:
        """The rows of the tiles that get a card, the worst label first."""
        return self.audit.to_review.slice(0, self.most_cards)

    @cached_property
    def rows(self) -> list[Row]:
        """The same rows as dictionaries."""
        return rows_of(self.shown)

    def tile(self, row: Row) -> Tile:
        """The tile of a row."""
        return self.audit.tiles[row["row"]]

    def near_duplicate(self, row: Row) -> Tile | None:
        """The near-duplicate of the tile of a row."""
        return None if row["twin_row"] is None else self.audit.tiles[row["twin_row"]]

    def comparison(self, row: Row) -> Comparison:
        """The tiles to compare the tile of a row with."""
        return self.audit.comparisons.get(row["tile"], Comparison((), ()))


def write_audit_page(
    path: Path, request: PageRequest, *, overwrite: bool, context: RunContext | None = None
) -> None:
    """Write the tiles to review as cards with pictures and buttons, for a browser.

    Args:
        path: the HTML file; it contains its pictures and needs no other file.
        request: the content of the page.
        overwrite: replace an existing file.
        context: receives the progress of reading pictures.
    """
    thumbnails = Thumbnails()
    thumbnails.read(_wanted(request), request.bands, context or RunContext())
    script = "\n".join(_resource(name) for name in _SCRIPTS)
    style = _resource("audit.css")
    matrix = request.audit.noise_matrix
    content = Template(_resource("audit.html")).substitute(
        policy=_policy(style, script),
        source=_text(request.source),
        summary=_summary(request),
        command=_text(request.review.command),
        style=style,
        classes=_class_table(request.audit),
        matrix="" if matrix is None or not matrix.values.any() else matrix_picture(matrix),
        data=_as_script_text(_data(request, thumbnails)),
        script=script,
    )
    write_text(path, content, overwrite=overwrite)


def _resource(name: str) -> str:
    return (files("rsretrieve.export.html") / "assets" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy: only the page's own script, style and pictures are allowed.

    Even if a tile's name contains markup, nothing is fetched and no other script runs.
    """
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _as_script_text(content: Any) -> str:
    """JSON that cannot close the script element around it."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _summary(request: PageRequest) -> str:
    audit = request.audit
    issues, to_review, shown = len(audit.issues), len(audit.to_review), len(request.shown)
    count = f"{issues:,} of {len(audit.table):,} labels flagged"
    others = to_review - issues
    more = f"; {others:,} more tiles to review" if others else ""
    least = f" Only the worst {shown:,} are shown." if shown < to_review else ""
    by = f" Scored by {_named(request.models)}." if request.models else ""
    return f"{count}; {audit.noise_summary}{more}. The worst labels come first.{least}{by}"


def _named(models: tuple[str, ...]) -> str:
    """One model, or several, in words."""
    if len(models) == 1:
        return f"the model {_text(models[0])}"
    return f"the models {', '.join(map(_text, models[:-1]))} and {_text(models[-1])}"


def _class_table(audit: Audit) -> str:
    rows = "\n".join(
        f'<tr><td>{_text(entry.label)}</td><td class="number">{entry.issues}</td>'
        f'<td class="number">{entry.tiles}</td>'
        f"<td>{_meter(entry.noise_rate)} "
        f"<small>({entry.interval[0]:.0%} to {entry.interval[1]:.0%})</small></td></tr>"
        for entry in sorted(audit.per_class, key=lambda entry: -(entry.noise_rate or 0))
    )
    head = "<tr><th>given label</th><th>issues</th><th>tiles</th><th>estimated noise rate</th></tr>"
    return f"<table>\n{head}\n{rows}\n</table>"


def _meter(rate: float | None) -> str:
    return "–" if rate is None else f'<meter value="{rate:.4f}"></meter> {rate:.0%}'


def _wanted(request: PageRequest) -> Iterator[tuple[Tile, int]]:
    """Every picture of the page, with its size."""
    for row in request.rows:
        yield request.tile(row), LARGE_PX
        compared, duplicate = request.comparison(row), request.near_duplicate(row)
        for tile in (
            *compared.own,
            *compared.suggested,
            *([] if duplicate is None else [duplicate]),
        ):
            yield tile, SMALL_PX


def _data(request: PageRequest, thumbnails: Thumbnails) -> dict[str, Any]:
    cards = [_card(row, request, thumbnails) for row in request.rows]
    labels = {entry.label for entry in request.audit.per_class}
    labels |= set(plain_values(request.shown["suggested_label"]))
    if request.audit.noise_matrix is not None:  # it has the classes that no tile has, too
        labels |= set(request.audit.noise_matrix.class_names)
    shown_types = [card["kind"] for card in cards]
    return {
        "id": _identity(request.shown),
        "classes": sorted(labels),
        "kinds": [
            {
                "kind": issue_type,
                "name": TYPE_NAMES[issue_type],
                "about": TYPE_MEANINGS[issue_type],
                "count": shown_types.count(issue_type),
            }
            for issue_type in IssueType
        ],
        "cards": cards,
        "labelsFile": request.review.origin.file,
        "labelsDigest": request.review.origin.digest,
        "earlier": request.review.earlier_rows(),
        "pictures": thumbnails.pictures,
    }


def _identity(shown: pyarrow.Table) -> str:
    """An id of the questions: the browser keeps the decisions of every audit apart by it."""
    columns = ("tile", "given_label", "suggested_label")
    questions = [list(values) for values in tuples_of(shown, columns)]
    return hashlib.sha256(json.dumps(questions).encode()).hexdigest()[:16]


def _card(row: Row, request: PageRequest, thumbnails: Thumbnails) -> dict[str, Any]:
    tile, duplicate, compared = (
        request.tile(row),
        request.near_duplicate(row),
        request.comparison(row),
    )
    duplicate_label = None if duplicate is None else duplicate.label
    return {
        "tile": row["tile"],
        "given": row["given_label"],
        "suggested": row["suggested_label"],
        "runnerUp": row["runner_up_label"] or row["suggested_label"],
        "kind": row["kind"] or IssueType.WRONG_LABEL,
        "score": score_text(row["label_score"]),
        "why": reason_for(row, duplicate_label, compares_pixels=request.compares_pixels),
        "picture": thumbnails.position(tile, LARGE_PX),
        "reason": thumbnails.reason(tile),
        "own": [_small(tile, thumbnails) for tile in compared.own],
        "others": [_small(tile, thumbnails) for tile in compared.suggested],
        "twin": None if duplicate is None else _small(duplicate, thumbnails),
    }


def _small(tile: Tile, thumbnails: Thumbnails) -> dict[str, Any]:
    return {
        "tile": tile.id,
        "label": tile.label,
        "picture": thumbnails.position(tile, SMALL_PX),
    }


def _text(text: str) -> str:
    return escape(printable(text))
