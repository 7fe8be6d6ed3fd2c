"""Embeddings made elsewhere: which row is which tile, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.errors import InputError, InvalidArgument, TableError
from rsretrieve.retrieval.embeddings_file import read_embeddings
from rsretrieve.tiles.records import Tile, TileSet

VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)
TILES = TileSet("list.csv", tuple(Tile(name, name, "road") for name in "cab"))


def table_at(path: Path, /, **columns: object) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.fixture
def npy(tmp_path: Path) -> Path:
    np.save(tmp_path / "e.npy", VECTORS)
    return tmp_path / "e.npy"


def test_the_rows_of_an_array_are_the_tiles_in_their_order(npy: Path) -> None:
    given = read_embeddings(npy, TILES)
    assert given.tiles is TILES
    assert np.array_equal(given.vectors, VECTORS)
    assert given.rows_of(TILES).tolist() == [0, 1, 2]
    assert given.rows_of(TILES.select([2, 0])).tolist() == [2, 0]


def test_an_array_is_mapped_not_read(npy: Path) -> None:
    assert isinstance(read_embeddings(npy, TILES).vectors, np.memmap)


def test_a_tile_without_an_embedding_is_named(npy: Path) -> None:
    given = read_embeddings(npy, TILES)
    more = TileSet("x", (*TILES, Tile("z", "z")))
    with pytest.raises(InputError, match=r"no embedding of 1 of 4 tiles \('z'\)"):
        given.rows_of(more)


@pytest.mark.parametrize("fixed_size", [False, True])
def test_a_table_brings_its_tiles_along(tmp_path: Path, fixed_size: bool) -> None:
    kind = pyarrow.list_(pyarrow.float32(), 4 if fixed_size else -1)
    path = table_at(
        tmp_path / "e.parquet",
        tile=["x/1.tif", "x/2.tif#0,8,32,32", "y.tif"],
        embedding=pyarrow.array(VECTORS.tolist(), kind),
        label=["road", None, "water"],
        path=["/far/1.tif", None, None],
    )
    given = read_embeddings(path, None)
    assert np.array_equal(given.vectors, VECTORS)
    assert [(tile.id, tile.label) for tile in given.tiles] == [
        ("x/1.tif", "road"),
        ("x/2.tif#0,8,32,32", None),
        ("y.tif", "water"),
    ]
    paths = [str(tmp_path / "x" / "2.tif"), str(tmp_path / "y.tif")]
    assert [tile.path for tile in given.tiles] == ["/far/1.tif", *paths]
    assert str(given.tiles[1].window) == "#0,8,32,32"


def test_a_table_s_rows_are_put_in_the_tiles_order(tmp_path: Path) -> None:
    path = table_at(
        tmp_path / "e.parquet",
        tile=["a", "b", "other", "c"],
        embedding=[[1.0], [2.0], [9.0], [3.0]],
    )
    given = read_embeddings(path, TILES)
    assert given.vectors.tolist() == [[3], [1], [2]]
    assert given.tiles is TILES


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"tile": ["a"], "embedding": [[1.0]]}, "no column 'label'"),
        ({"tile": ["a"], "label": ["x"]}, "no column 'embedding'"),
        ({"tile": ["a"], "embedding": [1.0], "label": ["x"]}, "holds double, not lists"),
        (
            {"tile": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]], "label": ["x", "x"]},
            "equally many",
        ),
        (
            {"tile": ["a", "b"], "embedding": [[1.0], [1.0, 2.0, 3.0]], "label": ["x", "x"]},
            "equally many",
        ),
        ({"tile": ["a", "b"], "embedding": [[1.0], None], "label": ["x", "x"]}, "equally many"),
        ({"tile": ["a", "a"], "embedding": [[1.0], [2.0]], "label": ["x", "x"]}, "1 tile ids"),
        ({"tile": ["a"], "embedding": [["1"]], "label": ["x"]}, "equally many"),
    ],
    ids=["label", "embedding", "numbers", "ragged", "ragged evenly", "null", "twice", "text"],
)
def test_tables_that_are_none_are_refused(
    tmp_path: Path, columns: dict[str, object], said: str
) -> None:
    with pytest.raises(TableError, match=said):
        read_embeddings(table_at(tmp_path / "e.parquet", **columns), None)


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 2), np.float32), r"has 4 rows, and list.csv has 3 tiles"),
        (np.zeros(3, np.float32), r"float32 of shape \(3,\), not floats of shape \(N, D\)"),
        (np.zeros((3, 2), np.int64), "int64"),
        (np.zeros((3, 0)), r"\(3, 0\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, array: np.ndarray, said: str) -> None:
    np.save(tmp_path / "e.npy", array)
    with pytest.raises(InputError, match=said):
        read_embeddings(tmp_path / "e.npy", TILES)


@pytest.mark.parametrize("name", ["e.npy", "e.parquet"])
def test_files_that_are_missing_or_damaged_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_embeddings(tmp_path / name, TILES)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read as"):
        read_embeddings(tmp_path / name, TILES)


def test_an_array_that_was_cut_short_is_refused(npy: Path) -> None:
    npy.write_bytes(npy.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"cannot be read as a \.npy array"):
        read_embeddings(npy, TILES)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", np.array([{}, {}, {}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot be read as a \.npy array"):
        read_embeddings(tmp_path / "e.npy", TILES)


def test_other_files_and_arrays_without_tiles_are_wrong_usage(npy: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"read from \.npy and \.parquet, \.pq"):
        read_embeddings(npy.with_suffix(".txt"), TILES)
    with pytest.raises(InvalidArgument, match="says nothing of tiles"):
        read_embeddings(npy, None)
