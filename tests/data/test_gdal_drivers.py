"""What a file says is not followed: neither to other files nor over a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.io import netcdf_file

from rsretrieve.data.discovery.find_tiles import find_tiles, tiles_of_images
from rsretrieve.data.failures import Failure
from rsretrieve.data.gdal_drivers import VARIABLE, for_files, left_out
from rsretrieve.data.reading.read_tiles import read_in_order
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet, Trust
from rsretrieve.data.window import Window
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import NoUsableTiles
from rsretrieve.index.store.tile_table import IndexedTile
from tests.support.processes.worker_functions import the_raw_tile
from tests.support.tiles.made_tiles import UTM, noise, save_raster

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


def read(path, window=None, *, trust=Trust.STRANGER):
    tiles = TileSet("", (Tile("a", str(path), None, window, trust),))
    (found,) = read_in_order(tiles, the_raw_tile, 1)
    return found


@pytest.mark.medium
@pytest.mark.parametrize("kind", SIDECARS)
@pytest.mark.parametrize("trust", [Trust.STRANGER, Trust.NAMED])
def test_no_file_has_a_server_asked(served, tmp_path, kind, trust):
    suffix, content = SIDECARS[kind]
    path = save_raster(tmp_path / "a.tif", noise((1, 64, 64)), **UTM)
    save_raster(served.folder / "a.tif", noise((1, 32, 32)), **UTM)
    path.with_name(f"a.tif{suffix}").write_text(content.replace("{url}", served.url))
    for window in (None, Window(0, 0, 64, 64, 16)):  # by its overviews, too
        reason = read(path, window, trust=trust).reason
        assert "OVERVIEW_FILE" in reason or f"a.tif{suffix}" in reason
    assert not served.log.exists()


@pytest.mark.medium
def test_a_mosaic_is_opened_where_the_user_says_that_it_is_trusted(tmp_path, monkeypatch):
    inner = save_raster(tmp_path / "inner.tif", noise((1, 64, 64)), **UTM)
    path = tmp_path / "a.vrt"
    path.write_text(VRT.format(side=64, source=inner))
    refused = read(path)
    assert isinstance(refused, Failure)
    assert refused.reason.startswith("its format is VRT, whose files may name other files")
    assert f"set {VARIABLE}=VRT if" in refused.reason
    monkeypatch.setenv(VARIABLE, "netCDF, VRT")
    assert np.array_equal(read(path).content.values, noise((1, 64, 64)))


@pytest.mark.medium
def test_a_mosaic_that_the_user_names_is_opened_with_all_that_it_names(served, tmp_path):
    scene = noise((1, 64, 64))
    inner = save_raster(tmp_path / "inner.tif", scene, **UTM)
    save_raster(served.folder / "a.tif", scene, **UTM)
    path = tmp_path / "a.vrt"
    for source, enough in ((inner, Trust.NAMED), (f"/vsicurl/{served.url}/a.tif", Trust.TRUSTED)):
        path.write_text(VRT.format(side=64, source=source))
        # Who types a file types no address: a network is asked only where one was typed.
        assert all(isinstance(read(path, trust=less), Failure) for less in range(enough))
        assert np.array_equal(read(path, trust=enough).content.values, scene)
        cut = read(path, Window(8, 4, 32, 16), trust=enough).content.values
        assert np.array_equal(cut, scene[:, 4:20, 8:40])


@pytest.mark.medium
def test_a_mosaic_is_cut_into_windows_where_it_is_named_itself(tmp_path):
    inner = save_raster(tmp_path / "inner.tif", noise((1, 64, 64)), **UTM)
    path = tmp_path / "mosaics" / "a.vrt"
    path.parent.mkdir()
    path.write_text(VRT.format(side=64, source=inner))
    tiles = find_tiles(path, scenes=SceneChoices(WindowChoices(32, 32)))
    assert [tile.trust for tile in tiles] == [Trust.NAMED] * 4
    (asked,) = tiles_of_images([f"{path}#0,0,32,32"])
    assert (asked.trust, asked.window) == (Trust.NAMED, Window(0, 0, 32, 32))
    for read_tile in read_in_order(tiles, the_raw_tile, 1):
        assert read_tile.content.values.shape == (1, 32, 32)
    again = replace(tiles, tiles=tuple(IndexedTile.of(tile, None).tile for tile in tiles))
    for read_tile in read_in_order(again, the_raw_tile, 1):  # an index is nobody's word
        assert read_tile.reason.startswith("its format is VRT")
    with pytest.raises(NoUsableTiles, match="its format is VRT"):
        find_tiles(path.parent, scenes=SceneChoices(WindowChoices(32, 32)), context=RunContext())


def test_a_url_of_a_mosaic_is_the_users_own_word(served):
    save_raster(served.folder / "inner.tif", noise((1, 64, 64)), **UTM)
    source = f"/vsicurl/{served.url}/inner.tif"
    (served.folder / "a.vrt").write_text(VRT.format(side=64, source=source))
    url = f"{served.url}/a.vrt"
    assert np.array_equal(read(url, trust=Trust.NAMED).content.values, noise((1, 64, 64)))
    assert "not a host of the public internet" in read(url).reason
    assert "not a plain path" in read(source).reason


@pytest.mark.parametrize(
    ("start", "driver"), [(b"\x89HDF\r\n\x1a\n", "HDF5"), (b"CDF\x01", "netCDF")]
)
@pytest.mark.medium
def test_other_formats_that_may_name_files_are_told_by_name(tmp_path, start, driver):
    (tmp_path / "a.tif").write_bytes(start + bytes(500))
    assert read(tmp_path / "a.tif").reason.startswith(f"its format is {driver}, ")


def test_what_the_variable_names_is_there(monkeypatch):
    assert "VRT" not in for_files()
    assert "WMS" in left_out().split(",")
    monkeypatch.setenv(VARIABLE, " VRT,WMS,, ")
    assert for_files()[-2:] == ["VRT", "WMS"]
    assert "WMS" not in left_out().split(",")


def test_a_part_of_a_file_is_named_as_gdal_names_it(tmp_path):
    path, values = tmp_path / "sea.nc", noise((1, 64, 64)).astype(np.float32)
    with netcdf_file(path, "w") as file:
        for name in ("y", "x"):
            file.createDimension(name, 64)
        for name in ("day", "night"):
            file.createVariable(name, "f4", ("y", "x"))[:] = values[0]
    windows = SceneChoices(WindowChoices(32, 32))
    with pytest.raises(NoUsableTiles, match="holds no bands itself, such as netcdf:"):
        find_tiles(path, scenes=windows, context=RunContext())
    tiles = find_tiles(f'NETCDF:"{path}":day', scenes=windows)
    assert tiles[0].id == "sea.nc:day#0,0,32,32"
    for found in read_in_order(tiles, the_raw_tile, 1):
        top, left = found.tile.window.row, found.tile.window.col
        part = values[:, ::-1][:, top : top + 32, left : left + 32]  # GDAL has north at the top
        assert np.array_equal(found.content.values, part)
