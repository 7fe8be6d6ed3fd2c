"""The audit as one page: the worst labels as cards, in a single file that opens from disk."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from rsretrieve.audit.audit import Audit, AuditedTile
from rsretrieve.errors import TileError
from rsretrieve.storage import write_text
from rsretrieve.text import printable
from rsretrieve.tiles.previews import read_preview
from rsretrieve.tiles.records import Tile

MOST_CARDS = 500
_THUMBNAIL_PX = 144

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); }
figure { margin: 0; }
figure img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #8882; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
figcaption b { display: block; }
.given { text-decoration: line-through; opacity: .75; }
table { border-collapse: collapse; margin: 1rem 0 2rem; }
td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
meter { width: 8rem; }
"""


def write_audit_page(
    path: Path, audit: Audit, source: str, bands: tuple[int, ...], *, overwrite: bool
) -> None:
    """Write the issues, worst first, with their pictures, and the classes' shares of issues.

    Args:
        path: the HTML file to write; it holds its pictures and needs nothing beside it.
        audit: what to show; the worst 500 issues at most.
        source: what the user called the tiles.
        bands: those shown as red, green and blue, counted from 1.
        overwrite: replace a file that is there.
    """
    shown = audit.issues[:MOST_CARDS]
    count = f"{len(audit.issues)} of {len(audit.tiles)} labels look wrong"
    more = f" The worst {len(shown)} are shown." if len(shown) < len(audit.issues) else ""
    cards = "\n".join(_card(audited, bands) for audited in shown)
    write_text(
        path,
        f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Labels to check: {_text(source)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Labels to check in {_text(source)}</h1>
<p>{count} ({audit.noise_rate:.1%}), worst first.{more} Struck through: the given label;
below it the label suggested.</p>
{_class_table(audit)}
<div class="cards">
{cards}
</div>
</body>
</html>
""",
        overwrite=overwrite,
    )


def _class_table(audit: Audit) -> str:
    rows = "\n".join(
        f'<tr><td>{_text(entry.label)}</td><td class="number">{entry.issues}</td>'
        f'<td class="number">{entry.tiles}</td>'
        f'<td><meter value="{entry.noise_rate:.4f}"></meter> {entry.noise_rate:.0%}</td></tr>'
        for entry in sorted(audit.per_class, key=lambda entry: -entry.noise_rate)
    )
    head = "<tr><th>given label</th><th>issues</th><th>tiles</th><th>share</th></tr>"
    return f"<table>\n{head}\n{rows}\n</table>"


def _card(audited: AuditedTile, bands: tuple[int, ...]) -> str:
    return (
        f"<figure>{_picture(audited.tile, bands)}<figcaption>"
        f'<span class="given">{_text(str(audited.tile.label))}</span>'
        f"<b>{_text(audited.predicted_label)}</b>"
        f"{_text(audited.tile.id)}<br>score {audited.label_score:.3f}, similarity "
        f"{audited.own_similarity:.2f} → {audited.predicted_similarity:.2f}"
        "</figcaption></figure>"
    )


def _picture(tile: Tile, bands: tuple[int, ...]) -> str:
    try:
        picture = read_preview(tile, _THUMBNAIL_PX, bands)
    except TileError as error:
        return f"<p>{_text(error.reason)}</p>"
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=82)
    data = base64.b64encode(content.getvalue()).decode("ascii")
    return f'<img loading="lazy" alt="{_text(tile.id)}" src="data:image/jpeg;base64,{data}">'


def _text(text: str) -> str:
    return escape(printable(text))
