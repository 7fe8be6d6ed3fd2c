"""How the pixels of a raster lie on a map, and how large they are on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo.projection import MAX_COORDINATE, Points, Projection
from rsretrieve.data.notes import Note

if TYPE_CHECKING:
    from rasterio import DatasetReader

_WGS84_EQUATOR_M, _WGS84_ECCENTRICITY2 = 6_378_137.0, 0.00669437999014
_FEWEST_GCPS = 3  # for an affine transform
_MOST_OFF_PX = 0.5
_RPC_SAMPLES = 5  # a side
_SAMPLES = 9  # of the pixel size, a side of the scene
_NOMINAL = 0.01  # a map whose scale is as exact as this gives the size of its pixels
_VARIES = 0.1


@dataclass(frozen=True)
class Georeference:
    """How the pixels of a raster lie on a map.

    Attributes:
        crs: rasterio's reference system of the map; None: the place is not known.
        transform: the affine transform from column and row to x and y.
        remark: as in `Placing`.
    """

    crs: Any
    transform: Any
    remark: Note | None = None

    @classmethod
    def of(cls, dataset: DatasetReader) -> Georeference:
        """The georeference of a raster: its transform, its ground control points, or its RPCs."""
        crs, transform = dataset.crs, dataset.transform
        if crs is not None and not transform.is_identity:
            return cls(crs, transform)
        points, gcp_crs = dataset.gcps
        if points:
            return _of_control_points(points, gcp_crs)
        if dataset.rpcs is not None:
            return _of_rpcs(dataset)
        if crs is None and transform.is_identity:
            return cls(None, transform)
        return cls(None, transform, Note.NO_CRS if crs is None else Note.NO_TRANSFORM)

    def at(self, cols: NDArray[np.float64], rows: NDArray[np.float64]) -> Points:
        """(2, …) x and y of points in pixels."""
        transform = self.transform
        xs = transform.a * cols + transform.b * rows + transform.c
        ys = transform.d * cols + transform.e * rows + transform.f
        return np.stack((xs, ys))

    @property
    def is_mirrored(self) -> bool:
        """Whether the image is mirrored, as a south-up scene is."""
        transform = self.transform
        return bool(transform.a * transform.e - transform.b * transform.d > 0)

    @property
    def projection(self) -> Projection:
        """The projection of the map.

        Raises:
            pyproj.exceptions.ProjError: PROJ does not know it.
        """
        return Projection.of(wkt_of(self.crs))


@lru_cache(maxsize=16)
def wkt_of(crs: Any) -> str:
    """The WKT of a reference system."""
    return str(crs.to_wkt())


def _of_control_points(points: Sequence[Any], crs: Any) -> Georeference:
    from rasterio.transform import Affine, from_gcps

    if crs is None or len(points) < _FEWEST_GCPS:
        remark = Note.GCPS_WITHOUT_CRS if crs is None else Note.FEW_GCPS
        return Georeference(None, Affine.identity(), remark)
    if _lie_on_a_line(points):
        return Georeference(None, Affine.identity(), Note.GCPS_ON_A_LINE)
    if crs.is_geographic and np.ptp([point.x for point in points]) > 180:
        points = [_eastward(point) for point in points]
    transform = from_gcps(points)
    if transform.is_degenerate or not np.isfinite(transform[:6]).all():
        return Georeference(None, Affine.identity(), Note.GCPS_ON_A_LINE)
    is_off = _most_off(transform, points) > _MOST_OFF_PX
    return Georeference(crs, transform, Note.BY_GCPS if is_off else None)


def _lie_on_a_line(points: Sequence[Any]) -> bool:
    pixels = np.array([(point.col, point.row) for point in points])
    return bool(np.linalg.matrix_rank(pixels - pixels.mean(axis=0)) < 2)


def _eastward(point: Any) -> Any:
    from rasterio.control import GroundControlPoint

    lon = point.x + 360 if point.x < 0 else point.x
    return GroundControlPoint(point.row, point.col, lon, point.y, point.z)


def _most_off(transform: Any, points: Sequence[Any]) -> float:
    """The largest distance of control points from where a transform puts them, in pixels."""
    found = np.array([~transform @ (point.x, point.y) for point in points])
    return float(np.hypot(*(found - [(point.col, point.row) for point in points]).T).max())


def _of_rpcs(dataset: DatasetReader) -> Georeference:
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.transform import RPCTransformer

    cols = np.linspace(0, dataset.width, _RPC_SAMPLES)
    rows = np.linspace(0, dataset.height, _RPC_SAMPLES)
    cols, rows = (axis.ravel() for axis in np.meshgrid(cols, rows))
    with RPCTransformer(dataset.rpcs, rpc_height=dataset.rpcs.height_off) as transformer:
        lons, lats = transformer.xy(rows, cols, offset="ul")
    points = [GroundControlPoint(*point) for point in zip(rows, cols, lons, lats)]
    found = _of_control_points(points, CRS.from_epsg(4326))
    if found.crs is None:
        return found
    return Georeference(found.crs, found.transform, Note.BY_RPCS)


@dataclass(frozen=True)
class PixelSize:
    """How large the pixels of a scene are on the ground.

    Attributes:
        width_m, height_m: at the centre of the scene.
        varies: elsewhere in the scene they differ by more than a tenth.
    """

    width_m: float
    height_m: float
    varies: bool = False


def pixel_size_m(dataset: DatasetReader) -> PixelSize | None:
    """Width and height of a pixel on the ground; None if the file has no usable georeference.

    Where the scale of a projection is exact to a percent, by its unit of length, so that a
    scene of 10 m has pixels of 10 m. Else (degrees; Mercator's metres) by the distance of
    neighbouring pixels on the WGS 84 ellipsoid.
    """
    georeference = Georeference.of(dataset)
    if georeference.crs is None:
        return None
    try:
        sizes = _on_ground(georeference, dataset.width, dataset.height)
        unit = georeference.projection.unit
    except Exception:  # PROJ's errors
        return None
    if not len(sizes) or not 0 < sizes.min() <= sizes.max() < MAX_COORDINATE:
        return None
    transform = georeference.transform
    nominal = np.array([hypot(transform.a, transform.d), hypot(transform.b, transform.e)]) * unit
    varies = bool((np.abs(sizes / sizes[0] - 1) > _VARIES).any())
    exact = np.abs(sizes[0] / nominal - 1).max() < _NOMINAL and not georeference.crs.is_geographic
    width, height = (nominal if exact else sizes[0]).tolist()
    return PixelSize(width, height, varies)


def _on_ground(georeference: Georeference, width: int, height: int) -> NDArray[np.float64]:
    """(S, 2) sizes of pixels over a scene, the one nearest to its centre first."""
    cols, rows = np.meshgrid(np.linspace(0, width, _SAMPLES), np.linspace(0, height, _SAMPLES))
    order = np.hypot(cols / width - 0.5, rows / height - 0.5).ravel().argsort(kind="stable")
    cols, rows = cols.ravel()[order], rows.ravel()[order]
    steps = ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
    ends = [georeference.at(cols + right, rows + down) for right, down in steps]
    left, right, upper, lower = (_on_ellipsoid(georeference.projection.to_degrees(x)) for x in ends)
    sizes = np.stack([np.linalg.norm(a - b, axis=0) for a, b in ((left, right), (upper, lower))])
    return np.asarray(sizes[:, np.isfinite(sizes).all(axis=0)].T)


def _on_ellipsoid(degrees: Points) -> NDArray[np.float64]:
    """(3, …) earth-centred coordinates in metres, by the definition of WGS 84."""
    lon, lat = np.radians(degrees)
    across = _WGS84_EQUATOR_M / np.sqrt(1 - _WGS84_ECCENTRICITY2 * np.sin(lat) ** 2)
    return np.stack(
        (
            across * np.cos(lat) * np.cos(lon),
            across * np.cos(lat) * np.sin(lon),
            across * (1 - _WGS84_ECCENTRICITY2) * np.sin(lat),
        )
    )
