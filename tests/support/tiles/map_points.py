"""Maps and windows at random, and where PROJ says that points of them lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

_GEOS = "+proj=geos +h=35786023 +lon_0={lon} +sweep={sweep} +a=6378137 +b=6356752.31414"
_SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"
KINDS = ("utm", "polar", "sinusoidal", "geostationary", "mercator", "antimeridian", "degrees")


@dataclass(frozen=True)
class RandomMap:
    """A map with a window.

    Attributes:
        crs: its reference system, for PROJ and GDAL.
        transform: from pixels to the map.
        side: of the scene, which is square, in pixels.
        window: col, row, width, height.
    """

    crs: str
    transform: Affine
    side: int
    window: tuple[int, int, int, int]


def random_map(kind: str, rng: np.random.Generator) -> RandomMap:
    """A map of a kind of projection, with a window anywhere in it."""
    side = int(rng.integers(100, 3000))
    crs, left, top, step = _extent(kind, side, rng)
    transform = Affine(step, 0, left, 0, -step, top)
    if kind == "utm" and rng.random() < 0.5:
        transform = transform @ Affine.rotation(float(rng.uniform(-180, 180)))
    width, height = (int(n) for n in rng.integers(8, max(9, side // 3), 2))
    col, row = (int(rng.integers(0, side - n + 1)) for n in (width, height))
    return RandomMap(crs, transform, side, (col, row, width, height))


def _extent(kind: str, side: int, rng: np.random.Generator) -> tuple[str, float, float, float]:
    """CRS, left, top and pixel size."""
    if kind == "utm":
        zone, south = int(rng.integers(1, 61)), bool(rng.random() < 0.5)
        step = float(rng.choice([0.3, 10, 30, 100]))
        north = float(rng.uniform(1_000_000, 9_000_000))
        return f"EPSG:{(32700 if south else 32600) + zone}", rng.uniform(2e5, 7e5), north, step
    if kind == "polar":
        crs = str(rng.choice(["EPSG:3413", "EPSG:3976", "EPSG:3031", "EPSG:3995", "EPSG:6931"]))
        span = float(rng.uniform(1e5, 6e6))
        return crs, rng.uniform(-4e6, 1e6), rng.uniform(-1e6, 4e6), span / side
    if kind == "sinusoidal":
        tile = 1_111_950.5196666666
        h, v = rng.integers(0, 36), rng.integers(0, 18)
        return _SINUSOIDAL, -20015109.354 + h * tile, 10007554.677 - v * tile, tile / side
    if kind == "geostationary":
        crs = _GEOS.format(lon=rng.choice([-75, 0, 140.7]), sweep=rng.choice(["x", "y"]))
        return crs, -5_500_000.0, 5_500_000.0, 11_000_000 / side
    if kind == "mercator":
        span = float(rng.uniform(1e4, 5e6))
        return "EPSG:3857", rng.uniform(-2e7, 1.9e7), rng.uniform(-1.5e7, 1.9e7), span / side
    if kind == "antimeridian":
        step = float(rng.uniform(0.5, 20)) / side
        return "EPSG:4326", 180 - rng.uniform(0, 1) * step * side, rng.uniform(-60, 80), step
    step = float(rng.uniform(5, 180)) / side
    return "EPSG:4326", float(rng.uniform(-180, 180)), float(rng.uniform(0, 95)), step


def points_of(one: RandomMap, count: int, rng: np.random.Generator):
    """Points in and around the window: longitude, latitude, whether inside.

    Points that the map does not show, and those within half a pixel of the window's edge, are
    left out. A repetition of the Earth (beyond 180 in degrees, or in Mercator's metres) counts.
    """
    col, row, width, height = one.window
    cols = col + width * rng.uniform(-0.3, 1.3, count)
    rows = row + height * rng.uniform(-0.3, 1.3, count)
    xs, ys = one.transform @ (cols, rows)
    to_degrees = Transformer.from_crs(CRS.from_user_input(one.crs), "OGC:CRS84", always_xy=True)
    lons, lats = map(np.asarray, to_degrees.transform(xs, ys))
    known = np.isfinite(lons) & np.isfinite(lats) & (np.abs(lats) <= 90)
    back = to_degrees.transform(
        np.where(known, lons, 0), np.where(known, lats, 0), direction="INVERSE"
    )
    turn = {"EPSG:4326": 360.0, "EPSG:3857": 40075016.68557849}.get(one.crs)
    dx = back[0] - xs
    dx = dx - np.round(dx / turn) * turn if turn else dx
    tolerance = 1e-6 if one.crs == "EPSG:4326" else 1.0
    known &= (np.abs(dx) < tolerance) & (np.abs(back[1] - ys) < tolerance)
    apart_x, apart_y = np.abs(cols - col - width / 2), np.abs(rows - row - height / 2)
    inside = (apart_x < width / 2) & (apart_y < height / 2)
    deep = np.maximum(apart_x - width / 2, apart_y - height / 2)
    known &= np.abs(deep) > 0.5
    return (lons[known] + 180) % 360 - 180, lats[known], inside[known]
