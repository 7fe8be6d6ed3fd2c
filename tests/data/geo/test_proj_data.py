"""Places are computed by rasterio's own PROJ data, whatever another PROJ's variables say."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.geo import proj_data
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.preprocessing.preprocessing import BandStatistics, Preprocessing
from rsretrieve.data.run_context import RunContext

VARIABLES = ("PROJ_DATA", "PROJ_LIB")


@pytest.fixture(params=VARIABLES)
def foreign(request, tmp_path, monkeypatch):
    """A variable that names data which rasterio's PROJ cannot read."""
    if not proj_data.environment() and not bundled():
        pytest.skip("rasterio brings no PROJ data here")
    monkeypatch.setenv(request.param, str(tmp_path))
    return request.param


def bundled():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROJ_DATA", "/nowhere")
        return proj_data.environment().get("PROJ_DATA")


@pytest.mark.medium
def test_workers_compute_places(foreign, landscape):
    tiles = find_tiles(landscape)
    statistics = BandStatistics((0.0,), (1.0,), (0.0,), (1.0,))
    preprocessing = Preprocessing(8, 6, (1,), "uint16", statistics)
    places = [
        place
        for batch in stream_batches(tiles, preprocessing, 50, RunContext())
        for place in batch.places
    ]
    assert len(places) == len(tiles)
    assert all(places)


@pytest.mark.medium
def test_our_own_process_computes_places(foreign):
    """In a process of its own: rasterio looks at the variables when it is imported."""
    code = (
        "import json, os\n"
        "from rsretrieve.data.geo import proj_data\n"
        "with proj_data.of_rasterio():\n"
        "    from rasterio.warp import transform\n"
        "    place = transform('EPSG:32633', 'EPSG:4326', [5e5], [5e6])\n"
        "print(json.dumps([place, dict(os.environ)]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (longitude, latitude), left = json.loads(ran.stdout)
    assert longitude == pytest.approx([15])
    assert latitude == pytest.approx([45.1535], abs=1e-3)
    assert left[foreign] == os.environ[foreign]


@pytest.mark.medium
def test_places_of_a_table_made_elsewhere_are_computed(foreign):
    """In a process of its own: rasterio keeps reference systems that it knows."""
    code = (
        "from rsretrieve.index.external.places.geometry_columns import PlaceReader\n"
        "import shapely\n"
        "reader = PlaceReader(False, 'geometry', 'EPSG:32633')\n"
        "wkb = shapely.to_wkb(shapely.box(5e5, 5e6, 500100, 5000100))\n"
        "print(reader.place({'geometry': wkb}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "EPSG:32633" in ran.stdout


def test_without_the_variables_nothing_is_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert proj_data.environment() == {}


def test_where_rasterio_brings_no_data_the_variables_stay(foreign, monkeypatch):
    monkeypatch.setattr(proj_data, "find_spec", lambda _: None)
    proj_data._bundled.cache_clear()
    assert proj_data.environment() == {}
    proj_data._bundled.cache_clear()
