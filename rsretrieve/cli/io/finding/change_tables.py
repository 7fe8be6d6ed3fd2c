"""What `rsretrieve change` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from rsretrieve.cli.io.text_tables import plain, plain_table
from rsretrieve.export.found.change_files import change_table

if TYPE_CHECKING:
    from rsretrieve.search.changes.find_changes import Changes

_UNUSUAL = 3.0  # standard deviations


def change_summary(found: Changes) -> Text:
    """How many places were compared, and how many changed unusually much."""
    unusual = int((found.deviation > _UNUSUAL).sum())
    return plain(
        f"compared {len(found):,} places; the overall shift has the length {found.shift:.3f}\n"
        f"{unusual:,} places changed by more than {_UNUSUAL:g} standard deviations above the median"
    )


def change_rows(found: Changes, count: int) -> Table:
    """The places that changed most."""
    shown = change_table(found, count).with_positions()
    table = plain_table("places that changed most", "rank", "change", "deviation", "lon", "lat")
    for name in ("tile", "before"):
        table.add_column(name, overflow="fold")
    names = ("rank", "change", "deviation", "lon", "lat", "tile", "before")
    for rank, change, deviation, lon, lat, tile, before in zip(*(shown[name] for name in names)):
        table.add_row(
            str(rank),
            f"{change:.4f}",
            f"{deviation:.1f}",
            "–" if lon is None else f"{lon:.5f}",
            "–" if lat is None else f"{lat:.5f}",
            plain(tile),
            plain(before),
        )
    return table
