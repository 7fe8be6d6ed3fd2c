"""`open_tiles`: several places, and bands in files of their own."""

from __future__ import annotations

import pytest

import rsretrieve
from rsretrieve.errors import InvalidArgument, RsretrieveWarning
from tests.support.tiles.made_tiles import noise, save_raster


def test_several_places_and_stacked_bands(tmp_path):
    for folder in ("a", "b"):
        for band in ("B02", "B03"):
            save_raster(tmp_path / folder / "x" / f"{folder}_{band}.tif", noise((1, 16, 16)))
    places = [tmp_path / "a", str(tmp_path / "b")]
    tiles = rsretrieve.open_tiles(places, stack=["B03", "B02"])
    assert [tile.id for tile in tiles] == ["x/a", "x/b"]
    assert tiles.inputs == tuple(map(str, places))
    assert len(rsretrieve.open_tiles(places, stack="B03,B02")) == 2
    with pytest.warns(RsretrieveWarning, match="single bands"):
        assert len(rsretrieve.open_tiles(places)) == 4
    for wrong in ([], [3], [tmp_path, None]):
        with pytest.raises(InvalidArgument):
            rsretrieve.open_tiles(wrong)
