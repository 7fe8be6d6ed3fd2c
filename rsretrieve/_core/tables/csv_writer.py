"""Write a CSV in which no spreadsheet finds a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal

from rsretrieve._core.atomic_write import written_aside
from rsretrieve._core.formulas import begins_suspiciously, needs_quotes, neutralised

_ROWS_AT_ONCE = 1000


def write_csv(
    path: Path,
    columns: Sequence[str],
    rows: Iterable[Iterable[object]],
    *,
    overwrite: bool,
    follow: bool = True,
) -> None:
    """Write a CSV (UTF-8, with a header) atomically; see `written_aside`.

    Cells that a spreadsheet would run as a formula are marked; `read_table` removes the marks.
    """
    with (
        written_aside(path, overwrite=overwrite, follow=follow) as aside,
        aside.open("w", encoding="utf-8", newline="", errors="surrogateescape") as stream,
    ):
        stream.write(_as_csv([columns]))
        remaining = map(tuple, rows)
        # Many rows at once: one by one, a million rows take seconds longer.
        while chunk := list(islice(remaining, _ROWS_AT_ONCE)):
            stream.write(_as_csv(chunk))


def _as_csv(rows: Sequence[Sequence[object]]) -> str:
    lines = _lines_of(rows)
    # Checked all together: most tables hold nothing to mark.
    breaks = len(rows) + lines.count("\r") + lines.count(";") + lines.count("\t")
    if lines.count("\n") == len(rows) == breaks and not any(map(_begins_suspiciously, rows)):
        return lines
    return "".join(map(_marked_line, rows))


def _begins_suspiciously(row: Sequence[object]) -> bool:
    """Whether a text of a row may begin like a formula."""
    # A loop, not `any`, which takes twice as long: a million tiles have ten million cells.
    for cell in row:
        if not isinstance(cell, float | int) and begins_suspiciously(str(cell)[:1]):
            return True
    return False


def _marked_line(row: Sequence[object]) -> str:
    cells = [_marked(cell) for cell in row]
    texts = [cell for cell in cells if isinstance(cell, str)]
    # The writer knows only its own line end as one; the reader knows "\r", too.
    # And it skips blanks at the beginning of a cell without quotes.
    quoted = any("\r" in text or text[:1] == " " or needs_quotes(text) for text in texts)
    return _lines_of([cells], csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)


def _marked(cell: object) -> object:
    """A cell that no spreadsheet runs; numbers stay as they are."""
    return cell if cell is None or isinstance(cell, int | float) else neutralised(str(cell))


def _lines_of(rows: Iterable[Sequence[object]], quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    lines = io.StringIO(newline="")
    csv.writer(lines, lineterminator="\n", quoting=quoting).writerows(rows)
    return lines.getvalue()
