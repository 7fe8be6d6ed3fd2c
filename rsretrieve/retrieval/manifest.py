"""The manifest of an index folder: what the index is, and what vouches for every byte of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from rsretrieve.errors import IndexDamaged, IndexNotFound
from rsretrieve.storage import read_regular_text, sha256_of_json, write_json

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
FAISS_FILE = "index.faiss"
TABLE_FILE = "tiles.parquet"
VECTORS_FILE = "embeddings.npy"
SKIPPED_FILE = "skipped.parquet"  # only where there is something in it
DATA_FILES = (FAISS_FILE, TABLE_FILE, VECTORS_FILE)
_MOST = 1 << 48  # of anything that is counted
_DIGEST = "digest"  # of all else in the manifest


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds, but for the digest of it all.

    Attributes:
        model: the model folder, as an absolute path; empty where the embeddings were made
            elsewhere.
        model_fingerprint: of that model and its preprocessing; or empty.
        faiss_key: of the index, in FAISS's notation.
        metric: always the inner product, which of unit vectors is the cosine.
        tiles: N.
        dimensions: D.
        recall_at_10: of this index against exact search, measured on a sample.
        sha256: of every other file, by its name.
        schema_version: of this folder's layout.
        search: the parameters of search that were measured: `nprobe` or `efSearch`, and
            `rerank`, how many times k candidates are ranked again by the stored vectors.
        predicted_bytes: what the index takes in memory.
        goal: what was asked of the choice of the index.
        similarity_floor: all but a hundredth of the vectors that the index was trained on
            are at least this similar to the centre of their cell; without cells, to the tenth
            most similar of the others.
        provenance: of embeddings made elsewhere.
        windows: how scenes were cut into the tiles; empty where every image is a tile.
    """

    model: str
    model_fingerprint: str
    faiss_key: str
    metric: str
    tiles: int
    dimensions: int
    recall_at_10: float
    sha256: dict[str, str]
    schema_version: int = SCHEMA_VERSION
    search: dict[str, int] = field(default_factory=dict)
    predicted_bytes: int | None = None
    goal: dict[str, Any] = field(default_factory=dict)
    similarity_floor: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    windows: dict[str, Any] = field(default_factory=dict)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest, sealed by a digest of its own content."""
    content = asdict(manifest)
    write_json(path, {**content, _DIGEST: sha256_of_json(content)}, overwrite=True)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index folder.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: it is not a manifest, was edited, or comes from a newer version.
    """
    path = folder / MANIFEST_FILE
    try:
        text = read_regular_text(path)
        content = json.loads(text)
        if content["schema_version"] > SCHEMA_VERSION:
            raise IndexDamaged(
                f"{path} was written by a newer rsretrieve (schema "
                f"{content['schema_version']}; this one reads up to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        manifest = Manifest(**_unsealed(text, content))
        if strange := _of_another_kind(manifest):
            raise ValueError(f"{strange!r} is not what it should be")
        if set(manifest.sha256) - {SKIPPED_FILE} != set(DATA_FILES):
            raise ValueError("it does not name the index's files")
        return manifest
    except FileNotFoundError as error:
        raise IndexNotFound(
            f"{folder}: no index there ({MANIFEST_FILE} is missing)",
            hint="`rsretrieve index TILES --model DIR --output DIR` makes one",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IndexDamaged(
            f"{path} cannot be read as an index's manifest ({error})",
            hint=f"build the index again, or mend it with the model it was built with: "
            f"rsretrieve index --repair --model DIR --output {folder}",
        ) from error


def _of_another_kind(manifest: Manifest) -> str:
    """The name of a value that is not of its declared kind; empty where all are."""
    for name, kind in get_type_hints(Manifest).items():
        kinds = tuple(get_origin(part) or part for part in (get_args(kind) or (kind,)))
        if get_origin(kind) is dict:
            kinds = (dict,)
        value = getattr(manifest, name)
        wanted = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, wanted) or isinstance(value, bool):
            return name
    counted = {"tiles": [manifest.tiles], "dimensions": [manifest.dimensions]}
    for name, counts in (counted | {"search": list(manifest.search.values())}).items():
        if not all(isinstance(count, int) and 0 <= count < _MOST for count in counts):
            return name
    return ""


def _unsealed(text: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content whose digest is right; of what was added since this version, nothing.

    Indexes from before there was a digest have none, and no key that is not known.

    Raises:
        ValueError: a byte is not as it was written.
    """
    known = {field.name for field in fields(Manifest)}
    facts = {key: value for key, value in content.items() if key != _DIGEST}
    if _DIGEST not in content:
        if unknown := sorted(set(facts) - known):
            raise ValueError(f"unknown key {unknown[0]!r}")
        return facts
    # Down to the spaces between: the text must be just what `write_json` makes of it.
    written = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    if content[_DIGEST] != sha256_of_json(facts) or text != written:
        raise ValueError("it is not as it was written: its digest differs")
    return {key: value for key, value in facts.items() if key in known}
