"""The places of a raster's windows on Earth, and the size of its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, hypot, radians
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.place import Place
from rsretrieve.data.window import Window

if TYPE_CHECKING:
    from rasterio import DatasetReader

_MAX_COORDINATE = 1e9  # no coordinate on Earth is larger, in degrees, metres or feet
_POINTS_PER_EDGE = 16  # of a footprint that contains a pole
_WGS84_EQUATOR_M, _WGS84_ECCENTRICITY2 = 6_378_137.0, 0.00669437999014


def places_of(dataset: DatasetReader, windows: Sequence[Window]) -> list[Place | None]:
    """Corners and bounds of windows; None where the file has no usable georeference.

    All windows are transformed at once: each call of PROJ costs more than four points.
    """
    try:
        return _computed_places(dataset, windows)
    except Exception:  # GDAL's errors have no public base class; a tile can do without a place
        if len(windows) == 1:
            return [None]
        return [place for window in windows for place in places_of(dataset, [window])]


def _computed_places(dataset: DatasetReader, windows: Sequence[Window]) -> list[Place | None]:
    from rasterio.warp import transform as to_crs

    if dataset.crs is None or dataset.transform.is_identity:
        return [None] * len(windows)
    xs, ys = _corners(dataset.transform, windows)
    # PROJ normalises a longitude of 1e308 in steps of 360 degrees, for ever.
    near = (np.abs([xs, ys]) < _MAX_COORDINATE).all(axis=(0, 2))
    degrees = np.full((2, *xs.shape), np.nan)
    if near.any():
        # Adjacent windows share corners: each is transformed once.
        points, which = np.unique(xs[near] + 1j * ys[near], return_inverse=True)
        found = np.array(to_crs(dataset.crs, "EPSG:4326", points.real, points.imag))
        degrees[:, near] = found[:, which.reshape(-1, 4)]
    degrees = _normalised_longitudes(degrees, mirrored=_is_mirrored(dataset.transform))
    crs = _name_of(dataset.crs)
    known = np.asarray(np.isfinite(degrees).all(axis=(0, 2))).tolist()
    bounds = np.stack((xs.min(1), ys.min(1), xs.max(1), ys.max(1)), axis=1).tolist()
    footprints = degrees.transpose(1, 2, 0).tolist()
    turns = _turns_around_a_pole(degrees[0])
    for i in np.flatnonzero(turns).tolist():
        footprints[i] = _around_a_pole(dataset, windows[i], 90.0 * turns[i])
    return [
        Place(crs, tuple(bounds[i]), tuple(map(tuple, footprints[i]))) if known[i] else None
        for i in range(len(windows))
    ]


def _corners(
    transform: Any, windows: Sequence[Window]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(W, 4) x and y, each: upper left, lower left, lower right, upper right."""
    edges = np.array([(w.col, w.row, w.col + w.width, w.row + w.height) for w in windows], float)
    cols, rows = edges[:, [0, 0, 2, 2]], edges[:, [1, 3, 3, 1]]
    return _scene_points(transform, cols, rows)


def _scene_points(
    transform: Any, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """X and y of points in pixels, in the scene's reference system."""
    xs = transform.a * cols + transform.b * rows + transform.c
    ys = transform.d * cols + transform.e * rows + transform.f
    return xs, ys


def _is_mirrored(transform: Any) -> bool:
    """Whether the image is mirrored, as a south-up scene is."""
    return bool(transform.a * transform.e - transform.b * transform.d > 0)


def _normalised_longitudes(degrees: NDArray[np.float64], *, mirrored: bool) -> NDArray[np.float64]:
    """Footprints (2, W, 4) with longitudes in −180…180, ordered as for `crosses_antimeridian`.

    Scenes in degrees may use longitudes from 0 to 360.
    """
    lon, lat = degrees
    around = np.ptp(lon, axis=1) >= 360
    middle = (lon.min(1, keepdims=True) + lon.max(1, keepdims=True)) / 2
    lon = np.where(around[:, None], np.where(lon < middle, -180.0, 180.0), lon)
    lon = np.where(lon > 180, lon - 360, np.where(lon < -180, lon + 360, lon))
    if mirrored:
        wide = np.ptp(lon, axis=1) > 180
        lon[wide], lat[wide] = lon[wide][:, [1, 0, 3, 2]], lat[wide][:, [1, 0, 3, 2]]
    return np.stack((lon, lat))


def _turns_around_a_pole(lon: NDArray[np.float64]) -> NDArray[np.int64]:
    """How often the corners (W, 4) run eastward around a pole, (W,).

    For corners as `_normalised_longitudes` orders them: 1 around the north pole, −1 around the
    south pole, 0 if the footprint contains no pole.
    """
    steps = (np.diff(lon, axis=1, append=lon[:, :1]) + 180) % 360 - 180
    return np.asarray(np.round(np.nan_to_num(steps.sum(axis=1)) / 360), np.int64)


def _around_a_pole(dataset: DatasetReader, window: Window, pole: float) -> list[list[float]]:
    """The footprint of a window that contains a pole: a ring from −180 to 180, up to the pole.

    Its edges are strongly curved in degrees, so it has points between the corners, too.
    """
    from rasterio.warp import transform as to_crs

    edge = np.arange(_POINTS_PER_EDGE) / _POINTS_PER_EDGE
    none, all_of_it = np.zeros(_POINTS_PER_EDGE), np.ones(_POINTS_PER_EDGE)
    cols = window.col + window.width * np.concatenate((none, edge, all_of_it, 1 - edge))
    rows = window.row + window.height * np.concatenate((edge, all_of_it, 1 - edge, none))
    xs, ys = _scene_points(dataset.transform, cols, rows)
    lon, lat = np.array(to_crs(dataset.crs, "EPSG:4326", xs, ys))
    order = np.argsort(lon, kind="stable")
    lon, lat = lon[order], lat[order]
    at_line = np.interp(180, (lon[-1], lon[0] + 360), (lat[-1], lat[0]))
    line = [[-180.0, at_line], *np.stack((lon, lat), axis=1).tolist(), [180.0, at_line]]
    ring = [*line, [180.0, float(pole)], [-180.0, float(pole)]]
    return ring if pole > 0 else ring[::-1]  # counter-clockwise


@lru_cache(maxsize=16)
def _name_of(crs: Any) -> str:
    return str(crs.to_string())


def pixel_size_m(dataset: DatasetReader) -> tuple[float, float] | None:
    """Width and height of a pixel in metres; None if the file has no georeference.

    In a projected reference system by its unit of length. In a geographic one by the length of a
    degree of longitude and of latitude at the scene's centre, on the WGS 84 ellipsoid (its radii
    of curvature times π/180).
    """
    transform, crs = dataset.transform, dataset.crs
    if crs is None or transform.is_identity:
        return None
    unit_x = unit_y = 1.0
    if crs.is_geographic:
        latitude = radians((transform * (dataset.width / 2, dataset.height / 2))[1])
        flattened = 1 - _WGS84_ECCENTRICITY2 * (1 - cos(latitude) ** 2)
        unit_x = radians(_WGS84_EQUATOR_M * cos(latitude) / flattened**0.5)
        unit_y = radians(_WGS84_EQUATOR_M * (1 - _WGS84_ECCENTRICITY2) / flattened**1.5)
    elif crs.is_projected:
        unit_x = unit_y = crs.linear_units_factor[1]
    width = hypot(transform.a * unit_x, transform.d * unit_y)
    height = hypot(transform.b * unit_x, transform.e * unit_y)
    return (
        (width, height) if min(width, height) > 0 and max(width, height) < _MAX_COORDINATE else None
    )
