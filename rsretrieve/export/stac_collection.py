"""Describe exported embeddings as a STAC collection with the fields of the embedding extension.

See the STAC specification 1.0.0 and its embedding extension 0.0.1 (prefix `emb`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rsretrieve._core.paths import Location
from rsretrieve._core.standard_output import is_standard_output
from rsretrieve.data.dates.periods import as_datetime, instant_text
from rsretrieve.data.window import split_window
from rsretrieve.index.store.folder import IndexStore

EXTENSION = "https://stac-extensions.github.io/embeddings/v0.0.1/schema.json"
PARQUET_TYPE = "application/vnd.apache.parquet"
_WHOLE_EARTH = (-180.0, -90.0, 180.0, 90.0)


def collection_of(
    store: IndexStore, path: Path, sides: Sequence[float] | None, stac: Path | None = None
) -> dict[str, Any]:
    """The collection that describes the exported embeddings of an index.

    Args:
        store: the index.
        path: the exported file; `-` for standard output.
        sides: west, south, east and north of all tiles; None if no tile has a place.
        stac: the file of the collection; None if it lies in the exported file, or beside it.
    """
    manifest, address = store.manifest, _address(path, stac)
    name = Path(os.path.abspath(store.folder)).name  # noqa: PTH100  (links keep their names)
    found: dict[str, Any] = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [EXTENSION],
        "id": name,
        "title": f"Embeddings of {name}",
        "description": f"{manifest.tiles} unit vectors of {manifest.dimensions} dimensions, one a "
        "tile. Cosine similarity is their inner product.",
        # What the specification asks for where no licence of the SPDX list is known.
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [list(sides or _WHOLE_EARTH)]},
            "temporal": {"interval": [_first_and_last(store)]},
        },
        "emb:type": "pixel" if _are_pixels(store) else "chip",
        "emb:dimensions": manifest.dimensions,
        "data_type": "float32",
        "emb:fit_for_use": ["retrieval", "similarity_search"],
        "links": [_model_link(store, address), _source_link(store, address)],
        "assets": {
            "embeddings": {
                "href": address,
                "type": PARQUET_TYPE,
                "roles": ["data"],
                "title": "Embeddings and footprints (GeoParquet)",
            }
        },
    }
    return {**found, **_layout(store)}


def _address(path: Path, stac: Path | None) -> str:
    """The address of the exported file, relative to the folder of the collection."""
    if is_standard_output(path):
        return "./embeddings.parquet"
    if stac is None or is_standard_output(stac):
        return f"./{quote(os.fsencode(path.name))}"
    # The real folders: `..` after a link leads to where the link points.
    folder, here = (os.path.realpath(each.parent) for each in (path, stac))
    found = Path(os.path.relpath(folder, here), path.name).as_posix()
    return quote(os.fsencode(found if found.startswith("../") else f"./{found}"))


def _first_and_last(store: IndexStore) -> list[str | None]:
    """The first and the last instant at which a tile was taken; None if no tile has a date."""
    import pyarrow
    import pyarrow.compute as pc

    columns = (store.rows.columns.column(name) for name in ("datetime", "end_datetime"))
    starts, ends = (column.cast(pyarrow.int64()) for column in columns)
    first, last = pc.min(starts).as_py(), pc.max(pc.coalesce(ends, starts)).as_py()
    return [None if one is None else instant_text(as_datetime(one)) for one in (first, last)]


def _are_pixels(store: IndexStore) -> bool:
    """Whether the tiles are single pixels, as those of a raster of embeddings are."""
    window = split_window(store.rows[0].id)[1]
    return window is not None and window.width == window.height == 1


def _layout(store: IndexStore) -> dict[str, Any]:
    """How scenes were cut into tiles; empty if they were not."""
    windows = store.manifest.windows
    if not windows:
        return {}
    size = windows["window_px"]
    step = windows.get("stride_px") or size
    layout = {"layout_type": "regular_grid", "chip_size": [size] * 2, "stride": [step] * 2}
    resolution = windows.get("resolution_m")
    return {"emb:chip_layout": layout, **({"gsd": resolution} if resolution else {})}


def _model_link(store: IndexStore, address: str) -> dict[str, str]:
    manifest = store.manifest
    if (folder := manifest.model_path(store.folder)) is not None:
        title = f"Model {folder.name}, fingerprint {manifest.model_fingerprint[:12]}"
        return {"rel": "emb:model", "href": _uri(str(folder.absolute())), "title": title}
    return {
        "rel": "emb:model",
        "href": address,
        "title": "The model is not known: the vectors were read from a file that names none",
    }


def _source_link(store: IndexStore, address: str) -> dict[str, str]:
    """The folder of all tiles; the file itself if they have no files, or no folder in common."""
    paths = set(store.rows.columns.column("path").unique().to_pylist()) - {"", None}
    local = [path for path in paths if Location.parse(path).is_local and os.path.isabs(path)]  # noqa: PTH117
    if paths and len(local) == len(paths):
        folder = os.path.commonpath([os.path.dirname(path) for path in local])  # noqa: PTH120
        return {"rel": "emb:source-data", "href": _uri(folder), "title": "Folder of the imagery"}
    return {
        "rel": "emb:source-data",
        "href": address,
        "title": "The imagery has no single source: see the column path",
    }


def _uri(path: str) -> str:
    return Path(path).as_uri() if os.path.isabs(path) else quote(os.fsencode(path), safe="/:")  # noqa: PTH117
