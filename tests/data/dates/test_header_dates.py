"""The dates of headers, written by rasterio and Pillow and read as tiles are."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from rsretrieve.data.dates.acquisition_time import AcquisitionTime, received_time, time_over
from rsretrieve.data.dates.header_dates import time_of_tiff_tag
from rsretrieve.data.dates.periods import Period, period_of
from rsretrieve.data.loading.batches import stream_batches
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile
from rsretrieve.data.window import Window
from tests.support.tiles.made_tiles import noise, preprocessing, save_raster, tiles_at

WRITTEN = "2021:05:06 10:11:12"


def dated(path: Path, domain: str | None = None, **tags: str) -> Path:
    save_raster(path, noise((3, 16, 16)))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns=domain, **tags)
    return path


def taken(*paths: Path) -> list[tuple[str, str] | None]:
    tiles = tiles_at(*paths)
    [batch] = stream_batches(tiles, preprocessing(), 9, RunContext(strict=True))
    times = [tile.taken for tile in batch.tiles]
    return [time and (time.period.text, time.source.value) for time in times]


@pytest.mark.medium
def test_the_metadata_come_before_the_tag_and_what_is_no_date_counts_as_none(
    tmp_path: Path,
) -> None:
    acquired = {"ACQUISITIONDATETIME": "2020-05-06 10:11:12"}
    files = [
        dated(tmp_path / "none.tif"),
        dated(tmp_path / "tag.tif", TIFFTAG_DATETIME=WRITTEN),
        dated(tmp_path / "plain.tif", TIFFTAG_DATETIME=WRITTEN, **acquired),
        dated(tmp_path / "imagery.tif", "IMAGERY", **acquired),
        dated(tmp_path / "wrong.tif", ACQUISITIONDATETIME="spring", TIFFTAG_DATETIME=WRITTEN),
        dated(tmp_path / "zero.tif", TIFFTAG_DATETIME="0000:00:00 00:00:00"),
    ]
    by_tag = ("2021-05-06T10:11:12Z", "tiff-tag")
    by_metadata = ("2020-05-06T10:11:12Z", "metadata")
    assert taken(*files) == [None, by_tag, by_metadata, by_metadata, by_tag, None]


@pytest.mark.medium
def test_pillow_and_gdal_find_the_same_tag(tmp_path: Path) -> None:
    picture = Image.fromarray(np.ascontiguousarray(noise((16, 16, 3))))
    plain, by_gdal = tmp_path / "plain.tif", tmp_path / "gdal.tif"
    picture.save(plain, tiffinfo={306: WRITTEN})
    picture.save(by_gdal, tiffinfo={306: WRITTEN, 42113: "7"})  # nodata: Pillow does not read it
    picture.save(tmp_path / "odd.tif", tiffinfo={306: "in May"})
    assert taken(plain, by_gdal, tmp_path / "odd.tif") == [
        *[("2021-05-06T10:11:12Z", "tiff-tag")] * 2,
        None,
    ]


def test_windows_and_stacks_have_the_dates_of_their_files(tmp_path: Path) -> None:
    one = dated(tmp_path / "one.tif", TIFFTAG_DATETIME=WRITTEN)
    other = dated(tmp_path / "other.tif", ACQUISITIONDATETIME="2021-05-08")
    from rsretrieve._core.paths import stack_path
    from rsretrieve.data.reading.pillow_reader import read_raw

    window = read_raw(Tile("w", str(one), window=Window(0, 0, 8, 8)))
    assert window.taken is not None
    assert window.taken.period == period_of("2021-05-06T10:11:12Z")
    stack = read_raw(Tile("s", stack_path([str(one), str(other)])))
    assert stack.taken is not None
    assert stack.taken.source == "tiff-tag"
    assert stack.taken.period.text == "2021-05-06T10:11:12Z/2021-05-08T23:59:59.999999Z"


@pytest.mark.parametrize(
    "text",
    [None, 7, b"2020:06:30 10:15:00", "2020-06-30 10:15:00", "2020:06:30", "2020:13:01 1:1:1"],
)
def test_a_tag_of_another_form_is_no_date(text: object) -> None:
    assert time_of_tiff_tag(text) is None


def test_no_files_have_no_date() -> None:
    assert time_over([]) is None


def test_what_a_worker_sends_is_a_date_or_refused() -> None:
    time = AcquisitionTime(period_of("2020"))
    assert pickle.loads(pickle.dumps(time)) == time
    for ends in ((1, 0), ("1", "2"), (0.5, 1), (-(10**30), 0), (0, 10**30), (True, 2)):
        with pytest.raises(pickle.UnpicklingError):
            received_time(*ends, "given")  # type: ignore[arg-type]
    with pytest.raises(pickle.UnpicklingError):
        received_time(0, 1, "rumour")
    assert received_time(0, 1, "given") == AcquisitionTime(Period(0, 1))
