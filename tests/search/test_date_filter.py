"""Filters by date against plain loops, and updates that change dates."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
import pyarrow
import pytest
import rasterio
from pyarrow import parquet

from rsretrieve.data.dates.acquisition_time import AcquisitionTime, DateSource
from rsretrieve.data.dates.periods import DateInterval, Period, period_of
from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import TileSet
from rsretrieve.errors import IndexDamaged, InputError
from rsretrieve.export.geoparquet import write_embeddings
from rsretrieve.index.build import index_tiles
from rsretrieve.index.external.embeddings_file import read_embeddings
from rsretrieve.index.journal import Journal
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile, TileTable, read_table, write_table
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.network.model import Model
from rsretrieve.progress import Event, Noticed
from rsretrieve.search.date_filter import date_notices, taken_within
from rsretrieve.search.filters import Filters, passing_rows
from rsretrieve.search.query import QueryRequest
from rsretrieve.search.search import SearchContext, run_queries
from tests.support.tiles.made_tiles import save_table

COUNT, DIMENSIONS = 300, 8
FIRST = datetime(2018, 1, 1, tzinfo=UTC)


def dates(seed: int = 0) -> list[tuple[datetime, datetime] | None]:
    """Instants, days and longer periods of three years; a fifth has none."""
    rng = np.random.default_rng(seed)
    found: list[tuple[datetime, datetime] | None] = []
    for _ in range(COUNT):
        start = FIRST + timedelta(minutes=int(rng.integers(3 * 365 * 24 * 60)))
        length = [timedelta(0), timedelta(days=1), timedelta(days=90)][int(rng.integers(3))]
        found.append(None if rng.random() < 0.2 else (start, start + length))
    return found


def microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def row(number: int, ends: tuple[datetime, datetime] | None) -> IndexedTile:
    taken = None
    if ends is not None:
        taken = AcquisitionTime(Period(*map(microseconds, ends)), [*DateSource][number % 3])
    return IndexedTile(f"t{number}", f"/t{number}", "ab"[number % 2], 1, 1, None, taken=taken)


@pytest.fixture
def store(tmp_path: Path) -> IndexStore:
    vectors = np.random.default_rng(1).normal(size=(COUNT, DIMENSIONS)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [row(i, ends) for i, ends in enumerate(dates())]
    facts = {"model": "", "model_fingerprint": "", "faiss_key": "Flat", "recall_at_10": 1.0}
    index = VectorIndex.build(vectors, "Flat")
    content = IndexContent(rows, vectors, facts)
    write_index_folder(tmp_path / "dated", content, index, overwrite=False)
    return open_index(tmp_path / "dated")


def searched(store: IndexStore, filters: Filters, k: int) -> tuple[list[str], list[str]]:
    said: list[str] = []

    def listen(event: Event) -> None:
        said.extend([event.text] if isinstance(event, Noticed) else [])

    context = SearchContext(lambda _: pytest.fail("no model"), RunContext(listener=listen))
    [result] = run_queries(store, QueryRequest(tiles=("t0",), k=k, filters=filters), context)
    return [hit.found.id for hit in result.hits], said


def test_any_interval_gives_what_a_plain_loop_gives(store: IndexStore) -> None:
    rng, known = np.random.default_rng(2), dates()
    similarities = [float(np.dot(store.vectors[0].astype(float), v)) for v in store.vectors]
    ranked = sorted(range(COUNT), key=lambda i: (-similarities[i], i))
    undated = sum(ends is None for ends in known)
    by_tag = sum(ends is not None and i % 3 == 2 for i, ends in enumerate(known))
    sizes = set()
    for _ in range(60):
        start = FIRST + timedelta(hours=int(rng.integers(-500, 3 * 365 * 24)))
        end = start + timedelta(hours=int(rng.choice([0, 24, 2000, 20_000])))
        first = None if rng.random() < 0.2 else start
        last = end if first is None or rng.random() < 0.8 else None
        interval = DateInterval(
            *(None if one is None else microseconds(one) for one in (first, last))
        )
        expected = [
            i
            for i in ranked
            if (ends := known[i]) is not None
            and (last is None or ends[0] <= last)
            and (first is None or ends[1] >= first)
        ]
        k = int(rng.choice([1, 10, COUNT]))
        found, said = searched(store, Filters(taken=interval), k)
        assert found == [f"t{i}" for i in expected[:k]]
        assert f"{undated} of {COUNT} tiles of the index have no date and are left out" in said
        assert any(
            f"the dates of {by_tag} of {COUNT} tiles come from the TIFF tag" in t for t in said
        )
        both = [i for i in expected if i % 2 == 0][:k]
        labelled = Filters(taken=interval, labels=("a",))
        assert searched(store, labelled, k)[0] == [f"t{i}" for i in both]
        sizes.add(len(expected))
    assert len(sizes) > 10


def test_both_ends_belong_to_the_interval() -> None:
    day = period_of("2020-06-30")
    table = TileTable.of([replace(row(0, None), taken=AcquisitionTime(day))])
    for first, last, inside in (
        (day.end_us, None, True),
        (day.end_us + 1, None, False),
        (None, day.start_us, True),
        (None, day.start_us - 1, False),
        (day.start_us + 5, day.start_us + 5, True),
    ):
        assert taken_within(table, DateInterval(first, last)).tolist() == [inside]


def test_an_index_without_dates_is_refused() -> None:
    table = TileTable.of([row(0, None)])
    assert len(date_notices(table)) == 1
    with pytest.raises(InputError, match="no tile of the index has a date") as refused:
        passing_rows(table, Filters(taken=DateInterval(0, None)))
    assert "--update" in refused.value.hint


def test_dates_are_stored_journalled_and_exported(store: IndexStore, tmp_path: Path) -> None:
    rows = [row(i, ends) for i, ends in enumerate(dates())]
    assert list(store.rows) == rows
    journal = Journal(tmp_path / "j", "f", DIMENSIONS)
    journal.append(rows[:5], store.vectors[:5])
    assert journal.read().rows == rows[:5]
    write_embeddings(tmp_path / "e.parquet", store, overwrite=False)
    exported = parquet.read_table(tmp_path / "e.parquet")
    assert exported.schema.field("datetime").type == pyarrow.timestamp("us", "UTC")
    collection = json.loads(exported.schema.metadata[b"emb"])
    [[first, last]] = collection["extent"]["temporal"]["interval"]
    known = [ends for ends in dates() if ends is not None]
    assert datetime.fromisoformat(first) == min(ends[0] for ends in known)
    assert datetime.fromisoformat(last) == max(ends[1] for ends in known)
    again = read_embeddings(tmp_path / "e.parquet", None, RunContext()).rows
    ends = {tile.id: tile.taken and tile.taken.period for tile in again}
    assert ends == {tile.id: tile.taken and tile.taken.period for tile in rows}


def test_a_table_without_dates_has_no_such_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", [row(0, None)])
    assert not {"datetime", "end_datetime", "datetime_source"} & {
        *parquet.read_schema(tmp_path / "t.parquet").names
    }


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("end_datetime", pyarrow.array([-1], pyarrow.timestamp("us", "UTC"))),
        ("datetime", pyarrow.array([1 << 62], pyarrow.timestamp("us", "UTC"))),
        ("datetime_source", pyarrow.array(["rumour"])),
    ],
)
def test_dates_that_rsretrieve_does_not_write_are_refused(
    tmp_path: Path, column: str, value: pyarrow.Array
) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, [replace(row(0, None), taken=AcquisitionTime(Period(0, 1)))])
    table = parquet.read_table(path)
    table = table.set_column(table.schema.get_field_index(column), column, value)
    parquet.write_table(table, path)
    with pytest.raises(IndexDamaged, match=r"cannot be read"):
        read_table(path)


@pytest.fixture
def dated_tiles(tiles: TileSet, tmp_path: Path) -> Path:
    """Three tiles as files; the first has a date in its header."""
    paths = []
    for tile in tiles.tiles[:3]:
        path = tmp_path / "files" / Path(tile.path).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(tile.path).read_bytes())
        paths.append(path)
    with rasterio.open(paths[0], "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2021:05:06 10:11:12")
    return tmp_path / "files"


def listed(folder: Path, *cells: str) -> TileSet:
    names = sorted(path.name for path in folder.glob("*.tif"))
    columns = ("tile", "datetime")[: 1 + bool(cells)]
    rows = [(name, *cells[i : i + 1]) for i, name in enumerate(names)]
    return find_tiles(save_table(folder / "list.csv", columns, *rows))


def by_name(folder: Path) -> dict[str, tuple[str, str] | None]:
    rows = open_index(folder).rows
    return {r.id: r.taken and (r.taken.period.text, r.taken.source.value) for r in rows}


def test_an_update_takes_the_dates_of_today_and_embeds_nothing_for_that(
    model: Model, dated_tiles: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    index_tiles(model, listed(dated_tiles, "2020-01-01", "2020-01-02", ""), index, RunContext())
    header = ("2021-05-06T10:11:12Z", "tiff-tag")
    names = sorted(by_name(index))
    with rasterio.open(dated_tiles / names[0]) as dataset:
        has_tag = "TIFFTAG_DATETIME" in dataset.tags()
    given = [("2020-01-01", "given"), ("2020-01-02", "given"), None]
    expected = [*given[:2], None if has_tag else header]
    assert [by_name(index)[name] for name in names] == expected
    later = listed(dated_tiles, "2022", "2020-01-02", "2020-01-03")
    summary = index_tiles(model, later, index, RunContext(), update=True)
    assert (summary.unchanged, summary.added) == (3, 0)
    assert by_name(index)[names[2]] == ("2020-01-03", "given")
    summary = index_tiles(model, listed(dated_tiles), index, RunContext(), update=True)
    assert (summary.unchanged, summary.added) == (3, 0)
    found = [value for value in by_name(index).values() if value is not None]
    assert found == [header]


def test_dates_are_read_where_the_system_knows_no_time_zone(
    store: IndexStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr("zoneinfo.ZoneInfo", unknown)
    monkeypatch.setitem(sys.modules, "pytz", None)
    ends = [row.taken and (row.taken.period.start, row.taken.period.end) for row in store.rows]
    assert ends == dates()
    assert store.rows[1] == list(store.rows)[1]
