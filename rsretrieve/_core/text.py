"""Make text fit and safe to show; parse sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice


def shortened(text: str, room: float, length: Callable[[str], float]) -> str:
    """Shorten a text, with an ellipsis, until its length fits.

    Args:
        text: the text; control characters are escaped.
        room: the greatest length.
        length: measures a text, in the unit of `room`.
    """
    text = printable(text)
    if length(text) <= room:
        return text
    while text and length(text + "…") > room:
        text = text[:-1]
    return text + "…"


def shortened_in_middle(text: str, room: float, length: Callable[[str], float]) -> str:
    """As `shortened`, but the beginning and the end of the text stay.

    >>> shortened_in_middle("sentinel2.tif#0,64,32,32", 18, len)
    'sentinel2…64,32,32'
    """
    text = printable(text)
    if length(text) <= room:
        return text
    kept = len(text) - 1
    while kept > 0:
        head = (kept + 1) // 2
        short = f"{text[:head]}…{text[len(text) - kept + head :]}"
        if length(short) <= room:
            return short
        kept -= 1
    return "…"


def printable(text: str) -> str:
    """Escape control characters and lone surrogates, which could control a terminal."""
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def size_in_bytes(text: str) -> int | None:
    """Parse a size such as 500MB, 2GB or 1.5GiB; None if it is not one.

    >>> size_in_bytes("2 GB"), size_in_bytes("1.5KiB"), size_in_bytes("much")
    (2000000000, 1536, None)
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([kmgt]?)(i?)b?", text.strip(), re.IGNORECASE)
    if found is None:
        return None
    number, prefix, binary = found.groups()
    power = " kmgt".index(prefix.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def decimal_size(count: float) -> str:
    """A number of bytes in decimal units.

    >>> decimal_size(1_500_000), decimal_size(20_000)
    ('1.5 MB', '20 kB')
    """
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, _ = size / 1000, units.pop(0)
    return (
        f"{size:.0f} {units[0]}" if size >= 10 or units[0] == "bytes" else f"{size:.1f} {units[0]}"
    )


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut at 200 characters; its class if it has none."""
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def some_of(names: Iterable[str], count: int = 3) -> str:
    """The first names, quoted, for a message.

    >>> some_of(["a", "b", "c", "d"])
    "'a', 'b', 'c', …"
    """
    return first_few(map(repr, names), count)


def first_few(texts: Iterable[str], count: int, separator: str = ", ") -> str:
    """The first texts, joined, and an ellipsis if there are more."""
    shown = [*islice(texts, count + 1)]
    return separator.join(shown[:count]) + (f"{separator}…" if len(shown) > count else "")


def is_unicode(text: str) -> bool:
    r"""Whether a text can be written as UTF-8; names of files with other bytes cannot.

    >>> is_unicode("Zürich"), is_unicode("Z\udcfcrich")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
