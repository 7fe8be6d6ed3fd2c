"""What a file says is not followed: neither to other files nor over a network."""

from __future__ import annotations

import numpy as np
import pytest

from rsretrieve.tiles.drivers import VARIABLE, for_files, left_out
from rsretrieve.tiles.failures import Failed
from rsretrieve.tiles.reading import read_in_order
from rsretrieve.tiles.records import Tile, TileSet, Window
from tests.tiles.conftest import UTM, noise, save_raster
from tests.tiles.over_there import the_raw_tile

VRT = (
    '<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><VRTRasterBand dataType="Byte" '
    'band="1"><SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
)
WMS = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>'
    "<DataWindow><UpperLeftX>-20</UpperLeftX><UpperLeftY>20</UpperLeftY><LowerRightX>20"
    "</LowerRightX><LowerRightY>-20</LowerRightY><TileLevel>0</TileLevel><SizeX>64</SizeX>"
    "<SizeY>64</SizeY></DataWindow><BandsCount>1</BandsCount><BlockSizeX>64</BlockSizeX>"
    "<BlockSizeY>64</BlockSizeY></GDAL_WMS>"
)
OVERVIEW = (
    '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{prefix}{url}/a.tif</MDI>'
    "</Metadata></PAMDataset>"
)
SIDECARS = {
    "an overview at a URL": (".aux.xml", OVERVIEW.replace("{prefix}", "")),
    "an overview in a virtual file system": (".aux.xml", OVERVIEW.replace("{prefix}", "/vsicurl/")),
    "an overview in a stream": (".aux.xml", OVERVIEW.replace("{prefix}", "/vsicurl_streaming/")),
    "overviews that are a mosaic": (".ovr", VRT.format(side=32, source="/vsicurl/{url}/a.tif")),
    "overviews of a service": (".ovr", WMS),
    "a mask of a service": (".msk", WMS),
}


def read(path, window=None):
    (found,) = read_in_order(TileSet("", (Tile("a", str(path), None, window),)), the_raw_tile, 1)
    return found


@pytest.mark.parametrize("kind", SIDECARS)
def test_no_file_has_a_server_asked(served, tmp_path, kind):
    suffix, content = SIDECARS[kind]
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)), **UTM)
    save_raster(served.folder / "a.tif", noise((1, 32, 32)), **UTM)
    path.with_name(f"a.tif{suffix}").write_text(content.replace("{url}", served.url))
    assert read(path).content.values.shape == (1, 64, 64)
    read(path, Window(0, 0, 64, 64, 16))  # by its overviews, which may be of no use
    assert not served.log.exists()


def test_a_mosaic_is_opened_where_the_user_says_that_it_is_trusted(tmp_path, monkeypatch):
    inner = save_raster(tmp_path / "inner.tif", noise((1, 64, 64)), **UTM)
    path = tmp_path / "a.vrt"
    path.write_text(VRT.format(side=64, source=inner))
    refused = read(path)
    assert isinstance(refused, Failed)
    assert refused.reason.startswith("its format is VRT, in which a file may name others")
    assert f"set {VARIABLE}=VRT if" in refused.reason
    monkeypatch.setenv(VARIABLE, "netCDF, VRT")
    assert np.array_equal(read(path).content.values, noise((1, 64, 64)))


def test_a_url_of_a_mosaic_is_the_users_own_word(served):
    save_raster(served.folder / "inner.tif", noise((1, 64, 64)), **UTM)
    source = f"/vsicurl/{served.url}/inner.tif"
    (served.folder / "a.vrt").write_text(VRT.format(side=64, source=source))
    assert np.array_equal(read(f"{served.url}/a.vrt").content.values, noise((1, 64, 64)))


@pytest.mark.parametrize(
    ("start", "driver"), [(b"\x89HDF\r\n\x1a\n", "HDF5"), (b"CDF\x01", "netCDF")]
)
def test_other_formats_that_may_name_files_are_told_by_name(tmp_path, start, driver):
    (tmp_path / "a.tif").write_bytes(start + bytes(500))
    assert read(tmp_path / "a.tif").reason.startswith(f"its format is {driver}, ")


def test_what_the_variable_names_is_there(monkeypatch):
    assert "VRT" not in for_files()
    assert "WMS" in left_out().split(",")
    monkeypatch.setenv(VARIABLE, " VRT,WMS,, ")
    assert for_files()[-2:] == ["VRT", "WMS"]
    assert "WMS" not in left_out().split(",")
