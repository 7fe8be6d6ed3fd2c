"""Dates of lists and STAC items, in every form in which people write them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.discovery.tile_list import write_list
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.windowing import SceneChoices, WindowChoices
from rsretrieve.errors import TableError
from rsretrieve.index.external.embeddings_file import read_embeddings
from tests.support.tiles.made_tiles import noise, save_picture, save_raster, save_table

NOON = datetime(2020, 6, 30, 12, tzinfo=UTC)
NAMES = [f"{i}.png" for i in range(3)]


def texts(tiles: Any) -> list[str | None]:
    return [tile.taken and tile.taken.period.text for tile in tiles]


def parquet_list(path: Path, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table({"tile": NAMES, **columns}), path)
    return path


def test_a_csv_gives_dates_and_what_is_no_date_is_counted(tmp_path: Path) -> None:
    cells = ["2020-06-30", "2020-06-30T14:00:00+02:00", "", "June 2020", "2020/2021", "NaT", "2020"]
    rows = [(f"{i}.png", cell) for i, cell in enumerate(cells)]
    tiles = find_tiles(save_table(tmp_path / "list.csv", ("tile", "datetime"), *rows))
    assert texts(tiles) == [
        *("2020-06-30", "2020-06-30T12:00:00Z", None, None),
        *("2020-01-01T00:00:00Z/2021-12-31T23:59:59.999999Z", None),
        "2020-01-01T00:00:00Z/2020-12-31T23:59:59.999999Z",
    ]
    [said] = [text for text in tiles.notices if "dates" in text]
    assert "1 dates cannot be read" in said
    assert "line 5: 'June 2020'" in said


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pyarrow.timestamp("s"), "2020-06-30T12:00:00Z"),
        (pyarrow.timestamp("ms", "UTC"), "2020-06-30T12:00:00Z"),
        (pyarrow.timestamp("us", "Europe/Vienna"), "2020-06-30T12:00:00Z"),
        (pyarrow.timestamp("ns", "+05:30"), "2020-06-30T12:00:00Z"),
        (pyarrow.timestamp("ns", "Nowhere/Atlantis"), "2020-06-30T12:00:00Z"),
        (pyarrow.date32(), "2020-06-30"),
        (pyarrow.date64(), "2020-06-30"),
        (pyarrow.string(), "2020-06-30"),
        (pyarrow.dictionary(pyarrow.int8(), pyarrow.string()), "2020-06-30"),
    ],
    ids=str,
)
def test_every_type_of_parquet_column_gives_the_same_instant(
    tmp_path: Path, kind: pyarrow.DataType, expected: str
) -> None:
    if pyarrow.types.is_timestamp(kind):
        numbers = pyarrow.array([NOON, None, NOON], pyarrow.timestamp("us", "UTC"))
        column = numbers.cast(pyarrow.timestamp(kind.unit, "UTC")).cast(pyarrow.int64()).cast(kind)
    elif pyarrow.types.is_date(kind):
        column = pyarrow.array([NOON.date(), None, NOON.date()], kind)
    else:
        column = pyarrow.array(["2020-06-30", None, "2020-06-30"]).cast(kind)
    tiles = find_tiles(parquet_list(tmp_path / "list.parquet", datetime=column))
    assert texts(tiles) == [expected, None, expected]


def test_nanoseconds_are_cut_to_microseconds(tmp_path: Path) -> None:
    column = pyarrow.array([1_500, None, -1], pyarrow.timestamp("ns"))
    tiles = find_tiles(parquet_list(tmp_path / "list.parquet", datetime=column))
    assert texts(tiles)[:2] == ["1970-01-01T00:00:00.000001Z", None]


def test_start_and_end_count_where_there_is_no_datetime(tmp_path: Path) -> None:
    columns = ("tile", "datetime", "start_datetime", "end_datetime")
    rows = [
        ("a.png", "", "2020-01-01", "2020-02-01"),
        ("b.png", "2020-06-30", "2020-01-01", "2020-02-01"),
        ("c.png", "2020-06-30T00:00Z", "", "2020-07-01T00:00Z"),
        ("d.png", "", "2020-02-01", "2020-01-01"),
        ("e.png", "", "2020-02-01", ""),
    ]
    tiles = find_tiles(save_table(tmp_path / "list.csv", columns, *rows))
    assert texts(tiles) == [
        *("2020-01-01T00:00:00Z/2020-02-01T23:59:59.999999Z", "2020-06-30"),
        *("2020-06-30T00:00:00Z/2020-07-01T00:00:00Z", None, None),
    ]
    assert any("2 dates cannot be read" in text for text in tiles.notices)


def test_two_dates_of_one_tile_are_refused(tmp_path: Path) -> None:
    rows = [("a.png", "2020"), ("a.png", "2021")]
    with pytest.raises(TableError, match="again, with another date"):
        find_tiles(save_table(tmp_path / "list.csv", ("tile", "datetime"), *rows))


def test_a_written_list_keeps_the_dates(tmp_path: Path) -> None:
    cells = ["2020-06-30", "2020-06-30T14:00:00.25+02:00", "", "2019/2020-02"]
    rows = [(f"{i}.png", cell) for i, cell in enumerate(cells)]
    tiles = find_tiles(save_table(tmp_path / "list.csv", ("tile", "datetime"), *rows))
    write_list(tmp_path / "again.csv", tiles, overwrite=False)
    assert [t.taken for t in find_tiles(tmp_path / "again.csv")] == [t.taken for t in tiles]
    write_list(tmp_path / "none.csv", tiles.select([2]), overwrite=False)
    assert "datetime" not in (tmp_path / "none.csv").read_text()


def test_items_give_their_datetime_or_their_period(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", noise((3, 16, 16)))
    period = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-31T00:00:00Z"}
    told = [
        {"datetime": "2020-06-30T14:00:00+02:00"},
        {"datetime": None, **period},
        {"datetime": "2020-06-30T12:00:00Z", **period},
        {"datetime": None, "start_datetime": "2020-02-01T00:00:00Z", "end_datetime": "2019"},
    ]
    features = [
        {
            **{"type": "Feature", "stac_version": "1.0.0", "id": str(i), "geometry": None},
            **{"properties": properties, "links": []},
            "assets": {"data": {"href": "a.png", "type": "image/png"}},
        }
        for i, properties in enumerate(told)
    ]
    collection = {"type": "FeatureCollection", "features": features}
    (tmp_path / "items.json").write_text(json.dumps(collection))
    tiles = find_tiles(tmp_path / "items.json", scenes=SceneChoices(), context=RunContext())
    found = dict(zip([tile.id.split("/")[1] for tile in tiles], texts(tiles)))
    assert found["0"] == found["2"] == "2020-06-30T12:00:00Z"
    assert found["1"] == "2020-01-01T00:00:00Z/2020-01-31T00:00:00Z"
    assert found.get("3") is None


def test_tables_of_embeddings_give_dates_too(tmp_path: Path) -> None:
    columns = {
        "id": NAMES,
        "embedding": np.eye(3, 4, dtype=np.float32).tolist(),
        "datetime": pyarrow.array([NOON, None, NOON], pyarrow.timestamp("ms", "Asia/Tokyo")),
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet")
    content = read_embeddings(tmp_path / "e.parquet", None, RunContext())
    assert texts(content.rows) == ["2020-06-30T12:00:00Z", None, "2020-06-30T12:00:00Z"]
    listing = find_tiles(
        parquet_list(tmp_path / "list.parquet", datetime=pyarrow.array([date(2020, 6, 30)] * 3))
    )
    np.save(tmp_path / "e.npy", np.eye(3, 4, dtype=np.float32))
    content = read_embeddings(tmp_path / "e.npy", listing, RunContext())
    assert texts(content.rows) == ["2020-06-30"] * 3


@pytest.mark.medium
def test_windows_and_stacks_have_the_dates_of_their_list(tmp_path: Path) -> None:
    save_raster(tmp_path / "a.tif", noise((3, 32, 32)))
    listing = save_table(tmp_path / "l.csv", ("tile", "datetime"), ("a.tif", "2020-06-30"))
    windows = find_tiles(listing, scenes=SceneChoices(WindowChoices(16)))
    assert texts(windows) == ["2020-06-30"] * 4
    names = [f"S2A_MSIL2A_20200630_B0{band}.tif" for band in (2, 3)]
    for name in names:
        save_raster(tmp_path / name, noise((1, 32, 32)))
    rows = zip(names, ("2020-06-30T10:00Z", "2020-06-30T10:05Z"))
    listing = save_table(tmp_path / "bands.csv", ("tile", "datetime"), *rows)
    [stack] = find_tiles(listing, scenes=SceneChoices(stack=("B02", "B03")))
    assert texts([stack]) == ["2020-06-30T10:00:00Z/2020-06-30T10:05:00Z"]
