"""Embeddings made elsewhere: which row is which tile, and tiles that have none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from rsretrieve.audit.evidence import external_embeddings
from rsretrieve.audit.evidence.external_embeddings import (
    ExternalEmbeddings,
    read_external_embeddings,
)
from rsretrieve.data.geo.place import Place
from rsretrieve.data.run_context import RunContext
from rsretrieve.data.tile import Tile, TileSet
from rsretrieve.errors import (
    IndexNotFound,
    InputError,
    InvalidArgument,
    ModelNotFound,
    TableError,
)
from rsretrieve.index.build_from_embeddings import index_embeddings
from rsretrieve.index.store.manifest import Manifest
from rsretrieve.index.write import IndexBuildOptions
from rsretrieve.progress import Event
from tests.support.indexes.vectors import unit_rows

VECTORS = unit_rows(3, 4, 0)
TILES = TileSet("list.csv", tuple(Tile(name, name, "road") for name in "cab"))


def table_at(path: Path, /, **columns: object) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def given(path: Path, tiles: TileSet | None = TILES) -> ExternalEmbeddings:
    return read_external_embeddings(path, tiles, RunContext())


@pytest.fixture
def npy(tmp_path: Path) -> Path:
    np.save(tmp_path / "e.npy", VECTORS)
    return tmp_path / "e.npy"


def test_the_rows_of_an_array_are_the_tiles_in_their_order(npy: Path) -> None:
    found = given(npy)
    assert found.tiles is TILES
    assert isinstance(found.vectors, np.memmap)
    assert np.array_equal(found.vectors, VECTORS)
    tiles, rows = found.rows_for(TILES)
    assert tiles is TILES
    assert rows.tolist() == [0, 1, 2]
    assert found.rows_for(TILES.select([2, 0]))[1].tolist() == [2, 0]


def test_tiles_are_known_however_their_ids_are_written(tmp_path: Path) -> None:
    ids = ["cafe\u0301/1", "b\\2", "c"]
    path = table_at(tmp_path / "e.parquet", id=ids, embedding=VECTORS.tolist())
    tiles = TileSet("t", tuple(Tile(name, name, "x") for name in ("b/2", "caf\u00e9/1")))
    assert given(path, tiles).rows_for(tiles)[1].tolist() == [1, 0]


def test_a_tile_that_has_none_is_named(npy: Path) -> None:
    more = TileSet("x", (*TILES, Tile("z", "z")))
    with pytest.raises(InputError, match=r"no embedding of 1 of 4 tiles \('z'\)"):
        given(npy).rows_for(more)


def test_a_tile_whose_embedding_is_no_direction_is_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "e.npy", VECTORS * np.array([[1], [0], [2]], np.float32))
    context = RunContext()
    found = read_external_embeddings(tmp_path / "e.npy", TILES, context)
    tiles, rows = found.rows_for(TILES)
    assert [failure.tile_id for failure in context.failures] == ["a"]
    assert [tile.id for tile in tiles] == ["c", "b"]
    np.testing.assert_allclose(found.vectors[rows], VECTORS[[0, 2]], atol=1e-6)


def test_a_table_brings_its_tiles_along(tmp_path: Path) -> None:
    path = table_at(
        tmp_path / "e.parquet",
        tile=["x/1.tif", "x/2.tif#0,8,32,32", "y.tif", "z.tif"],
        embedding=[*VECTORS.tolist(), VECTORS[0].tolist()],
        label=["road", None, "water", "water"],
        path=["/far/1.tif", None, "near/y.tif", "https://example.org/z.tif"],
    )
    found = given(path, None)
    np.testing.assert_allclose(found.vectors[:3], VECTORS, atol=1e-6)
    assert [tile.label for tile in found.tiles] == ["road", None, "water", "water"]
    near = [str(tmp_path / "x" / "2.tif"), str(tmp_path / "near" / "y.tif")]
    far = "https://example.org/z.tif"
    assert [tile.path for tile in found.tiles] == ["/far/1.tif", *near, far]
    assert str(found.tiles[1].window) == "#0,8,32,32"


def test_a_table_s_rows_are_found_by_the_tiles_ids(tmp_path: Path) -> None:
    path = table_at(
        tmp_path / "e.parquet",
        tile=["a", "b", "other", "c"],
        embedding=[*VECTORS.tolist(), VECTORS[1].tolist()],
    )
    found = given(path)
    assert found.tiles is TILES
    assert found.rows_for(TILES)[1].tolist() == [3, 0, 1]


def test_an_array_without_tiles_is_wrong_usage(npy: Path) -> None:
    with pytest.raises(InvalidArgument, match="does not name its tiles"):
        given(npy, None)
    with pytest.raises(TableError, match=r"neither a \.npy nor a Parquet file"):
        given(npy.with_suffix(".txt"), None)


def test_places_of_a_table_are_kept_and_found_by_the_tile_s_id(tmp_path: Path) -> None:
    corners = ((11.0, 47.0), (11.0, 46.0), (12.0, 46.0), (12.0, 47.0))
    path = table_at(
        tmp_path / "e.parquet",
        tile=["a", "b", "c"],
        embedding=[VECTORS[0].tolist(), [0.0] * 4, VECTORS[2].tolist()],
        crs=[None, "EPSG:4326", "EPSG:32632"],
        bounds=[None, [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]],
        footprint=[None, corners, corners],
    )
    places = given(path).places
    assert dict(places) == {"c": Place("EPSG:32632", (5, 6, 7, 8), corners)}  # b has no direction
    assert (len(places), places.get("a"), "b" in places) == (1, None, False)
    np.save(tmp_path / "e.npy", VECTORS)
    assert not given(tmp_path / "e.npy").places


def test_pixels_are_at_hand_where_the_first_tile_that_can_be_used_is_a_file(tmp_path: Path) -> None:
    path = table_at(
        tmp_path / "e.parquet",
        tile=["a", "b"],
        embedding=[[0.0] * 4, VECTORS[0].tolist()],
        label=["road", "water"],
    )
    (tmp_path / "a").touch()
    assert not given(path, None).has_pixels
    (tmp_path / "b").touch()
    assert given(path, None).has_pixels


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index of embeddings from elsewhere; the second tile has no label."""
    table = table_at(
        tmp_path / "e.parquet",
        id=["a", "b.tif#0,8,32,32", "c"],
        embedding=VECTORS.tolist(),
        label=["road", None, "water"],
        longitude=[11.0, 11.1, 11.2],
        latitude=[47.0, 47.1, 47.2],
    )
    options = IndexBuildOptions(tmp_path / "index", None, None)
    index_embeddings(table, None, options, RunContext())
    return tmp_path / "index"


