"""Searches by date from Python."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

import rsretrieve
from rsretrieve import RsretrieveError, RsretrieveWarning

pytestmark = pytest.mark.medium
DAYS = [date(2020, 1, 1), date(2020, 6, 30), date(2020, 12, 31), None]


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> rsretrieve.Index:
    folder = tmp_path_factory.mktemp("dated")
    vectors = [[1.0, i / 10] for i in range(4)]
    table = pyarrow.table({"id": list("abcd"), "datetime": DAYS, "embedding": vectors})
    parquet.write_table(table, folder / "e.parquet")
    return rsretrieve.build_index_from_embeddings(folder / "e.parquet", folder / "index")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ("2020-06", "b"),
        ("2020-06/..", "bc"),
        (date(2020, 12, 31), "c"),
        (datetime(2020, 6, 30, 12, tzinfo=UTC), "b"),
        ((None, date(2020, 6, 30)), "ab"),
        (["2020-01-02", datetime(2020, 12, 31)], "bc"),
    ],
    ids=str,
)
def test_hits_lie_in_the_interval_and_say_when(
    dated: rsretrieve.Index, interval: Any, expected: str
) -> None:
    with pytest.warns(RsretrieveWarning, match="1 of 4 tiles of the index have no date"):
        hits = dated.search(np.array([1.0, 0.0]), datetime=interval)
    assert sorted(hit.tile for hit in hits) == list(expected)
    for hit in hits:
        day = DAYS["abcd".index(hit.tile)]
        assert day is not None
        assert hit.taken is not None
        first, last = hit.taken
        assert first == datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert (last - first).total_seconds() == pytest.approx(86_400)


def test_a_tile_without_a_date_has_none(dated: rsretrieve.Index) -> None:
    assert {hit.tile: hit.taken for hit in dated.search(np.array([1.0, 0.0]))}["d"] is None


@pytest.mark.parametrize(
    "interval", ["soon", 2020, ("2021", "2020"), (None, None), "../.."], ids=str
)
def test_what_is_no_interval_is_refused(dated: rsretrieve.Index, interval: Any) -> None:
    with pytest.raises(RsretrieveError) as refused:
        dated.search(np.array([1.0, 0.0]), datetime=interval)
    assert isinstance(refused.value, ValueError)


def test_a_list_that_is_opened_has_its_dates(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("tile,datetime\na.png,2020-06-30\nb.png,\n")
    tiles = rsretrieve.open_tiles(tmp_path / "list.csv")
    assert [tile.taken and tile.taken.period.text for tile in tiles] == ["2020-06-30", None]
