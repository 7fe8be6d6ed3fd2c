"""The affine transform of a scene, from the places of its windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsretrieve.data.geo import proj_data

_OFF_PX = 0.1
_STRAIGHT = 1e-6


class Transform(NamedTuple):
    """x = a·col + b·row + c and y = d·col + e·row + f, as in `affine.Affine`."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def on_grid(self, origin: tuple[float, float], step: tuple[float, float]) -> Transform:
        """The transform of a grid of cells of `step` px that begins at the pixel `origin`."""
        col, row = origin
        return Transform(
            *(self.a * step[0], self.b * step[1], self.a * col + self.b * row + self.c),
            *(self.d * step[0], self.e * step[1], self.d * col + self.e * row + self.f),
        )


def fitted_transform(
    edges: NDArray[np.int64],
    bounds: NDArray[np.float64],
    corners: Callable[[], NDArray[np.float64] | None],
) -> Transform | None:
    """The transform from columns and rows of a scene to its coordinate reference system.

    The box around a window has the window's centre, however the scene is turned.

    Args:
        edges: (M, 4) int64, first column and row of each window, and those after the last.
        bounds: (M, 4) float64, left, bottom, right, top of each.
        corners: gives (4, 2) float64, the corners of the first window in the reference system
            (upper left, lower left, lower right, upper right), or None. Called only if the windows
            lie in one row or column.

    Returns:
        The transform; None if the windows do not tell one.
    """
    pixels = (edges[:, :2] + edges[:, 2:]) / 2
    points = (bounds[:, :2] + bounds[:, 2:]) / 2
    middle, centre = pixels.mean(axis=0), points.mean(axis=0)
    if np.linalg.matrix_rank(pixels - middle) == 2:
        slopes = np.linalg.lstsq(pixels - middle, points - centre, rcond=None)[0].T
    elif (found := corners()) is not None:
        width, height = edges[0, 2:] - edges[0, :2]
        slopes = np.stack([(found[3] - found[0]) / width, (found[1] - found[0]) / height]).T
    else:
        return None
    if not np.isfinite(slopes).all() or abs(np.linalg.det(slopes)) == 0:
        return None
    if _is_straight(slopes):
        slopes = _straight(slopes, edges, bounds)
    offset = centre - slopes @ middle
    fitted = np.column_stack([slopes, offset])
    return Transform(*fitted.ravel().tolist()) if _fits(fitted, edges, bounds) else None


def _is_straight(slopes: NDArray[np.float64]) -> bool:
    """Whether the axes of the scene are those of the map, apart from rounding."""
    size = np.abs(np.diag(slopes)).max()
    return bool(np.abs([slopes[0, 1], slopes[1, 0]]).max() <= _STRAIGHT * size)


def _straight(
    slopes: NDArray[np.float64], edges: NDArray[np.int64], bounds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The pixel size by the bounds of all windows together, which has the least rounding."""
    low, high = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    pixels = edges[:, 2:].max(axis=0) - edges[:, :2].min(axis=0)
    return np.asarray(np.diag(np.sign(np.diag(slopes)) * (high - low) / pixels))


def _fits(
    found: NDArray[np.float64], edges: NDArray[np.int64], bounds: NDArray[np.float64]
) -> bool:
    """Whether a transform (2, 3) gives the bounds of all windows."""
    columns, rows = edges[:, [0, 0, 2, 2]], edges[:, [1, 3, 3, 1]]
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    x, y = (found @ points).reshape(2, -1, 4)
    boxes = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    pixel = np.sqrt(abs(np.linalg.det(found[:, :2])))
    return bool(np.abs(boxes - bounds).max() <= _OFF_PX * pixel)


def corners_of(footprint: Sequence[tuple[float, float]], crs: str) -> NDArray[np.float64] | None:
    """(4, 2) the corners of a footprint in a reference system; None if it has other points."""
    if len(footprint) != 4:
        return None
    lons, lats = zip(*footprint)
    with proj_data.of_rasterio():
        from rasterio.warp import transform

        return np.array(transform("EPSG:4326", crs, lons, lats)).T
