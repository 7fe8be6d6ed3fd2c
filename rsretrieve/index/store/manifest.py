"""The manifest of an index folder: what the index is, and what vouches for every byte of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from rsretrieve._core.regular_files import read_regular_text
from rsretrieve._core.sealing import parsed, unsealed, write_sealed
from rsretrieve.data.windowing import WindowChoices
from rsretrieve.errors import IndexDamaged, IndexNotFound

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
FAISS_FILE = "index.faiss"
TABLE_FILE = "tiles.parquet"
VECTORS_FILE = "embeddings.npy"
SKIPPED_FILE = "skipped.parquet"  # only where there is something in it
DATA_FILES = (FAISS_FILE, TABLE_FILE, VECTORS_FILE)
_MOST = 1 << 48  # of anything that is counted
_MOST_SEARCHED, _LONGEST_KEY = 1 << 20, 200


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
    write_sealed(path, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of an index folder.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: it is not a manifest, was edited, or comes from a newer version.
    """
    path = folder / MANIFEST_FILE
    try:
        text = read_regular_text(path)
        content = parsed(text)
        if content["schema_version"] > SCHEMA_VERSION:
            raise IndexDamaged(
                f"{path} was written by a newer rsretrieve (schema "
                f"{content['schema_version']}; this one reads up to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        known = {field.name for field in fields(Manifest)}
        facts, _ = unsealed(text, content, known)
        manifest = Manifest(**{key: facts[key] for key in facts if key in known})
        if strange := first_invalid_field(manifest):
            raise ValueError(f"{strange!r} is not what it should be")
        WindowChoices.from_json(manifest.windows)
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


def first_invalid_field(manifest: Manifest) -> str:
    """The name of a value that is not of its declared kind; empty where all are."""
    for name, kind in get_type_hints(Manifest).items():
        kinds = tuple(get_origin(part) or part for part in (get_args(kind) or (kind,)))
        if get_origin(kind) is dict:
            kinds = (dict,)
        value = getattr(manifest, name)
        wanted = (*kinds, int) if float in kinds else kinds
        if not isinstance(value, wanted) or isinstance(value, bool):
            return name
    counts = list(manifest.search.values())
    fits = {
        "sha256": all(isinstance(sha256, str) for sha256 in manifest.sha256.values()),
        "faiss_key": len(manifest.faiss_key) <= _LONGEST_KEY,
        "tiles": 0 <= manifest.tiles < _MOST,
        "dimensions": 0 < manifest.dimensions < _MOST,
        "search": all(type(count) is int and 0 < count <= _MOST_SEARCHED for count in counts),
    }
    return next((name for name, fitting in fits.items() if not fitting), "")
