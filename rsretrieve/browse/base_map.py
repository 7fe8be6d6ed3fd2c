"""A base map below the map of places: map tiles of a folder, or of a server that the user named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsretrieve._core.paths import without_secrets
from rsretrieve.errors import InputError, InvalidArgument

MOST_ZOOM = 24
_MOST_BYTES = 8 << 20  # of a map tile
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_BEGINNINGS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/webp": (b"RIFF",),
}
_HOST = re.compile(r"(?i)(https?://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?)/")
_FILES = re.compile(r"(?:(?P<folder>.*)/)?\{z\}/\{x\}/\{-?y\}(?P<suffix>\.\w+)", re.DOTALL)
_HINT = "type a folder of tiles z/x/y.png, or an address such as https://HOST/{z}/{x}/{y}.png"


@dataclass(frozen=True)
class BaseMap:
    """Map tiles in the Web Mercator grid.

    Attributes:
        template: of an address, or of a path; {z}, {x} and {y} are numbers, {-y} counts from the
            south.
        origin: scheme and host of an address; empty for a folder.
        folder: the folder that no tile lies outside of; None for an address.
        zooms: the lowest and the highest zoom level; those of an address are not known.
    """

    template: str
    origin: str = ""
    folder: Path | None = None
    zooms: tuple[int, int] = (0, 19)

    @classmethod
    def parse(cls, text: str) -> BaseMap:
        """A base map as the user types it.

        Args:
            text: a folder; a path with {z}, {x} and {y} or {-y}; or an http(s) address with these.

        Raises:
            InvalidArgument: it is none of these.
            InputError: the folder does not exist, or has no tiles.
        """
        if "://" in text:
            return cls._of_address(text)
        if "{" not in text:
            text = f"{text.rstrip('/')}/{{z}}/{{x}}/{{y}}{_suffix(Path(text))}"
        found = _FILES.fullmatch(text)
        if found is None or found["suffix"].lower() not in _SUFFIXES:
            raise InvalidArgument(
                f"--base-map {text} is no FOLDER/{{z}}/{{x}}/{{y}}.png (or {{-y}}; or .jpg, .webp)",
                hint=_HINT,
            )
        folder = Path(f"{found['folder']}/" if found["folder"] is not None else ".")
        return cls(text, "", folder, _zooms(folder))

    @classmethod
    def _of_address(cls, text: str) -> BaseMap:
        _require_host(text)
        found = _HOST.match(text)
        if found is None or re.search(r"[\s\"'<>\\^`|]", text):
            raise InvalidArgument(f"--base-map {text} is no http or https address", hint=_HINT)
        _require_places(text)
        return cls(text, found[1].lower())

    def facts(self) -> dict[str, Any]:
        """What the page needs."""
        tiles = self.template if self.origin else "base/{z}/{x}/{y}"
        return {"tiles": tiles, "origin": self.origin, "zooms": list(self.zooms)}

    def tile(self, zoom: int, column: int, row: int) -> tuple[bytes, str] | None:
        """A map tile of the folder, and its media type; None if there is none.

        Only a regular file within the folder is read, whatever symbolic links say.

        Args:
            zoom: the level, 0 for the whole world.
            column: counted from the west.
            row: counted from the north.
        """
        if self.folder is None or not 0 <= zoom <= MOST_ZOOM:
            return None
        side = 1 << zoom
        if not (0 <= column < side and 0 <= row < side):
            return None
        numbers = {"{z}": zoom, "{x}": column, "{y}": row, "{-y}": side - 1 - row}
        name = self.template
        for place, number in numbers.items():
            name = name.replace(place, str(number))
        return _picture(Path(name), self.folder)


def _picture(path: Path, folder: Path) -> tuple[bytes, str] | None:
    try:
        real, root = path.resolve(strict=True), folder.resolve(strict=True)
        if not real.is_relative_to(root) or not real.is_file():
            return None
        if real.stat().st_size > _MOST_BYTES:
            return None
        content = real.read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, before Python 3.13
        return None
    for kind, beginnings in _BEGINNINGS.items():
        if content.startswith(beginnings):
            return content, kind
    return None


def _require_host(text: str) -> None:
    """Refuse addresses that browsers understand, but do not load pictures from in this page."""
    found = re.match(r"(?i)https?://([^/?#]*)", text)
    server = found[1] if found is not None else ""
    if "@" in server:
        raise InvalidArgument(
            f"--base-map {without_secrets(text)} has a user or a password before the host: "
            "browsers load no pictures from such addresses",
            hint="leave it out; servers of map tiles take a key behind a question mark",
        )
    if server.startswith("["):
        raise InvalidArgument(
            f"--base-map {text}: a page can allow pictures from a name or an IPv4 address, but "
            "not from an IPv6 address",
            hint="type a name instead; that of this machine is localhost",
        )
    if "_" in server:
        raise InvalidArgument(
            f"--base-map {text}: a page cannot allow pictures from a host whose name has an "
            "underscore",
            hint="type another name or the IPv4 address of the host",
        )


def _require_places(text: str) -> None:
    missing = [place for place in ("{z}", "{x}") if place not in text]
    if ("{y}" in text) == ("{-y}" in text):
        missing.append("{y} or {-y}")
    unknown = sorted({*re.findall(r"\{[^}]*\}?", text)} - {"{z}", "{x}", "{y}", "{-y}"})
    if missing:
        raise InvalidArgument(f"--base-map {text} lacks {', '.join(missing)}", hint=_HINT)
    if unknown:
        raise InvalidArgument(f"--base-map {text}: {', '.join(unknown)} is not known", hint=_HINT)


def _suffix(folder: Path) -> str:
    """The suffix of the tiles of a folder."""
    for suffix in _SUFFIXES:
        if next(folder.glob(f"[0-9]*/[0-9]*/[0-9]*{suffix}"), None) is not None:
            return suffix
    return ".png"


def _zooms(folder: Path) -> tuple[int, int]:
    """The zoom levels that a folder has.

    Raises:
        InputError: it has none.
    """
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except OSError as error:
        raise InputError(f"--base-map {folder}: {error.strerror}", hint=_HINT) from error
    levels = [int(name) for name in names if name.isdecimal() and len(name) <= 2]
    levels = [level for level in levels if level <= MOST_ZOOM]
    if not levels:
        raise InputError(
            f"--base-map: {folder} has no folder of a zoom level (0, 1, 2 …)", hint=_HINT
        )
    return min(levels), max(levels)
