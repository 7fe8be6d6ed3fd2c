"""The audit as an HTML page for reviewers: a single file that works without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from rsretrieve._core.atomic_write import write_text
from rsretrieve.data.run_context import RunContext
from rsretrieve.export.html.confusion_matrix import matrix_picture
from rsretrieve.export.html.page_data import page_data, wanted_pictures
from rsretrieve.export.html.page_limits import PICTURES_PER_CHUNK
from rsretrieve.export.html.page_request import PageRequest
from rsretrieve.export.html.page_summary import class_table, summary, text
from rsretrieve.export.html.thumbnails import Thumbnails

SCRIPTS = (
    *("state.js", "csv.js", "encoding.js", "decisions.js", "history.js", "elements.js"),
    *(
        "pictures.js",
        "cards.js",
        "grid.js",
        "marks.js",
        "view.js",
        "filters.js",
        "progress.js",
        "enlarge.js",
        "map.js",
    ),
    *("chooser.js", "bulk.js", "keys.js", "main.js"),
)
"""In this order they make one script: each uses what stands before it, or is called later."""

_STYLES = ("page.css", "cards.css", "dialogs.css")


def write_audit_page(
    path: Path, request: PageRequest, *, overwrite: bool, context: RunContext | None = None
) -> None:
    """Write the tiles to review as cards with pictures and buttons, for a browser.

    Args:
        path: the HTML file; it contains its pictures and needs no other file.
        request: the content of the page.
        overwrite: replace an existing file.
        context: receives the progress of reading pictures, and a notice if some are left out.
    """
    write_text(path, page_text(request, Thumbnails(), context or RunContext()), overwrite=overwrite)


def page_text(request: PageRequest, thumbnails: Thumbnails, context: RunContext) -> str:
    """The page as HTML.

    Args:
        request: the content of the page.
        thumbnails: reads and holds the pictures.
        context: receives the progress of reading pictures, and a notice if some are left out.
    """
    thumbnails.read(wanted_pictures(request), request.bands, context)
    script, style = page_script(), page_style()
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">'
    parts = PageParts(
        policy,
        f"<style>{style}</style>",
        f"<script>{script}</script>",
        _chunks(thumbnails.pictures),
    )
    told = summary(request.audit, len(request.shown), request.models)
    return filled_page(request, told, page_data(request, thumbnails), parts)


@dataclass(frozen=True)
class PageParts:
    """The elements of a page that a file holds itself and a server serves apart.

    Attributes:
        policy: element with the content security policy; empty if a header says it.
        style: element with the style, or a link to it.
        script: element with the script, or with its address.
        pictures: elements with the pictures.
    """

    policy: str
    style: str
    script: str
    pictures: str


def filled_page(request: PageRequest, told: str, data: Mapping[str, Any], parts: PageParts) -> str:
    """The page as HTML.

    Args:
        request: the content of the page.
        told: HTML of the paragraph above the cards.
        data: what the scripts show; see `page_data`.
        parts: the other elements.
    """
    matrix = request.audit.noise_matrix
    return Template(_resource("audit.html")).substitute(
        policy=parts.policy,
        source=text(request.source),
        summary=told,
        command=text(request.review.command),
        style=parts.style,
        classes=class_table(request.audit),
        matrix="" if matrix is None or not matrix.values.any() else matrix_picture(matrix),
        data=_as_script_text(data),
        script=parts.script,
        pictures=parts.pictures,
    )


def page_script(*further: str) -> str:
    """The script of the page.

    Args:
        further: scripts that run before the last part, which starts the page.
    """
    *parts, start = map(_resource, SCRIPTS)
    return "\n".join([*parts, *further, start])


def page_style() -> str:
    """The style of the page."""
    return "\n".join(map(_resource, _STYLES))


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


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")


def _as_script_text(content: Any) -> str:
    """JSON that cannot close the script element around it."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _chunks(pictures: list[str]) -> str:
    """The pictures in blocks of data behind the script, which runs before they are loaded."""
    return "\n".join(
        f'<script id="pictures-{start // PICTURES_PER_CHUNK}" type="application/json">'
        f"{_as_script_text(pictures[start : start + PICTURES_PER_CHUNK])}</script>"
        for start in range(0, len(pictures), PICTURES_PER_CHUNK)
    )
