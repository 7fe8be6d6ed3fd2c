"""Which file on disk GDAL's name for a part of a file names, and the same part elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsretrieve._core.file_parts import file_part
from rsretrieve._core.paths import Location, stack_path, storable, unchecked_notices

FILES = {
    "netcdf:sea.nc:day": "sea.nc",
    "NetCDF:sea.nc": "sea.nc",
    'NETCDF:"a:b/sea.nc":day': "a:b/sea.nc",
    "HDF5:f.h5://g/x": "f.h5",
    'HDF5:"f.h5"://g/x': "f.h5",
    'HDF4_SDS:UNKNOWN:"a b.hdf":0': "a b.hdf",
    "hdf4_eos:EOS_GRID:f.hdf:grid:field": "f.hdf",
    "GTIFF_DIR:1:m.tif": "m.tif",
    "gtiff_dir:off:88:a:b/m.tif": "a:b/m.tif",
    "GTIFF_RAW:m.tif": "m.tif",
    "nitf_im:0:x.ntf": "x.ntf",
    "SENTINEL2_L1C:p/MTD.xml:10m:EPSG_32632": "p/MTD.xml",
    "sentinel2_l1c_tile:p/MTD.xml:10m": "p/MTD.xml",
    "SENTINEL1_CALIB:SIGMA0:p/manifest.safe:IW_VV:AMPLITUDE": "p/manifest.safe",
    "sentinel1_ds:p/manifest.safe:IW_VV": "p/manifest.safe",
    'ZARR:"x.zarr":/a': "x.zarr",
    "gpkg:a.gpkg:t": "a.gpkg",
    "vrt://m.tif?bands=1": "m.tif",
}
ELSEWHERE = (
    *("netcdf:https://h/s.nc:v", 'NETCDF:"https://h/s.nc":v', "netcdf:/vsicurl/https://h/s.nc:v"),
    *('HDF5:"/vsizip/a.zip/f.h5"://x', "GTIFF_DIR:1:s3://b/x.tif", "vrt://https://h/a.tif?bands=1"),
    *("https://h/a.tif", "/vsis3/b/a.tif", "netcdf:", 'NETCDF:"":x', 'netcdf:"sea.nc:x'),
    *("GTIFF_DIR:1:", "GTIFF_DIR:1:netcdf:sea.nc:day", "a.tif"),
)


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_found_and_another_takes_its_place(name: str) -> None:
    part = file_part(name)
    assert part is not None
    assert (part.file, part.before + part.file + part.after) == (FILES[name], name)
    again = file_part(part.at("/data/10:30/x"))
    if not name.lower().startswith("sentinel1"):  # GDAL knows no such path
        assert again is not None
        assert again.file == "/data/10:30/x"
    assert not Location.parse(name).is_local  # so a stranger's is refused


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_names_no_file_on_disk_stays_as_it_is(name: str) -> None:
    assert file_part(name) is None
    if name != "a.tif":
        assert Location.parse(name).absolute() == Location.parse(name).below("/lists") == name
        assert Location.parse(name).state() == (-1, -1)


@pytest.mark.parametrize(
    "name", ["netcdf:sea.nc:day", "GTIFF_DIR:2:sea.nc", "vrt://sea.nc?bands=1"]
)
def test_a_part_has_the_state_and_the_folder_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "sea.nc").write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    here = Location.parse(name)
    assert here.absolute() == name.replace("sea.nc", str(tmp_path.resolve() / "sea.nc"))
    assert here.below("lists") == name.replace("sea.nc", "lists/sea.nc")
    assert here.state() == Location.parse("sea.nc").state()
    both = Location.parse(stack_path([name, "sea.nc"]))
    assert both.state()[0] == 10
    assert not both.is_local
    assert unchecked_notices([here, both]) == ()
    (tmp_path / "sea.nc").unlink()
    (tmp_path / "sea.nc").mkdir()  # as a Zarr is: what changes in it does not change the folder
    assert (here.state(), here.local_files) == ((-1, -1), ())
    assert len(unchecked_notices([here])) == 1


def test_a_name_of_a_local_part_keeps_its_question_mark() -> None:
    assert storable('NETCDF:"a?token=1.nc":x') == 'NETCDF:"a?token=1.nc":x'
    assert storable("netcdf:https://h/a.nc?token=1") == "netcdf:https://h/a.nc"
