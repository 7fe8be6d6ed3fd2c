"""JSON files that are sealed by a digest of their own content: model.json and manifest.json."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from rsretrieve._core.atomic_write import sha256_of_json, write_json

_DIGEST = "digest"  # of all else in the file


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as JSON, with the digest of it."""
    write_json(path, {**content, _DIGEST: sha256_of_json(dict(content))}, overwrite=True)


def parsed(text: str) -> Any:
    """JSON whose numbers are all finite: no file of ours holds another.

    Raises:
        ValueError: it is no such JSON.
        RecursionError: it is nested without end.
    """
    content = json.loads(text, parse_constant=_not_finite)
    json.dumps(content, allow_nan=False)  # 1e999 is read as infinity
    return content


def unsealed(
    text: str, content: Mapping[str, Any], known: Collection[str]
) -> tuple[dict[str, Any], bool]:
    """The content without its digest, and whether it has one.

    Files from before there was a digest have none, and no key that is not known.

    Args:
        text: of the file.
        content: what `parsed` makes of it.
        known: the keys that a file without a digest may have.

    Raises:
        ValueError: a byte is not as it was written.
    """
    facts = {key: value for key, value in content.items() if key != _DIGEST}
    if _DIGEST not in content:
        if unknown := sorted(set(facts) - set(known)):
            raise ValueError(f"unknown key {unknown[0]!r}")
        return facts, False
    # Down to the spaces between: the text must be just what `write_json` makes of it.
    written = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if content[_DIGEST] != sha256_of_json(facts) or text != written:
        raise ValueError("it is not as it was written: its digest differs")
    return facts, True


def _not_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a finite number")
