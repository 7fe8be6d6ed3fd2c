"""Read the places of many rows at once, as columns of the id table of an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Place
from rsretrieve.data.notes import Note
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import TableError
from rsretrieve.index.external.places.geometry_columns import PlaceReader
from rsretrieve.index.external.places.geometry_crs import LON_LAT
from rsretrieve.index.store.tile_schema import SCHEMA

PLACE_COLUMNS = ("crs", "bounds", "footprint", "parts")
_CRS_HINT = "write the CRS of the geometries to the file, or write them in longitude and latitude"
_ROUNDING = 1e-6  # degrees


@dataclass(frozen=True)
class BatchPlaces:
    """Reads the places of the rows of a batch.

    Attributes:
        path: the table, for messages.
        reader: reads one row.
        coordinates: the columns of longitudes and latitudes of points, or None.
        context: receives notices of places that are approximate or unknown.
    """

    path: Path
    reader: PlaceReader
    coordinates: tuple[str, str] | None
    context: RunContext

    def columns(self, ids: Sequence[str], batch: pyarrow.RecordBatch) -> pyarrow.Table:
        """The columns `PLACE_COLUMNS` of a batch.

        Args:
            ids: the ids of its rows.
            batch: the rows.

        Raises:
            TableError: coordinates are of no known CRS.
        """
        reader = self.reader
        if not reader.own and reader.geometry is None:
            return self._points(ids, batch)
        simple = self._simple(ids, batch)
        rest = np.flatnonzero(~simple.are_placed)
        known = [name for name in (reader.geometry, *PLACE_COLUMNS) if name in batch.schema.names]
        others = batch.select(known).take(pyarrow.array(rest)).to_pylist()
        places = [self._place(ids[i], values) for i, values in zip(rest.tolist(), others)]
        table = pyarrow.concat_tables([simple.table, table_of_places(places)])
        order = np.empty(len(batch), np.int64)
        order[simple.are_placed] = np.arange(len(simple.table))
        order[rest] = len(simple.table) + np.arange(len(rest))
        return table.take(pyarrow.array(order))

    def _place(self, tile_id: str, values: dict[str, Any]) -> Place | None:
        try:
            placing = self.reader.place(values)
        except ValueError as error:
            raise TableError(f"{self.path}: {error} (row {tile_id!r})", hint=_CRS_HINT) from error
        if placing.remark is not None:
            self.context.add_notes(tile_id, (placing.remark,))
        return placing.place

    def _simple(self, ids: Sequence[str], batch: pyarrow.RecordBatch) -> _Simple:
        """The rows with a point or a polygon of one ring in longitude and latitude."""
        reader, none = self.reader, _Simple(np.zeros(len(batch), bool), table_of_places(()))
        if reader.own or reader.encoding != "wkb" or reader.crs is not None:
            return none
        column = batch.column(reader.geometry)
        found = _simple_of(getattr(column, "storage", column))
        if not reader.is_declared:
            for i in np.flatnonzero(found.are_placed).tolist():
                self.context.add_notes(ids[i], (Note.CRS_ASSUMED,))
        return found

    def _points(self, ids: Sequence[str], batch: pyarrow.RecordBatch) -> pyarrow.Table:
        if self.coordinates is None:
            return table_of_places([None] * len(batch))
        lons, lats = (_numbers(batch.column(name)) for name in self.coordinates)
        outside = np.flatnonzero((np.abs(lons) > 360 + _ROUNDING) | (np.abs(lats) > 90 + _ROUNDING))
        if len(outside):
            i = int(outside[0])
            raise TableError(
                f"{self.path}: its columns {' and '.join(self.coordinates)} hold {lons[i]:.10g} "
                f"and {lats[i]:.10g}, which are not degrees (row {ids[i]!r})",
                hint="write coordinates in longitude and latitude",
            )
        lons = np.where(np.abs(lons) > 180, (lons + 180) % 360 - 180, lons)
        points = np.stack((lons, np.clip(lats, -90, 90)), axis=1)
        valid = np.asarray(np.isfinite(points).all(axis=1))
        ones = valid.astype(np.int64)
        return _table_of_rings(points[valid], np.r_[0, np.cumsum(ones)], valid)


@dataclass(frozen=True)
class _Simple:
    """The rows that were placed at once: (B,) which, and their columns."""

    are_placed: NDArray[np.bool_]
    table: pyarrow.Table


def _numbers(column: pyarrow.Array) -> NDArray[np.float64]:
    values: NDArray[np.float64] = pc.fill_null(column.cast(pyarrow.float64()), np.nan).to_numpy(
        zero_copy_only=False
    )
    return values


def _simple_of(binary: pyarrow.Array) -> _Simple:
    import shapely

    found = shapely.from_wkb(binary.to_numpy(zero_copy_only=False), on_invalid="ignore")
    kinds, bounds = shapely.get_type_id(found), shapely.bounds(found)
    inside = (np.abs(bounds[:, [0, 2]]) <= 180).all(axis=1) & (np.abs(bounds[:, [1, 3]]) <= 90).all(
        axis=1
    )
    one_ring = (kinds == 3) & (shapely.get_num_interior_rings(found) == 0)
    simple = inside & ((kinds == 0) | one_ring) & (shapely.get_srid(found) == 0)
    kept = found[simple]
    outlines = np.where(kinds[simple] == 3, _rings(kept), kept)
    points = shapely.get_coordinates(outlines)
    counts = shapely.get_num_coordinates(outlines)
    ends = np.cumsum(counts)
    closed = kinds[simple] == 3
    keep = np.ones(len(points), bool)
    keep[ends[closed] - 1] = False  # the first corner again
    offsets = np.r_[0, np.cumsum(counts - closed)]
    return _Simple(simple, _table_of_rings(points[keep], offsets, np.ones(len(kept), bool)))


def _rings(polygons: NDArray[Any]) -> NDArray[Any]:
    """The outlines of polygons, counter-clockwise."""
    import shapely

    rings = shapely.get_exterior_ring(polygons)
    clockwise = ~shapely.is_ccw(rings)
    rings[clockwise] = shapely.reverse(rings[clockwise])
    return np.asarray(rings)


def _table_of_rings(
    points: NDArray[np.float64], offsets: NDArray[np.int64], are_placed: NDArray[np.bool_]
) -> pyarrow.Table:
    """Places in longitude and latitude.

    Args:
        points: (P, 2) the corners of all rings.
        offsets: (B + 1,) where each ring begins; rows without a place have none.
        are_placed: (B,) which rows have a place.
    """
    starts = offsets[:-1][are_placed]
    bounds = np.full((len(are_placed), 4), np.nan)
    if len(starts):
        bounds[are_placed, :2] = np.minimum.reduceat(points, starts)
        bounds[are_placed, 2:] = np.maximum.reduceat(points, starts)
    missing = pyarrow.array(~are_placed)
    pair = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(points.ravel()), 2)
    footprint = pyarrow.ListArray.from_arrays(
        pyarrow.array(offsets, pyarrow.int32()), pair, mask=missing
    )
    four = pyarrow.ListArray.from_arrays(
        pyarrow.array(4 * np.arange(len(are_placed) + 1), pyarrow.int32()),
        pyarrow.array(bounds.ravel()),
        mask=missing,
    )
    crs = pc.if_else(missing, pyarrow.scalar(None, pyarrow.string()), pyarrow.scalar(LON_LAT))
    parts = pyarrow.nulls(len(are_placed), SCHEMA.field("parts").type)
    arrays = [crs, four, footprint.cast(SCHEMA.field("footprint").type), parts]
    return pyarrow.table(dict(zip(PLACE_COLUMNS, arrays)), schema=_PLACES)


_PLACES = pyarrow.schema([SCHEMA.field(name) for name in PLACE_COLUMNS])


def table_of_places(places: Sequence[Place | None]) -> pyarrow.Table:
    """The columns `PLACE_COLUMNS` of places."""
    columns = {
        name: [None if place is None else getattr(place, name) for place in places]
        for name in PLACE_COLUMNS
    }
    return pyarrow.table(columns, schema=_PLACES)
