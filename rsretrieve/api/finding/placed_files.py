"""Results of `find` and `change` as tables and files, for Python."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from rsretrieve.api.arguments.checks import PathLike, flag, path_of
from rsretrieve.api.call_report import CallReport
from rsretrieve.api.dataframes import frame, placed_frame
from rsretrieve.export.found.placed_table import (
    PlacedTable,
    write_placed_csv,
    write_placed_geojson,
    write_placed_geoparquet,
)
from rsretrieve.export.output_paths import OutputPaths
from rsretrieve.index.store.folder import IndexStore

if TYPE_CHECKING:
    import geopandas
    import pandas


class PlacedFiles(ABC):
    """What `Finder` and `Changes` give to other programs: a row for each tile."""

    @abstractmethod
    def _table(self) -> PlacedTable:
        """The rows."""

    @abstractmethod
    def _stores(self) -> tuple[IndexStore, ...]:
        """The indexes, whose tiles no output may replace."""

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas DataFrame, a row for each tile.

        Raises:
            MissingPackage: pandas is not installed.
        """
        return frame(self._table().with_positions())

    def to_geodataframe(self) -> geopandas.GeoDataFrame:
        """A GeoPandas table, a row for each tile, its footprint in longitude and latitude.

        Raises:
            MissingPackage: GeoPandas is not installed.
        """
        table = self._table()
        return placed_frame(table.columns, table.places)

    def to_csv(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write a CSV, a row for each tile.

        Args:
            path: the file to write.
            overwrite: replace a file that is there.

        Raises:
            InvalidArgument: an argument is of a wrong type.
            OutputExists, OutputRefused: `path` may not be written.
        """
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_placed_csv(file, self._table(), overwrite=replaces)

    def to_geojson(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write GeoJSON, a feature for each tile; arguments and errors as in `to_csv`."""
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_placed_geojson(file, self._table(), overwrite=replaces)

    def to_geoparquet(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write GeoParquet 1.1, a row for each tile; arguments and errors as in `to_csv`."""
        with CallReport(None):
            file, replaces = self._output(path, overwrite)
            write_placed_geoparquet(file, self._table(), overwrite=replaces)

    def _output(self, path: object, overwrite: object) -> tuple[Path, bool]:
        """A checked output file."""
        file, replaces = path_of(path, "path"), flag(overwrite, "overwrite")
        stores = self._stores()
        inputs = {f"index {number}": store.folder for number, store in enumerate(stores, 1)}
        paths = OutputPaths({"path": file}, {}, inputs, replaces)
        paths.check()
        paths.check_tiles(lambda: (p for store in stores for p in store.rows.column("path")))
        return file, replaces
