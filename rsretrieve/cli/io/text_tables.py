"""Plain text and tables without lines for the terminal, and sizes for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from rsretrieve._core.text import decimal_size, printable

_NUMERIC = frozenset({"rank", "similarity", "lon", "lat", "value", "tiles", "issues", "noise rate"})


def plain(text: str) -> Text:
    """Text without markup, so that square brackets in file names are printed as they are."""
    return Text("\n".join(printable(line) for line in text.split("\n")))


def plain_table(title: str, *columns: str) -> Table:
    """A table without lines. Columns of numbers are aligned to the right."""
    table = _empty_table(title)
    for column in columns:
        justify = "right" if column in _NUMERIC else "left"
        table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return table


def facts_table(title: str, facts: Mapping[str, str]) -> Table:
    """A table of names and values without a header."""
    table = _empty_table(title)
    table.show_header = False
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, plain(value))
    return table


def format_size(count: int) -> str:
    """A number of bytes in decimal units, such as 1.5 MB."""
    return decimal_size(count)


def _empty_table(title: str) -> Table:
    return Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
