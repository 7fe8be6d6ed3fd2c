"""Where a file is: a plain path on a local disk, or a name that only GDAL understands."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from rsretrieve._core.atomic_write import real_path, resolved
from rsretrieve._core.file_parts import FORMATS, FilePart, file_part

TIME_LIMIT_S = 60.0
REMOTE_TIME_LIMIT_S = 600.0
"""For what is not a local path: it may have to be fetched."""

_UNKNOWN = -1  # size and modification time of what is not a local path
_NOT_LOCAL = re.compile(rf"/vsi[a-z0-9_]+/|[a-zA-Z][a-zA-Z0-9+.-]+://|{FORMATS}")
_SECRET_NAMES = re.compile(
    r"x-(amz|goog|oss|obs|cos|ms|ecs)-.*|header\..*|.*(signature|token|secret|passw|credential|"
    r"authoriz|authent|api[-_]?key|access[-_]?key|session).*|auth|expires|googleaccessid|"
    r"ossaccesskeyid|key-pair-id|.*[-_]key|policy|sig|key|pwd|userpwd|jwt|hmac",
    re.IGNORECASE,
)
# The parameters of Azure's shared access signatures; their names say too little without `sig`.
_AZURE = {
    *("sv", "ss", "srt", "st", "se", "sp", "sr", "sip", "spr", "sdd", "ses"),
    *("skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid"),
}
_USER = re.compile(r"(https?://)[^/?#@]+@|(://)[^/?#@:]*:[^/?#@]*@", re.IGNORECASE)
_QUERY = re.compile(r"\?([^#}]*)")
_STACK = "stack:"
"""Begins the path of a tile whose bands lie in several files: `stack:["a.tif","b.tif"]`."""


def stack_path(parts: Sequence[str]) -> str:
    """The path of a tile whose bands lie in several files.

    Args:
        parts: the files, in the order of their bands.

    >>> stack_path(["B04.tif", "B03.tif"])
    'stack:["B04.tif","B03.tif"]'
    """
    return _STACK + json.dumps(list(parts), ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed path; made by `Location.parse`.

    Attributes:
        text: the path as it was given.
        is_local: it is a plain path on a local disk. Everything else (a URL, a name in
            GDAL's virtual file systems, a part of a file) is passed to GDAL unchanged. A stack is
            local if all its files are.
        stack: the files that hold the bands of one tile (see `stack_path`); empty for one file.
        part: the file on disk in a name that is not a local path; None if there is none.
    """

    text: str
    is_local: bool
    stack: tuple[str, ...] = ()
    part: FilePart | None = None

    @classmethod
    def parse(cls, text: str | Path) -> Location:
        """Parse a path; recent ones are cached, because scenes have a million windows each.

        >>> Location.parse("scenes/scene.tif").is_local
        True
        >>> [Location.parse(text).is_local for text in ("s3://b/a.tif", "netcdf:sst.nc:day")]
        [False, False]
        """
        return _parsed(str(text))

    @property
    def name(self) -> str:
        """The last part of the path, without the query of a URL.

        >>> Location.parse("https://example.org/a/scene.tif?token=1").name
        'scene.tif'
        """
        if self.stack:
            return Location.parse(self.stack[0]).name
        if self.is_local:
            return resolved(Path(self.text)).name
        inner = re.sub(r"^(/vsi[a-z0-9_]+/)+", "", self.text)
        path = urlsplit(inner).path if "://" in inner else inner
        return PurePosixPath(path.replace('"', "")).name or self.text

    @property
    def time_limit_s(self) -> float:
        """The longest time that reading a tile from here, or one batch of windows, may take."""
        return TIME_LIMIT_S if self.is_local else REMOTE_TIME_LIMIT_S

    def state(self) -> tuple[int, int]:
        """Size in bytes and modification time in ns, by which a changed file is recognised.

        Both are −1 without `local_files`: asking would take one request a tile, and most servers
        give no modification time. Such a file counts as unchanged.

        Raises:
            OSError: no such file.
        """
        states = [Path(file).stat() for file in self.local_files]
        if not states:
            return _UNKNOWN, _UNKNOWN
        return sum(one.st_size for one in states), max(one.st_mtime_ns for one in states)

    @property
    def local_files(self) -> tuple[str, ...]:
        """The files on disk that change if the tile does; empty if one is elsewhere, or a folder.

        >>> Location.parse("netcdf:sst.nc:day").local_files
        ('sst.nc',)
        """
        if self.is_local:
            return self.files
        if self.stack:
            found = [Location.parse(file).local_files for file in self.stack]
            return tuple(file for files in found for file in files) if all(found) else ()
        if self.part is None or os.path.isdir(self.part.file):  # noqa: PTH112  (as of Zarr)
            return ()
        return (self.part.file,)

    @property
    def files(self) -> tuple[str, ...]:
        """The path of every file that holds pixels: one, or those of a stack.

        >>> Location.parse("a.tif").files, Location.parse(stack_path(["a.tif", "b.tif"])).files
        (('a.tif',), ('a.tif', 'b.tif'))
        """
        return self.stack or (self.text,)

    def below(self, folder: str) -> str:
        """The same path, with relative parts below a folder instead of the working folder."""
        if self.stack:
            return stack_path([Location.parse(file).below(folder) for file in self.stack])
        if self.part is not None:
            return self.part.at(os.path.join(folder, self.part.file))  # noqa: PTH118
        # Text, not `Path`: for the million rows of a list, a `Path` each would double the time.
        return os.path.join(folder, self.text) if self.is_local else self.text  # noqa: PTH118

    def absolute(self) -> str:
        """The absolute path with links resolved, the same for every spelling of one file.

        Whatever is on no local disk loses its signature, token and password: these change, and
        may not be stored.
        """
        if self.stack:
            return stack_path([Location.parse(file).absolute() for file in self.stack])
        if self.part is not None:
            return self.part.at(real_path(self.part.file))
        # A `Path` would take as long as all the rest: lists may have a million tiles.
        return real_path(self.text) if self.is_local else without_secrets(self.text)


