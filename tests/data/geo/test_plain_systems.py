"""Reference systems from strangers: files, URLs and grids are refused."""

from __future__ import annotations

import pytest
from rasterio.crs import CRS

from rsretrieve.data.geo.plain_systems import require_plain_system
from rsretrieve.errors import InputError

UTM = CRS.from_epsg(32618).to_wkt()
MERCATOR = CRS.from_epsg(3857).to_wkt()
CUSTOM = CRS.from_string("+proj=laea +lat_0=47 +lon_0=11 +datum=WGS84 +units=m").to_wkt()


@pytest.mark.parametrize("text", ["EPSG:32618", "ESRI:54009", "OGC:CRS84", UTM, MERCATOR, CUSTOM])
def test_codes_and_wkt_are_taken(text: str) -> None:
    assert require_plain_system(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/crs", "/vsicurl/http://a/b"),
        *("+init=/tmp/evil:1", "+proj=longlat +nadgrids=/tmp/evil", "EPSG:999999", "EPSG:"),
        *("IGNF:../../etc", "PROJCS[", UTM[:-40]),
        MERCATOR.replace("@null", "/tmp/evil"),
        MERCATOR.replace("+nadgrids=@null", "+nadgrids=@null +geoidgrids=evil"),
        'BOUNDCRS[SOURCECRS[X],ABRIDGEDTRANSFORMATION[X,PARAMETERFILE["f","/tmp/evil"]]]',
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="reference system"):
        require_plain_system(text)
