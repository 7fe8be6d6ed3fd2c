"""How a CSV is encoded and separated, found out from its bytes.

Spreadsheets write what the settings of the computer say: UTF-8 with or without a byte order mark,
UTF-16, or a Windows code page, with commas, semicolons or tabs.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rsretrieve._core.formulas import restored

_SEPARATORS = (",", ";", "\t")
_BLOCK_BYTES = 1 << 20
_MARKS = (
    *((codecs.BOM_UTF8, "utf-8-sig"),),
    *((mark, "utf-16") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)
_WINDOWS = "cp1252"


@dataclass(frozen=True)
class CsvDialect:
    """How to read a CSV.

    Attributes:
        encoding: a name that Python knows.
        separator: the character between two cells.
        columns: names of the columns in lower case, without blanks around them.
    """

    encoding: str
    separator: str
    columns: tuple[str, ...]

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
        ValueError: it is neither UTF-8 nor UTF-16, and has characters that Windows-1252 lacks.
        csv.Error: its first line is not a line of a CSV.
    """
    encoding = find_encoding(path)
    found = {separator: _header(path, encoding, separator) for separator in _SEPARATORS}
    if max(map(len, found.values())) < 2:
        _require_csv(path, encoding)
    best = max(_SEPARATORS, key=lambda s: (len({*required} & {*found[s]}), len(found[s])))
    return CsvDialect(encoding, best, found[best])


def find_encoding(path: Path) -> str:
    """The encoding of a text file: by its byte order mark, else UTF-8, else Windows-1252.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has bytes that none of them allows.
    """
    with path.open("rb") as stream:
        start = stream.read(4)
        for mark, encoding in _MARKS:
            if start.startswith(mark):
                return encoding
    return "utf-8" if _is_encoded_in(path, "utf-8") else _windows_encoding(path)


def _windows_encoding(path: Path) -> str:
    if _is_encoded_in(path, _WINDOWS):
        return _WINDOWS
    raise ValueError("it is neither UTF-8 nor UTF-16 nor Windows-1252; save it as UTF-8")


def _is_encoded_in(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _require_csv(path: Path, encoding: str) -> None:
    """Raise the error that the first line has where it has one column at most."""
    with path.open(encoding=encoding, newline="") as stream:
        next(csv.reader(stream, strict=True), None)


def _header(path: Path, encoding: str, separator: str) -> tuple[str, ...]:
    """The names in the first line that has any; none where the separator does not fit."""
    with path.open(encoding=encoding, newline="") as stream:
        try:
            lines = csv.reader(stream, strict=True, delimiter=separator, skipinitialspace=True)
            cells = next(filter(any, lines), [])
        except csv.Error:
            return ()
    return tuple(restored(cell.strip()).lower() for cell in cells)