def storable(name: str) -> str:
    """A tile's id or a file's name without the signature, token and password of a URL.

    >>> storable("https://example.org/a.tif?token=1"), storable("a?token=1.tif")
    ('https://example.org/a.tif', 'a?token=1.tif')
    """
    # Most names are plain, and lists may have a million.
    plain = ("?" not in name and "@" not in name) or _NOT_LOCAL.match(name) is None
    return name if plain or file_part(name) else without_secrets(name)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Location:
    if text.startswith(_STACK) and (files := _files_of_stack(text)):
        return Location(text, all(Location.parse(file).is_local for file in files), files)
    is_local = _NOT_LOCAL.match(text) is None
    return Location(text, is_local, part=None if is_local else file_part(text))


def _files_of_stack(text: str) -> tuple[str, ...]:
    """The files of a stack; empty if it is none. A stack holds no other stacks."""
    try:
        files = json.loads(text.removeprefix(_STACK))
    except (ValueError, RecursionError):
        return ()
    if not isinstance(files, list) or not all(isinstance(file, str) and file for file in files):
        return ()
    return () if any(file.startswith(_STACK) for file in files) else tuple(files)


def unchecked_notices(locations: Iterable[Location]) -> tuple[str, ...]:
    """The notice that an update cannot see whether remote files changed; none if all are local."""
    remote = {location for location in locations if not location.local_files}
    if not remote:
        return ()
    return (
        f"files behind a URL: {len(remote)}; they have no modification time and count as "
        "unchanged (--overwrite instead of --update reads them again)",
    )


def without_secrets(url: str) -> str:
    """A URL, or a name in GDAL's virtual file systems, without user, signature and token.

    A signed URL changes with every signature, although the file is the same; and who reads an
    index must not find a key in it.

    >>> without_secrets("https://a.org/b.tif?X-Amz-Expires=60&X-Amz-Signature=ab12&band=3")
    'https://a.org/b.tif?band=3'
    >>> without_secrets("https://me:secret@a.org/b.tif")
    'https://a.org/b.tif'
    """
    if "?" not in url and "@" not in url:
        return url
    url = _USER.sub(lambda found: found[1] or found[2], url)
    return _QUERY.sub(_cleaned_query, url, count=1)


def _cleaned_query(found: re.Match[str]) -> str:
    parts = found[1].split("&")
    names = {part.partition("=")[0].lower() for part in parts}
    hidden = _AZURE if "sig" in names else set()
    kept = [
        _cleaned_value(part)
        for part in parts
        if (name := part.partition("=")[0].lower()) not in hidden
        and not _SECRET_NAMES.fullmatch(name)
    ]
    return "?" + "&".join(kept) if kept else ""


def _cleaned_value(part: str) -> str:
    """A parameter whose value may be a URL itself, as in `/vsicurl?url=…`."""
    name, separator, value = part.partition("=")
    inner = unquote(value)
    cleaned = without_secrets(inner) if "://" in inner else inner
    return part if cleaned == inner else f"{name}{separator}{quote(cleaned, safe='')}"
