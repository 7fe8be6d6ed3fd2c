"""Change a sealed file and seal it again: what a stranger can do, and a bit flip cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyarrow import parquet

from rsretrieve._core.atomic_write import sha256_of_file
from rsretrieve._core.sealing import write_sealed


def reseal(path: Path, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    """Change a model.json or a manifest.json, and write the right digest."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("digest", None)
    change(content)
    write_sealed(path, content)


def unseal(path: Path) -> None:
    """Make a model.json one of before there were checksums of all files."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for name in ("digest", "files", "trained_on"):
        content.pop(name, None)
    path.write_text(json.dumps(content), encoding="utf-8")


def reseal_model(folder: Path) -> None:
    """Let model.json vouch for every file as it is now."""

    def vouch(content: dict[str, Any]) -> None:
        content["files"] = {n: sha256_of_file(folder / n) for n in content.get("files", {})}
        content["weights_sha256"] = sha256_of_file(folder / "model.safetensors")

    reseal(folder / "model.json", vouch)


def forget_digests(folder: Path) -> None:
    """Make an index one of before there were digests of the tiles' contents."""
    table = parquet.read_table(folder / "tiles.parquet")
    newer = [name for name in ("content", "sidecars", "state") if name in table.column_names]
    parquet.write_table(table.drop_columns(newer), folder / "tiles.parquet")
    reseal_index(folder)


def reseal_index(folder: Path, **changes: Any) -> None:
    """Let the manifest vouch for every file as it is now, and say what else is wanted."""

    def vouch(content: dict[str, Any]) -> None:
        content["sha256"] = {n: sha256_of_file(folder / n) for n in content["sha256"]}
        content.update(changes)

    reseal(folder / "manifest.json", vouch)
