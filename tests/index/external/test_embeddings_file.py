"""Embeddings made elsewhere: Parquet and .npy, their ids, footprints and provenance."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow
import pytest
from pyarrow import csv, parquet
from shapely.geometry import MultiPoint, Point, Polygon, box

from rsretrieve.data.discovery.find_tiles import find_tiles
from rsretrieve.data.embedding_rasters.quantization import PLAIN_NOTICE
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import InputError, NoUsableTiles, TableError, TileError
from rsretrieve.export.geoparquet import write_embeddings
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.external import embedding_tables, mapped_rows, stored_vectors
from rsretrieve.index.external.choices import EmbeddingChoices
from rsretrieve.index.external.embeddings_file import read_changes, read_embeddings
from rsretrieve.index.store.folder import IndexContent, IndexStore, open_index, write_index_folder
from rsretrieve.index.store.tile_table import IndexedTile
from rsretrieve.index.vectors.vector_index import VectorIndex
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.progress import Noticed
from tests.support.indexes.vectors import unit_rows


def read(
    path: Path, listing: TileSet | None = None, context: RunContext | None = None
) -> IndexContent:
    return read_embeddings(path, listing, context or RunContext())


def saved(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


# .npy


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8])
def test_rows_are_numbered_and_brought_to_unit_length(tmp_path: Path, kind: type) -> None:
    array = (unit_rows(5, 4, 0) * 50).astype(kind)
    content = read(saved(tmp_path / "v.npy", array))
    assert [row.id for row in content.rows] == ["0", "1", "2", "3", "4"]
    expected = array / np.linalg.norm(array.astype(float), axis=1, keepdims=True)
    assert content.vectors.dtype == np.float32
    assert content.vectors == pytest.approx(expected, abs=1e-5)
    assert content.rows[3] == IndexedTile("3", "", None, -1, 0, None)


def test_unit_rows_stay_in_their_file(tmp_path: Path) -> None:
    content = read(saved(tmp_path / "v.npy", unit_rows(5, 4, 0)))
    assert isinstance(content.vectors, np.memmap)


def test_a_list_names_the_rows(tmp_path: Path) -> None:
    tiles = TileSet("list.csv", (Tile("b", "/b.tif", "x"), Tile("a", "/a.tif")))
    content = read(saved(tmp_path / "v.npy", unit_rows(2, 4, 0)), tiles)
    assert [(row.id, row.path, row.label) for row in content.rows] == [
        ("b", "/b.tif", "x"),
        ("a", "/a.tif", None),
    ]
    with pytest.raises(TableError, match=r"v\.npy has 3 rows, but list\.csv has 2 tiles$"):
        read(saved(tmp_path / "v.npy", unit_rows(3, 4, 0)), tiles)


def test_a_list_with_relative_paths_names_files_beside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "list.csv").write_text("tile,path\nb,../tiles/b.png\na.png,\n")
    monkeypatch.chdir(tmp_path)
    content = read(saved(tmp_path / "v.npy", unit_rows(2, 4, 0)), find_tiles("lists/list.csv"))
    monkeypatch.chdir(tmp_path / "lists")  # from where else it is asked later
    assert [(row.id, row.path) for row in content.rows] == [
        ("b", str(tmp_path / "tiles" / "b.png")),
        ("a.png", str(tmp_path / "lists" / "a.png")),
    ]


def test_rows_without_a_direction_are_left_out_and_named(tmp_path: Path) -> None:
    array = unit_rows(5, 4, 0)
    array[1], array[3, 2] = 0, np.inf
    context = RunContext()
    content = read(saved(tmp_path / "v.npy", array), None, context)
    assert [row.id for row in content.rows] == ["0", "2", "4"]
    assert np.array_equal(content.vectors, array[[0, 2, 4]])
    assert [(f.tile_id, f.reason) for f in context.failures] == [
        ("1", "its embedding is zero or missing"),
        ("3", "its embedding is not finite"),
    ]
    with pytest.raises(TileError, match=r"^1: "):
        read(tmp_path / "v.npy", None, RunContext(strict=True))
    with pytest.raises(NoUsableTiles, match=r"none of 2 embeddings can be used$"):
        read(saved(tmp_path / "v.npy", np.zeros((2, 3))))


@pytest.mark.parametrize(
    "array",
    [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2, 2)), np.array([["a"]]), np.zeros((2, 0))],
)
def test_an_array_of_something_else_is_refused(tmp_path: Path, array: Any) -> None:
    with pytest.raises(TableError, match=r"(vectors of|not) numbers$"):
        read(saved(tmp_path / "v.npy", array))


@pytest.mark.parametrize("name", ["none.npy", "bad.npy", "none.parquet", "bad.parquet", "v.txt"])
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str) -> None:
    for bad in ("bad.npy", "bad.parquet", "v.txt"):
        (tmp_path / bad).write_bytes(b"nothing")
    with pytest.raises(TableError):
        read(tmp_path / name)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(TableError, match=r"cannot be read as an array"):
        read(tmp_path / "v.npy")


# Parquet


def table(file: Path, /, **columns: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), file)
    return file


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.list_(pyarrow.float32()),
        pyarrow.list_(pyarrow.float64(), 4),
        pyarrow.large_list(pyarrow.float32()),
        pyarrow.list_(pyarrow.float16()),
    ],
)
def test_any_list_of_numbers_is_a_vector(tmp_path: Path, kind: pyarrow.DataType) -> None:
    vectors = unit_rows(3, 4, 0).astype(np.float16)
    listed = pyarrow.array(
        [list(map(np.float16, v)) for v in vectors], pyarrow.list_(pyarrow.float16())
    )
    path = table(tmp_path / "v.parquet", tile=["a", "b", "c"], anything=listed.cast(kind))
    content = read(path)
    assert [row.id for row in content.rows] == ["a", "b", "c"]
    assert content.vectors == pytest.approx(vectors.astype(np.float32), abs=1e-3)


def test_ids_labels_and_paths_are_taken(tmp_path: Path) -> None:
    vectors = unit_rows(2, 4, 0).tolist()
    path = table(
        tmp_path / "v.parquet", id=[7, 8], embedding=vectors, label=["x", None], path=["/7", None]
    )
    assert list(read(path).rows) == [
        IndexedTile("7", "/7", "x", -1, 0, None),
        IndexedTile("8", "", None, -1, 0, None),
    ]


def test_a_missing_vector_is_a_failure(tmp_path: Path) -> None:
    vectors = [None, *unit_rows(2, 4, 0).tolist()]
    context = RunContext()
    content = read(
        table(tmp_path / "v.parquet", id=["a", "b", "c"], embedding=vectors), None, context
    )
    assert [row.id for row in content.rows] == ["b", "c"]
    assert [failure.tile_id for failure in context.failures] == ["a"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": ["a"], "x": [1]}, "no column of vectors (its columns are: id, x)"),
        ({"id": ["a"], "x": [[1.0]], "y": [[1.0]]}, "several columns may hold the vectors"),
        ({"id": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]}, "not every vector has 1 dimensions"),
        ({"id": ["a", "a"], "embedding": [[1.0], [1.0]]}, "the column 'id' names a tile twice"),
    ],
)
def test_tables_that_are_not_embeddings_are_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError) as caught:
        read(table(tmp_path / "v.parquet", **columns))
    assert message in caught.value.message


def test_a_table_that_names_its_tiles_takes_no_list(tmp_path: Path) -> None:
    path = table(tmp_path / "v.parquet", id=["a"], embedding=[[1.0]])
    with pytest.raises(TableError, match=r"names its own tiles"):
        read(path, TileSet("list.csv", (Tile("a", "/a"),)))


def test_footprints_of_geopandas_are_taken_in_any_crs(tmp_path: Path) -> None:
    degrees = [box(9, 47, 9.1, 47.1), Point(9, 47), None, MultiPoint([(9, 47), (9.1, 47), (9, 48)])]
    frame = geopandas.GeoDataFrame(
        {"id": list("abcd"), "embedding": unit_rows(4, 3, 0).tolist()},
        geometry=degrees,
        crs="EPSG:4326",
    )
    frame.to_parquet(tmp_path / "degrees.parquet")
    frame.to_crs("EPSG:32632").to_parquet(tmp_path / "metres.parquet")
    here, there = (list(read(tmp_path / f"{n}.parquet").rows) for n in ("degrees", "metres"))
    first, point, none, _ = (row.place for row in here)
    assert first is not None
    assert first.crs == "OGC:CRS84"
    assert Polygon(first.footprint).equals(degrees[0])
    assert first.bounds == (9, 47, 9.1, 47.1)
    assert point is not None
    assert (point.footprint, none) == (((9, 47),), None)
    for one, other in zip(here, there):
        if one.place is not None:
            assert other.place is not None
            assert other.place.crs == "EPSG:32632"
            np.testing.assert_allclose(one.place.footprint, other.place.footprint, atol=1e-9)
    assert there[0].place is not None
    np.testing.assert_allclose(
        there[0].place.bounds, frame.to_crs("EPSG:32632").geometry.iloc[0].bounds
    )


# Export, and back


def test_an_export_is_geoparquet_that_lies_where_the_tiles_lie(
    store: IndexStore, tmp_path: Path
) -> None:
    assert write_embeddings(tmp_path / "e.parquet", store, overwrite=False) == 18
    frame = geopandas.read_parquet(tmp_path / "e.parquet")
    assert frame.crs == "OGC:CRS84"
    assert sorted(frame["id"]) == sorted(store.rows.column("id"))
    row_of = {tile_id: i for i, tile_id in enumerate(store.rows.column("id"))}
    order = [row_of[tile_id] for tile_id in frame["id"]]
    assert np.array_equal(np.stack(frame["embedding"]), store.vectors[order])
    for geometry, row in zip(frame.geometry, (store.rows[i] for i in order)):
        assert row.place is not None
        assert geometry.equals(Polygon(row.place.footprint))
        assert geometry.exterior.is_ccw
    metadata = parquet.read_schema(tmp_path / "e.parquet").metadata
    geo = json.loads(metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    np.testing.assert_allclose(geo["columns"]["geometry"]["bbox"], frame.total_bounds)
    west, south, east, north = frame.geometry.iloc[3].bounds
    nearby = geopandas.read_parquet(tmp_path / "e.parquet", bbox=(west, south, east, north))
    assert frame["id"].iloc[3] in set(nearby["id"])
    assert len(nearby) < len(frame)
    told = json.loads(metadata[b"rsretrieve"])
    assert told["model_fingerprint"] == store.manifest.model_fingerprint
    assert told["model_description"]["architecture"]["dimensions"] == 8


def test_an_export_and_back_is_the_same_index_of_the_same_model(
    store: IndexStore, tmp_path: Path
) -> None:
    write_embeddings(tmp_path / "e.parquet", store, overwrite=False)
    options = IndexBuildOptions(tmp_path / "index")
    summary = index_embeddings(tmp_path / "e.parquet", None, options, RunContext())
    again = open_index(tmp_path / "index")
    assert (summary.tiles, summary.added, summary.device) == (18, 18, "cpu")
    order = [again.rows.column("id").index(tile_id) for tile_id in store.rows.column("id")]
    assert [again.rows[i] for i in order] == list(store.rows)
    assert np.array_equal(again.vectors[order], store.vectors)
    assert again.manifest.model_fingerprint == store.manifest.model_fingerprint
    assert again.manifest.provenance["embeddings"] == str(tmp_path / "e.parquet")


def test_tiles_across_the_antimeridian_and_without_a_place_are_exported(tmp_path: Path) -> None:
    across = Place("EPSG:4326", (179, 1, 181, 2), ((179, 2), (179, 1), (-179, 1), (-179, 2)))
    rows = [
        IndexedTile("across", "/a", None, 1, 1, across),
        IndexedTile("nowhere", "/b", None, 1, 1, None),
    ]
    vectors = unit_rows(2, 4, 0)
    facts = {"model": "", "model_fingerprint": "", "faiss_key": "Flat", "recall_at_10": 1.0}
    index = VectorIndex.build(vectors, "Flat")
    write_index_folder(
        tmp_path / "index", IndexContent(rows, vectors, facts), index, overwrite=False
    )
    store = open_index(tmp_path / "index")
    assert write_embeddings(tmp_path / "e.parquet", store, overwrite=False) == 1
    frame = geopandas.read_parquet(tmp_path / "e.parquet")
    assert frame.geometry.iloc[0].area == pytest.approx(2)
    assert frame.geometry.iloc[1] is None
    assert parquet.read_table(tmp_path / "e.parquet").column("bbox").to_pylist() == [
        {"xmin": 179, "ymin": 1, "xmax": -179, "ymax": 2},
        None,
    ]
    assert list(read(tmp_path / "e.parquet").rows) == rows


@pytest.mark.parametrize("name", ["e.npy", "e.parquet"])
def test_numbers_beyond_float64_when_squared_are_listed_and_nothing_else_is_said(
    tmp_path: Path, name: str
) -> None:
    vectors = np.array([[1.0, 0], [1e200, 1e200], [0, -1e300]])
    if name == "e.npy":
        np.save(tmp_path / name, vectors)
    else:
        table = {"id": ["0", "1", "2"], "embedding": vectors.tolist()}
        parquet.write_table(pyarrow.table(table), tmp_path / name)
    context = RunContext()
    assert [row.id for row in read(tmp_path / name, None, context).rows] == ["0"]
    assert [failure.tile_id for failure in context.failures] == ["1", "2"]


@pytest.mark.parametrize("nothing", [None, ""])
@pytest.mark.parametrize("few_rows", [500_000, 0])
def test_rows_without_an_id_are_no_tiles_and_are_listed(
    tmp_path: Path, nothing: str | None, few_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", few_rows)
    ids, vectors = ["a", nothing, "c", nothing], [[1.0, 0], [0, 1], None, [1, 1]]
    table = pyarrow.table({"id": ids, "embedding": vectors})
    parquet.write_table(table, tmp_path / "e.parquet")
    context = RunContext()
    assert [row.id for row in read(tmp_path / "e.parquet", None, context).rows] == ["a"]
    failures = {failure.tile_id: failure.reason for failure in context.failures}
    assert list(failures) == ["row 1", "row 3", "c"]
    assert "has no id" in failures["row 1"]
    with pytest.raises(TileError, match=r"row 1.*no id"):
        read(tmp_path / "e.parquet", None, RunContext(strict=True))


def test_changes_without_an_id_remove_no_tile(tmp_path: Path) -> None:
    table = {"id": ["a", None, "c", ""], "embedding": [[1.0, 0], None, None, [1.0, 1]]}
    context = RunContext()
    vectors = pyarrow.array(table["embedding"], pyarrow.list_(pyarrow.float64()))
    whole = pyarrow.table({"id": table["id"], "embedding": vectors})
    for start, count, kept, removed in ((0, 4, ["a"], ("c",)), (1, 2, [], ("c",))):
        parquet.write_table(whole.slice(start, count), tmp_path / "e.parquet")
        changes = read_changes(tmp_path / "e.parquet", None, context)
        found = [] if changes.content is None else [row.id for row in changes.content.rows]
        assert (found, changes.missing) == (kept, removed)
    assert [failure.tile_id for failure in context.failures] == ["row 1", "row 3", "row 0"]
    parquet.write_table(pyarrow.table({"id": [""], "embedding": [[1.0]]}), tmp_path / "e.parquet")
    with pytest.raises(NoUsableTiles, match="none of 1 rows has an id"):
        read_changes(tmp_path / "e.parquet", None, context)


def test_another_s_metadata_harms_nothing(tmp_path: Path) -> None:
    for told in (b"{", b"[]", b'{"model_fingerprint": null}'):
        plain = pyarrow.table({"id": ["a"], "embedding": [[1.0]]})
        plain = plain.replace_schema_metadata({b"rsretrieve": told, b"geo": b"{"})
        parquet.write_table(plain, tmp_path / "v.parquet")
        assert read(tmp_path / "v.parquet").facts["model_fingerprint"] == ""


@pytest.mark.parametrize(
    ("named", "kept"), [("/a/model", "/a/model"), ("./model", ""), ("model", ""), ("~/m", "")]
)
def test_a_relative_model_of_a_file_is_no_model(tmp_path: Path, named: str, kept: str) -> None:
    told = json.dumps({"model": named, "model_fingerprint": "f"}).encode()
    plain = pyarrow.table({"id": ["a"], "embedding": [[1.0]]})
    parquet.write_table(
        plain.replace_schema_metadata({b"rsretrieve": told}), tmp_path / "v.parquet"
    )
    assert read(tmp_path / "v.parquet").facts["model"] == kept


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pyarrow.array([b"forest", b"For\xc3\xaat "]), ["forest", "Forêt"]),
        (pyarrow.array([1.0, float("nan")]), ["1", None]),
        (pyarrow.array(["nan", "2.50"]), [None, "2.50"]),
        (pyarrow.array([3, None]), ["3", None]),
        (pyarrow.array(["a", None]).dictionary_encode(), ["a", None]),
    ],
    ids=["bytes", "floats", "texts", "whole numbers", "dictionary"],
)
def test_labels_of_a_table_are_read_as_those_of_any_table(
    tmp_path: Path, values: Any, labels: list[str | None]
) -> None:
    columns = {"Tile ": [b"a", b"b"], "embedding": [[1.0, 0.0], [0.0, 1.0]], "LABEL": values}
    parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet")
    rows = read(tmp_path / "e.parquet").rows
    assert [(row.id, row.label) for row in rows] == list(zip("ab", labels))


@pytest.mark.parametrize("values", [[["a"], ["b"]], [{"a": 1}, {"a": 2}], ["a", "['b', 'c']"]])
def test_several_labels_a_tile_are_refused(tmp_path: Path, values: list[Any]) -> None:
    columns = {"id": ["a", "b"], "embedding": [[1.0, 0.0], [0.0, 1.0]], "label": values}
    parquet.write_table(pyarrow.table(columns), tmp_path / "e.parquet")
    with pytest.raises(InputError, match=r"lists or records|is a list or a record"):
        read(tmp_path / "e.parquet")


def test_a_column_given_twice_is_refused(tmp_path: Path) -> None:
    names = ["id", "embedding", "label", "Label"]
    arrays = [pyarrow.array(["a"]), pyarrow.array([[1.0, 0.0]]), *[pyarrow.array(["x"])] * 2]
    parquet.write_table(pyarrow.table(arrays, names=names), tmp_path / "e.parquet")
    with pytest.raises(TableError, match="'label' occurs more than once"):
        read(tmp_path / "e.parquet")


def test_no_signature_or_password_is_stored(tmp_path: Path) -> None:
    ids = [f"https://me:secret@example.org/{i}.tif?sig=secret&sv=1" for i in range(3)]
    paths = [f"/vsicurl/https://example.org/{i}.tif?token=secret&band=1" for i in range(3)]
    vectors = unit_rows(3, 4, seed=0).tolist()
    source = table(tmp_path / "v.parquet", id=ids, path=paths, embedding=vectors)
    index_embeddings(source, None, IndexBuildOptions(tmp_path / "index"), RunContext())
    rows = open_index(tmp_path / "index").rows
    assert [row.id for row in rows] == [f"https://example.org/{i}.tif" for i in range(3)]
    assert rows[0].path == "/vsicurl/https://example.org/0.tif?band=1"
    assert not [path for path in (tmp_path / "index").iterdir() if b"secret" in path.read_bytes()]


# Many rows


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that many rows have on the disk lies there, in small blocks."""
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", 0)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 7)
    monkeypatch.setattr(stored_vectors, "FEW_FLAGS", 0)
    monkeypatch.setattr(stored_vectors, "MOST_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(embedding_tables, "LONG_CSV_BYTES", 0)
    monkeypatch.setattr(embedding_tables, "CSV_BLOCK_BYTES", 256)


def table_of_rows(rows: int, seed: int = 0) -> pyarrow.Table:
    """Vectors that are not unit vectors, some of them zero, with places, labels and ids."""
    chance = np.random.default_rng(seed)
    vectors = chance.normal(size=(rows, 3)).astype(np.float32)
    vectors[[2, 19]] = 0
    columns = {f"A{i:02}": vectors[:, i] for i in range(3)}
    labels = [None if i % 5 == 0 else f"class {i % 3}" for i in range(rows)]
    lons = [None if i % 4 == 0 else i % 900 / 10 for i in range(rows)]
    return pyarrow.table(
        {"id": [f"t{i}" for i in range(rows)], "label": labels, "lon": lons, "lat": lons} | columns
    )


def written(path: Path, table: pyarrow.Table) -> Path:
    """As Parquet in small row groups, or as CSV."""
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    else:
        parquet.write_table(table, path, row_group_size=9)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_many_rows_are_read_as_few_are(
    tmp_path: Path, request: pytest.FixtureRequest, suffix: str
) -> None:
    path = written(tmp_path / f"v.{suffix}", table_of_rows(60))
    contexts = RunContext(), RunContext()
    few = read(path, context=contexts[0])
    request.getfixturevalue("on_disk")
    many = read(path, context=contexts[1])
    assert isinstance(many.vectors, np.memmap)
    assert np.array_equal(many.vectors, few.vectors)
    assert many.rows == few.rows
    assert len(many.rows) == 58
    assert many.facts == few.facts
    assert contexts[1].failures == contexts[0].failures
    assert [bad.tile_id for bad in contexts[1].failures] == ["t2", "t19"]


@pytest.mark.parametrize("late", ["3.5", "word", ""])
def test_a_long_csv_whose_first_rows_mislead_is_read_right(
    tmp_path: Path, request: pytest.FixtureRequest, late: str
) -> None:
    """Ids that look like numbers at first keep their zeros, as in a short file."""
    lines = [f"{i:04},{i + 1},1\n" for i in range(80)]
    lines[70] = f"{late},71,1\n"
    path = tmp_path / "v.csv"
    path.write_text("".join(["id,emb0,emb1\n", *lines]))
    few = read(path)
    request.getfixturevalue("on_disk")
    many = read(path)
    assert many.rows == few.rows
    assert many.rows[1].id == few.rows[1].id
    assert np.array_equal(many.vectors, few.vectors)


TEXTS = {
    "zeros before it": ["0001", "0002", "0010"],
    "times": ["12:00", "12:01", "9:30"],
    "dates": ["2020-01-01", "2020-01-02", "2020-1-3"],
    "truths": ["true", "false", "TRUE"],
    "exponents": ["1e1", "2e1", "3e1"],
    "long numbers": ["12345678901234567890123", "12345678901234567890124", "1"],
    "signs": ["+1", "-0", "1.0"],
}


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("name", TEXTS)
def test_ids_labels_and_paths_of_a_csv_are_what_is_written(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, long: bool
) -> None:
    """Also if all of them look like numbers, so that changes name the tiles of the first file."""
    if long:
        request.getfixturevalue("on_disk")
    path = tmp_path / "v.csv"
    lines = [f"{text},{text},x/{text},{i + 1},1\n" for i, text in enumerate(TEXTS[name])]
    path.write_text("".join(["Chip, LABEL,path,emb0,emb1\n", *lines]), encoding="utf-8-sig")
    found = read_embeddings(path, None, RunContext(), EmbeddingChoices(id_column="chip"))
    assert [row.id for row in found.rows] == TEXTS[name]
    assert [row.label for row in found.rows] == TEXTS[name]
    assert [row.path for row in found.rows] == [f"x/{text}" for text in TEXTS[name]]


@pytest.mark.parametrize("content", [b'"id' + b"x" * 200_000, b"\0\0\n1,2\n", b"", b"\xff\xfe\n"])
def test_a_csv_without_a_sound_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.csv").write_bytes(content)
    with pytest.raises(TableError, match=r"v\.csv"):
        read(tmp_path / "v.csv")


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2"])
def test_whole_numbers_of_an_array_are_told_as_those_of_a_table(tmp_path: Path, dtype: str) -> None:
    vectors = np.arange(1, 13).reshape(3, 4).astype(dtype)
    parquet.write_table(pyarrow.table({"embedding": [*vectors]}), tmp_path / "v.parquet")
    told = []
    for path in (saved(tmp_path / "v.npy", vectors), tmp_path / "v.parquet"):
        events: list[Any] = []
        read(path, context=RunContext(listener=events.append))
        texts = [event.text for event in events if isinstance(event, Noticed)]
        told += [text.partition(": ")[2] for text in texts if "whole numbers" in text]
    assert told == [PLAIN_NOTICE] * 2


@pytest.mark.parametrize("apart", [1, 8, 40])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_id_that_occurs_again_in_another_block_is_refused(
    tmp_path: Path, on_disk: None, suffix: str, apart: int
) -> None:
    table = table_of_rows(60)
    ids = table.column("id").to_pylist()
    ids[10 + apart] = ids[10]
    table = table.set_column(0, "id", pyarrow.array(ids))
    with pytest.raises(TableError, match="'t10'") as refused:
        read(written(tmp_path / f"v.{suffix}", table))
    assert "twice" in refused.value.message


@pytest.mark.slow
def test_reading_four_times_as_many_rows_takes_no_more_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped_rows, "FEW_ROWS", 1000)
    monkeypatch.setattr(mapped_rows, "BLOCK_ROWS", 10_000)
    monkeypatch.setattr(stored_vectors, "FEW_FLAGS", 1000)
    monkeypatch.setattr(stored_vectors, "MOST_IN_MEMORY_BYTES", 1000)
    peaks = []
    for rows in (1_000, 70_000, 280_000):  # the first one imports what is needed; vectors
        # are normalised in blocks of 65,536
        path = tmp_path / f"{rows}.parquet"
        parquet.write_table(table_of_rows(rows), path, row_group_size=5000)
        peaks.append(peak_of(path))
    assert peaks[2] < 1.25 * peaks[1]


POOLS: list[pyarrow.MemoryPool] = []
"""They stay until the end: what was allocated in them may live as long."""


def peak_of(path: Path) -> int:
    """The bytes that reading embeddings takes at its peak, of Python, NumPy and Arrow."""
    before = pyarrow.default_memory_pool()
    pool = pyarrow.proxy_memory_pool(before)
    POOLS.append(pool)
    pyarrow.set_memory_pool(pool)
    tracemalloc.start()
    try:
        content = read(path)
        assert len(content.rows) == parquet.read_metadata(path).num_rows - 2
        return tracemalloc.get_traced_memory()[1] + (pool.max_memory() or 0)
    finally:
        tracemalloc.stop()
        pyarrow.set_memory_pool(before)
