"""The names of bands, from the headers of files."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.profile.band_names import band_key, band_numbers, named_bands
from rsretrieve.errors import InvalidArgument
from tests.support.tiles.made_tiles import noise, save_picture

S2 = ("B02", "B03", "B04", "B8A")


@pytest.fixture
def tiles(tmp_path):
    def made(*names):
        for number, bands in enumerate(names):
            form = {"driver": "GTiff", "dtype": "uint8", "height": 8, "width": 8}
            path = tmp_path / f"{number}.tif"
            with rasterio.open(path, "w", count=len(bands), **form) as dataset:
                dataset.write(np.ones((len(bands), 8, 8), np.uint8))
                dataset.descriptions = bands
        return find_tiles([str(tmp_path)], None)

    return made


@pytest.mark.parametrize("spelling", ["B04", "b4", "B4", "Band 4", "band_04", "SR_B4", " B4 "])
def test_spellings_of_a_band_are_the_same(spelling):
    assert band_key(spelling) == "B4"


@pytest.mark.parametrize(("one", "other"), [("B8", "B8A"), ("B1", "B11"), ("B6_VCID_1", "B6")])
def test_different_bands_are_different(one, other):
    assert band_key(one) != band_key(other)
    assert band_key("B8A") == band_key("b08a")


@pytest.mark.medium
def test_names_become_numbers_in_the_order_of_the_user(tiles):
    found = tiles(S2, S2)
    assert named_bands(found) == S2
    assert band_numbers(found, ("B4", 2, "b8a")) == (3, 2, 4)
    assert band_numbers(found, (2, 1)) == (2, 1)


@pytest.mark.medium
def test_a_name_that_the_tiles_lack_is_refused_with_theirs(tiles):
    with pytest.raises(InvalidArgument, match=r"no band named B8; they have B02, B03, B04, B8A"):
        band_numbers(tiles(S2), ("B4", "B8"))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (((None, None),), "do not name their bands"),
        ((("B1", None),), "do not name their bands"),
        ((("B1", "B01"),), "do not name their bands"),
        ((("B1", "B2"), ("B2", "B1")), r"differently \(0.tif has B1,B2; 1.tif has B2,B1\)"),
        ((("B1", "B2"), (None, None)), r"differently \(0.tif has B1,B2; 1.tif has no names"),
    ],
)
def test_bands_whose_names_are_not_known_are_refused(tiles, names, said):
    found = tiles(*names)
    assert named_bands(found) == ()
    with pytest.raises(InvalidArgument, match=said) as caught:
        band_numbers(found, ("B1",))
    assert "by their numbers" in caught.value.hint
    assert band_numbers(found, (1,)) == (1,)


def test_names_that_could_control_a_terminal_are_escaped_and_cut(tiles):
    found = tiles(("\x1b[31mred" + "x" * 500, "B2"))
    with pytest.raises(InvalidArgument) as caught:
        band_numbers(found, ("B1",))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_picture_and_a_damaged_file_have_no_names(tmp_path):
    save_picture(tmp_path / "a.png", noise((3, 8, 8)))
    (tmp_path / "b.tif").write_bytes(b"II*\0 no tiff")
    assert named_bands(find_tiles([str(tmp_path)], None)) == ()
