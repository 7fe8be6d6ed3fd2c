"""The audit as one page to decide on: a single file that opens from disk and asks no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from rsretrieve._core.atomic_write import write_text
from rsretrieve._core.text import printable
from rsretrieve.audit.issue_types import IssueKind
from rsretrieve.audit.result import Audit, AuditedTile, Comparison
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.export.html.confusion_matrix import matrix_picture
from rsretrieve.export.html.reasons import KIND_MEANINGS, KIND_NAMES, reason_for, score_text
from rsretrieve.export.html.thumbnails import LARGE_PX, SMALL_PX, Thumbnails

MOST_CARDS = 2000
_SCRIPTS = ("decisions.js", "cards.js", "main.js")


@dataclass(frozen=True)
class PageRequest:
    """What a page is made of.

    Attributes:
        audit: what to show; the worst 2,000 tiles that need a look at most.
        source: what the user called the tiles.
        bands: those shown as red, green and blue, counted from 1; none for the first three.
        compares_pixels: twins were told by their pixels, not by embeddings alone.
    """

    audit: Audit
    source: str
    bands: tuple[int, ...] = ()
    compares_pixels: bool = True

    @property
    def shown(self) -> tuple[AuditedTile, ...]:
        """The tiles that get a card, worst first."""
        return self.audit.to_check[:MOST_CARDS]


def write_audit_page(
    path: Path, request: PageRequest, *, overwrite: bool, context: RunContext | None = None
) -> None:
    """Write the tiles that need a look as cards with pictures, to be decided on in a browser.

    Args:
        path: the HTML file to write; it holds its pictures and needs nothing beside it.
        request: what it is made of.
        overwrite: replace a file that is there.
        context: is told how the reading of pictures goes.
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
    """Let this page run its own script and style and show its own pictures, and nothing else.

    Whatever a tile's name may hold: nothing is fetched, and no other script runs.
    """
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _as_script_text(content: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _summary(request: PageRequest) -> str:
    audit = request.audit
    count = f"{len(audit.issues):,} of {len(audit.tiles):,} labels are called wrong"
    others = len(audit.to_check) - len(audit.issues)
    more = f"; {others:,} more tiles need a look" if others else ""
    cut = len(request.shown) < len(audit.to_check)
    least = f" The worst {len(request.shown):,} are shown." if cut else ""
    low, high = audit.interval
    rate = f"about {audit.noise_rate:.1%} of all are ({low:.1%} to {high:.1%})"
    return f"{count}; {rate}{more}. The worst stand first.{least}"


def _class_table(audit: Audit) -> str:
    rows = "\n".join(
        f'<tr><td>{_text(entry.label)}</td><td class="number">{entry.issues}</td>'
        f'<td class="number">{entry.tiles}</td>'
        f'<td><meter value="{entry.noise_rate:.4f}"></meter> {entry.noise_rate:.0%} '
        f"<small>({entry.interval[0]:.0%} to {entry.interval[1]:.0%})</small></td></tr>"
        for entry in sorted(audit.per_class, key=lambda entry: -entry.noise_rate)
    )
    head = "<tr><th>given label</th><th>issues</th><th>tiles</th><th>thought wrong</th></tr>"
    return f"<table>\n{head}\n{rows}\n</table>"


def _wanted(request: PageRequest) -> Iterator[tuple[Tile, int]]:
    """Every picture of the page, with its size."""
    for audited in request.shown:
        yield audited.tile, LARGE_PX
        compared = _compared(request.audit, audited)
        for tile in (*compared.own, *compared.suggested):
            yield tile, SMALL_PX
        if audited.twin is not None:
            yield audited.twin, SMALL_PX


def _compared(audit: Audit, audited: AuditedTile) -> Comparison:
    return audit.comparisons.get(audited.tile.id, Comparison((), ()))


def _data(request: PageRequest, thumbnails: Thumbnails) -> dict[str, Any]:
    cards = [_card(audited, request, thumbnails) for audited in request.shown]
    labels = {entry.label for entry in request.audit.per_class}
    labels |= {audited.suggested_label for audited in request.shown}
    if request.audit.noise_matrix is not None:  # classes of the model, that no tile may have
        labels |= set(request.audit.noise_matrix.class_names)
    shown_kinds = [card["kind"] for card in cards]
    return {
        "id": _identity(request.shown),
        "classes": sorted(labels),
        "kinds": [
            {
                "kind": kind,
                "name": KIND_NAMES[kind],
                "about": KIND_MEANINGS[kind],
                "count": shown_kinds.count(kind),
            }
            for kind in IssueKind
        ],
        "cards": cards,
        "pictures": thumbnails.pictures,
    }


def _identity(shown: Sequence[AuditedTile]) -> str:
    """The same for the same questions: decisions of one audit are not taken for another's."""
    questions = [[a.tile.id, a.tile.label, a.suggested_label] for a in shown]
    return hashlib.sha256(json.dumps(questions).encode()).hexdigest()[:16]


def _card(audited: AuditedTile, request: PageRequest, thumbnails: Thumbnails) -> dict[str, Any]:
    compared = _compared(request.audit, audited)
    return {
        "tile": audited.tile.id,
        "given": audited.tile.label,
        "suggested": audited.suggested_label,
        "runnerUp": audited.runner_up_label or audited.suggested_label,
        "kind": audited.kind or IssueKind.WRONG_LABEL,
        "score": score_text(audited.label_score),
        "why": reason_for(audited, compares_pixels=request.compares_pixels),
        "picture": thumbnails.position(audited.tile, LARGE_PX),
        "reason": thumbnails.reason(audited.tile),
        "own": [_small(tile, thumbnails) for tile in compared.own],
        "others": [_small(tile, thumbnails) for tile in compared.suggested],
        "twin": None if audited.twin is None else _small(audited.twin, thumbnails),
    }


def _small(tile: Tile, thumbnails: Thumbnails) -> dict[str, Any]:
    return {
        "tile": tile.id,
        "label": tile.label,
        "picture": thumbnails.position(tile, SMALL_PX),
    }


def _text(text: str) -> str:
    return escape(printable(text))
