"""Whole numbers become vectors again, by the words of those who publish them."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.data.embedding_rasters.quantization import (
    AS_STORED,
    declared_quantization,
    is_alphaearth_in_floats,
    quantization_of,
)

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
