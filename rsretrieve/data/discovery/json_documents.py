"""Read JSON documents by a path or a URL, and resolve the hrefs in them."""

from __future__ import annotations

import json
import os
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, url2pathname

from rsretrieve._core.paths import Location
from rsretrieve._core.regular_files import open_regular
from rsretrieve.errors import InputError, TilesNotFound

_MAX_BYTES, _TIMEOUT_S = 1 << 27, 30


def read_json(place: str, *, host: str | None = None) -> Any:
    """Read a JSON document.

    Args:
        place: a path or a URL.
        host: the only host that may be asked, also after a redirect; None: any.

    Raises:
        TilesNotFound: no such file.
        InputError: it cannot be fetched, is too large, or is no JSON.
    """
    try:
        with _opened(place, host) as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES >> 20} MiB")
        return json.loads(content)
    except FileNotFoundError as error:
        raise TilesNotFound(f"{place}: no such file") from error
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{place} cannot be read as a STAC item ({reason})",
            hint="a .json file among TILES is a STAC item (a GeoJSON feature with assets), an item "
            "collection, a collection or a catalogue",
        ) from error


def _opened(place: str, host: str | None) -> IO[bytes]:
    if Location.parse(place).is_local:
        return open_regular(Path(place))
    if urlsplit(place).scheme.lower() not in ("http", "https"):
        raise ValueError("only files and http addresses are read")
    opener = build_opener(_SameHost(host)) if host is not None else build_opener()
    request = Request(place, headers={"Accept": "application/geo+json, application/json"})
    stream: IO[bytes] = opener.open(request, timeout=_TIMEOUT_S)
    return stream


class _SameHost(HTTPRedirectHandler):
    """Follows redirects on one host only."""

    def __init__(self, host: str) -> None:
        self._host = host

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
    ) -> Any:
        """Refuse another host."""
        if host_of(newurl) != self._host:
            raise ValueError(f"it redirects to another host, {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def host_of(url: str) -> str:
    """Scheme, host and port of a URL, in one spelling."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}"


def place_of(href: str, source: str) -> str:
    """The path or URL that an href names: as given, or relative to the document it stands in.

    Hrefs are URLs: `%20` is a blank, unless a file has exactly that name. A document's own link
    `self` is ignored: it may name another place.
    """
    if href.startswith("file://"):
        return url2pathname(urlsplit(href).path)
    named, is_beside = Location.parse(href), Location.parse(source).is_local
    if not named.is_local:
        part_of_a_file = named.part is not None and is_beside
        return named.below(os.path.dirname(source)) if part_of_a_file else href  # noqa: PTH120
    if not is_beside:
        return urldefrag(urljoin(source, href)).url
    folder = os.path.dirname(source)  # noqa: PTH120
    literal = os.path.normpath(os.path.join(folder, href))  # noqa: PTH118
    if "%" not in href or _exists(literal):
        return literal
    return os.path.normpath(os.path.join(folder, unquote(href)))  # noqa: PTH118


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False
