"""How objects look in a console and in a notebook: a few lines, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rsretrieve._core.text import first_few, printable

_NAMES_SHOWN = 5
_LONGEST = 80


def some_names(names: Sequence[str]) -> str:
    """The first few names, and that there are more."""
    return first_few(map(short, names), _NAMES_SHOWN)


def short(value: object) -> str:
    """A value as one short line."""
    text = printable(f"{value:.3f}" if isinstance(value, float) else str(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def facts_html(title: str, facts: Mapping[str, object]) -> str:
    """A title, and a table of names and values."""
    rows = "".join(
        f"<tr><th style='text-align:left'>{_text(name)}</th>"
        f"<td style='text-align:left'>{_text(value)}</td></tr>"
        for name, value in facts.items()
    )
    return f"<p><b>{_text(title)}</b></p><table>{rows}</table>"


def table_html(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A title, and a table with a head."""
    head = "".join(f"<th>{_text(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    return f"<p><b>{_text(title)}</b></p><table><tr>{head}</tr>{body}</table>"


def _text(value: object) -> str:
    return escape("" if value is None else short(value))
