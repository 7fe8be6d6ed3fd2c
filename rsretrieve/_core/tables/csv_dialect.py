"""How a CSV is encoded and separated, found out from its bytes.

Spreadsheets write what the settings of the computer say: UTF-8 with or without a byte order mark,
UTF-16, or a Windows code page, with commas, semicolons or tabs.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rsretrieve._core.formulas import restored

_SEPARATORS = (",", ";", "\t")
_BLOCK_BYTES = 1 << 20
_MARKS = (  # a mark of UTF-32 begins with one of UTF-16
    *((mark, "utf-32") for mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    *((codecs.BOM_UTF8, "utf-8-sig"),),
    *((mark, "utf-16") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)
_WINDOWS = "cp1252"
_OTHER_FILES = (
    (b"PK\x03\x04", "it is a workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "it is a workbook of Excel"),
    (b"\x1f\x8b", "it is compressed"),
    (b"%PDF", "it is a PDF document"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*')


MOST_FIELD_CHARACTERS = 10_000_000
"""A longer field ends the reading: a quote that is never closed would take all memory."""


@dataclass(frozen=True)
class CsvDialect:
    """How to read a CSV.

    Attributes:
        encoding: a name that Python knows.
        separator: the character between two cells.
        header: names of the columns as they are written, without blanks around them.
        separator_line: the first line is `sep=` and the separator, as Excel writes it.
    """

    encoding: str
    separator: str
    header: tuple[str, ...]
    separator_line: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in lower case."""
        return _lower(self.header)

    @property
    def is_guessed(self) -> bool:
        """Whether the encoding is only the most probable one."""
        return self.encoding == _WINDOWS


def find_dialect(path: Path, required: Sequence[str] = ()) -> CsvDialect:
    """Find the encoding and the separator of a CSV.

    Args:
        path: the file.
        required: columns that it should have; the separator that gives them is taken.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no text in UTF-8, UTF-16, UTF-32 or Windows-1252.
        csv.Error: its first line is not a line of a CSV.
    """
    allow_long_fields()
    encoding = find_encoding(path)
    given = _given_separator(path, encoding)
    choices = _SEPARATORS if given is None else (given,)
    with_line = given is not None
    found = {each: _header(path, encoding, each, with_line=with_line) for each in choices}
    if max(map(len, found.values())) < 2:
        _require_csv(path, encoding, with_line=with_line)
    best = max(choices, key=lambda s: (len({*required} & {*_lower(found[s])}), len(found[s])))
    return CsvDialect(encoding, best, found[best], with_line)


def find_encoding(path: Path) -> str:
    """The encoding of a text file: by its byte order mark, else UTF-8, else Windows-1252.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no text, has bytes that none of them allows, or mixes two encodings.
    """
    with path.open("rb") as stream:
        start = stream.read(8)
    for mark, kind in _OTHER_FILES:
        if start.startswith(mark):
            raise ValueError(f"{kind}; save the table as CSV in UTF-8")
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if len(start) >= 2 and start.count(0) == len(start) // 2:  # UTF-16 without a mark
        return "utf-16-le" if start[1] == 0 else "utf-16-be"
    return _encoding_without_mark(path)


def allow_long_fields() -> None:
    """Let fields be as long as `MOST_FIELD_CHARACTERS`: outlines in WKT exceed Python's 131,072."""
    csv.field_size_limit(max(csv.field_size_limit(), MOST_FIELD_CHARACTERS))


def lines_of(stream: Iterator[str], separator_line: bool) -> Iterator[str]:
    """The lines of a CSV without the line that names the separator."""
    return islice(stream, int(separator_line), None)


def _encoding_without_mark(path: Path) -> str:
    place = _first_byte_that_is_not(path, "utf-8")
    if place is None:
        return "utf-8"
    if _has_letters_in_utf8(path):
        raise ValueError(
            f"{place} is not UTF-8, but other lines are: the file mixes two encodings; "
            "save it as UTF-8"
        )
    place = _first_byte_that_is_not(path, _WINDOWS)
    if place is None:
        return _WINDOWS
    raise ValueError(
        f"{place} is neither UTF-8 nor Windows-1252, and there is no mark of UTF-16; "
        "save it as UTF-8"
    )


def _first_byte_that_is_not(path: Path, encoding: str) -> str | None:
    """Where the first byte stands that an encoding does not allow; None if there is none."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, column = 1, 1
    with path.open("rb") as stream:
        while True:
            block = stream.read(_BLOCK_BYTES)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding)
                line, column = _after(before, line, column)
                bad = error.object[error.start]
                return f"line {line}, character {column} (byte 0x{bad:02x})"
            if not block:
                return None
            line, column = _after(text, line, column)


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    """The line and the character after a text that begins at a line and a character."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) == 1:
        return line, column + len(text)
    return line + len(lines) - 1, len(lines[-1]) + 1


def _has_letters_in_utf8(path: Path) -> bool:
    """Whether a file has characters of several bytes in UTF-8."""
    with path.open(encoding="utf-8", errors="ignore", newline="") as stream:
        return any(not line.isascii() for line in stream)


def _given_separator(path: Path, encoding: str) -> str | None:
    """The separator that the first line names, as Excel writes it (`sep=;`)."""
    with path.open(encoding=encoding, newline="") as stream:
        named = _SEPARATOR_LINE.fullmatch(stream.readline(20))
    return None if named is None else named[1]


def _require_csv(path: Path, encoding: str, *, with_line: bool) -> None:
    """Raise the error that the first line has where it has one column at most."""
    with path.open(encoding=encoding, newline="") as stream:
        next(csv.reader(lines_of(stream, with_line), strict=True), None)


def _header(path: Path, encoding: str, separator: str, *, with_line: bool) -> tuple[str, ...]:
    """The names in the first line that has any; none where the separator does not fit."""
    with path.open(encoding=encoding, newline="") as stream:
        try:
            lines = csv.reader(
                lines_of(stream, with_line),
                strict=True,
                delimiter=separator,
                skipinitialspace=True,
            )
            cells = next(filter(any, lines), [])
        except csv.Error:
            return ()
    return tuple(restored(cell.strip()) for cell in cells)


def _lower(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
