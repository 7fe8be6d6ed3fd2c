"""The places of a raster's windows on Earth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.footprints import crosses_antimeridian
from rsretrieve.data.geo.georeference import Georeference
from rsretrieve.data.geo.outlines import outlines
from rsretrieve.data.geo.place import Place, Placing
from rsretrieve.data.geo.projection import MAX_COORDINATE, Points
from rsretrieve.data.notes import Note
from rsretrieve.data.window import Window

if TYPE_CHECKING:
    from rasterio import DatasetReader

PLACES_VERSION = 2  # since then with the acquisition time
"""To be raised when the same header gives another place; an update then places tiles again."""

_TOLERANCE_PX = 0.02
_NODES = 5  # a side of the grid that tells whether a map is nearly straight
_STRAIGHT_WIDE = 30.0  # degrees of longitude over the grid, at most
_HIGHEST = 85.0  # degrees of latitude; nearer to a pole, lines are not straight


def places_of(dataset: DatasetReader, windows: Sequence[Window]) -> list[Placing]:
    """The place of each window, or a remark why it has none.

    Where all windows are small enough to be bounded by straight lines in longitude and latitude,
    which are most of all, their corners are transformed at once. The others get an outline each.
    """
    georeference = Georeference.of(dataset)
    if georeference.crs is None:
        return [Placing(None, georeference.remark)] * len(windows)
    corners = _corners(georeference, windows)
    near = np.asarray((np.abs(corners) < MAX_COORDINATE).all(axis=(0, 2)))
    straight = _straight_footprints(georeference, windows, corners) if near.all() else None
    curved = [i for i in np.flatnonzero(near).tolist() if straight is None or straight[i] is None]
    outlined = iter(_outlined(georeference, [windows[i] for i in curved], corners[:, curved]))
    name, bounds = _name_of(georeference.crs), _bounds(corners)
    found: list[Placing] = []
    for i, is_near in enumerate(near.tolist()):
        if not is_near:
            found.append(Placing(None, Note.OFF_THE_MAP))
        elif straight is not None and (footprint := straight[i]) is not None:
            found.append(Placing(Place(name, bounds[i], footprint), georeference.remark))
        else:
            found.append(next(outlined))
    return found


def _outlined(
    georeference: Georeference, windows: Sequence[Window], corners: Points
) -> list[Placing]:
    """The places of windows whose edges may be curved, or may leave the projection's domain."""
    if not windows:
        return []
    try:
        tolerances = _TOLERANCE_PX / np.array([max(w.width, w.height) for w in windows])
        shapes = outlines(georeference.projection, corners, tolerances)
    except Exception:  # PROJ's and GEOS's; a tile can do without a place
        if len(windows) > 1:
            return [
                placing
                for i, window in enumerate(windows)
                for placing in _outlined(georeference, [window], corners[:, i : i + 1])
            ]
        return [Placing(None, Note.NOT_TRANSFORMED)]
    name, bounds = _name_of(georeference.crs), _bounds(corners)
    return [
        Placing(None, Note.OUTSIDE_DOMAIN)
        if shape is None
        else Placing(Place(name, bounds[i], *shape), georeference.remark)
        for i, shape in enumerate(shapes)
    ]


def _corners(georeference: Georeference, windows: Sequence[Window]) -> Points:
    """(2, W, 4) x and y: upper left, lower left, lower right, upper right."""
    edges = np.array([(w.col, w.row, w.col + w.width, w.row + w.height) for w in windows], float)
    return georeference.at(edges[:, [0, 0, 2, 2]], edges[:, [1, 3, 3, 1]])


