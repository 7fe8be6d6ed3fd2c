"""The tiles of an index as tables and files."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.api.arguments.checks import PathLike, flag, optional_path, path_of
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.dataframes import frame, placed_frame
from rsretrieve.data.geo.place import Place
from rsretrieve.errors import InvalidArgument
from rsretrieve.export.found.placed_table import place_columns
from rsretrieve.export.geoparquet import write_embeddings
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.export.vector_files import DRIVERS, write_tiles
from rsretrieve.index.store.folder import IndexStore

if TYPE_CHECKING:
    import geopandas
    import pandas


class IndexTables:
    """What `Index` gives to other programs.

    Attributes:
        store: the index.
    """

    store: IndexStore

    @property
    def path(self) -> Path:
        """The index folder."""
        return self.store.folder

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas DataFrame, a row a tile: `tile`, `path`, `label`, `crs`, `lon`, `lat`.

        Raises:
            MissingPackage: pandas is not installed.

        Example:
            >>> import rsretrieve
            >>> table = rsretrieve.open_index("index").to_dataframe()
            >>> len(table), list(table.columns)
            (144, ['tile', 'path', 'label', 'crs', 'lon', 'lat'])
        """
        return frame({**self._columns(), **place_columns(self._places)})

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """A GeoPandas table: `tile`, `path`, `label`, and each footprint as geometry.

        Geometries are in longitude and latitude; None where a tile has no georeference.

        Raises:
            MissingPackage: GeoPandas is not installed.

        Example:
            >>> import rsretrieve
            >>> table = rsretrieve.open_index("index").to_geodataframe()
            >>> len(table), table.crs.to_string(), table.geometry[0].geom_type
            (144, 'EPSG:4326', 'Polygon')
        """
        return placed_frame(self._columns(), self._places)

    def export(
        self, path: PathLike, *, stac: PathLike | None = None, overwrite: bool = False
    ) -> None:
        """Write the tiles to a file for other programs.

        Args:
            path: the file. `.gpkg` and `.fgb` are GeoPackage and FlatGeobuf, with ids, labels and
                footprints; any other suffix is GeoParquet, which has the embeddings, too.
            stac: a file for a STAC collection that describes the GeoParquet file.
            overwrite: replace files that are there.

        Raises:
            InvalidArgument: an argument is of a wrong type, or `stac` goes with another format.
            OutputExists, OutputRefused: a file may not be written.

        Example:
            >>> import rsretrieve
            >>> rsretrieve.open_index("index").export("tiles.gpkg")
        """
        with CallReport(None):
            file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
            described = optional_path(stac, "stac")
            files = {"path": file, "stac": described}
            OutputPaths(files, {}, {"index": self.path}, replaces).check()
            if file.suffix.lower() in DRIVERS:
                if described is not None:
                    raise InvalidArgument(f"stac describes GeoParquet, not {file}")
                write_tiles(file, self.store, overwrite=replaces)
            else:
                write_embeddings(file, self.store, overwrite=replaces, stac=described)

    def _columns(self) -> dict[str, list[object]]:
        rows = self.store.rows
        named = {"tile": "id", "path": "path", "label": "label"}
        return {name: rows.column(column) for name, column in named.items()}

    @cached_property
    def _places(self) -> list[Place | None]:
        return [row.place for row in self.store.rows]
