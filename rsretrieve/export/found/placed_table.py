"""Write a table of tiles with their places: CSV, GeoJSON or GeoParquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsretrieve._core.atomic_write import write_json
from rsretrieve._core.tables import write_csv
from rsretrieve.data.geo.place import Place
from rsretrieve.export.geojson import place_geometry


@dataclass(frozen=True)
class PlacedTable:
    """A table of tiles.

    Attributes:
        columns: the values by name, and in the order of the files.
        places: the place of each row, or None.
        facts: what files say about the table as a whole.
    """

    columns: Mapping[str, Sequence[Any]]
    places: Sequence[Place | None]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def with_positions(self) -> dict[str, Sequence[Any]]:
        """The columns and `crs`, `lon` and `lat`, None for tiles without a place."""
        return {**self.columns, **place_columns(self.places)}

    @property
    def unplaced(self) -> int:
        """Number of rows without a place."""
        return sum(place is None for place in self.places)


def place_columns(places: Sequence[Place | None]) -> dict[str, list[Any]]:
    """The columns `crs`, `lon` and `lat` of some places; None where a place is not known."""
    centres = [(None, None) if place is None else place.centre for place in places]
    return {
        "crs": [None if place is None else place.crs for place in places],
        "lon": [lon for lon, _ in centres],
        "lat": [lat for _, lat in centres],
    }


def table_rows(table: PlacedTable) -> list[dict[str, Any]]:
    """The rows of a table, with positions."""
    columns = table.with_positions()
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def write_placed_files(
    table: PlacedTable,
    csv: Path | None,
    geojson: Path | None,
    geoparquet: Path | None,
    *,
    overwrite: bool,
) -> None:
    """Write a table to each file that is named.

    Args:
        table: the table.
        csv: of `write_placed_csv`, or None.
        geojson: of `write_placed_geojson`, or None.
        geoparquet: of `write_placed_geoparquet`, or None.
        overwrite: replace existing files.
    """
    if csv is not None:
        write_placed_csv(csv, table, overwrite=overwrite)
    if geojson is not None:
        write_placed_geojson(geojson, table, overwrite=overwrite)
    if geoparquet is not None:
        write_placed_geoparquet(geoparquet, table, overwrite=overwrite)


def write_placed_csv(path: Path, table: PlacedTable, *, overwrite: bool) -> None:
    """Write a CSV, a row for each tile; positions are empty for tiles without a place."""
    columns = table.with_positions()
    rows = (["" if cell is None else cell for cell in row] for row in zip(*columns.values()))
    write_csv(path, tuple(columns), rows, overwrite=overwrite)


def write_placed_geojson(path: Path, table: PlacedTable, *, overwrite: bool) -> None:
    """Write GeoJSON (RFC 7946), a feature for each tile; the geometry is null without a place."""
    features = [
        {"type": "Feature", "geometry": place_geometry(place), "properties": row}
        for place, row in zip(table.places, table_rows(table))
    ]
    content = {"type": "FeatureCollection", "features": features}
    write_json(path, content, overwrite=overwrite)


def write_placed_geoparquet(path: Path, table: PlacedTable, *, overwrite: bool) -> None:
    """Write GeoParquet 1.1, a row for each tile; the geometry is null without a place."""
    import pyarrow

    from rsretrieve.export.geoparquet import write_placed_rows

    kinds = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
    fields = []
    for name, values in table.with_positions().items():
        known = next((value for value in values if value is not None), "")
        number = name in ("lon", "lat")
        kind = pyarrow.float64() if number else kinds.get(type(known), pyarrow.string())
        fields.append((name, kind))
    rows, facts = table_rows(table), dict(table.facts)
    write_placed_rows(path, (fields, rows), table.places, facts, overwrite=overwrite)
