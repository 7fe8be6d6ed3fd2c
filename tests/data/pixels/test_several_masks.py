"""Alpha, a mask and nodata in one file: what any of them leaves out is no measurement."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsretrieve._core.paths import stack_path
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.meaning import Meaning
from rsretrieve.data.reading.pillow_reader import read_raw
from rsretrieve.data.reading.raster_reader import read_raster
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from rsretrieve.errors import TileError

SIDE = 32
COMBINATIONS = [each for each in product([False, True], repeat=4) if not (each[1] and each[2])]


def write(
    path: Path, dtype: str, *, alpha: bool, internal: bool, beside: bool, nodata: bool
) -> np.ndarray:
    """A picture; returns (SIDE, SIDE) where it has measurements."""
    bands = np.random.default_rng(0).integers(50, 200, (3 + alpha, SIDE, SIDE)).astype(dtype)
    value = -9999 if dtype != "uint8" else 7
    valid = np.ones((SIDE, SIDE), bool)
    if alpha:
        bands[3] = 255
        bands[3, :, :9] = 0
        valid[:, :9] = False
    if nodata:
        bands[:3, :, 20:] = value
        valid[:, 20:] = False
    profile = {"width": SIDE, "height": SIDE, "count": len(bands), "dtype": dtype}
    profile |= {"photometric": "RGB", "alpha": "YES"} if alpha else {}
    options = {"GDAL_TIFF_INTERNAL_MASK": internal}
    with (
        rasterio.Env(**options),
        rasterio.open(path, "w", nodata=value if nodata else None, **profile) as dataset,
    ):
        dataset.write(bands)
        if internal or beside:
            mask = np.full((SIDE, SIDE), 255, np.uint8)
            mask[:5] = 0
            dataset.write_mask(mask)
            valid[:5] = False
    return valid


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize(("alpha", "internal", "beside", "nodata"), COMBINATIONS)
def test_what_any_of_them_leaves_out_is_no_measurement(
    tmp_path: Path, dtype: str, alpha: bool, internal: bool, beside: bool, nodata: bool
) -> None:
    path = tmp_path / "a.tif"
    if alpha and dtype != "uint8":
        pytest.skip("such a band is no transparency")
    kinds = {"alpha": alpha, "internal": internal, "beside": beside, "nodata": nodata}
    expected = write(path, dtype, **kinds)
    whole = read_raw(Tile("a", str(path)))
    part = read_raster(Tile("a", str(path), window=Window(0, 0, SIDE, SIDE)))
    for found in (whole, part):
        assert found.values.shape == (3, SIDE, SIDE)
        valid = np.ones_like(found.values, bool) if found.valid is None else found.valid
        assert (valid == expected).all()
        assert Note.FILL not in found.notes


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_invalid_pixels_do_not_spread_in_coarser_reads(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "a.tif"
    write(path, dtype, alpha=False, internal=True, beside=False, nodata=True)
    found = read_raster(Tile("a", str(path), window=Window(0, 0, SIDE, SIDE, read_px=8)))
    assert found.valid is not None
    assert found.values[found.valid].min() >= 50


@pytest.mark.parametrize("nodata", [float("nan"), float("-inf")])
def test_nodata_that_no_value_has_beside_a_mask_leaves_the_mask(
    tmp_path: Path, nodata: float
) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "float32", "nodata": nodata}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.ones((1, SIDE, SIDE), np.float32))
        dataset.write_mask(np.eye(SIDE, dtype=np.uint8) * 255)
    found = read_raw(Tile("a", str(path)))
    assert found.valid is not None
    assert (found.valid[0] == np.eye(SIDE, dtype=bool)).all()


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8"])
@pytest.mark.parametrize("nodata", [-1.7976931348623157e308, 1e39, 0.5, float("nan")])
def test_nodata_beyond_the_type_is_that_of_no_value(dtype: str, nodata: float) -> None:
    """Other programs write such values; rasterio writes none."""
    stored = np.array([[[0, 1], [2, 3]]], dtype)
    found = Meaning((1,), masked=True, one_mask=True, nodata=(nodata,)).is_nodata(stored)
    assert found is None or not found.any()


@pytest.mark.parametrize("nodata", [None, 0, float("nan")])
def test_a_usual_fill_value_is_told_though_another_value_is_declared(
    tmp_path: Path, nodata: float | None
) -> None:
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).random((1, SIDE, SIDE)).astype(np.float32) + 1
    values[:, :8] = -9999
    profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "float32", "nodata": nodata}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    assert Note.FILL in read_raw(Tile("a", str(path))).notes


def test_a_stack_refuses_a_band_with_several_masks(tmp_path: Path) -> None:
    for name, nodata in (("a", True), ("b", False)):
        path = tmp_path / f"{name}.tif"
        profile = {"width": SIDE, "height": SIDE, "count": 1, "dtype": "int16"}
        with rasterio.open(path, "w", nodata=-1 if nodata else None, **profile) as dataset:
            dataset.write(np.ones((1, SIDE, SIDE), np.int16))
            dataset.write_mask(np.eye(SIDE, dtype=np.uint8) * 255)
    stack = stack_path([str(tmp_path / f"{name}.tif") for name in "ab"])
    with pytest.raises(TileError, match="several of nodata"):
        read_raw(Tile("a", stack))
