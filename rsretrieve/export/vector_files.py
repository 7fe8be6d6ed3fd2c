"""Write GeoPackage and FlatGeobuf, for programs that do not read Parquet.

Geometries are footprints in longitude and latitude. Embeddings are left out: neither format has
lists of numbers.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsretrieve._core.atomic_write import written_aside
from rsretrieve.data.geo.place import Place
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.geojson import place_geometry
from rsretrieve.export.results import hit_rows
from rsretrieve.index.store.folder import IndexStore

if TYPE_CHECKING:
    from rsretrieve.search.search import QueryResult

DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf"}
_CRS = "EPSG:4326"
_OPTIONS = {"GPKG": {"VERSION": "1.2"}}  # GDAL before 3.7 warns of newer ones


def check_suffix(path: Path) -> None:
    """Check that a file name ends in `.gpkg` or `.fgb`.

    Raises:
        InvalidArgument: it does not.
    """
    if path.suffix.lower() not in DRIVERS:
        raise InvalidArgument(
            f"{path} is neither a GeoPackage (.gpkg) nor a FlatGeobuf file (.fgb)",
            hint="give a file name that ends in .gpkg or .fgb",
        )


def write_tiles(path: Path, store: IndexStore, *, overwrite: bool) -> int:
    """Write the tiles of an index: id, label, path, centre and footprint.

    Args:
        path: the file; its suffix is the format.
        store: the index.
        overwrite: replace an existing file.

    Returns:
        Number of tiles with a footprint; FlatGeobuf leaves out the others.

    Raises:
        InvalidArgument: the suffix is of another format.
    """
    columns = store.rows.columns
    places = [row.place for row in store.rows]
    fields: dict[str, Any] = {
        "id": columns.column("id").to_pylist(),
        "label": columns.column("label").to_pylist(),
        "path": columns.column("path").to_pylist(),
    }
    centres = [(None, None) if place is None else place.centre for place in places]
    numbers = np.array(centres, np.float64).reshape(-1, 2)
    fields |= {"lon": numbers[:, 0], "lat": numbers[:, 1]}
    return _write(path, "tiles", fields, places, overwrite=overwrite)


def write_hits(path: Path, results: Sequence[QueryResult], *, overwrite: bool) -> int:
    """Write one feature per hit: query, rank, tile, path, similarity, label, centre, footprint.

    Args:
        path: the file; its suffix is the format.
        results: the queries and their hits.
        overwrite: replace an existing file.

    Returns:
        Number of hits with a footprint; FlatGeobuf leaves out the others.

    Raises:
        InvalidArgument: the suffix is of another format.
    """
    places = [hit.found.place for result in results for hit in result.hits]
    rows = hit_rows(results)
    fields: dict[str, Any] = {
        "query": [row["query"] for row in rows],
        "rank": np.array([row["rank"] for row in rows], np.int32),
        **{name: [row[name] for row in rows] for name in ("tile", "path", "label")},
        **{
            name: np.array([row[name] for row in rows], np.float64)
            for name in ("similarity", "lon", "lat")
        },
    }
    return _write(path, "hits", fields, places, overwrite=overwrite)


def _write(
    path: Path,
    layer: str,
    fields: Mapping[str, Any],
    places: Sequence[Place | None],
    *,
    overwrite: bool,
) -> int:
    import pyogrio
    import shapely

    check_suffix(path)
    driver = DRIVERS[path.suffix.lower()]
    shapes = [shapely.geometry.shape(place_geometry(place)) for place in places if place]
    placed = np.array([place is not None for place in places], bool)
    geometry = np.full(len(places), None, object)
    geometry[placed] = shapely.to_wkb(np.array(shapes, object)) if shapes else ()
    # A FlatGeobuf file with a spatial index holds no feature without a geometry.
    kept = placed if driver == "FlatGeobuf" else np.ones(len(places), bool)
    data = [np.asarray(values, _type(values))[kept] for values in fields.values()]
    with written_aside(path, overwrite=overwrite) as aside, tempfile.TemporaryDirectory() as folder:
        made = Path(folder, f"made{path.suffix.lower()}")
        pyogrio.raw.write(
            str(made),
            geometry[kept],
            data,
            list(fields),
            layer=layer,
            driver=driver,
            geometry_type=_geometry_type(shapes),
            crs=_CRS,
            **_OPTIONS.get(driver, {}),
        )
        shutil.copyfile(made, aside)
    return int(placed.sum())


def _geometry_type(shapes: Sequence[Any]) -> str:
    """The type that all geometries have, if there is one."""
    kinds = {shape.geom_type for shape in shapes}
    return kinds.pop() if len(kinds) == 1 else "Unknown"


def _type(values: Any) -> Any:
    return values.dtype if isinstance(values, np.ndarray) else object
