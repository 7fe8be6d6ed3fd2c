"""Messages of the library, which name options of the commands, with the names of arguments."""

from __future__ import annotations

import re

COMMANDS = (
    *("train", "index", "query", "find", "audit-labels", "evaluate", "compare", "browse"),
    *("change", "split", "corrupt-labels", "models", "info", "explain", "export", "copy-index"),
    *("cache", "demo"),
)
ARGUMENTS = {
    "after": "after_dates",
    "asset": "assets",
    "before": "before_dates",
    "dims": "dimensions",
    "page-tiles": "tiles",
    "val": "validation",
}
"""The arguments whose names are not those of their options."""
_PHRASES = {
    "--tile ID": "the id of a tile",
    "--at LON,LAT": "a pair (longitude, latitude)",
    "without --tile": "instead of an id",
}
_SWITCHES = frozenset(
    ("append-only", "by-place", "by-scene", "changes-only", "no-overlap", "overwrite", "resume")
    + ("strict", "trust-sources", "update")
)
# What a shell runs stays as it is: text in backticks, and a command up to a semicolon or bracket.
_COMMAND = re.compile(
    rf"(`[^`]*(?:`|$)|\b(?:rsretrieve (?:{'|'.join(COMMANDS)})|pip|rio|torchrun) [^`;)]*)"
)
_OPTION = re.compile(r"(?<![\w./\\'\"-])--([a-z][a-z-]*)")
_PHRASE = re.compile("|".join(map(re.escape, _PHRASES)))


def in_python(text: str) -> str:
    """A message of the library with the names of the Python interface.

    Commands stay as they are.

    >>> in_python("give --overwrite to replace it, or another --max-nodata")
    'give overwrite=True to replace it, or another max_nodata'
    >>> in_python("choose by --asset NAME, or build one: rsretrieve index TILES --output DIR")
    'choose by assets NAME, or build one: rsretrieve index TILES --output DIR'
    """
    parts = _COMMAND.split(text)
    parts[::2] = [_OPTION.sub(_argument, _PHRASE.sub(_phrase, part)) for part in parts[::2]]
    return "".join(parts)


def options_in(text: str) -> set[str]:
    """The options, without dashes, that a text names outside of commands."""
    parts = _COMMAND.split(text)[::2]
    return {name for part in parts for name in _OPTION.findall(_PHRASE.sub("", part))}


def argument_of(option: str) -> str:
    """The name of the argument that an option is in Python.

    >>> argument_of("max-nodata")
    'max_nodata'
    """
    return ARGUMENTS.get(option, option.replace("-", "_"))


def _argument(option: re.Match[str]) -> str:
    return argument_of(option[1]) + ("=True" if option[1] in _SWITCHES else "")


def _phrase(found: re.Match[str]) -> str:
    return _PHRASES[found[0]]
