"""Make a synthetic, georeferenced landscape of land covers, for the demo and the tests.

Nothing is downloaded: everything is generated from the seed. A pixel is 2.5 m wide, so that a
house has four pixels and a motorway eleven. Textures are continuous over the borders of cells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsretrieve._core.atomic_write import folder_aside, written_aside
from rsretrieve._core.folders.folder_kind import NO_FILES, FolderKind, with_sidecars
from rsretrieve.data.geo import proj_data
from rsretrieve.errors import InvalidArgument, MissingPackage
from rsretrieve.synthetic.land_covers import PAINTERS, SPECTRA, WARMTH, Cover, Patch
from rsretrieve.synthetic.layout import (
    CLASS_INDICES,
    CLASS_NAMES,
    Classes,
    Mask,
    Motorways,
    lay_out,
    make_motorways,
    make_regions,
    shares_of_cells,
)
from rsretrieve.synthetic.procedural_noise import Floats, nearest, noise

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
CRS = "EPSG:32632"
PIXEL_M = 2.5
MARKER_FILE = ".landscape"
"""Marks a folder of synthetic tiles, which may be replaced, unlike a user's own."""
_LEFT_M, _TOP_M = 600_000.0, 5_340_000.0


def _own_tiles(folder: Path) -> frozenset[str]:
    """The tiles in a folder of synthetic tiles, also of an earlier version, and its marker."""
    if not (folder / MARKER_FILE).is_file():
        return NO_FILES
    tiles = [
        f"{path.parent.name}/{path.name}"
        for path in folder.glob("*/*.tif")
        if re.fullmatch(rf"{re.escape(path.parent.name)}_\d+_\d+\.tif", path.name)
    ]
    return with_sidecars(tiles) | {MARKER_FILE} if tiles else NO_FILES


LANDSCAPE_FOLDER = FolderKind("synthetic tiles", MARKER_FILE, _own_tiles, frozenset({MARKER_FILE}))


@dataclass(frozen=True)
class Landscape:
    """A raster and its true classes.

    Attributes:
        pixels: (6, H, W) uint16, reflectance × 10000, never 0; bands as in `BANDS`.
        class_map: (H, W) uint8, indices into `CLASS_NAMES`.
        crs: the coordinate reference system, in metres.
        left_m: easting of the left edge.
        top_m: northing of the upper edge.
        pixel_m: side of a pixel.
    """

    pixels: NDArray[np.uint16]
    class_map: Classes
    crs: str
    left_m: float
    top_m: float
    pixel_m: float


def make_landscape(cells: int, cell_px: int, seed: int) -> Landscape:
    """Make a square landscape of `cells` × `cells` cells, each mainly of one class.

    Classes form smooth regions with irregular borders; each dominates equally many cells.

    >>> make_landscape(3, 16, seed=1).pixels.shape
    (6, 48, 48)

    Raises:
        InvalidArgument: fewer than 2 cells, cells of fewer than 16 px, or a seed below 0.
    """
    if cells < 2 or cell_px < 16 or seed < 0:
        raise InvalidArgument(
            f"no landscape of {cells} × {cells} cells of {cell_px} px from seed {seed}: at least "
            "2 × 2 cells, of at least 16 px, from a seed of at least 0"
        )
    rng = np.random.default_rng(seed)
    motorways = make_motorways(rng, cells, cell_px)
    class_map = make_regions(rng, lay_out(rng, motorways.crossed), cell_px, motorways)
    ground = _paint(rng, class_map, cell_px, motorways)
    return Landscape(_sense(rng, ground, cell_px), class_map, CRS, _LEFT_M, _TOP_M, PIXEL_M)


def write_tiles(
    landscape: Landscape, cell_px: int, folder: Path, *, overwrite: bool = False
) -> int:
    """Cut a landscape into its cells and write each as a GeoTIFF, in a folder by class.

    Args:
        landscape: the landscape.
        cell_px: the side of a cell, a divisor of the landscape's.
        folder: gets `<class>/<class>_<row>_<col>.tif`; the class is the cell's dominating one.
        overwrite: replace an existing folder.

    Returns:
        The number of tiles written.

    Raises:
        InvalidArgument: the landscape is not made of whole cells of this size.
        OutputExists: the folder already exists.
        MissingPackage: rasterio is not installed.
    """
    side = len(landscape.class_map)
    if cell_px < 1 or side % cell_px:
        raise InvalidArgument(f"cells of {cell_px} px do not fill a landscape of {side} px")
    dominant = np.argmax(
        [shares_of_cells(landscape.class_map == k, cell_px) for k in CLASS_INDICES], axis=0
    )
    with folder_aside(folder, overwrite=overwrite, kind=LANDSCAPE_FOLDER) as aside:
        (aside / MARKER_FILE).touch()
        for (row, col), index in np.ndenumerate(dominant):
            name = CLASS_NAMES[index]
            (aside / name).mkdir(exist_ok=True)
            origin_px = (row * cell_px, col * cell_px)
            _write(landscape, origin_px, cell_px, aside / name / f"{name}_{row}_{col}.tif")
    return int(dominant.size)


