"""`rsretrieve change`: two indexes, two dates of one, its files, and what it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from PIL import Image

from rsretrieve.data.dates.acquisition_time import AcquisitionTime, DateSource
from rsretrieve.data.dates.periods import Period
from rsretrieve.index.store.folder import IndexContent, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from tests.support.indexes.scene_indexes import FACTS, grid, rows_of_scene
from tests.support.indexes.vectors import clustered_rows
from tests.support.tiles.made_tiles import UTM

COLUMNS, ROWS = 12, 10
CHANGED = (3, 40, 77)


def write(folder: Path, rows: list[IndexedTile], vectors: np.ndarray, **facts: object) -> Path:
    facts = {**FACTS, "model_fingerprint": "m" * 64, **facts}
    content = IndexContent(rows, vectors.astype(np.float32), facts)
    write_index_folder(folder, content, VectorIndex.build(content.vectors, "Flat"), overwrite=False)
    return folder


def two_vectors() -> tuple[np.ndarray, np.ndarray]:
    """The same vectors twice, moved, and some of them exchanged."""
    one = clustered_rows(COLUMNS * ROWS, 8, 5, seed=0)
    other = one + 0.2 * np.eye(8)[0]
    other[[*CHANGED]] = -one[[*CHANGED]]
    return one, (other / np.linalg.norm(other, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def dates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two indexes of 120 windows; three of them changed."""
    folder = tmp_path_factory.mktemp("dates")
    windows = grid(COLUMNS, ROWS, 32, 32)
    one, other = two_vectors()
    early = write(folder / "early", rows_of_scene("/2020.tif", windows, **UTM), one)
    late = write(folder / "late", rows_of_scene("/2024.tif", windows, **UTM), other)
    return early, late


