"""Check the arguments of public functions before they are used."""

from __future__ import annotations

import difflib
import operator
import os
from enum import StrEnum
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import TypeVar

from rsretrieve._core.text import size_in_bytes
from rsretrieve.errors import InvalidArgument

E = TypeVar("E", bound=StrEnum)
PathLike = str | os.PathLike[str]
MOST = 1 << 62
_LONGEST = 60


def shown(value: object) -> str:
    """A value for a message: its text, cut short, and its type."""
    text = repr(value).replace("\n", " ")
    return f"{text if len(text) <= _LONGEST else text[:_LONGEST] + '…'} ({type(value).__name__})"


def wrong(name: str, expected: str, value: object) -> InvalidArgument:
    """The error for an argument of another kind than expected."""
    return InvalidArgument(f"{name} must be {expected}, not {shown(value)}")


def text_of(value: object, name: str) -> str:
    """A path or a URL as text.

    Raises:
        InvalidArgument: it is neither a str nor a path, or no path can be so.
    """
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and text and "\0" not in text:
            return text
    raise wrong(name, "a path (str or Path)", value)


def path_of(value: object, name: str) -> Path:
    """A local path; raises as `text_of` does."""
    return Path(text_of(value, name))


def optional_path(value: object, name: str) -> Path | None:
    """A path, or None."""
    return None if value is None else path_of(value, name)


def plain_text(value: object, name: str) -> str:
    """A text.

    Raises:
        InvalidArgument: it is none.
    """
    if not isinstance(value, str):
        raise wrong(name, "a text (str)", value)
    return value


def flag(value: object, name: str) -> bool:
    """True or False.

    Raises:
        InvalidArgument: it is neither.
    """
    if not isinstance(value, bool):
        raise wrong(name, "True or False", value)
    return value


def whole(value: object, name: str, least: int = 0) -> int:
    """A whole number, NumPy's too.

    Raises:
        InvalidArgument: it is none, or less than `least`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or not least <= number <= MOST:
        raise wrong(name, f"a whole number of at least {least}", value)
    return number


def number(value: object, name: str) -> float:
    """A finite number.

    Raises:
        InvalidArgument: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise wrong(name, "a number", value)
    return float(value)


def one_of(value: object, choices: type[E], name: str) -> E:
    """A member of an enumeration, by its value.

    Raises:
        InvalidArgument: there is no such member.
    """
    if isinstance(value, str) and value in {*choices}:
        return choices(value)
    raise wrong(name, f"one of {', '.join(map(repr, map(str, choices)))}", value)


def texts(value: object, name: str) -> tuple[str, ...]:
    """One text, or several, as a tuple.

    Raises:
        InvalidArgument: something else.
    """
    if value is None:
        return ()
    found = [value] if isinstance(value, str) else value
    try:
        return tuple(plain_text(part, name) for part in found)  # type: ignore[attr-defined]
    except TypeError:
        raise wrong(name, "a text, or several", value) from None


def numbers(value: object, name: str, count: int) -> tuple[float, ...]:
    """So many numbers.

    Raises:
        InvalidArgument: something else.
    """
    try:
        found = tuple(number(part, name) for part in value)  # type: ignore[attr-defined]
    except (TypeError, InvalidArgument):
        found = ()
    if len(found) != count or isinstance(value, str):
        raise wrong(name, f"{count} numbers", value)
    return found


def device_name(value: object) -> str:
    """The name of a device; a `torch.device` has one, too."""
    if type(value).__module__ == "torch":
        return str(value)
    return plain_text(value, "device")


def byte_count(value: object, name: str) -> int | None:
    """A number of bytes, or a text such as 2GB; None stays None."""
    if value is None:
        return None
    found = size_in_bytes(value) if isinstance(value, str) else whole(value, name, 1)
    if found is None:
        raise wrong(name, "a number of bytes, or a size such as '500MB' or '2GB'", value)
    return found


def refuse_unknown(given: set[str], known: set[str], what: str) -> None:
    """Refuse unknown names, and suggest the nearest ones.

    Raises:
        InvalidArgument: there is one.
    """
    for name in sorted(given - known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
        raise InvalidArgument(f"no such {what}: {name}", hint=hint)
