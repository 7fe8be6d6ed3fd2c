"""Random rasters of every kind, and what their pixels are: with rasterio alone, by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import from_origin

UNSIGNED = ("uint8", "uint16", "uint32")
OTHERS = ("int8", "int16", "int32", "float32", "float64")
INDEX_DRIVERS = ("GTiff", "PNG", "GIF", "BMP")
ORIENTATION = 274  # the tag of TIFF and of Exif


@dataclass
class Case:
    """A raster that was written.

    Attributes:
        path: the file.
        values: (C, H, W) the pixels as they should be read.
        valid: (C, H, W) bool.
        about: what was drawn, for the message of a failure.
    """

    path: Path
    values: NDArray[Any]
    valid: NDArray[np.bool_]
    about: dict[str, Any] = field(default_factory=dict)


def random_raster(folder: Path, seed: int) -> Case:
    """Write the raster of a seed and say what its pixels are."""
    random = np.random.default_rng(seed)
    kind = random.choice(
        [
            "plain",
            "plain",
            "plain",
            "bits",
            "white",
            "palette",
            "cmyk",
            "alpha",
            "picture",
            "packed",
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    case: Case = globals()[f"_{kind}"](folder / f"r{seed}", random)
    case.about |= {"seed": seed, "kind": str(kind)}
    return case


def _size(random: Any) -> tuple[int, int]:
    return int(random.integers(8, 80)), int(random.integers(8, 80))


def _storage(random: Any, dtype: str = "uint8") -> dict[str, Any]:
    """How a GeoTIFF is stored."""
    options: dict[str, Any] = {"driver": "GTiff"}
    options["compress"] = str(random.choice(["none", "deflate", "lzw", "packbits", "zstd"]))
    if random.random() < 0.4:
        options |= {"tiled": True, "blockxsize": 16, "blockysize": 32}
    options["interleave"] = str(random.choice(["pixel", "band"]))
    options["BIGTIFF"] = str(random.choice(["YES", "NO"]))
    options["ENDIANNESS"] = str(random.choice(["BIG", "LITTLE"]))
    if options["compress"] in ("deflate", "lzw") and dtype in ("uint8", "uint16", "int16"):
        options["predictor"] = int(random.choice([1, 2]))
    if random.random() < 0.5:
        options |= {"crs": "EPSG:32632", "transform": from_origin(5e5, 5e6, 10, 10)}
    return options


def _write(path: Path, values: NDArray[Any], options: dict[str, Any]) -> None:
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", dtype=values.dtype, **shape, **options) as dataset:
        dataset.write(values)


def _add_mask(path: Path, random: Any, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Give a file a mask, inside or beside it."""
    seen = random.random(shape) < 0.8
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=bool(random.random() < 0.5)),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(seen)
    return np.asarray(seen)