def test_an_index_brings_its_tiles_labels_and_places_along(index: Path) -> None:
    found = given(index, None)
    assert [(tile.id, tile.label) for tile in found.tiles] == [
        ("a", "road"),
        ("b.tif#0,8,32,32", None),
        ("c", "water"),
    ]
    assert found.tiles[1].window is not None
    assert isinstance(found.vectors, np.memmap)
    np.testing.assert_allclose(found.vectors, VECTORS, atol=1e-6)
    assert {*found.places} == {*found.ids}
    assert given(index, TILES.select([0])).rows_for(TILES.select([0]))[1].tolist() == [2]


def test_a_folder_that_is_no_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound, match=tmp_path.name):
        given(tmp_path, None)


@pytest.mark.parametrize(
    ("classes", "warned"), [(("road", "water"), True), ((), False), (None, True)]
)
def test_embeddings_that_may_know_the_labels_are_told(
    index: Path, monkeypatch: pytest.MonkeyPatch, classes: tuple[str, ...] | None, warned: bool
) -> None:
    def described(_: Path) -> SimpleNamespace:
        if classes is None:
            raise ModelNotFound("no such model")
        return SimpleNamespace(class_names=classes)

    monkeypatch.setattr(Manifest, "model_path", lambda *_: Path("models/mine"))
    monkeypatch.setattr(external_embeddings, "read_description", described)
    said: list[Event] = []
    read_external_embeddings(index, None, RunContext(listener=said.append))
    assert any("may have learned these labels" in str(event) for event in said) == warned
