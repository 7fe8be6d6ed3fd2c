"""The place of a tile on Earth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rsretrieve.data.geo.footprints import crosses_antimeridian


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a tile on Earth.

    Attributes:
        crs: the tile's coordinate reference system, "EPSG:32618" or WKT.
        bounds: left, bottom, right, top in the units of `crs`.
        footprint: the tile's corners as (lon, lat) in WGS 84 degrees: upper left, lower
            left, lower right, upper right (counter-clockwise for a north-up tile, and always
            for one wider than half the globe; see `crosses_antimeridian`). If the tile
            contains a pole: its outline from −180 to 180, and back along the pole.
    """

    crs: str
    bounds: tuple[float, float, float, float]
    footprint: tuple[tuple[float, float], ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return Place, (self.crs, self.bounds, self.footprint)

    @property
    def centre(self) -> tuple[float, float]:
        """Mean of the corners, (lon, lat) in degrees, also across the antimeridian.

        If the tile contains a pole, the pole.
        """
        poles = [lat for _, lat in self.footprint if abs(lat) == 90]
        if len(poles) == 2 and len(self.footprint) > 4:
            return 0.0, poles[0]
        longitudes = [lon for lon, _ in self.footprint]
        if crosses_antimeridian(self.footprint):
            longitudes = [lon + 360 if lon < 0 else lon for lon in longitudes]
        lon = sum(longitudes) / len(longitudes)
        lat = sum(lat for _, lat in self.footprint) / len(self.footprint)
        return (lon - 360 if lon > 180 else lon), lat
