"""CSV cells that a spreadsheet would run as a formula, made harmless and restored.

Semicolons, tabs and line breaks split a text into parts: spreadsheets of some locales begin a
cell there. A part that begins like a formula gets a leading apostrophe, also if it has some
already: the reader removes exactly one.
The script of the audit page does the same in a browser.
"""

from __future__ import annotations

import re
from functools import cache

# A spreadsheet ignores leading blanks and characters without width before a formula. A double
# quote is doubled in a CSV: if a spreadsheet splits a quoted cell, a pair is an empty beginning.
_HIDING = r"\x00-\x08\x0b\x0c\x0e-\x20\x7f-\xa0\xad\u1680\u180e\u2000-\u200f\u2028-\u202f"
_HIDING += r"\u205f-\u2064\u3000\ufeff\""
_FORMULA = r"=+\-@＝＋－＠"
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BEGIN = r"(?:\A|(?<=[;\t\r\n]))"

_TO_MARK = re.compile(
    rf"\A(?!{_NUMBER}\Z)(?='*[{_HIDING}]*[{_FORMULA}])|\A(?='*[{_HIDING}]*[\t\r\n])"
    rf"|(?<=[;\t\r\n])(?='*[{_HIDING}]*[{_FORMULA}])"
)
_TO_RESTORE = re.compile(rf"{_BEGIN}'(?='*[{_HIDING}]*[{_FORMULA}])|\A'(?='*[{_HIDING}]*[\t\r\n])")
_IN_THE_MIDDLE = re.compile(rf"[;\t][{_HIDING}']*[{_FORMULA}]")
_SUSPICIOUS = re.compile(rf"[{_HIDING}{_FORMULA}'\t\r\n]")


@cache
def begins_suspiciously(character: str) -> bool:
    """Whether a text that begins with this character needs a closer check."""
    return _SUSPICIOUS.match(character) is not None


def neutralised(text: str) -> str:
    """Mark formulas with an apostrophe; plain numbers stay.

    >>> neutralised("=1+1"), neutralised("-0.5"), neutralised("a;@b")
    ("'=1+1", '-0.5', "a;'@b")
    """
    return _TO_MARK.sub("'", text)


def restored(text: str) -> str:
    """The inverse of `neutralised`.

    >>> restored("'=1+1"), restored("'tis"), restored("a;'@b")
    ('=1+1', "'tis", 'a;@b')
    """
    return _TO_RESTORE.sub("", text) if "'" in text else text


def needs_quotes(text: str) -> bool:
    """Whether a spreadsheet that splits at semicolons or tabs would find a formula in the text."""
    return _IN_THE_MIDDLE.search(text) is not None
