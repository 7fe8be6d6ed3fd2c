"""The index folder: its only reader and writer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.errors import IndexDamaged, IndexNotFound
from rsretrieve.retrieval.table import IndexedTile, TileTable, read_table, write_table
from rsretrieve.retrieval.vector_index import VectorIndex
from rsretrieve.storage import folder_aside, sha256_of_file, write_json

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
FAISS_FILE = "index.faiss"
TABLE_FILE = "tiles.parquet"
VECTORS_FILE = "embeddings.npy"


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Attributes:
        model: the model folder, as an absolute path.
        model_fingerprint: of that model and its preprocessing.
        faiss_key: of the index, in FAISS's notation.
        metric: always the inner product, which of unit vectors is the cosine.
        tiles: N.
        dimensions: D.
        recall_at_10: of this index against exact search, measured on a sample.
        sha256: of every other file, by its name.
        schema_version: of this folder's layout.
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


@dataclass(frozen=True)
class IndexStore:
    """An index folder that is open for search.

    Attributes:
        folder: where it lies.
        manifest: what it is.
        rows: the N tiles; row i is vector i.
    """

    folder: Path
    manifest: Manifest
    rows: TileTable

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(N, D) unit rows, memory-mapped."""
        return _read_vectors(self.folder, self.manifest)

    def open_vector_index(self, gpu: int | None = None) -> VectorIndex:
        """The FAISS index, on a GPU or on the CPU."""
        return VectorIndex.read(self.folder / FAISS_FILE, gpu)


def write_index(
    folder: Path,
    manifest_facts: dict[str, Any],
    rows: Sequence[IndexedTile],
    vectors: NDArray[np.float32],
    vector_index: VectorIndex,
    *,
    overwrite: bool,
) -> None:
    """Write an index folder aside and switch it in with one rename."""
    with folder_aside(folder, overwrite=overwrite, marker=MANIFEST_FILE) as aside:
        vector_index.write(aside / FAISS_FILE)
        write_table(aside / TABLE_FILE, rows)
        np.save(aside / VECTORS_FILE, vectors, allow_pickle=False)
        names = (FAISS_FILE, TABLE_FILE, VECTORS_FILE)
        manifest = Manifest(
            **manifest_facts,
            metric="inner product",
            tiles=len(rows),
            dimensions=vectors.shape[1],
            sha256={name: sha256_of_file(aside / name) for name in names},
        )
        write_json(aside / MANIFEST_FILE, asdict(manifest), overwrite=True)


def open_index(folder: Path) -> IndexStore:
    """Open an index folder; every file is checked against the manifest first.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: a file is missing, was cut short or edited, or is too new.
    """
    manifest = read_manifest(folder)
    for name, sha256 in manifest.sha256.items():
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != sha256:
            raise IndexDamaged(
                f"{path} is not the file that {MANIFEST_FILE} describes",
                hint="build the index again: rsretrieve index TILES --model DIR --output DIR "
                "--overwrite",
            )
    rows = read_table(folder / TABLE_FILE)
    if len(rows) != manifest.tiles:
        raise IndexDamaged(f"{folder}: {len(rows)} rows for {manifest.tiles} tiles")
    return IndexStore(folder, manifest, rows)


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        IndexNotFound: there is no index.
        IndexDamaged: it is not a manifest, or comes from a newer version.
    """
    path = folder / MANIFEST_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] > SCHEMA_VERSION:
            raise IndexDamaged(
                f"{path} was written by a newer rsretrieve (schema "
                f"{content['schema_version']}; this one reads up to {SCHEMA_VERSION})",
                hint="pip install --upgrade rsretrieve",
            )
        manifest = Manifest(**content)
        if set(manifest.sha256) != {FAISS_FILE, TABLE_FILE, VECTORS_FILE}:
            raise ValueError("it does not name the index's files")
        return manifest
    except FileNotFoundError as error:
        raise IndexNotFound(
            f"{folder}: no index there ({MANIFEST_FILE} is missing)",
            hint="`rsretrieve index TILES --model DIR --output DIR` makes one",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexDamaged(f"{path} cannot be read as an index's manifest ({error})") from error


def _read_vectors(folder: Path, manifest: Manifest) -> NDArray[np.float32]:
    path = folder / VECTORS_FILE
    try:
        vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error})") from error
    if vectors.shape != (manifest.tiles, manifest.dimensions) or vectors.dtype != np.float32:
        raise IndexDamaged(f"{path}: {vectors.shape} for {manifest.tiles} tiles")
    return vectors
