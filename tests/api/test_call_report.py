"""Failures, notices and progress reach the caller, and nothing is printed."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import rsretrieve
from rsretrieve.errors import TileError
from tests.api.conftest import MAY_BE_UNSURE, SMALL
from tests.conftest import run_here

pytestmark = MAY_BE_UNSURE

BAD = "beach/beach_1_7.tif"


@pytest.fixture
def spoilt(workplace, landscape) -> Path:
    """The tiles, one of which is cut short."""
    shutil.copytree(landscape, workplace / "spoilt")
    (workplace / "spoilt" / BAD).write_bytes(b"II*\0")
    return workplace / "spoilt"


@pytest.mark.medium
def test_a_tile_that_cannot_be_used_is_warned_of_and_listed(spoilt):
    with pytest.warns(rsretrieve.RsretrieveWarning, match="1 tile could not be used") as warned:
        index = rsretrieve.build_index(spoilt, "models/mine", "new")
    assert [warning.filename for warning in warned] == [__file__]
    assert BAD in str(warned[0].message)
    [failure] = index.failures
    assert failure.reason
    assert len(index) == 143


@pytest.mark.medium
def test_the_row_of_a_tile_that_cannot_be_used_is_nan(spoilt):
    tiles = rsretrieve.open_tiles(spoilt)
    with pytest.warns(rsretrieve.RsretrieveWarning, match="could not be used"):
        vectors = rsretrieve.load_model("models/mine").embed(tiles)
    bad = [tile.id for tile in tiles].index(BAD)
    assert np.isnan(vectors[bad]).all()
    assert np.isfinite(np.delete(vectors, bad, 0)).all()


@pytest.mark.medium
@pytest.mark.parametrize("name", ["audit_labels", "build_index", "embed"])
def test_a_strict_call_ends_with_the_tile(name, spoilt):
    model = rsretrieve.load_model("models/mine")
    calls = {
        "audit_labels": lambda: rsretrieve.audit_labels(spoilt, model, strict=True),
        "build_index": lambda: rsretrieve.build_index(spoilt, model, "new", strict=True),
        "embed": lambda: model.embed(spoilt, strict=True),
    }
    with pytest.raises(TileError, match="beach_1_7"):
        calls[name]()


@pytest.mark.medium
def test_events_and_notices_go_to_progress(workplace):
    seen: list[object] = []
    tiles = rsretrieve.open_tiles("tiles")
    rsretrieve.train(tiles, "models/new", progress=seen.append, **SMALL)
    rsretrieve.build_index(tiles, "models/new", "new", progress=seen.append)
    kinds = {type(event) for event in seen}
    assert {rsretrieve.StageStarted, rsretrieve.Advanced, rsretrieve.EpochFinished} <= kinds
    assert [e.epoch for e in seen if isinstance(e, rsretrieve.EpochFinished)] == [1, 2, 3, 4]


@pytest.mark.medium
def test_a_notice_is_a_warning_or_an_event(workplace):
    tiles = rsretrieve.open_tiles("tiles", labels={BAD: "sea"})
    with pytest.warns(rsretrieve.RsretrieveWarning, match="does not know"):
        rsretrieve.audit_labels(tiles, "models/mine")
    seen: list[object] = []
    rsretrieve.audit_labels(tiles, "models/mine", progress=seen.append)
    assert any("sea" in event.text for event in seen if isinstance(event, rsretrieve.Noticed))


@pytest.mark.medium
def test_notices_speak_of_arguments_not_of_options(workplace):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        rsretrieve.open_tiles("scene.tif", window=32, max_nodata=0)
        rsretrieve.build_index("tiles", "models/mine", "new", memory=1000)
    assert warned
    assert not [one for one in warned if "--" in str(one.message)]


def test_an_error_of_the_callers_own_passes(workplace):
    def broken(event: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rsretrieve.build_index("tiles", "models/mine", "new", progress=broken)
    assert not Path("new").exists()


@pytest.mark.medium
def test_nothing_is_printed(workplace, capfd):
    index = rsretrieve.build_index("tiles", "models/mine", "new")
    index.search(BAD)
    rsretrieve.audit_labels("tiles", "models/mine")
    assert capfd.readouterr() == ("", "")


def write_mosaic(path: Path, source: Path) -> None:
    """A file without pixels, which names another that has them."""
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>{band}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
        for band in range(1, 7)
    )
    path.write_text(f'<VRTDataset rasterXSize="32" rasterYSize="32">{bands}</VRTDataset>')


@pytest.mark.medium
def test_what_a_list_names_is_trusted_no_more_than_by_the_command(workplace):
    write_mosaic(Path("mosaic.vrt"), Path("tiles", BAD).resolve())
    Path("list.csv").write_text(f"tile,path\na,mosaic.vrt\nb,tiles/{BAD}\n")
    said = run_here("index", "list.csv", "--model", "models/mine", "--output", "by_command")
    with pytest.warns(rsretrieve.RsretrieveWarning, match="1 tile could not be used"):
        index = rsretrieve.build_index("list.csv", "models/mine", "by_us")
    assert said.code == 3
    assert index.failures[0].reason in said.err
    trusted = rsretrieve.open_tiles("list.csv", trust_sources=True)
    assert len(rsretrieve.build_index(trusted, "models/mine", "whole")) == 2


@pytest.mark.medium
def test_what_a_query_names_is_trusted_as_by_the_command(workplace):
    write_mosaic(Path("mosaic.vrt"), Path("tiles", BAD).resolve())
    hits = rsretrieve.open_index("index").search("mosaic.vrt", k=1)
    assert hits[0].tile == BAD