def in_year(tile: IndexedTile, year: int) -> IndexedTile:
    instant = int(datetime(year, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return replace(tile, taken=AcquisitionTime(Period(instant, instant), DateSource.GIVEN))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One index of the windows of 2020 and 2024, and one of 2022."""
    folder = tmp_path_factory.mktemp("both")
    windows = grid(COLUMNS, ROWS, 32, 32)
    rows = [
        in_year(row, year)
        for year in (2020, 2024)
        for row in rows_of_scene(f"/{year}.tif", windows, **UTM)
    ]
    one, other = two_vectors()
    return write(folder / "index", rows, np.concatenate((one, other)))


def changed_ids(store: Path) -> set[str]:
    from rsretrieve.index.store.folder import open_index

    rows = open_index(store).rows
    return {rows[i].id for i in CHANGED}


def test_the_places_that_changed_come_first(run, dates):
    ran = run("change", *dates, "-k", 3, "--json")
    assert ran.code == 0, ran.err
    found = ran.json
    assert {*found} == {
        *("before", "after", "model_fingerprint", "places", "alone_before", "alone_after"),
        *("matched_by_name", "shift", "changes"),
    }
    assert (found["places"], found["alone_before"], found["alone_after"]) == (120, 0, 0)
    assert {each["tile"] for each in found["changes"]} == changed_ids(dates[1])
    assert found["shift"] > 0.1
    assert all(each["deviation"] > 3 for each in found["changes"])
    assert ran.err == ""


def test_two_dates_of_one_index_are_compared(run, both):
    ran = run("change", both, "--before", "2020", "--after", "2023/2024", "-k", 3, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["places"] == 120
    assert all(each["tile"].startswith("2024.tif") for each in ran.json["changes"])
    assert all(each["before_datetime"].startswith("2020") for each in ran.json["changes"])
    again = run("change", both, both, "--before", "2020", "--after", "2024", "-k", 3, "--json")
    assert again.json["changes"] == ran.json["changes"]


def test_every_file_has_all_places(run, dates, tmp_path):
    files = {n: tmp_path / n for n in ("o.csv", "g.geojson", "g.parquet", "m.tif", "s.png")}
    options = ("--output", "--geojson", "--geoparquet", "--geotiff", "--sheet")
    given = [part for pair in zip(options, files.values()) for part in pair]
    ran = run("change", *dates, *given, "-k", 4)
    assert ran.code == 0, ran.err
    with files["o.csv"].open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["rank"]) for row in rows] == [*range(1, 121)]
    changes = [float(row["change"]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert len(json.loads(files["g.geojson"].read_text())["features"]) == 120
    assert geopandas.read_parquet(files["g.parquet"]).geometry.notna().all()
    with Image.open(files["s.png"]) as picture:
        assert picture.width > 6 * 128
    with rasterio.open(files["m.tif"]) as dataset:
        values = dataset.read(1)
        assert (dataset.crs.to_string(), values.shape) == ("EPSG:32618", (ROWS, COLUMNS))
        assert dataset.descriptions == ("change",)
        for row in rows:
            value = values[dataset.index(*centre_of(row, dates[1]))]
            assert value == pytest.approx(float(row["change"]), abs=1e-5)


def centre_of(row: dict[str, str], store: Path) -> tuple[float, float]:
    from rsretrieve.index.store.columns import find_rows
    from rsretrieve.index.store.folder import open_index

    rows = open_index(store).rows
    left, bottom, right, top = rows[int(find_rows(rows, "id", row["tile"])[0])].place.bounds
    return (left + right) / 2, (bottom + top) / 2


def test_the_scenes_of_the_later_date_get_a_map(run, both, tmp_path):
    dated = "--before", "2020", "--after", "2024"
    for target in ("m.tif", "maps"):
        ran = run("change", both, *dated, "--geotiff", tmp_path / target)
        assert ran.code == 0, ran.err
    names = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert names == ["1_2024.tif", "maps.csv"]
    for path in (tmp_path / "m.tif", tmp_path / "maps" / "1_2024.tif"):
        with rasterio.open(path) as dataset:
            assert np.isfinite(dataset.read(1)).all()


def test_places_without_a_counterpart_are_counted(run, dates, tmp_path):
    windows = grid(COLUMNS, ROWS, 32, 32)[:100]
    rows = rows_of_scene("/2024.tif", windows, **UTM)
    part = write(tmp_path / "part", rows, two_vectors()[1][:100])
    ran = run("change", dates[0], part, "--json", "--geotiff", tmp_path / "m.tif")
    assert (ran.json["places"], ran.json["alone_before"], ran.json["alone_after"]) == (100, 20, 0)
    assert "20 tiles" in ran.err
    assert "counterpart" in ran.err


def test_few_places_are_noticed(run, dates, tmp_path):
    windows = grid(COLUMNS, ROWS, 32, 32)[:5]
    rows = rows_of_scene("/2024.tif", windows, **UTM)
    part = write(tmp_path / "part", rows, two_vectors()[1][:5])
    assert "only 5 places" in run("change", dates[0], part).err


def test_another_model_is_refused(run, dates, tmp_path):
    rows = rows_of_scene("/2024.tif", grid(COLUMNS, ROWS, 32, 32), **UTM)
    other = write(tmp_path / "other", rows, two_vectors()[1], model_fingerprint="n" * 64)
    ran = run("change", dates[0], other)
    assert (ran.code, "cannot be compared" in ran.err) == (1, True)


REFUSED = [  # which index, options, the exit code, words of the message
    ("both", [], 2, "itself"),
    ("both", ["--before", "2020"], 2, "itself"),
    ("both", ["--before", "2020/2024", "--after", "2024"], 2, "overlap"),
    ("both", ["--before", "2019", "--after", "2024"], 1, "2019"),
    ("both", ["--before", "yesterday", "--after", "2024"], 2, "yesterday"),
    ("early", ["--before", "2019", "--after", "2024"], 1, "date"),
]


@pytest.mark.parametrize(("which", "options", "code", "words"), REFUSED)
def test_what_cannot_be_compared_is_refused(run, dates, both, which, options, code, words):
    ran = run("change", both if which == "both" else dates[0], *options)
    assert (ran.code, words in ran.err) == (code, True), ran.err


def test_three_indexes_are_refused(run, dates):
    ran = run("change", *dates, dates[0])
    assert (ran.code, "two dates" in ran.err) == (2, True)


def test_places_elsewhere_are_refused(run, dates, tmp_path):
    rows = rows_of_scene("/far.tif", grid(COLUMNS, ROWS, 32, 32, start=2000), **UTM)
    far = write(tmp_path / "far", rows, two_vectors()[1])
    ran = run("change", dates[0], far)
    assert (ran.code, "counterpart" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--output", "{early}/x.csv"], 1, "index folder"),
        (["--output", "{d}/x.csv", "--geojson", "{d}/x.csv"], 2, "same file"),
        (["--geotiff", "{d}/x.png"], 2, "GeoTIFF"),
        (["--output", "{d}/there.csv"], 1, "--overwrite"),
    ],
)
def test_outputs_are_checked_first(run, dates, tmp_path, options, code, words):
    (tmp_path / "there.csv").write_text("mine")
    given = [option.format(d=tmp_path, early=dates[0]) for option in options]
    ran = run("change", *dates, *given)
    assert (ran.code, words in ran.err) == (code, True), ran.err
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_the_seed_and_the_summary(run, dates):
    ran = run("change", *dates, "--seed", 3)
    assert ran.code == 0, ran.err
    assert "compared 120 places" in ran.out
    assert run("change", *dates, "--seed", 3, "--quiet").out == ran.out
