"""Write the files that the examples of the documentation name: tiles, a scene, labels.

    python tools/site/example_files.py example

Everything is made up, from a seed; nothing is downloaded.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np

CELLS, CELL_PX, SEED = 12, 32, 1
VECTOR_DIMENSIONS = 16
# Around beach/beach_5_9.tif and its neighbours, in degrees.
AREA = (10.354, 48.199, 10.358, 48.203)


def write_example_files(folder: Path) -> None:
    """Write all files into a folder, which may exist."""
    from rsretrieve.synthetic.scene import make_landscape, write_scene, write_tiles
    from rsretrieve.synthetic.seasons import changed_landscape

    landscape, other = (make_landscape(CELLS, CELL_PX, seed=seed) for seed in (SEED, SEED + 1))
    write_tiles(landscape, CELL_PX, folder / "tiles")
    write_scene(landscape, folder / "scene.tif")
    write_scene(landscape, folder / "2020.tif")
    write_scene(changed_landscape(landscape, other, CELL_PX, 0.1, SEED)[0], folder / "2024.tif")
    (folder / "scenes").mkdir(exist_ok=True)
    shutil.copyfile(folder / "scene.tif", folder / "scenes" / "scene.tif")
    tiles = sorted(path.relative_to(folder / "tiles") for path in folder.glob("tiles/*/*.tif"))
    shutil.copyfile(folder / "tiles" / tiles[20], folder / "example.tif")
    _write_pictures(folder, tiles)
    _write_embedding_raster(folder / "alphaearth.tif")
    _write_tables(folder, [path.as_posix() for path in tiles])
    _write_band_files(folder)
    west, south, east, north = AREA
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    area = {"type": "Polygon", "coordinates": [ring]}
    (folder / "area.geojson").write_text(json.dumps(area), encoding="utf-8")


def _write_tables(folder: Path, tiles: list[str]) -> None:
    """Labels with errors, decisions on them, and vectors with their list."""
    rng = np.random.default_rng(SEED)
    true = [tile.split("/")[0] for tile in tiles]
    classes = sorted(set(true))
    wrong = rng.random(len(tiles)) < 0.2
    drawn = rng.choice(classes, len(tiles))
    given = [str(new) if bad else old for old, new, bad in zip(true, drawn, wrong)]
    _write(folder / "noisy.csv", ("tile", "label", "true_label"), zip(tiles, given, true))
    _write(folder / "list.csv", ("tile", "label"), zip(tiles, given))
    dated = zip(tiles, [f"tiles/{tile}" for tile in tiles], true, _dates(len(tiles)))
    _write(folder / "dated.csv", ("tile", "path", "label", "datetime"), dated)
    decided = [(tile, old) for tile, new, old in zip(tiles, given, true) if new != old][:5]
    _write(folder / "decisions.csv", ("tile", "label"), decided)
    for reviewer, some in (("ada", decided[:4]), ("bob", decided[1:])):
        _write(folder / f"{reviewer}.csv", ("tile", "label"), some)
    centres = rng.normal(size=(len(classes), VECTOR_DIMENSIONS))
    vectors = np.stack([centres[classes.index(name)] for name in true])
    vectors = (vectors + 0.3 * rng.normal(size=vectors.shape)).astype(np.float32)
    np.save(folder / "embeddings.npy", vectors)
    np.save(folder / "vector.npy", vectors[20])


def _dates(count: int) -> list[str]:
    return [f"2020-{1 + i % 12:02d}-15" for i in range(count)]


def _write_pictures(folder: Path, tiles: list[Path]) -> None:
    """The tiles as 8-bit RGB pictures, in `rgb/`."""
    import rasterio
    from PIL import Image

    for tile in tiles:
        with rasterio.open(folder / "tiles" / tile) as dataset:
            bands = dataset.read([3, 2, 1])
        path = (folder / "rgb" / tile).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = (bands.astype(np.float32) / 12).clip(1, 255).astype(np.uint8)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)


def _write_embedding_raster(path: Path) -> None:
    """A raster whose 64 bands are the dimensions of an embedding of each pixel."""
    import rasterio
    from rasterio.transform import from_origin

    values = np.random.default_rng(SEED).normal(size=(64, 32, 32)).astype(np.float32)
    shape = {"count": 64, "height": 32, "width": 32, "dtype": "float32"}
    place = {"crs": "EPSG:32632", "transform": from_origin(600_000, 5_340_000, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as dataset:
        dataset.write(values)


def _write_band_files(folder: Path) -> None:
    """A scene of Sentinel-2 and patches of BigEarthNet: every band in a file of its own."""
    place = folder / "S2A_MSIL2A.SAFE" / "GRANULE" / "L2A_T32UPU" / "IMG_DATA" / "R10m"
    scene = {f"T32UPU_20200615T101031_{band}_10m.jp2": 128 for band in ("B02", "B03", "B04")}
    _write_bands(place, scene, 0)
    rows = []
    for number in range(12):
        name = f"S2A_MSIL2A_20170613T101031_{number}_45"
        patch = {f"{name}_B02.tif": 24, f"{name}_B03.tif": 24, f"{name}_B11.tif": 12}
        _write_bands(folder / "BigEarthNet" / name, patch, 3000 * (number % 2))
        rows.append((f"{name}/{name}", ("forest", "fields")[number % 2]))
    _write(folder / "labels.csv", ("tile", "label"), rows)


def _write_bands(folder: Path, sides: dict[str, int], brighter: int) -> None:
    """16-bit bands of 10 m, or coarser ones, by the names of their files."""
    import rasterio
    from rasterio.transform import from_origin

    folder.mkdir(parents=True, exist_ok=True)
    most = max(sides.values())
    for name, side in sides.items():
        rng = np.random.default_rng([SEED, *name.encode()])
        values = rng.integers(500, 3000, (side, side)).astype(np.uint16) + np.uint16(brighter)
        size_m = 10 * most / side
        place = {"crs": "EPSG:32632", "transform": from_origin(6e5, 5.34e6, size_m, size_m)}
        lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if name.endswith(".jp2") else {}
        driver = "JP2OpenJPEG" if lossless else "GTiff"
        shape = {"count": 1, "height": side, "width": side, "dtype": "uint16"}
        with rasterio.open(folder / name, "w", driver=driver, **shape, **place, **lossless) as file:
            file.write(values, 1)


def _write(path: Path, header: tuple[str, ...], rows: object) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)  # type: ignore[arg-type]


if __name__ == "__main__":
    write_example_files(Path(sys.argv[1]))
