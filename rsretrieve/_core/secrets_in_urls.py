"""Remove signatures, tokens and passwords from URLs before they are stored or compared.

A signed URL changes with every signature, although the file is the same; and who reads an index
must not find a key in it.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_NAMES = re.compile(
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


def without_secrets(url: str) -> str:
    """A URL, or a name in GDAL's virtual file systems, without user, signature and token.

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
        if (name := part.partition("=")[0].lower()) not in hidden and not _NAMES.fullmatch(name)
    ]
    return "?" + "&".join(kept) if kept else ""


def _cleaned_value(part: str) -> str:
    """A parameter whose value may be a URL itself, as in `/vsicurl?url=…`."""
    name, separator, value = part.partition("=")
    inner = unquote(value)
    cleaned = without_secrets(inner) if "://" in inner else inner
    return part if cleaned == inner else f"{name}{separator}{quote(cleaned, safe='')}"
