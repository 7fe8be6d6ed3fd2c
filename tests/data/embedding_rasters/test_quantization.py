"""Whole numbers become vectors again, by the words of those who publish them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsretrieve.data.embedding_rasters.band_vectors import (
    VectorsRequest,
    read_band_facts,
    read_band_vectors,
)
from rsretrieve.data.embedding_rasters.quantization import (
    AS_STORED,
    declared_quantization,
    is_alphaearth_in_floats,
    quantization_of,
)
from tests.support.tiles.made_tiles import save_raster, tile_at

NAMES = [f"A{i:02d}" for i in range(64)]


def test_alphaearth_is_the_square_with_the_sign_and_minus_128_is_masked() -> None:
    stored = np.random.default_rng(0).integers(-127, 128, (5, 64)).astype(np.int8)
    stored[2, 7] = -128
    found = quantization_of(NAMES, stored.dtype)
    assert found.is_alphaearth
    restored = found.restored(stored)
    for i in range(5):
        for d in range(64):
            v = float(stored[i, d])
            expected = 0.0 if i == 2 else (v / 127.5) ** 2 * (1 if v > 0 else -1)
            assert restored[i, d] == pytest.approx(expected, abs=1e-7)


def test_a_declared_scale_and_offset_are_applied() -> None:
    found = quantization_of(["b1", "b2"], np.dtype("uint8"), (0.5, 2.0), (-1.0, 3.0))
    assert found.restored(np.array([[4, 5]], np.uint8)).tolist() == [[1.0, 13.0]]
    assert not found.notice
    told = {"emb:quantization": {"method": "linear", "scale": [0.1], "offset": [-1.0]}}
    found = declared_quantization(told, 2)
    assert found.restored(np.array([[10, 20]], np.int8)) == pytest.approx(np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="no scale for 2"):
        declared_quantization({"emb:quantization": {"scale": [1, 2, 3]}}, 2)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_of_declared_numbers_those_of_the_first_dimensions_are_taken(kept: int) -> None:
    found = quantization_of([""] * 3, np.dtype("int8"), (0.5, 2.0, 4.0), (-1.0, 3.0, 5.0))
    restored = found.restored(np.array([[[4, 5, 6]]], np.int8)[..., :kept])
    assert restored.tolist() == [[[1.0, 13.0, 29.0][:kept]]]
    offsets = quantization_of([""] * 3, np.dtype("int8"), (), (-1.0, 3.0, 5.0))
    assert offsets.restored(np.array([[4, 5, 6]], np.int8)[:, :kept]).shape == (1, kept)
    one = declared_quantization({"emb:quantization": {"scale": 2}}, 3)
    assert one.restored(np.ones((2, kept), np.int8)).tolist() == [[2.0] * kept] * 2


@pytest.mark.parametrize(
    ("scales", "offsets"), [((2.0, 0.5, 3.0), (1.0, -1.0, 2.0)), ((0.01,) * 3, (0.0,) * 3)]
)
def test_the_first_bands_of_a_raster_with_scales_are_read(
    tmp_path: Path, scales: tuple[float, ...], offsets: tuple[float, ...]
) -> None:
    stored = np.random.default_rng(0).integers(1, 100, (3, 8, 9)).astype(np.int8)
    path = save_raster(tmp_path / "e.tif", stored)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = scales, offsets
    facts = read_band_facts(tile_at(path))
    starts = tuple(range(9)), tuple(range(8))
    for kept in (1, 2, 3):
        request = VectorsRequest(tile_at(path), *starts, 1, kept, facts.quantization, 1.0)
        found = read_band_vectors(request)[1]
        values = np.array([stored[i] * scales[i] + offsets[i] for i in range(kept)])
        values = values.reshape(kept, -1).T
        expected = values / np.linalg.norm(values, axis=1, keepdims=True)
        assert found == pytest.approx(expected, abs=1e-5)


def test_what_nobody_declares_is_used_as_it_is_and_said() -> None:
    found = quantization_of((), np.dtype("int8"))
    assert found.restored(np.array([[-128, 3]], np.int8)).tolist() == [[-128.0, 3.0]]
    assert "whole numbers" in found.notice
    assert quantization_of((), np.dtype("float16")) == AS_STORED
    assert declared_quantization({}, 3) == AS_STORED


def test_alphaearth_in_floats_is_told_from_its_vectors() -> None:
    whole = np.full((2, 64), 50, np.float32)
    assert is_alphaearth_in_floats(NAMES, whole)
    assert not is_alphaearth_in_floats(NAMES, whole / 127)
    assert not is_alphaearth_in_floats(["x", *NAMES[1:]], whole)
