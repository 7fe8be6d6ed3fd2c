"""Results as tables of pandas and GeoPandas, which are optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rsretrieve.data.geo.place import Place
from rsretrieve.errors import MissingPackage
from rsretrieve.export.geojson import place_geometry

if TYPE_CHECKING:
    import geopandas
    import pandas


def require(package: str) -> Any:
    """Import an optional package.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingPackage(
            f"tables of this kind need {package}, which is not installed",
            hint='pip install "rsretrieve[dataframe]"',
        ) from error


def frame(columns: Mapping[str, Sequence[Any]]) -> pandas.DataFrame:
    """A table of these columns."""
    return require("pandas").DataFrame(dict(columns))


def placed_frame(
    columns: Mapping[str, Sequence[Any]], places: Sequence[Place | None]
) -> geopandas.GeoDataFrame:
    """A table with a footprint a row, in longitude and latitude; None where it is not known."""
    geopandas = require("geopandas")
    from shapely.geometry import shape

    shapes = [None if place is None else shape(place_geometry(place)) for place in places]
    geometry = geopandas.GeoSeries(shapes, crs="EPSG:4326")
    return geopandas.GeoDataFrame(frame(columns), geometry=geometry)
