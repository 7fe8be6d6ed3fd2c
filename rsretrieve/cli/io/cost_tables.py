"""What `rsretrieve explain` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from rsretrieve.cli.io.text_tables import format_size, plain, plain_table

if TYPE_CHECKING:
    from rsretrieve.costs.explanation import Explanation


def costs_table(explained: Explanation) -> Table:
    """One line for each command and number of tiles."""
    columns = ("command", "tiles", "index type", "time", "of it", "memory", "disk", "to read")
    priced = explained.limits.dollars_per_hour is not None
    table = plain_table("predicted costs", *columns, *(("dollars",) if priced else ()))
    for one in explained.predictions:
        name, seconds = max(one.seconds.items(), key=lambda step: step[1])
        dollars = explained.dollars(one)
        cells = (
            one.command,
            f"{one.tiles:,}",
            one.faiss_key or "–",
            in_units(one.total_seconds),
            f"{name} {in_units(seconds)}",
            format_size(one.memory_bytes),
            format_size(one.disk_bytes) if one.disk_bytes else "–",
            format_size(one.read_bytes) if one.read_bytes else "–",
            *(() if dollars is None else (f"{dollars:.2f}",)),
        )
        table.add_row(*map(plain, cells))
    table.caption = explained.verdict
    table.caption_justify = "left"
    return table


def in_units(seconds: float) -> str:
    """A duration in the unit that suits it.

    >>> in_units(0.0021), in_units(75), in_units(9000)
    ('2.1 ms', '75 s', '2.5 h')
    """
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 3600:.1f} h"
