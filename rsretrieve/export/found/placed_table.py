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
        centres = [(None, None) if place is None else place.centre for place in self.places]
        return {
            **self.columns,
            "crs": [None if place is None else place.crs for place in self.places],
            "lon": [lon for lon, _ in centres],
            "lat": [lat for _, lat in centres],
        }

    @property
    def unplaced(self) -> int:
        """Number of rows without a place."""
        return sum(place is None for place in self.places)


def table_rows(table: PlacedTable) -> list[dict[str, Any]]:
    """The rows of a table, with positions."""
    columns = table.with_positions()
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


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
