"""Scale and offset: one unit for a model, however a file stores its values."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio

from rsretrieve.data.failures import Failure
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.notes import Note
from rsretrieve.data.pixels.expected import Expected
from rsretrieve.data.pixels.packing import Packing
from rsretrieve.data.preprocessing.band_statistics import measure_preprocessing
from rsretrieve.data.preprocessing.preprocessing import Preprocessing
from rsretrieve.data.reading.raw_tile import RawTile, in_packing
from rsretrieve.data.run_context import RunContext
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import UTM, noise, save_raster, tiles_at

pytestmark = pytest.mark.medium


def save_packed(path, physical, scale, offset, dtype="uint16"):
    """Physical values, (C, H, W), stored with a scale and an offset."""
    stored = np.rint((physical - offset) / scale).astype(dtype)
    save_raster(path, stored, **UTM)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = [scale] * len(stored)
        dataset.offsets = [offset] * len(stored)
    return path


def reflectance(seed):
    """Whole ten-thousandths, as Sentinel-2 has them."""
    return np.random.default_rng(seed).integers(200, 9000, (3, 16, 16)) / 10_000


def pixels_of(path, preprocessing):
    context = RunContext(strict=True)
    (batch,) = stream_batches(tiles_at(path), preprocessing, 1, context)
    return batch.pixels[0], context.notices


@pytest.fixture
def trained(tmp_path):
    """The preprocessing of tiles with scale 1e-4 and no offset."""
    paths = [
        save_packed(tmp_path / "t" / f"{seed}.tif", reflectance(seed), 1e-4, 0.0)
        for seed in range(4)
    ]
    return measure_preprocessing(tiles_at(*paths), 16)


@pytest.mark.parametrize(("scale", "offset"), [(1e-4, -0.1), (5e-5, 0.0), (2e-4, 0.01)])
def test_the_same_reflectance_gives_the_same_pixels_in_another_packing(
    tmp_path, trained, scale, offset
):
    """Such as Sentinel-2 since processing baseline 04.00, with 1000 more in every pixel."""
    physical = reflectance(9)
    old, quiet = pixels_of(save_packed(tmp_path / "old.tif", physical, 1e-4, 0.0), trained)
    new, told = pixels_of(save_packed(tmp_path / "new.tif", physical, scale, offset), trained)
    assert np.abs(old.astype(int) - new).max() <= round(scale / 1e-4 / 2)
    assert quiet == ()
    assert len(told) == 1
    assert "converted" in told[0]


def test_the_packing_is_kept_in_the_model_and_read_again(trained):
    assert trained.packing == Packing((1e-4,) * 3, (0.0,) * 3)
    content = json.loads(json.dumps(trained.to_json()))
    assert Preprocessing.from_json(content) == trained
    del content["packing"]
    assert Preprocessing.from_json(content).packing is None


def test_a_model_without_scales_keeps_its_fingerprint(tmp_path):
    path = save_raster(tmp_path / "a.tif", noise((3, 16, 16), "uint16"))
    assert "packing" not in measure_preprocessing(tiles_at(path), 16).to_json()


def test_a_packing_that_one_side_does_not_declare_is_told_and_nothing_is_changed(tmp_path, trained):
    physical = reflectance(9)
    packed = save_packed(tmp_path / "packed.tif", physical, 1e-4, -0.1)
    plain = save_raster(tmp_path / "plain.tif", np.rint(physical * 1e4).astype("uint16"))
    undeclared = measure_preprocessing(tiles_at(plain), 16)
    pixels, told = pixels_of(packed, undeclared)
    with rasterio.open(packed) as dataset:
        assert np.array_equal(pixels, dataset.read())
    assert "as they are stored" in told[0]
    pixels, told = pixels_of(plain, trained)
    with rasterio.open(plain) as dataset:
        assert np.array_equal(pixels, dataset.read())
    assert "declare no scale" in told[0]


def test_statistics_are_in_the_unit_of_most_tiles(tmp_path):
    """Two fields of one temperature, each packed in its own way."""
    kelvin = np.random.default_rng(0).normal(285, 5, (1, 16, 16))
    packings = [(0.001, 285.0)] * 3 + [(0.0025, 300.0)]
    paths = [
        save_packed(tmp_path / f"{i}.tif", kelvin, *packing, "int16")
        for i, packing in enumerate(packings)
    ]
    measured = measure_preprocessing(tiles_at(*paths), 16)
    alone = measure_preprocessing(tiles_at(paths[0]), 16)
    assert measured.packing == alone.packing == Packing((0.001,), (285.0,))
    assert measured.statistics.mean == pytest.approx(alone.statistics.mean, abs=3)


def test_invalid_pixels_stay_invalid_and_integers_are_clipped_to_their_type():
    values = np.array([[[0, 500, 1000, 65535]]], np.uint16)
    valid = np.array([[[False, True, True, True]]])
    raw = RawTile(values, valid, None, Packing((1.0,), (-1000.0,)))
    found = in_packing("a.tif", raw, Expected(1, packing=Packing((1.0,), (0.5,))))
    assert np.array_equal(found.values[valid], [0, 0, 64534])
    assert np.array_equal(found.valid, valid)
    assert found.notes == (Note.REPACKED,)


def test_tiles_of_another_number_of_bands_are_refused_by_the_model(tmp_path, trained):
    path = save_packed(tmp_path / "a.tif", reflectance(0)[:2], 1e-4, -0.1)
    context = RunContext()
    assert list(stream_batches(tiles_at(path), trained, 1, context)) == []
    assert [type(failure) for failure in context.failures] == [Failure]
    assert "has 2 bands, and 3 are expected" in context.failures[0].reason


@pytest.mark.parametrize(
    ("scales", "offsets"),
    [((1.0,), (0.0,)), ((0.0,), (1.0,)), ((np.nan,), (0.0,)), ((1.0,), (np.inf,))],
)
def test_nothing_is_declared_by_one_and_zero_or_by_nonsense(scales, offsets):
    assert Packing.declared(scales, offsets) is None


def test_a_model_whose_packing_has_another_number_of_bands_is_refused(trained):
    content = trained.to_json() | {"packing": {"scales": [1e-4], "offsets": [0.0]}}
    with pytest.raises(InvalidArgument, match="scales of 1 bands for 3 bands"):
        Preprocessing.from_json(content)
    with pytest.raises(InvalidArgument, match="one length"):
        Packing((1.0,), (0.0, 1.0))


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_scale_that_gives_extreme_values_is_an_error_of_its_tile(tmp_path, trained, dtype):
    """Such a value would make an embedding infinite, which ends a run."""
    path = save_raster(tmp_path / "a.tif", noise((3, 16, 16), dtype))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = [1e300] * 3, [1e300] * 3
    context = RunContext()
    preprocessing = Preprocessing.from_json(trained.to_json() | {"dtype": dtype})
    assert list(stream_batches(tiles_at(path), preprocessing, 1, context)) == []
    assert "beyond ±1e30" in context.failures[0].reason
