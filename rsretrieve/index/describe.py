"""Summarise an index from its manifest and its id table, without opening the FAISS index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from rsretrieve.index.store.folder import check_files
from rsretrieve.index.store.manifest import (
    CONFIG_FILE,
    MANIFEST_FILE,
    STORED_MODEL,
    STORED_MODEL_FILE,
    TABLE_FILE,
    Manifest,
    has_config,
    read_manifest,
)
from rsretrieve.index.store.stored_model import stored_model_bytes
from rsretrieve.index.store.tile_table import TileTable, read_table
from rsretrieve.network.metadata import DESCRIPTION_FILE


@dataclass(frozen=True)
class IndexDescription:
    """What `info` shows of an index.

    Attributes:
        folder: the index folder.
        manifest: its manifest.
        model_found: whether its model is still at the path that the manifest names.
        bytes_on_disk: size of all of its files.
        labels: number of tiles per label, the most frequent first; None stands for no label.
        placed: number of georeferenced tiles.
        extent: west, south, east and north of all tiles in degrees, or None.
    """

    folder: Path
    manifest: Manifest
    model_found: bool
    bytes_on_disk: int
    labels: tuple[tuple[str | None, int], ...]
    placed: int
    extent: tuple[float, float, float, float] | None

    @property
    def model(self) -> Path | None:
        """The model folder; None for external embeddings."""
        return self.manifest.model_path(self.folder)

    def to_json(self) -> dict[str, Any]:
        """The object that `info --json` prints."""
        manifest = self.manifest
        return {
            "kind": "index",
            "path": str(self.folder),
            "tiles": manifest.tiles,
            "dimensions": manifest.dimensions,
            "faiss_key": manifest.faiss_key,
            "search": manifest.search,
            "recall_at_10": manifest.recall_at_10,
            "goal": manifest.goal,
            "predicted_bytes": manifest.predicted_bytes,
            "bytes_on_disk": self.bytes_on_disk,
            "model": None if self.model is None else str(self.model),
            "model_found": self.model_found,
            "model_fingerprint": manifest.model_fingerprint or None,
            "provenance": manifest.provenance,
            "windows": manifest.windows or None,
            "cost": manifest.cost or None,
            "labels": {label: count for label, count in self.labels if label is not None},
            "unlabelled": dict(self.labels).get(None, 0),
            "georeferenced": self.placed,
            "extent": self.extent,
            "schema_version": manifest.schema_version,
        }


def describe_index(folder: Path) -> IndexDescription:
    """Describe an index folder; only the checksum of the id table is verified.

    Raises:
        IndexNotFound: the folder holds no index.
        IndexDamaged: the manifest or the id table was changed since it was written.
    """
    manifest = read_manifest(folder)
    check_files(folder, {TABLE_FILE: folder / TABLE_FILE}, manifest)
    rows = read_table(folder / TABLE_FILE, manifest.tiles)
    names = {MANIFEST_FILE, *manifest.sha256} - {STORED_MODEL_FILE}
    if has_config(folder):
        names.add(CONFIG_FILE)
    sizes = [(folder / name).stat().st_size for name in names]
    if manifest.has_stored_model:
        sizes.append(stored_model_bytes(folder / STORED_MODEL))
    model = manifest.model_path(folder)
    return IndexDescription(
        folder=folder,
        manifest=manifest,
        model_found=model is not None and (model / DESCRIPTION_FILE).is_file(),
        bytes_on_disk=sum(sizes),
        labels=_labels(rows),
        placed=len(rows) - rows.columns.column("crs").null_count,
        extent=_extent(rows),
    )


def _labels(rows: TileTable) -> tuple[tuple[str | None, int], ...]:
    counted = rows.columns.column("label").value_counts().to_pylist()
    ordered = sorted(counted, key=lambda entry: (-entry["counts"], str(entry["values"])))
    return tuple((entry["values"], entry["counts"]) for entry in ordered)


def _extent(rows: TileTable) -> tuple[float, float, float, float] | None:
    corners = pc.list_flatten(rows.columns.column("footprint"))
    if not len(corners):
        return None
    lons, lats = (pc.list_element(corners, axis) for axis in (0, 1))
    west, south = pc.min(lons).as_py(), pc.min(lats).as_py()
    return west, south, pc.max(lons).as_py(), pc.max(lats).as_py()
