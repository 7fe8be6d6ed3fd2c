"""JSON files that hold a digest of their own content: model.json and manifest.json."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rsretrieve._core.atomic_write import sha256_of_json, write_json

_DIGEST = "digest"  # of the rest of the file


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON together with its digest."""
    sealed = {**content, _DIGEST: sha256_of_json(dict(content))}
    write_json(path, sealed, overwrite=True, follow=False)


def parsed(text: str) -> Any:
    """Parse JSON whose numbers are all finite.

    Raises:
        ValueError: it is not such JSON.
        RecursionError: it is nested too deeply.
    """
    content = json.loads(text, parse_constant=_not_finite)
    json.dumps(content, allow_nan=False)  # 1e999 is read as infinity
    return content


def json_object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a text of any origin; empty if it holds none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def unsealed(
    text: str, content: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], bool]:
    """Verify the digest of a file.

    Files of early versions have no digest; they may only have known keys.

    Args:
        text: the file's text.
        content: the same, parsed.
        known: the keys that a file without a digest may have.

    Returns:
        The content without its digest, and whether it has a digest.

    Raises:
        ValueError: the file was changed after it was written.
    """
    facts = {key: value for key, value in content.items() if key != _DIGEST}
    if _DIGEST not in content:
        if unknown := sorted(set(facts) - set(known)):
            raise ValueError(f"unknown key {unknown[0]!r}")
        return facts, False
    # Even white space counts: the text must be exactly what `write_json` writes.
    written = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if content[_DIGEST] != sha256_of_json(facts) or text != written:
        raise ValueError("it is not as it was written: its digest differs")
    return facts, True


def _not_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a finite number")
