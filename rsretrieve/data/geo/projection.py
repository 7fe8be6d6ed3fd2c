"""Points of a coordinate reference system in longitude and latitude, and back, by PROJ.

Rasterio's own function raises an error for all points if one lies outside of the projection's
domain. And some projections have an inverse beyond their domain, which repeats the Earth: the
sinusoidal one gives a longitude of 200 for what lies beyond its edge at 180.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from math import pi

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(2, …): x and y, or longitude and latitude in degrees; NaN where there is none."""

MAX_COORDINATE = 1e9  # no coordinate on Earth is larger, in degrees, metres or feet
_NEAR_M, _NEAR_DEGREES = 1000.0, 0.01  # much less than a repetition of the Earth is away
_EQUAL = 1e-9


class Projection:
    """A coordinate reference system.

    Args:
        definition: WKT, PROJJSON or `AUTHORITY:CODE`.

    Raises:
        pyproj.exceptions.ProjError: PROJ does not know it.
    """

    def __init__(self, definition: str) -> None:
        from pyproj import CRS, Transformer

        crs = CRS.from_user_input(definition)
        authority = crs.to_authority()
        self.name = ":".join(authority) if authority else crs.to_wkt()
        self.is_geographic = bool(crs.is_geographic)
        self._transformer = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        self.unit = float(crs.axis_info[0].unit_conversion_factor) if crs.axis_info else 1.0

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, definition: str) -> Projection:
        """The same, made once for each definition."""
        return cls(definition)

    def _transformed(self, points: Points, *, back: bool) -> Points:
        from pyproj.enums import TransformDirection

        found = np.full(points.shape, np.nan)
        # PROJ normalises a longitude of 1e308 in steps of 360 degrees, for ever.
        near = np.isfinite(points).all(axis=0)
        near &= (np.abs(np.where(near, points, 0)) < MAX_COORDINATE).all(axis=0)
        if near.any():
            way = TransformDirection.INVERSE if back else TransformDirection.FORWARD
            found[:, near] = self._transformer.transform(
                points[0][near], points[1][near], direction=way
            )
        found[:, ~np.isfinite(found).all(axis=0)] = np.nan
        return found

    def to_map(self, degrees: Points) -> Points:
        """X and y of longitudes and latitudes; NaN where the projection does not show them."""
        found = self._transformed(degrees, back=True)
        away = np.abs(self._transformed(found, back=False) - degrees)
        away[0] = np.minimum(away[0], np.abs(away[0] - 360)) * np.cos(np.radians(degrees[1]))
        found[:, ~(away < _NEAR_DEGREES).all(axis=0)] = np.nan
        return found

    def to_degrees(self, points: Points) -> Points:
        """Longitudes and latitudes of points; NaN outside of the projection's domain."""
        found = self._transformed(points, back=False)
        away = self._transformed(found, back=True) - points
        if self.period is not None:
            away[0] -= np.round(away[0] / self.period) * self.period
        near = self._near
        wrong = ~(np.abs(away) < near).all(axis=0) | (np.abs(found[1]) > 90 + _EQUAL)
        found[:, wrong] = np.nan
        found[1] = np.clip(found[1], -90, 90)
        return found

    @property
    def _near(self) -> float:
        return (_NEAR_DEGREES * pi / 180 if self.is_geographic else _NEAR_M) / self.unit

    @property
    def quarter(self) -> float:
        """A right angle in the unit of a geographic reference system."""
        return pi / 2 / self.unit

    @cached_property
    def period(self) -> float | None:
        """After how much x a map repeats itself, as Mercator's and one in degrees do; else None."""
        if self.is_geographic:
            return 2 * pi / self.unit
        lons = np.arange(-180.0, 180.0)
        rows = [
            self._transformed(np.stack((lons, np.full(360, lat))), back=True) for lat in (0, 45)
        ]
        if not np.isfinite(rows).all():
            return None
        steps = np.diff(np.stack([row[0] for row in rows]), axis=1)
        step = float(np.median(steps[0]))
        bound = 1e-6 * abs(step)
        jumps = np.abs(steps - step) > bound
        level = all(np.ptp(row[1]) < bound for row in rows)
        return abs(360 * step) if level and step and (jumps.sum(axis=1) <= 1).all() else None

    @cached_property
    def poles(self) -> Points:
        """(2, 2) x and y of the north and south pole, NaN for one that is not a point."""
        found = np.full((2, 2), np.nan)
        for i, lat in enumerate((90.0, -90.0)):
            seen = self._transformed(np.array([[0.0, 90, 200], [lat] * 3]), back=True)
            if np.isfinite(seen).all() and (np.ptp(seen, axis=1) < self._near).all():
                found[:, i] = seen[:, 0]
        return found