def _bounds(corners: Points) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right and top of each of W windows; for all at once, as there are many."""
    low, high = corners.min(axis=2).tolist(), corners.max(axis=2).tolist()
    return list(zip(*low, *high))


_Footprint = tuple[tuple[float, float], ...]


def _straight_footprints(
    georeference: Georeference, windows: Sequence[Window], corners: Points
) -> list[_Footprint | None] | None:
    """The corners of windows in degrees; None for one whose corners do not say its area.

    None in all, if the edges of windows are curved, or leave the domain of the projection.
    """
    try:
        if not _is_straight(georeference, windows):
            return None
        # Adjacent windows share corners: each is transformed once.
        points, which = np.unique(corners[0] + 1j * corners[1], return_inverse=True)
        degrees = _to_degrees(georeference.crs, np.stack((points.real, points.imag)))
    except Exception:  # GDAL's errors have no public base class; the outlines find the reason
        return None
    degrees = degrees[:, which.reshape(-1, 4)]
    wrapped = np.asarray((degrees[0] + 180) % 360 - 180)
    lons = np.where(np.abs(degrees[0]) <= 180, degrees[0], wrapped)
    footprints = np.stack((lons, degrees[1]), axis=-1)
    if georeference.is_mirrored:
        wide = np.ptp(lons, axis=1) > 180
        footprints[wide] = footprints[wide][:, [1, 0, 3, 2]]
    across = _cross(degrees[0])
    corner_lists = footprints.tolist()
    found: list[_Footprint | None] = []
    for i, one in enumerate(corner_lists):
        clear = not across[i] or (crosses_antimeridian(one) and _is_ahead(one))
        found.append(tuple(map(tuple, one)) if clear else None)
    return found


def _cross(lons: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(W,) whether windows, which are narrow, go beyond ±180."""
    return np.asarray(np.ptp((lons + 180) % 360, axis=1) > 180)


def _is_ahead(footprint: Sequence[Sequence[float]]) -> bool:
    """Whether no longitude is so far from ±180 that its side of it is not clear."""
    return all(abs(lon) > 90 for lon, _ in footprint)


def _is_straight(georeference: Georeference, windows: Sequence[Window]) -> bool:
    """Whether lines as long as the windows are nearly straight in longitude and latitude."""
    left, top = min(w.col for w in windows), min(w.row for w in windows)
    right = max(w.col + w.width for w in windows)
    bottom = max(w.row + w.height for w in windows)
    cols, rows = np.meshgrid(np.linspace(left, right, _NODES), np.linspace(top, bottom, _NODES))
    nodes = georeference.at(cols, rows)
    degrees = _to_degrees(georeference.crs, nodes.reshape(2, -1))
    if not np.isfinite(degrees).all() or np.abs(degrees[1]).max() > _HIGHEST:
        return False
    if not _returns(georeference, nodes.reshape(2, -1), degrees):
        return False
    lon, lat = degrees.reshape(2, _NODES, _NODES)
    lon = lon[0, 0] + (lon - lon[0, 0] + 180) % 360 - 180
    if np.ptp(lon) > _STRAIGHT_WIDE:
        return False
    ground = np.stack((lon * np.cos(np.radians(lat.mean())), lat))
    width, height = max(w.width for w in windows), max(w.height for w in windows)
    return all(
        _bend_px(lines, length) * (side / length) ** 2 < _TOLERANCE_PX / 2
        for lines, length, side in (
            (ground, (right - left) * 2 / (_NODES - 1), width),
            (ground.transpose(0, 2, 1), (bottom - top) * 2 / (_NODES - 1), height),
        )
    )


def _bend_px(lines: Points, length_px: float) -> float:
    """How far points of lines (2, L, P) are from the middle of their neighbours, in pixels."""
    chord = lines[:, :, 2:] - lines[:, :, :-2]
    bend = lines[:, :, 1:-1] - (lines[:, :, 2:] + lines[:, :, :-2]) / 2
    length = np.hypot(*chord)
    across = np.abs(chord[0] * bend[1] - chord[1] * bend[0]) / length**2
    return float(across.max() * length_px)


def _returns(georeference: Georeference, nodes: Points, degrees: Points) -> bool:
    """Whether the way back leads to the same points; beyond its domain, a map repeats itself."""
    from rasterio.warp import transform

    back = np.array(transform("EPSG:4326", georeference.crs, *degrees.tolist()))
    return bool((np.abs(back - nodes) < 1e-3 * np.ptp(nodes, axis=1, keepdims=True)).all())


def _to_degrees(crs: Any, points: Points) -> Points:
    from rasterio.warp import transform

    # Lists: rasterio takes three times as long for the values of an array.
    return np.array(transform(crs, "EPSG:4326", *points.tolist()))


@lru_cache(maxsize=16)
def _name_of(crs: Any) -> str:
    return str(crs.to_string())