def write_scene(landscape: Landscape, path: Path) -> None:
    """Write the whole landscape as one tiled GeoTIFF.

    Raises:
        OutputExists: the file already exists.
        MissingPackage: rasterio is not installed.
    """
    with written_aside(path, overwrite=False) as aside:
        _write(landscape, (0, 0), len(landscape.class_map), aside, tiled=True)


def _write(
    landscape: Landscape, origin_px: tuple[int, int], side_px: int, path: Path, **layout: Any
) -> None:
    """Write the square of `side_px` whose upper left pixel is `origin_px`, (row, col)."""
    try:
        import rasterio
    except ImportError as error:
        raise MissingPackage(
            "GeoTIFF is written by rasterio, which is not installed", hint="pip install rasterio"
        ) from error
    row, col = origin_px
    pixel_m = landscape.pixel_m
    left_m, top_m = landscape.left_m + col * pixel_m, landscape.top_m - row * pixel_m
    form = {"driver": "GTiff", "dtype": "uint16", "nodata": 0, "compress": "deflate", **layout}
    size = {"count": len(BANDS), "height": side_px, "width": side_px}
    place = {
        "crs": landscape.crs,
        "transform": rasterio.Affine(pixel_m, 0, left_m, 0, -pixel_m, top_m),
    }
    with (
        proj_data.of_rasterio(),
        rasterio.open(path, "w", **form, **size, **place) as dataset,
    ):
        dataset.write(landscape.pixels[:, row : row + side_px, col : col + side_px])
        dataset.descriptions = BANDS


def _paint(
    rng: np.random.Generator, class_map: Classes, cell_px: int, motorways: Motorways
) -> Floats:
    """Paint every class: cover, shade, warmth and height of every pixel, (4, H, W)."""
    side = len(class_map)
    y, x = np.indices((side, side), dtype=np.float32)
    district = np.floor(nearest(x, y, 2.2 * cell_px, int(rng.integers(1 << 30)))[2] * (1 << 20))
    tone, mottle = noise(rng, side, 1.5 * cell_px), noise(rng, side, 5.0)
    shore_px = np.float32(0.5 * cell_px) * noise(rng, side, 0.8 * cell_px)
    fields = (x, y, district, tone, mottle, shore_px, motorways.off_px, motorways.along_px)
    painted = np.zeros((4, side, side), np.float32)
    for index, name in enumerate(CLASS_NAMES):
        where = class_map == index
        patch = Patch(*(values[where] for values in fields))
        PAINTERS[name](patch)
        painted[:, where] = patch.cover, patch.shade, patch.warmth, patch.height
    return painted


def _sense(rng: np.random.Generator, ground: Floats, cell_px: int) -> NDArray[np.uint16]:
    """Simulate illumination and a sensor with blur and noise."""
    cover, shade, warmth, height = ground
    light = shade * np.where(_shadows(height), np.float32(0.5), np.float32(1))
    light *= 1 + np.float32(0.07) * noise(rng, len(cover), 2.5 * cell_px)
    spectra = np.array([SPECTRA[kind] for kind in Cover], np.float32)
    pixels = np.empty((len(BANDS), *cover.shape), np.uint16)
    for band, warm in enumerate(WARMTH):
        seen = _blurred(spectra[cover.astype(int), band] * light * np.exp(warm * warmth))
        seen += (15 + 0.015 * seen) * rng.standard_normal(seen.shape, dtype=np.float32)
        pixels[band] = seen.clip(1, 10_000)
    return pixels


def _shadows(height: Floats) -> Mask:
    """Which pixels are shaded by something higher to the south-east."""
    dark = np.zeros(height.shape, bool)
    for step in (1, 2):
        dark[:-step, :-step] |= height[step:, step:] > height[:-step, :-step] + step
    return dark


def _blurred(band: Floats) -> Floats:
    for _ in range(2):
        padded = np.pad(band, ((1, 1), (0, 0)), mode="edge")
        band = (0.18 * (padded[:-2] + padded[2:]) + 0.64 * padded[1:-1]).T
    return band