def _noise(random: Any, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return np.asarray(random.normal(0, 1000, shape), dtype)
    limits = np.iinfo(kind)
    return np.asarray(random.integers(limits.min, limits.max, shape, dtype, endpoint=True))


def _plain(path: Path, random: Any) -> Case:
    dtype = str(random.choice([*UNSIGNED, *OTHERS]))
    driver = str(random.choice(["GTiff", "GTiff", "GTiff", "PNG", "ENVI", "JP2OpenJPEG"]))
    dtype = str(random.choice(["uint8", "uint16"])) if driver in ("PNG", "JP2OpenJPEG") else dtype
    dtype = "int16" if driver == "ENVI" and dtype == "int8" else dtype
    bands = int(random.choice([1, 3]) if driver == "PNG" else random.integers(1, 7))
    stored = _noise(random, (bands, *_size(random)), dtype)
    options = _storage(random, dtype) if driver == "GTiff" else {"driver": driver}
    if driver == "JP2OpenJPEG":
        options |= {"QUALITY": "100", "REVERSIBLE": "YES"}
    if driver == "GTiff" and bands > 3:
        options |= {"photometric": "minisblack", "alpha": "unspecified"}
    valid = np.ones(stored.shape, bool)
    spoil = random.random()
    if spoil < 0.4 and driver in ("GTiff", "ENVI"):
        options["nodata"] = stored[0, 0, 0].item()
        valid &= stored != stored[0, 0, 0]
    path = path.with_suffix({"GTiff": ".tif", "PNG": ".png", "ENVI": ".raw"}.get(driver, ".jp2"))
    if stored.dtype.kind == "f":
        odd = random.random(stored.shape) < 0.05
        stored[odd] = random.choice([np.nan, np.inf, -np.inf, -3.4e38, 2e30], int(odd.sum()))
        with np.errstate(over="ignore", invalid="ignore"):
            valid &= np.abs(stored.astype(np.float64)) <= 1e30
    _write(path, stored, options)
    if spoil > 0.8 and driver != "ENVI":
        valid &= _add_mask(path, random, stored.shape[1:])
    if driver == "JP2OpenJPEG":  # small ones of 16 bits are not lossless
        with rasterio.open(path) as dataset:
            stored = dataset.read()
    kept = dtype in ("uint8", "uint16", "int16", "float32")
    values = stored if kept else stored.astype(np.float32)
    return Case(path, values, valid, {"driver": driver, "dtype": dtype, **options})


def _bits(path: Path, random: Any) -> Case:
    driver = str(random.choice(["GTiff", "PNG"]))
    bits = int(random.choice([1, 2, 4] if driver == "PNG" else [1, 2, 3, 4, 5, 6, 7, 12]))
    dtype = "uint8" if bits < 8 else "uint16"
    stored = random.integers(0, 1 << bits, (1, *_size(random)), dtype)
    options = {**(_storage(random, "bits") if driver == "GTiff" else {"driver": driver})}
    path = path.with_suffix(".tif" if driver == "GTiff" else ".png")
    _write(path, stored, options | {"nbits": bits})
    highest = (1 << bits) - 1
    values = (stored.astype(int) * 255 // highest).astype("uint8") if bits < 8 else stored
    return Case(path, values, np.ones(values.shape, bool), {"bits": bits, **options})


def _white(path: Path, random: Any) -> Case:
    bits = int(random.choice([1, 2, 4, 8, 16]))
    stored = random.integers(0, 1 << bits, (1, *_size(random)), "uint16" if bits == 16 else "uint8")
    options = _storage(random, "bits") | {"photometric": "miniswhite"}
    path = path.with_suffix(".tif")
    _write(path, stored, options | ({"nbits": bits} if bits < 8 else {}))
    highest = (1 << bits) - 1
    black = highest - stored.astype(int)
    values = (black * 255 // highest).astype("uint8") if bits < 8 else black.astype(stored.dtype)
    return Case(path, values, np.ones(values.shape, bool), {"bits": bits, **options})


def _palette(path: Path, random: Any) -> Case:
    """An index of colours, some of them clear; now and then they are all grey."""
    driver = str(random.choice(INDEX_DRIVERS))
    colours = int(random.integers(2, 256))
    indices = random.integers(0, colours, _size(random), "uint8")
    table = random.integers(0, 256, (256, 3), "uint8")
    if grey := bool(random.random() < 0.2):
        table = np.repeat(table[:, :1], 3, axis=1)
    path = path.with_suffix(f".{driver.lower()}" if driver != "GTiff" else ".tif")
    valid = np.ones(indices.shape, bool)
    if driver == "GTiff":
        options = _storage(random)
        if random.random() < 0.3:
            options["nodata"] = int(indices[0, 0])
            valid = indices != indices[0, 0]
        _write_index(path, indices, table, options)
    else:
        picture = Image.fromarray(indices)
        picture.putpalette(table.tobytes())
        clear = driver != "BMP" and random.random() < 0.4
        picture.save(path, **({"transparency": int(indices[0, 0])} if clear else {}))
        valid = indices != indices[0, 0] if clear else valid
    values = table[indices].transpose(2, 0, 1)[: 1 if grey else 3]
    shown = np.broadcast_to(valid, values.shape)
    return Case(path, values, shown, {"driver": driver, "grey": grey})


def _write_index(
    path: Path, indices: NDArray[Any], table: NDArray[Any], options: dict[str, Any]
) -> None:
    shape = {"count": 1, "height": indices.shape[0], "width": indices.shape[1]}
    with rasterio.open(path, "w", dtype="uint8", **shape, **options) as dataset:
        dataset.write(indices, 1)
        dataset.write_colormap(1, {i: (*map(int, c), 255) for i, c in enumerate(table)})


def _cmyk(path: Path, random: Any) -> Case:
    ink = _noise(random, (4, *_size(random)), "uint16")
    options = _storage(random, "uint16") | {"photometric": "cmyk"}
    path = path.with_suffix(".tif")
    _write(path, ink, options)
    light = 65535 - ink.astype(np.int64)
    values = (light[:3] * light[3] // 65535).astype("uint16")
    return Case(path, values, np.ones(values.shape, bool), options)


def _alpha(path: Path, random: Any) -> Case:
    """A last band that is tagged as alpha: half of the time it is another measurement."""
    dtype = str(random.choice(["uint8", "uint16"]))
    driver = str(random.choice(["GTiff", "PNG"]))
    bands = int(random.choice([2, 4]))
    stored = _noise(random, (bands, *_size(random)), dtype)
    is_transparency = bool(random.random() < 0.5)
    if is_transparency:
        stored[-1] = np.where(random.random(stored.shape[1:]) < 0.7, np.iinfo(dtype).max, 0)
    options = _storage(random, dtype) if driver == "GTiff" else {"driver": driver}
    if driver == "GTiff":
        options |= {"photometric": "rgb" if bands > 3 else "minisblack", "alpha": "yes"}
    path = path.with_suffix(".tif" if driver == "GTiff" else ".png")
    _write(path, stored, options)
    about = {"transparency": is_transparency, "dtype": dtype, **options}
    if not is_transparency:
        return Case(path, stored, np.ones(stored.shape, bool), about)
    values = stored[:-1]
    return Case(path, values, np.broadcast_to(stored[-1] > 0, values.shape), about)


def _picture(path: Path, random: Any) -> Case:
    """Lossy and turned pictures: the rows and columns that are stored, as Pillow decodes them."""
    suffix = str(random.choice(["jpg", "jpg", "tif", "webp"]))
    mode = str(random.choice(["RGB", "L", "CMYK"] if suffix == "jpg" else ["RGB"]))
    small = random.integers(0, 256, (9, 9, 3), "uint8")
    picture = Image.fromarray(small).resize(_size(random), Image.Resampling.BICUBIC).convert(mode)
    path = path.with_suffix(f".{suffix}")
    turned = int(random.integers(1, 9))
    if suffix == "tif":
        picture.save(path, tiffinfo={ORIENTATION: turned})
    elif suffix == "webp":
        picture.save(path, lossless=True)
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = turned
        picture.save(path, quality=int(random.integers(40, 100)), exif=exif)
    stored = np.asarray(Image.open(path) if suffix == "jpg" else picture)
    if mode == "CMYK":
        light = 255 - stored.astype(int)
        stored = (light[..., :3] * light[..., 3:] // 255).astype("uint8")
    values = np.atleast_3d(stored).transpose(2, 0, 1)
    masked = np.ones(values.shape[1:], bool)
    if suffix == "jpg" and random.random() < 0.3:
        masked = random.random(masked.shape) < 0.7
        shape = {"count": 1, "height": masked.shape[0], "width": masked.shape[1]}
        beside = path.with_name(f"{path.name}.msk")
        with rasterio.open(beside, "w", driver="GTiff", dtype="uint8", **shape) as dataset:
            dataset.write(masked[None].astype("uint8") * 255)
            dataset.update_tags(**{f"INTERNAL_MASK_FLAGS_{band}": "2" for band in (1, 2, 3)})
    about = {"mode": mode, "suffix": suffix, "turned": turned}
    return Case(path, values, np.broadcast_to(masked, values.shape), about)


def _packed(path: Path, random: Any) -> Case:
    dtype = str(random.choice(["int16", "uint16", "float32"]))
    stored = _noise(random, (int(random.integers(1, 5)), *_size(random)), dtype)
    options = _storage(random, dtype) | {"photometric": "minisblack", "alpha": "unspecified"}
    path = path.with_suffix(".tif")
    _write(path, stored, options)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = random.choice([1e-4, 0.02, 2.75e-5], len(stored))
        dataset.offsets = random.choice([0.0, -0.1, 149.0], len(stored))
    return Case(path, stored, np.ones(stored.shape, bool), {"dtype": dtype, **options})
